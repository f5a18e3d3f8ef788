// What every ECS document has: the event, the product that told it, and our own facts beside ECS.
import type { EventMeta, Severity } from '../../contracts/event-meta.ts'
import { productNames } from '../products.ts'
import type { Said } from '../said.ts'

/** The version of the Elastic Common Schema whose fields are used. */
export const ECS_VERSION = '9.4.0'

/** A document for Elasticsearch, ready for JSON. `exposure` holds what ECS has no field for. */
export type EcsDocument = {
  readonly '@timestamp': string
  readonly ecs: { readonly version: string }
  readonly exposure: Said
  readonly [name: string]: Said
}

/** The last time that a date of JavaScript can hold, in both directions. */
const DATE_MS_MAX = 8.64e15

/** ISO 8601 in UTC; epoch milliseconds beyond what a date can hold, which indices read as well. */
export function dateOf(timeMs: number | null | undefined): string | number | null {
  if (timeMs === null || timeMs === undefined) return null
  return Math.abs(timeMs) > DATE_MS_MAX ? timeMs : new Date(timeMs).toISOString()
}

type EventWords = { readonly kind: string; readonly category: string | null }

/** The fields `@timestamp`, `ecs`, `event` and `observer`. */
export function frameOf(meta: EventMeta, words: EventWords, severityId: number) {
  const { vendor, product } = productNames(meta.source)
  return {
    '@timestamp': String(dateOf(meta.observed_at)),
    ecs: { version: ECS_VERSION },
    event: {
      id: meta.event_id,
      kind: words.kind,
      category: words.category === null ? null : [words.category],
      type: words.category === null ? null : ['info'],
      action: meta.change_type.toLowerCase(),
      severity: severityId,
      module: 'exposure_stream',
      dataset: `exposure_stream.${meta.source.stream}`,
      provider: meta.source.product,
      created: dateOf(meta.observed_at),
      url: meta.source.native_url,
    },
    observer: { vendor, product, type: 'scanner' },
  }
}

/** Our envelope, by the names of the event's own schema. */
export const envelopeOf = (meta: EventMeta) => ({
  change_type: meta.change_type,
  change_cause: meta.change_cause,
  changed_fields: meta.changed_fields,
  changes: meta.changes,
  revision: meta.revision,
  backfill: meta.backfill,
  run_id: meta.run_id,
  content_hash: meta.content_hash,
  mapping_version: meta.mapping_version,
  ingested_at: dateOf(meta.ingested_at),
  source: meta.source,
})

const SEVERITY_NAMES: Readonly<Record<Severity, string>> = {
  UNKNOWN: 'Unknown',
  INFORMATIONAL: 'None',
  LOW: 'Low',
  MEDIUM: 'Medium',
  HIGH: 'High',
  CRITICAL: 'Critical',
}

/** The words of ECS: None, Low, Medium, High, Critical. */
export const severityName = (severity: Severity): string => SEVERITY_NAMES[severity]
