// From records to events of the collector, or why one cannot be sent. Pure: the same record gives
// the same bytes.
import type { SinkBatch, SinkKind, SinkRecord } from '../../contracts/ports.ts'
import { ecsOfAsset } from '../ecs/asset.ts'
import { ecsOfFinding } from '../ecs/finding.ts'
import { jsonTextOf } from '../json-text.ts'
import { type OcsfSubject, ocsfOf } from '../ocsf/ocsf.ts'
import type { SplunkConfig } from './config.ts'

/** An event as it is sent. */
export type SplunkEvent = {
  /** Of its record. */
  readonly offset: bigint
  /** JSON of one line. */
  readonly text: string
  readonly bytes: number
}

/** What a record becomes: an event, nothing, or a reason for which it is refused. */
export type Planned = { readonly event: SplunkEvent | null } | { readonly refused: string }

type Format = Pick<
  SplunkConfig,
  'format' | 'ocsfVersion' | 'index' | 'sourcetype' | 'source' | 'host'
>
type Place = Pick<SinkBatch, 'topic' | 'partition'>

const STANDARD_KINDS: readonly SinkKind[] = ['asset', 'finding', 'connector-error']
const ALL_KINDS: readonly SinkKind[] = [...STANDARD_KINDS, 'vulnerability', 'run']

/** The standards have no word for runs and for the dictionary of weaknesses. */
export const kindsOf = (format: SplunkConfig['format']): readonly SinkKind[] =>
  format === 'event' ? ALL_KINDS : STANDARD_KINDS

/** Metadata of an event, and the fields that Splunk indexes beside it. */
type Head = {
  /** Epoch milliseconds. */
  readonly timeMs: number
  readonly sourcetype: string
  readonly fields: Readonly<Record<string, string | number | boolean | null | undefined>>
}

/** The event of one record. */
export function plannedOf(record: SinkRecord, place: Place, settings: Format): Planned {
  const { offset } = record
  if (!kindsOf(settings.format).includes(record.kind)) return { event: null }
  const head = record.value === null ? purgeHead(record) : headOf(record)
  if (head === null) return { event: null }
  const { topic, partition } = place
  const origin = `${topic}/${partition}/${offset}`
  const { host, index: target } = settings
  const { text, refused } = jsonTextOf({
    time: head.timeMs / 1_000,
    ...(host === undefined ? {} : { host }),
    source: settings.source,
    sourcetype: settings.sourcetype ?? head.sourcetype,
    ...(target === undefined ? {} : { index: target }),
    event: record.value === null ? purgeOf(head) : documentOf(record, settings),
    fields: fieldsOf({ event_uid: origin, ...head.fields, record: origin }),
  })
  if (refused !== null) return { refused }
  return { event: { offset, text, bytes: Buffer.byteLength(text) } }
}

/**
 * Indexed fields are flat text. The prefix keeps them apart from those that Splunk takes out of
 * the event itself: OCSF has a `status` of other words.
 */
const fieldsOf = (fields: Head['fields']): Record<string, string> =>
  Object.fromEntries(
    Object.entries(fields)
      .filter(([, value]) => value !== null && value !== undefined && value !== '')
      .map(([name, value]) => [`exposure_${name}`, String(value)]),
  )

function headOf(record: SinkRecord): Head | null {
  const { kind, value } = record
  if (value === null) return null
  switch (kind) {
    case 'asset':
      return entityHead(kind, value.asset_uid, value)
    case 'finding':
      return entityHead(kind, value.finding_uid, value, {
        asset_uid: value.asset_uid,
        vuln_id: value.vuln_id,
        severity: value.severity,
      })
    case 'vulnerability':
      return entityHead(kind, value.vulnerability_uid, value, {
        vuln_id: value.vuln_id,
        severity: value.severity,
      })
    case 'connector-error': {
      const { fingerprint, error_id, state, error_type, severity, connection_id } = value
      const names = { kind, uid: fingerprint, event_uid: error_id, status: state, error_type }
      const fields = { ...names, severity, connection: connection_id }
      return { timeMs: value.last_at, sourcetype: 'exposure:connector_error', fields }
    }
    case 'run': {
      const { run_id, stream, phase, verdict, connection_id } = value
      const fields = {
        kind,
        uid: run_id,
        status: phase,
        verdict,
        connection: connection_id,
        stream,
      }
      return { timeMs: value.at, sourcetype: 'exposure:run', fields }
    }
  }
}

type Entity = Extract<SinkRecord, { readonly kind: 'asset' | 'finding' | 'vulnerability' }>

function entityHead(
  kind: Entity['kind'],
  uid: string,
  { meta, status, ...value }: NonNullable<Entity['value']>,
  more: Head['fields'] = {},
): Head {
  return {
    timeMs: meta.observed_at,
    sourcetype: `exposure:${kind}`,
    fields: {
      kind,
      uid,
      event_uid: meta.event_id,
      revision: meta.revision,
      change: meta.change_type,
      status,
      entity_uid: 'entity_uid' in value ? value.entity_uid : null,
      connection: meta.source.connection_id,
      backfill: meta.backfill,
      ...more,
    },
  }
}

/**
 * Splunk takes nothing back: that an entity is forgotten is an event, or one that was open when
 * its connection was removed would stay open. Revisions are times, so that of the purge is the
 * newest.
 */
function purgeHead({ kind, key: uid, timestampMs }: SinkRecord): Head | null {
  if (kind === 'connector-error' || kind === 'run') return null
  const fields = { kind, uid, revision: timestampMs, change: 'PURGED', status: 'PURGED' }
  return { timeMs: timestampMs, sourcetype: 'exposure:purged', fields }
}

const purgeOf = ({ fields: { kind, uid, change } }: Head) => ({ kind, uid, change_type: change })

function documentOf(record: SinkRecord, { format, ocsfVersion }: Format): object {
  const { kind, value } = record
  if (value === null || format === 'event') return value ?? {}
  if (format === 'ecs' && kind === 'asset') return ecsOfAsset(value)
  if (format === 'ecs' && kind === 'finding') return ecsOfFinding(value)
  // The compiler does not see that other kinds are not read in this format.
  return ocsfOf({ kind, value } as OcsfSubject, ocsfVersion)
}
