// The stateful transformer as the transactional core runs it: raw units in, exposure events out.
import {
  type RawFacts,
  type RunEnd,
  controlOf,
  parseRawFacts,
  rawKey,
  replayOf,
  streamKey,
} from '../../contracts/envelope.ts'
import { PipelineError, violationsOf } from '../../contracts/errors.ts'
import type { Drift, Transformer } from '../../contracts/ports.ts'
import type { KafkaRecord, OutRecord, Processor } from '../../contracts/processing.ts'
import { z } from 'zod'
import type { Rules } from './advance.ts'
import { answerControl } from './control.ts'
import { Draft } from './draft.ts'
import type { ClosingRules } from './listings.ts'
import { rawHashOf, sha256Of } from './hash.ts'
import { newestRun, notAgain, stage } from './observe.ts'
import { type Entity, LifecycleStore, type UnitState } from './state.ts'
import type { AssetState } from '../../contracts/asset.ts'
import type { FindingState } from '../../contracts/finding.ts'

export type LifecycleOptions = Rules & {
  readonly closing: ClosingRules
  readonly transformers: readonly Transformer[]
  /** Makes the dead-letter record of a raw record. */
  readonly deadLetter: (record: KafkaRecord, error: PipelineError) => OutRecord
  /** Told after the commit, once per path and UTC day of the observation. */
  readonly onDrift: (drift: Drift, day: string, facts: RawFacts) => void
  /** Told after the commit of the dead letter. `facts` null: the headers could not be read. */
  readonly onDeadLetter: (error: PipelineError, record: KafkaRecord, facts: RawFacts | null) => void
  /** Told after the commit when this raw partition answered a run without one dead letter. */
  readonly onCleanPartition: (end: RunEnd, partition: number) => void
  /** Told after each commit: what the status line counts. */
  readonly onCommit: (stats: CommitStats) => void
}
export type CommitStats = {
  readonly stream: string
  readonly units: number
  readonly events: number
  readonly deadLettered: number
}

export function createLifecycle(options: LifecycleOptions): Processor<LifecycleStore> {
  const byStream = new Map(options.transformers.map((t) => [t.stream, t]))
  return {
    createStore: () => new LifecycleStore(),
    isControl: (record) => controlOf(record.headers) !== null,
    data(store, records) {
      const draft = new Draft(store, records[0]?.offset ?? 0n)
      const counts = new Map<string, { units: number; events: number; deadLettered: number }>()
      for (const record of records) {
        const result = observe(draft, record, byStream, options)
        const count = counts.get(result.stream) ?? { units: 0, events: 0, deadLettered: 0 }
        counts.set(result.stream, count)
        count.units += 1
        count.events += result.events
        count.deadLettered += result.deadLettered ? 1 : 0
      }
      draft.afterCommit(() => {
        for (const [stream, count] of counts) options.onCommit({ stream, ...count })
      })
      return draft.step()
    },
    control: (store, record) => answerControl(store, record, options),
  }
}

type Result = { readonly stream: string; readonly events: number; readonly deadLettered: boolean }

function observe(
  draft: Draft,
  record: KafkaRecord,
  byStream: ReadonlyMap<string, Transformer>,
  options: LifecycleOptions,
): Result {
  let facts: RawFacts | null = null
  try {
    facts = factsOf(record)
    return observeUnit(draft, record, facts, byStream.get(facts.stream), options)
  } catch (error) {
    const failure = asPipelineError(error)
    draft.emit(options.deadLetter(record, failure))
    // What a unit showed stays when its record cannot be read; of whichever unit this one is.
    if (facts === null) draft.markBlind(record.offset)
    else markWithoutContent(draft, facts, 'dead-lettered')
    draft.afterCommit(() => options.onDeadLetter(failure, record, facts))
    const stream = facts === null ? 'unknown' : streamKey(facts)
    return { stream, events: 0, deadLettered: true }
  }
}

/** @throws ZodError, or PipelineError when headers and key tell of different units */
function factsOf(record: KafkaRecord): RawFacts {
  const facts = parseRawFacts(record.headers)
  if (record.key === rawKey(facts)) return facts
  const message = 'key and headers of the raw record name different units'
  throw new PipelineError('SCHEMA_VIOLATION', 'NORMALIZE', message)
}

function observeUnit(
  draft: Draft,
  record: KafkaRecord,
  facts: RawFacts,
  transformer: Transformer | undefined,
  options: LifecycleOptions,
): Result {
  const stream = streamKey(facts)
  const nothing = { stream, events: 0, deadLettered: false }
  if (transformer === undefined) {
    throw new PipelineError('SCHEMA_VIOLATION', 'NORMALIZE', `no transformer for ${facts.stream}`)
  }
  const key = rawKey(facts)
  const previous = draft.unit(key)
  const replayed = replayOf(record.headers) !== null
  if (replayed && notAgain(previous, facts) !== null) return nothing
  // Older than what is known (a replay, a late retry): it changes nothing.
  if (previous !== undefined && facts.fetchedAtMs < previous.observedAtMs) {
    // But a newer run has met it, and must not miss it in its tally.
    if (facts.runId > previous.runId) {
      draft.markSeen(key, previous, facts.runId, previous.observedAtMs)
    }
    return nothing
  }
  if (facts.tooLargeBytes !== null) {
    markWithoutContent(draft, facts, 'too-large')
    return nothing
  }
  if (record.value === null) {
    throw new PipelineError('SCHEMA_VIOLATION', 'NORMALIZE', 'the raw record has no content')
  }
  const sha256 = sha256Of(record.value)
  const rawHash = rawHashOf(sha256, options.mappingVersion)
  if (previous !== undefined && unchanged(draft, previous, rawHash)) {
    draft.markSeen(key, previous, newestRun(previous, facts), facts.fetchedAtMs)
    return nothing
  }
  const observation = transformer.transform({ facts, body: record.value })
  const day = new Date(facts.fetchedAtMs).toISOString().slice(0, 10)
  for (const drift of observation.drift ?? []) {
    draft.afterCommit(() => options.onDrift(drift, day, facts))
  }
  const { topic, partition, offset, timestampMs } = record
  const origin = { facts, topic, partition, offset, timestampMs, sha256, replayed }
  const { rank } = transformer
  const staged = stage(draft, key, previous, observation, origin, rank, rawHash, options)
  for (const [id, entity] of staged.entities) draft.putEntity(id, entity)
  for (const output of staged.outputs) draft.emit(output)
  const { entities, outcome, doubted } = staged.unit
  const same =
    staged.entities.size === 0 &&
    previous?.outcome === outcome &&
    previous.doubted === doubted &&
    sameSet(previous.entities, entities)
  if (same) draft.markSeen(key, previous, newestRun(previous, facts), facts.fetchedAtMs)
  else draft.putUnit(key, staged.unit)
  return { ...nothing, events: staged.outputs.length }
}

const sameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && new Set([...a, ...b]).size === a.length

/**
 * The same bytes under the same mapping, unless a finding's asset has since got another identity.
 */
function unchanged(draft: Draft, unit: UnitState, rawHash: string): boolean {
  if (unit.rawHash !== rawHash || unit.outcome !== 'ok' || unit.doubted) return false
  return unit.entities.every((id) => {
    const entity = draft.entity(id)
    if (entity === undefined || entity.closed) return false
    return entity.kind !== 'finding' || entity.entityUid === assetEntityUid(draft, entity)
  })
}

function assetEntityUid(draft: Draft, finding: Entity): string | null {
  const state = finding.contributions[0]?.state as FindingState | undefined
  const asset = state === undefined ? undefined : draft.entity(state.asset_uid)
  return (asset?.contributions[0]?.state as AssetState | undefined)?.entity_uid ?? null
}

/** Seen, though it shows nothing: what it showed before stays as it is. */
function markWithoutContent(draft: Draft, facts: RawFacts, outcome: UnitState['outcome']): void {
  const key = rawKey(facts)
  const previous = draft.unit(key)
  draft.putUnit(key, {
    runId: newestRun(previous, facts),
    observedAtMs: facts.fetchedAtMs,
    rawHash: '',
    entities: previous?.entities ?? [],
    outcome,
    doubted: previous?.doubted ?? false,
  })
}

function asPipelineError(error: unknown): PipelineError {
  if (error instanceof PipelineError) return error
  if (error instanceof z.ZodError) {
    return new PipelineError('SCHEMA_VIOLATION', 'NORMALIZE', 'the raw record lacks its facts', {
      cause: error,
      violations: violationsOf(error),
    })
  }
  const message = error instanceof Error ? error.message : String(error)
  return new PipelineError('INTERNAL', 'NORMALIZE', `a transformer failed: ${message}`, {
    cause: error,
  })
}
