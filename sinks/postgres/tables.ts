// Which column of which table holds what of an event.
import type { Asset } from '../../contracts/asset.ts'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { EventMeta } from '../../contracts/event-meta.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { Run } from '../../contracts/run.ts'
import type { Vulnerability } from '../../contracts/vulnerability.ts'

/** Where a row comes from. */
export type Origin = {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  /** The first tombstone of its entity behind it; absent: there is none yet. */
  readonly purge?: { readonly offset: bigint; readonly atMs: number } | undefined
}

export type ColumnType = 'text' | 'int' | 'bigint' | 'float8' | 'bool' | 'time' | 'text[]' | 'jsonb'
export type Cell = string | number | bigint | boolean | readonly string[] | null

/** `time` takes epoch milliseconds; `jsonb` takes JSON text. */
export type Column<Event> = readonly [
  name: string,
  type: ColumnType,
  of: (event: Event, origin: Origin) => Cell,
]

export type Table<Event> = {
  readonly name: string
  readonly key: readonly string[]
  /** A row replaces another of its key only when these, compared in order, are greater. */
  readonly guard: readonly string[]
  /** What else must be so of the row that is there, called t. Absent: nothing. */
  readonly onlyIf?: string
  readonly columns: readonly Column<Event>[]
}

const origin: readonly Column<unknown>[] = [
  ['src_topic', 'text', (_, from) => from.topic],
  ['src_partition', 'int', (_, from) => from.partition],
  ['src_offset', 'bigint', (_, from) => from.offset],
]

const envelope: readonly Column<{ readonly meta: EventMeta }>[] = [
  ['vendor', 'text', ({ meta }) => meta.source.vendor],
  ['product', 'text', ({ meta }) => meta.source.product],
  ['connection_id', 'text', ({ meta }) => meta.source.connection_id],
  ['tenant', 'text', ({ meta }) => meta.source.tenant],
  ['stream', 'text', ({ meta }) => meta.source.stream],
  ['native_id', 'text', ({ meta }) => meta.source.native_id],
  ['change_type', 'text', ({ meta }) => meta.change_type],
  ['change_cause', 'text', ({ meta }) => meta.change_cause],
  ['backfill', 'bool', ({ meta }) => meta.backfill],
  ['observed_at', 'time', ({ meta }) => meta.observed_at],
  ['run_id', 'text', ({ meta }) => meta.run_id],
  ['event_id', 'text', ({ meta }) => meta.event_id],
  ['mapping_version', 'text', ({ meta }) => meta.mapping_version],
  ['revision', 'bigint', ({ meta }) => meta.revision],
  ['state', 'jsonb', (event) => JSON.stringify(event)],
  ...origin,
]

export const ASSET: Table<Asset> = {
  name: 'asset',
  key: ['asset_uid'],
  guard: ['revision'],
  columns: [
    ['asset_uid', 'text', (a) => a.asset_uid],
    ['entity_uid', 'text', (a) => a.entity_uid],
    ['kind', 'text', (a) => a.kind],
    ['native_type', 'text', (a) => a.native_type],
    ['name', 'text', (a) => a.name],
    ['hostnames', 'text[]', (a) => a.hostnames],
    ['private_ips', 'text[]', (a) => a.private_ips],
    ['public_ips', 'text[]', (a) => a.public_ips],
    ['cloud_provider', 'text', (a) => a.cloud?.provider ?? null],
    ['cloud_account_id', 'text', (a) => a.cloud?.account_id ?? null],
    ['cloud_region', 'text', (a) => a.cloud?.region ?? null],
    ['cloud_resource_id', 'text', (a) => a.cloud?.resource_id ?? null],
    ['cloud_instance_id', 'text', (a) => a.cloud?.instance_id ?? null],
    ['os_family', 'text', (a) => a.os?.family ?? null],
    ['os_name', 'text', (a) => a.os?.name ?? null],
    ['os_version', 'text', (a) => a.os?.version ?? null],
    ['internet_exposed', 'bool', (a) => a.internet_exposed],
    ['criticality', 'text', (a) => a.criticality?.level ?? null],
    ['status', 'text', (a) => a.status],
    ['first_seen', 'time', (a) => a.first_seen],
    ['last_seen', 'time', (a) => a.last_seen],
    ['gone_at', 'time', (a) => a.gone_at],
    ['reopen_count', 'int', (a) => a.reopen_count],
    ...envelope,
  ],
}

export const FINDING: Table<Finding> = {
  name: 'finding',
  key: ['finding_uid'],
  guard: ['revision'],
  columns: [
    ['finding_uid', 'text', (f) => f.finding_uid],
    ['asset_uid', 'text', (f) => f.asset_uid],
    ['entity_uid', 'text', (f) => f.entity_uid],
    ['correlation_uid', 'text', (f) => f.correlation_uid],
    ['asset_name', 'text', (f) => f.asset.name],
    ['kind', 'text', (f) => f.kind],
    ['name', 'text', (f) => f.title],
    ['cloud_provider', 'text', (f) => f.asset.cloud_provider],
    ['cloud_account_id', 'text', (f) => f.asset.cloud_account_id],
    ['cloud_region', 'text', (f) => f.asset.cloud_region],
    ['cloud_resource_id', 'text', (f) => f.asset.cloud_resource_id],
    ['vuln_id', 'text', (f) => f.vuln_id],
    ['vuln_id_scheme', 'text', (f) => f.vuln_id_scheme],
    ['status', 'text', (f) => f.status],
    ['resolution', 'text', (f) => f.resolution],
    ['vendor_status', 'text', (f) => f.vendor_status],
    ['severity', 'text', (f) => f.severity],
    ['severity_id', 'int', (f) => f.severity_id],
    ['cvss_score', 'float8', (f) => f.cvss_score],
    ['epss_score', 'float8', (f) => f.epss?.score ?? null],
    ['risk_score', 'float8', (f) => f.risk_score],
    ['known_exploited', 'bool', (f) => f.known_exploited],
    ['exploit_available', 'bool', (f) => f.exploit?.available ?? null],
    ['internet_exposed', 'bool', (f) => f.internet_exposed],
    ['package_name', 'text', (f) => f.package?.name ?? null],
    ['package_type', 'text', (f) => f.package?.type ?? null],
    ['package_versions', 'text[]', (f) => f.package?.versions ?? null],
    ['package_purl', 'text', (f) => f.package?.purl ?? null],
    ['fix_available', 'bool', (f) => f.fix?.available ?? null],
    ['fix_versions', 'text[]', (f) => f.fix?.versions ?? null],
    ['fix_text', 'text', (f) => f.fix?.text ?? null],
    ['published_at', 'time', (f) => f.published_at],
    ['first_seen', 'time', (f) => f.first_seen],
    ['last_seen', 'time', (f) => f.last_seen],
    ['resolved_at', 'time', (f) => f.resolved_at],
    ['due_at', 'time', (f) => f.due_at],
    ['reopen_count', 'int', (f) => f.reopen_count],
    ...envelope,
  ],
}

/**
 * Every revision of `table`, each valid from its own time: a revision is the time of the sight in
 * ms, moved on where two share it. Told again it stays as it is, unless it was forgotten meanwhile.
 */
const historyOf = <Event extends { readonly meta: EventMeta }>(
  table: Table<Event>,
): Table<Event> => ({
  name: `${table.name}_history`,
  key: [...table.key, 'revision'],
  guard: ['src_offset'],
  onlyIf: 'excluded.src_offset > t.purge_offset',
  columns: [
    ...table.columns,
    ['changed_fields', 'text[]', ({ meta }) => meta.changed_fields],
    ['ingested_at', 'time', ({ meta }) => meta.ingested_at],
    ['valid_from', 'time', ({ meta }) => meta.revision],
    ['purged_at', 'time', (_, { purge }) => purge?.atMs ?? null],
    ['purge_offset', 'bigint', (_, { purge }) => purge?.offset ?? null],
  ],
})
export const ASSET_HISTORY = historyOf(ASSET)
export const FINDING_HISTORY = historyOf(FINDING)

export const VULNERABILITY: Table<Vulnerability> = {
  name: 'vulnerability',
  key: ['vulnerability_uid'],
  guard: ['revision'],
  columns: [
    ['vulnerability_uid', 'text', (v) => v.vulnerability_uid],
    ['vuln_id', 'text', (v) => v.vuln_id],
    ['title', 'text', (v) => v.title],
    ['severity', 'text', (v) => v.severity],
    ['severity_id', 'int', (v) => v.severity_id],
    ['cvss_score', 'float8', (v) => v.cvss_score],
    ['epss_score', 'float8', (v) => v.epss?.score ?? null],
    ['known_exploited', 'bool', (v) => v.known_exploited],
    ['packages', 'text[]', (v) => v.packages],
    ['published_at', 'time', (v) => v.published_at],
    ['modified_at', 'time', (v) => v.modified_at],
    ['status', 'text', (v) => v.status],
    ['first_seen', 'time', (v) => v.first_seen],
    ['last_seen', 'time', (v) => v.last_seen],
    ...envelope,
  ],
}

export const CONNECTOR_ERROR: Table<ConnectorError> = {
  name: 'connector_error',
  key: ['error_id'],
  guard: ['last_at', 'src_offset'],
  columns: [
    ['error_id', 'text', (e) => e.error_id],
    ['fingerprint', 'text', (e) => e.fingerprint],
    ['state', 'text', (e) => e.state],
    ['error_type', 'text', (e) => e.error_type],
    ['stage', 'text', (e) => e.stage],
    ['severity', 'text', (e) => e.severity],
    ['retryable', 'bool', (e) => e.retryable],
    ['connection_id', 'text', (e) => e.connection_id],
    ['vendor', 'text', (e) => e.vendor],
    ['product', 'text', (e) => e.product],
    ['stream', 'text', (e) => e.stream],
    ['run_id', 'text', (e) => e.run_id],
    ['sink_id', 'text', (e) => e.sink_id],
    ['message', 'text', (e) => e.message],
    ['remediation', 'text', (e) => e.remediation],
    ['http_status', 'int', (e) => e.http?.status ?? null],
    ['occurrences', 'bigint', (e) => e.occurrences],
    ['first_at', 'time', (e) => e.first_at],
    ['last_at', 'time', (e) => e.last_at],
    ['next_attempt_at', 'time', (e) => e.next_attempt_at],
    ['event', 'jsonb', (e) => JSON.stringify(e)],
    ...origin,
  ],
}

/** A tally may arrive where the producer's own record never did: any of those replaces it. */
const PHASE_RANK: Readonly<Record<Run['phase'], number>> = {
  UNKNOWN: 0,
  TALLY: 0,
  RELEASED: 0,
  REMOVED: 0,
  STARTED: 1,
  FETCHED: 2,
  FINISHED: 3,
}

const runKey: readonly Column<Run>[] = [
  ['connection_id', 'text', (r) => r.connection_id],
  ['stream', 'text', (r) => r.stream],
  ['run_id', 'text', (r) => r.run_id],
]
export const RUN_KEY = runKey.map(([name]) => name)

export const RUN: Table<Run> = {
  name: 'run',
  key: RUN_KEY,
  guard: ['phase_rank', 'at', 'src_offset'],
  columns: [
    ...runKey,
    ['vendor', 'text', (r) => r.vendor],
    ['product', 'text', (r) => r.product],
    ['tenant', 'text', (r) => r.tenant],
    ['scope', 'text', (r) => r.scope],
    ['phase', 'text', (r) => r.phase],
    ['phase_rank', 'int', (r) => PHASE_RANK[r.phase]],
    ['kind', 'text', (r) => r.kind],
    ['verdict', 'text', (r) => r.verdict],
    ['reason', 'text', (r) => r.reason],
    ['hold', 'text', (r) => r.hold],
    ['started_at', 'time', (r) => r.started_at],
    ['at', 'time', (r) => r.at],
    ['partitions', 'int', (r) => r.partitions],
    ['declared', 'bigint', (r) => r.declared],
    ['pages', 'bigint', (r) => r.pages],
    ['fetched', 'bigint', (r) => r.fetched],
    ['published', 'bigint', (r) => r.published],
    ['too_large', 'bigint', (r) => r.too_large],
    ...origin,
  ],
}

/** Only for runs whose `tally` is there. */
export const RUN_TALLY: Table<Run> = {
  name: 'run_tally',
  key: [...RUN_KEY, 'raw_partition'],
  guard: ['at', 'src_offset'],
  columns: [
    ...runKey,
    ['raw_partition', 'int', (r) => r.tally?.partition ?? null],
    ['units_seen', 'bigint', (r) => r.tally?.units_seen ?? null],
    ['dead_lettered', 'bigint', (r) => r.tally?.dead_lettered ?? null],
    ['closed', 'bigint', (r) => r.tally?.closed ?? null],
    ['held', 'bigint', (r) => r.tally?.held ?? null],
    ['hold', 'text', (r) => r.tally?.hold ?? null],
    ['purged', 'bigint', (r) => r.tally?.purged ?? null],
    ['outputs', 'jsonb', (r) => JSON.stringify(r.tally?.outputs ?? [])],
    ['at', 'time', (r) => r.at],
    ...origin,
  ],
}
