// What every OCSF event has: its class and activity with their names, its severity, its metadata.
import type { EventMeta, Severity } from '../../contracts/event-meta.ts'
import { productNames } from '../products.ts'
import type { Said } from '../said.ts'

/** Newest first; the first is the default. */
export const OCSF_VERSIONS = ['1.8.0', '1.7.0'] as const
export type OcsfVersion = (typeof OCSF_VERSIONS)[number]
export const OCSF_DEFAULT: OcsfVersion = OCSF_VERSIONS[0]

/** An event of OCSF, ready for JSON. Times are epoch milliseconds. */
export type OcsfEvent = {
  readonly class_uid: number
  readonly activity_id: number
  readonly type_uid: number
  readonly severity_id: number
  readonly time: number
  readonly metadata: { readonly version: string; readonly [name: string]: Said }
  readonly [name: string]: Said
}

export const LOG_PROVIDER = 'exposure-stream'

/** A class of OCSF and the names of its activities. */
export type OcsfClass = {
  readonly uid: number
  readonly name: string
  readonly category: readonly [uid: number, name: string]
  readonly activities: Readonly<Record<number, string>>
}

/** Class, category, activity and type; the names are those of the schema. */
export function classified({ uid, name, category, activities }: OcsfClass, activityId: number) {
  const activity = activities[activityId]
  return {
    class_uid: uid,
    class_name: name,
    category_uid: category[0],
    category_name: category[1],
    activity_id: activityId,
    activity_name: activity,
    type_uid: uid * 100 + activityId,
    type_name: `${name}: ${activity}`,
  }
}

/** Both inventory classes; what they tell of is always collected. */
export const INVENTORY_ACTIVITIES = { 0: 'Unknown', 1: 'Log', 2: 'Collect' }
export const COLLECT = 2

const SEVERITIES: Readonly<Record<Severity, readonly [id: number, name: string]>> = {
  UNKNOWN: [0, 'Unknown'],
  INFORMATIONAL: [1, 'Informational'],
  LOW: [2, 'Low'],
  MEDIUM: [3, 'Medium'],
  HIGH: [4, 'High'],
  CRITICAL: [5, 'Critical'],
}

/** `severity_id` 0..5 with its name; 6 Fatal is never said. */
export function severityOf(severity: Severity) {
  const [id, name] = SEVERITIES[severity]
  return { severity_id: id, severity: name }
}

/** Metadata of an exposure event. */
export function metadataOf(
  meta: EventMeta,
  version: OcsfVersion,
  more: { readonly correlationUid: string | null; readonly profiles: readonly string[] },
) {
  const { vendor, product } = productNames(meta.source)
  return {
    version,
    product: { vendor_name: vendor, name: product, uid: meta.source.product },
    profiles: more.profiles,
    uid: meta.event_id,
    correlation_uid: more.correlationUid,
    original_event_uid: meta.source.native_id,
    tenant_uid: meta.source.tenant,
    log_provider: LOG_PROVIDER,
    log_name: meta.source.stream,
    log_version: meta.mapping_version,
    logged_time: meta.ingested_at,
  }
}

/** What of the envelope OCSF has no place for; a revision is no `sequence`, which has 32 bits. */
export const unmappedOf = (meta: EventMeta) => ({
  change_type: meta.change_type,
  change_cause: meta.change_cause,
  changed_fields: meta.changed_fields,
  changes: meta.changes,
  revision: meta.revision,
  backfill: meta.backfill,
  run_id: meta.run_id,
  content_hash: meta.content_hash,
  vendor: meta.source.vendor,
  connection_id: meta.source.connection_id,
  raw_topic: meta.source.raw_topic,
  raw_partition: meta.source.raw_partition,
  raw_offset: meta.source.raw_offset,
  raw_sha256: meta.source.raw_sha256,
})

const INTEGER_MAX = 2 ** 31 - 1

/** OCSF's integers have 32 bits: the rounded number, or null beyond them. */
export function integerOrNull(value: number | null | undefined): number | null {
  if (value === null || value === undefined) return null
  const rounded = Math.round(value)
  // Not -0, which JSON would not keep.
  return Math.abs(rounded) <= INTEGER_MAX ? rounded + 0 : null
}
