// Writes contracts/avro/*.avsc from the schemas: `npm run contracts`. A test holds both equal.
import { writeFileSync } from 'node:fs'
import { NAMESPACE, SCHEMAS, type SchemaName, avroOf } from './schemas.ts'

for (const name of Object.keys(SCHEMAS) as SchemaName[]) {
  const file = new URL(`./avro/${NAMESPACE}.${name}.avsc`, import.meta.url)
  writeFileSync(file, `${JSON.stringify(avroOf(name), null, 1)}\n`)
}
