// The registered value schemas by name. `npm run contracts` writes contracts/avro from this list.
import { asset } from './asset.ts'
import { connectorError } from './connector-error.ts'
import { finding } from './finding.ts'
import { run } from './run.ts'
import { type Avro, avroDocument } from './schema-dsl.ts'
import { vulnerability } from './vulnerability.ts'

export const NAMESPACE = 'exposure.v1'
export const SCHEMAS = {
  Asset: asset,
  Finding: finding,
  Vulnerability: vulnerability,
  ConnectorError: connectorError,
  Run: run,
}
export type SchemaName = keyof typeof SCHEMAS

/** The Avro document to register for `name`, made from the zod schema. */
export const avroOf = (name: SchemaName): Avro => avroDocument(SCHEMAS[name], NAMESPACE)
