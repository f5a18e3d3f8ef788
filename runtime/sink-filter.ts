// Which records a sink gets. Pure.
import type { ConnectorError } from '../contracts/connector-error.ts'
import { FAILURES } from '../contracts/errors.ts'
import type { ChangeType, Severity } from '../contracts/event-meta.ts'
import type { SinkRecord } from '../contracts/ports.ts'
import type { SinkFilter } from './sink-settings.ts'

/** What a filter can ask about; null: there is no such thing here, and the record passes. */
type Facts = {
  readonly connection: string | null
  readonly severities: readonly Severity[] | null
  readonly change: ChangeType | null
  readonly backfill: boolean
}

/** Tombstones always pass: a store that has the entity must lose it, whatever was filtered. */
export function passes(filter: SinkFilter | undefined, record: SinkRecord): boolean {
  if (filter === undefined || record.value === null) return true
  if (!has(filter.kinds, record.kind)) return false
  const { connection, severities, change, backfill } = factsOf(record)
  if (filter.backfill === false && backfill) return false
  if (connection !== null && !has(filter.connections, connection)) return false
  if (change !== null && !has(filter.changes, change)) return false
  return severities === null || severities.some((severity) => has(filter.severities, severity))
}

const has = <T>(allowed: readonly T[] | undefined, value: T): boolean =>
  allowed === undefined || allowed.includes(value)

const NONE: Facts = { connection: null, severities: null, change: null, backfill: false }

function factsOf(record: SinkRecord): Facts {
  if (record.value === null) return NONE
  switch (record.kind) {
    case 'asset':
      return metaFacts(record.value, null)
    case 'finding':
    case 'vulnerability':
      return metaFacts(record.value, [record.value.severity, ...severityLeft(record.value.meta)])
    case 'connector-error': {
      const { connection_id: connection } = record.value
      return { ...NONE, connection, severities: severityRaised(record.value) }
    }
    case 'run':
      return { ...NONE, connection: record.value.connection_id }
  }
}

/** An end is INFORMATIONAL whatever began: who was told of the beginning is told of the end. */
function severityRaised({ state, error_type: type, severity }: ConnectorError): Severity[] | null {
  if (state !== 'CLEARED') return [severity]
  return type === 'UNKNOWN' ? null : [FAILURES[type].severity]
}

type Exposure = NonNullable<
  Extract<SinkRecord, { readonly kind: 'asset' | 'finding' | 'vulnerability' }>['value']
>

function metaFacts({ meta }: Exposure, severities: Facts['severities']): Facts {
  const { source, change_type: change, backfill } = meta
  return { connection: source.connection_id, severities, change, backfill }
}

/** The severity that it had until this event: who was told of that is told that it is over. */
function severityLeft({ changes }: Exposure['meta']): Severity[] {
  const before = changes.find(({ path }) => path === 'severity')?.before
  return before === undefined || before === null ? [] : [JSON.parse(before) as Severity]
}
