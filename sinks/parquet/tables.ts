// The tables of the lake: their columns, and a row from a record.
import type { Asset } from '../../contracts/asset.ts'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { EventMeta } from '../../contracts/event-meta.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { SinkKind, SinkRecord } from '../../contracts/ports.ts'
import type { Run } from '../../contracts/run.ts'
import type { Vulnerability } from '../../contracts/vulnerability.ts'

/** TIMESTAMP is given as epoch milliseconds. */
type ColumnType =
  | 'VARCHAR'
  | 'VARCHAR[]'
  | 'BIGINT'
  | 'INTEGER'
  | 'DOUBLE'
  | 'BOOLEAN'
  | 'TIMESTAMP'
type Column<T> = readonly [name: string, type: ColumnType, of: (value: T) => unknown]

export type Table = {
  readonly name: string
  /** Names and types, in order. */
  readonly columns: readonly (readonly [name: string, type: ColumnType])[]
  /** Values of a record by column; of a tombstone only those of the record itself. */
  readonly rowOf: (record: SinkRecord, topic: string, partition: number) => object
  readonly productOf: (record: SinkRecord) => string | null
}

/** Of the record, in every table; `state` is the whole event as JSON. */
const RECORD = [
  ['uid', 'VARCHAR'],
  ['deleted', 'BOOLEAN'],
  ['kafka_topic', 'VARCHAR'],
  ['kafka_partition', 'INTEGER'],
  ['kafka_offset', 'BIGINT'],
  ['recorded_at', 'TIMESTAMP'],
  ['state', 'VARCHAR'],
] as const

function table<T>(
  name: string,
  productOf: (value: T) => string | null,
  columns: readonly Column<T>[],
): Table {
  return {
    name,
    columns: [...RECORD, ...columns.map(([column, type]) => [column, type] as const)],
    rowOf(record, topic, partition) {
      const value = record.value as T | null
      return {
        uid: record.key,
        deleted: value === null,
        kafka_topic: topic,
        kafka_partition: partition,
        // As text: a number beyond 2^53 would be another one.
        kafka_offset: String(record.offset),
        recorded_at: record.timestampMs,
        ...(value === null
          ? {}
          : {
              state: JSON.stringify(value),
              ...Object.fromEntries(columns.map(([column, , of]) => [column, of(value)])),
            }),
      }
    },
    productOf: ({ value }) => (value === null ? null : productOf(value as T)),
  }
}

const metaColumns = <T extends { readonly meta: EventMeta }>(): readonly Column<T>[] => [
  ['event_id', 'VARCHAR', ({ meta }) => meta.event_id],
  ['revision', 'BIGINT', ({ meta }) => meta.revision],
  ['change_type', 'VARCHAR', ({ meta }) => meta.change_type],
  ['change_cause', 'VARCHAR', ({ meta }) => meta.change_cause],
  ['changed_fields', 'VARCHAR[]', ({ meta }) => meta.changed_fields],
  ['backfill', 'BOOLEAN', ({ meta }) => meta.backfill],
  ['observed_at', 'TIMESTAMP', ({ meta }) => meta.observed_at],
  ['run_id', 'VARCHAR', ({ meta }) => meta.run_id],
  ['vendor', 'VARCHAR', ({ meta }) => meta.source.vendor],
  ['connection_id', 'VARCHAR', ({ meta }) => meta.source.connection_id],
  ['tenant', 'VARCHAR', ({ meta }) => meta.source.tenant],
  ['stream', 'VARCHAR', ({ meta }) => meta.source.stream],
  ['native_id', 'VARCHAR', ({ meta }) => meta.source.native_id],
]
const productOfMeta = ({ meta }: { readonly meta: EventMeta }) => meta.source.product

const ASSETS = table<Asset>('assets', productOfMeta, [
  ...metaColumns<Asset>(),
  ['entity_uid', 'VARCHAR', (a) => a.entity_uid],
  ['kind', 'VARCHAR', (a) => a.kind],
  ['native_type', 'VARCHAR', (a) => a.native_type],
  ['name', 'VARCHAR', (a) => a.name],
  ['hostnames', 'VARCHAR[]', (a) => a.hostnames],
  ['private_ips', 'VARCHAR[]', (a) => a.private_ips],
  ['public_ips', 'VARCHAR[]', (a) => a.public_ips],
  ['cloud_provider', 'VARCHAR', (a) => a.cloud?.provider],
  ['cloud_account_id', 'VARCHAR', (a) => a.cloud?.account_id],
  ['cloud_region', 'VARCHAR', (a) => a.cloud?.region],
  ['cloud_resource_id', 'VARCHAR', (a) => a.cloud?.resource_id],
  ['os_family', 'VARCHAR', (a) => a.os?.family],
  ['os_name', 'VARCHAR', (a) => a.os?.name],
  ['os_version', 'VARCHAR', (a) => a.os?.version],
  ['image_digest', 'VARCHAR', (a) => a.image?.digest],
  ['internet_exposed', 'BOOLEAN', (a) => a.internet_exposed],
  ['criticality', 'VARCHAR', (a) => a.criticality?.level],
  ['status', 'VARCHAR', (a) => a.status],
  ['first_seen', 'TIMESTAMP', (a) => a.first_seen],
  ['last_seen', 'TIMESTAMP', (a) => a.last_seen],
  ['gone_at', 'TIMESTAMP', (a) => a.gone_at],
])

const FINDINGS = table<Finding>('findings', productOfMeta, [
  ...metaColumns<Finding>(),
  ['asset_uid', 'VARCHAR', (f) => f.asset_uid],
  ['entity_uid', 'VARCHAR', (f) => f.entity_uid],
  ['correlation_uid', 'VARCHAR', (f) => f.correlation_uid],
  ['asset_name', 'VARCHAR', (f) => f.asset.name],
  ['asset_kind', 'VARCHAR', (f) => f.asset.kind],
  ['kind', 'VARCHAR', (f) => f.kind],
  ['vuln_id', 'VARCHAR', (f) => f.vuln_id],
  ['title', 'VARCHAR', (f) => f.title],
  ['status', 'VARCHAR', (f) => f.status],
  ['resolution', 'VARCHAR', (f) => f.resolution],
  ['severity', 'VARCHAR', (f) => f.severity],
  ['severity_id', 'INTEGER', (f) => f.severity_id],
  ['cvss_score', 'DOUBLE', (f) => f.cvss_score],
  ['epss_score', 'DOUBLE', (f) => f.epss?.score],
  ['known_exploited', 'BOOLEAN', (f) => f.known_exploited],
  ['exploit_available', 'BOOLEAN', (f) => f.exploit?.available],
  ['package_name', 'VARCHAR', (f) => f.package?.name],
  ['package_type', 'VARCHAR', (f) => f.package?.type],
  ['package_versions', 'VARCHAR[]', (f) => f.package?.versions],
  ['fix_available', 'BOOLEAN', (f) => f.fix?.available],
  ['fix_versions', 'VARCHAR[]', (f) => f.fix?.versions],
  ['internet_exposed', 'BOOLEAN', (f) => f.internet_exposed],
  ['risk_score', 'DOUBLE', (f) => f.risk_score],
  ['published_at', 'TIMESTAMP', (f) => f.published_at],
  ['first_seen', 'TIMESTAMP', (f) => f.first_seen],
  ['last_seen', 'TIMESTAMP', (f) => f.last_seen],
  ['resolved_at', 'TIMESTAMP', (f) => f.resolved_at],
  ['due_at', 'TIMESTAMP', (f) => f.due_at],
  ['reopen_count', 'INTEGER', (f) => f.reopen_count],
])

const VULNERABILITIES = table<Vulnerability>('vulnerabilities', productOfMeta, [
  ...metaColumns<Vulnerability>(),
  ['vuln_id', 'VARCHAR', (v) => v.vuln_id],
  ['title', 'VARCHAR', (v) => v.title],
  ['status', 'VARCHAR', (v) => v.status],
  ['severity', 'VARCHAR', (v) => v.severity],
  ['severity_id', 'INTEGER', (v) => v.severity_id],
  ['cvss_score', 'DOUBLE', (v) => v.cvss_score],
  ['epss_score', 'DOUBLE', (v) => v.epss?.score],
  ['known_exploited', 'BOOLEAN', (v) => v.known_exploited],
  ['published_at', 'TIMESTAMP', (v) => v.published_at],
  ['last_seen', 'TIMESTAMP', (v) => v.last_seen],
])

const ERRORS = table<ConnectorError>('connector_errors', ({ product }) => product, [
  ['error_id', 'VARCHAR', (e) => e.error_id],
  ['error_state', 'VARCHAR', (e) => e.state],
  ['error_type', 'VARCHAR', (e) => e.error_type],
  ['stage', 'VARCHAR', (e) => e.stage],
  ['severity', 'VARCHAR', (e) => e.severity],
  ['connection_id', 'VARCHAR', (e) => e.connection_id],
  ['vendor', 'VARCHAR', (e) => e.vendor],
  ['stream', 'VARCHAR', (e) => e.stream],
  ['sink_id', 'VARCHAR', (e) => e.sink_id],
  ['message', 'VARCHAR', (e) => e.message],
  ['remediation', 'VARCHAR', (e) => e.remediation],
  ['occurrences', 'BIGINT', (e) => e.occurrences],
  ['first_at', 'TIMESTAMP', (e) => e.first_at],
  ['last_at', 'TIMESTAMP', (e) => e.last_at],
])

const RUNS = table<Run>('runs', ({ product }) => product, [
  ['run_id', 'VARCHAR', (r) => r.run_id],
  ['connection_id', 'VARCHAR', (r) => r.connection_id],
  ['vendor', 'VARCHAR', (r) => r.vendor],
  ['stream', 'VARCHAR', (r) => r.stream],
  ['phase', 'VARCHAR', (r) => r.phase],
  ['verdict', 'VARCHAR', (r) => r.verdict],
  ['reason', 'VARCHAR', (r) => r.reason],
  ['started_at', 'TIMESTAMP', (r) => r.started_at],
  ['at', 'TIMESTAMP', (r) => r.at],
  ['fetched', 'BIGINT', (r) => r.fetched],
  ['published', 'BIGINT', (r) => r.published],
])

/** The table of each kind of record. */
export const TABLES: Readonly<Record<SinkKind, Table>> = {
  asset: ASSETS,
  finding: FINDINGS,
  vulnerability: VULNERABILITIES,
  'connector-error': ERRORS,
  run: RUNS,
}
