// The indices and data streams of the sink: names, fields, and the templates that make them.
import type { OpenSearchConfig } from './config.ts'
import { ECS_ASSET_FIELDS, ECS_FINDING_FIELDS } from './ecs-fields.ts'
import { COMMON_FIELDS, type Fields, propertiesOf } from './fields.ts'
import { OCSF_ASSET_FIELDS, OCSF_ERROR_FIELDS, OCSF_FINDING_FIELDS } from './ocsf-fields.ts'

/** Elasticsearch has a template of its own for `logs-*-*`, at 100. */
const PRIORITY = 200
/**
 * For so long the store knows the version of what was deleted, and takes no older one: a member
 * that lost its partition unnoticed may still be writing.
 */
const DELETES_KNOWN = '1h'
const FIELDS_MAX = 2_000

export type Index = {
  readonly name: string
  /** Null for a data stream, which only grows. */
  readonly alias: string | null
  readonly fields: Fields
}

export type Indices = {
  readonly asset: Index
  readonly finding: Index
  readonly findingLog: Index
  readonly errorLog: Index
}

type Named = Pick<OpenSearchConfig, 'prefix' | 'namespace' | 'format'>

/** What the sink writes to. There is no ECS document of a connector error: it is OCSF always. */
export function indicesOf({ prefix, namespace, format }: Named): Indices {
  const asset = format === 'ecs' ? ECS_ASSET_FIELDS : OCSF_ASSET_FIELDS
  const finding = format === 'ecs' ? ECS_FINDING_FIELDS : OCSF_FINDING_FIELDS
  const current = (what: string, fields: Fields): Index => ({
    name: `${prefix}-${what}-v1`,
    alias: `${prefix}-${what}`,
    fields: { ...COMMON_FIELDS, ...fields },
  })
  const log = (what: string, fields: Fields): Index => ({
    name: `logs-${prefix}.${what}-${namespace}`,
    alias: null,
    fields: { ...COMMON_FIELDS, ...fields },
  })
  return {
    asset: current('assets', asset),
    finding: current('findings', finding),
    findingLog: log('finding', finding),
    errorLog: log('connector_error', OCSF_ERROR_FIELDS),
  }
}

/** A field that is not named here is refused: documents are ours, so that would be our fault. */
export const mappingOf = ({ fields }: Index, flavour: OpenSearchConfig['flavour']) => ({
  dynamic: 'strict',
  properties: propertiesOf(fields, flavour),
})

/** The composable index template of one index. */
export function templateOf(index: Index, config: OpenSearchConfig) {
  const { flavour, shards, replicas } = config
  const settings = {
    number_of_shards: shards,
    number_of_replicas: replicas,
    'mapping.total_fields.limit': FIELDS_MAX,
    ...(index.alias === null ? {} : { gc_deletes: DELETES_KNOWN }),
  }
  return {
    index_patterns: [index.name],
    priority: PRIORITY,
    ...(index.alias === null ? { data_stream: {} } : {}),
    template: {
      settings: { index: settings },
      mappings: mappingOf(index, flavour),
      ...(index.alias === null ? {} : { aliases: { [index.alias]: {} } }),
    },
    _meta: { description: 'Made by exposure-stream at every start; changes here are lost.' },
  }
}
