// Kept raw records read again by this build's transformers: what would change, and what must not.
import { type RawFacts, parseRawFacts, rawKey } from '../contracts/envelope.ts'
import { PipelineError } from '../contracts/errors.ts'
import type { ChangeType, EventMeta, FieldChange } from '../contracts/event-meta.ts'
import type { Transformer } from '../contracts/ports.ts'
import type { KafkaRecord } from '../contracts/processing.ts'
import type { Rules } from './lifecycle/advance.ts'
import type { Encode } from './lifecycle/events.ts'
import { rawHashOf, sha256Of } from './lifecycle/hash.ts'
import { type NotAgain, notAgain, stage } from './lifecycle/observe.ts'
import type { EntityKind, LifecycleStore, UnitState } from './lifecycle/state.ts'

/** What one entity would be told of: its event without the state. */
export type Difference = {
  readonly kind: EntityKind
  readonly key: string
  readonly change: ChangeType
  /** Empty where the entity is new. */
  readonly fields: readonly FieldChange[]
}

/** What one kept record says to this build. */
export type Reading =
  | { readonly outcome: 'same' | 'empty' | NotAgain }
  | {
      readonly outcome: 'changed'
      readonly differences: readonly Difference[]
      /** True: these bytes were read under this mapping version, and would not be read again. */
      readonly versionStands: boolean
    }
  | { readonly outcome: 'unreadable'; readonly error: PipelineError }

export type ReplayRules = Rules & { readonly transformer: Transformer }

/**
 * Reads records of one stream and one raw partition, each unit's last one, in order. `store` is a
 * copy of the partition's state that nobody else uses: each reading changes it, as applying the
 * record would, because what follows may depend on it.
 */
export function createReplay(
  store: LifecycleStore,
  rules: ReplayRules,
): (record: KafkaRecord) => Reading {
  return (record) => {
    try {
      return readAgain(store, rules, record)
    } catch (error) {
      return { outcome: 'unreadable', error: asPipelineError(error) }
    }
  }
}

function readAgain(store: LifecycleStore, rules: ReplayRules, record: KafkaRecord): Reading {
  const facts = parseRawFacts(record.headers)
  const key = rawKey(facts)
  const previous = store.units.get(key)
  const reason = notAgain(previous, facts)
  if (reason !== null || previous === undefined) return { outcome: reason ?? 'unknown' }
  if (facts.tooLargeBytes !== null || record.value === null) return { outcome: 'empty' }
  return readUnit(store, rules, record, facts, { key, previous, body: record.value })
}

type Unit = { readonly key: string; readonly previous: UnitState; readonly body: Buffer }

function readUnit(
  store: LifecycleStore,
  { transformer, ...rules }: ReplayRules,
  { topic, partition, offset, timestampMs }: KafkaRecord,
  facts: RawFacts,
  { key, previous, body }: Unit,
): Reading {
  const sha256 = sha256Of(body)
  const rawHash = rawHashOf(sha256, rules.mappingVersion)
  const origin = { facts, topic, partition, offset, timestampMs, sha256, replayed: true }
  const view = {
    entity: (id: string) => store.entities.get(id),
    stream: (name: string) => store.streams.get(name),
  }
  const differences: Difference[] = []
  const noting = { ...rules, encode: notingEncode(rules.encode, differences) }
  const observation = transformer.transform({ facts, body })
  const { rank } = transformer
  const staged = stage(view, key, previous, observation, origin, rank, rawHash, noting)
  if (staged.entities.size === 0) return { outcome: 'same' }
  for (const [id, entity] of staged.entities) store.entities.set(id, entity)
  store.putUnit(key, { ...staged.unit, ordinal: previous.ordinal })
  const versionStands = previous.rawHash === rawHash && previous.outcome === 'ok'
  return { outcome: 'changed', differences, versionStands }
}

/** Encodes too: an event that does not fit its schema would be a dead letter. */
function notingEncode(encode: Encode, into: Difference[]): Encode {
  const note = (kind: EntityKind, key: string, { change_type, changes }: EventMeta) =>
    into.push({ kind, key, change: change_type, fields: changes })
  return {
    ...encode,
    asset: (value) => {
      note('asset', value.asset_uid, value.meta)
      return encode.asset(value)
    },
    finding: (value) => {
      note('finding', value.finding_uid, value.meta)
      return encode.finding(value)
    },
    vulnerability: (value) => {
      note('vulnerability', value.vulnerability_uid, value.meta)
      return encode.vulnerability(value)
    },
  }
}

function asPipelineError(error: unknown): PipelineError {
  if (error instanceof PipelineError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new PipelineError('INTERNAL', 'NORMALIZE', `a transformer failed: ${message}`, {
    cause: error,
  })
}
