// Control records: the end of a run closes what is gone, an operator releases or removes.
import {
  EVERY_STREAM,
  type Order,
  type RunEnd,
  controlOf,
  parseOrder,
  parseRunEnd,
  streamKey,
} from '../../contracts/envelope.ts'
import { PipelineError } from '../../contracts/errors.ts'
import type { KafkaRecord, Step, WrittenOffsets } from '../../contracts/processing.ts'
import type { Run } from '../../contracts/run.ts'
import { runRecord } from '../../contracts/run-record.ts'
import { RAW_PARTITIONS } from '../../contracts/topics.ts'
import { type WalkPlan, type Walked, ownerOf, walk } from './closing.ts'
import { Draft } from './draft.ts'
import type { Origin } from './events.ts'
import { type Judgement, heldUnits, judge, unitsOf } from './listings.ts'
import type { LifecycleOptions } from './processor.ts'
import { SEEN_RUNS_MAX, runOfSeenKey, streamOfSeenKey } from './state.ts'
import type { Entity, LifecycleStore, StreamState, UnitState, Walk } from './state.ts'

/** One partition's answer to a control record; only the last step moves past it. */
export function* answerControl(
  store: LifecycleStore,
  record: KafkaRecord,
  options: LifecycleOptions,
): Generator<Step> {
  const control = controlled(record)
  if (control instanceof PipelineError) {
    // Whatever it was to close stays open: the next run's end says it again.
    const draft = new Draft(store, record.offset)
    draft.emit(options.deadLetter(record, control))
    draft.afterCommit(() => options.onDeadLetter(control, record, null))
    yield draft.step()
  } else if ('verdict' in control) yield* endRun(store, record, control, options)
  else if (control.control === 'release') yield* release(store, record, control, options)
  else yield* remove(store, record, control, options)
}

/** What the record says, or why it is none of ours: a damaged one must not stop the partition. */
function controlled(record: KafkaRecord): RunEnd | Order | PipelineError {
  const control = controlOf(record.headers)
  const failed = (message: string, cause?: unknown) =>
    new PipelineError('SCHEMA_VIOLATION', 'NORMALIZE', message, { cause })
  if (record.value === null) return failed(`a control record ${control ?? ''} without content`)
  try {
    if (control === 'run-end') return parseRunEnd(record.value)
    if (control === 'release' || control === 'remove') return parseOrder(record.value)
  } catch (cause) {
    return failed(`the ${control} record cannot be read`, cause)
  }
  return failed(`unknown control record ${control ?? ''}`)
}

const NO_STREAM: StreamState = {
  completeRunId: null,
  scope: '',
  scopeSince: '',
  listings: [],
  held: null,
  walk: null,
  endOffset: -1,
}

function* endRun(
  store: LifecycleStore,
  record: KafkaRecord,
  end: RunEnd,
  options: LifecycleOptions,
): Generator<Step> {
  const name = streamKey(end)
  const judgement = judge(store, name, end, record.offset, options.closing)
  const folded = end.verdict === 'COMPLETE' || markedRuns(store, name) > SEEN_RUNS_MAX
  const origin = originOf(record, end, end.runId, end.endedAtMs)
  const beforeMs = end.endedAtMs - options.closing.purgeAfterMs
  // Of a stream that is no more only the name is left.
  const stranger = { vendor: end.vendor, tenant: '' }
  const plan: WalkPlan = {
    closing: judgement.closing,
    goneUnit: (unit) => goneUnit(unit, end.startedAtMs),
    cause: 'LIFECYCLE',
    silent: false,
    rewritten: folded ? unseenMarked(store, name, end.runId, judgement) : [],
    purge: end.verdict === 'COMPLETE' ? { stream: name, beforeMs } : null,
    originOf: (entity) =>
      entity === undefined || !entity.closed || ownerOf(entity) === name
        ? origin
        : originOf(record, sourceOf(entity, stranger, options), end.runId, end.endedAtMs),
  }
  const known = store.streams.get(name) ?? { ...NO_STREAM, scope: end.scope }
  const { draft, walked } = yield* walkStream(store, plan, record, options, name, known, end.runId)
  draft.putStream(name, judgement.stream)
  if (folded) {
    // Only marks of older runs: dropping this run's would lose when its units were last seen.
    for (const key of store.seenKeys) {
      if (streamOfSeenKey(key) === name && runOfSeenKey(key) < end.runId) draft.dropMark(key)
    }
  }
  // A run that failed may not have come to the bad unit.
  if (judgement.deadLettered === 0 && end.verdict !== 'FAILED') {
    draft.afterCommit(() => options.onCleanPartition(end, record.partition))
  }
  const tally = {
    units_seen: judgement.unitsSeen,
    dead_lettered: judgement.deadLettered,
    closed: walked.closed,
    held: heldEntities(store, judgement),
    hold: judgement.hold,
    purged: walked.purged,
  }
  yield draft.step((written) => [
    answerOf({ ...runOf(end), ...tallyOf(record, draft, written, tally) }, options),
  ])
}

/** Commits all steps of the walk but the last, each with how far it has come. */
function* walkStream(
  store: LifecycleStore,
  plan: WalkPlan,
  record: KafkaRecord,
  options: LifecycleOptions,
  name: string,
  known: StreamState,
  id: string,
): Generator<Step, { draft: Draft; walked: Walked }> {
  // After a crash, what the steps before it have done.
  const before: Walk = known.walk?.id === id ? known.walk : { id, closed: 0, purged: 0 }
  const walked = { closed: before.closed, purged: before.purged }
  const { walkStepMax } = options.closing
  const drafts = walk(store, plan, record.offset, options, walked, walkStepMax)
  for (;;) {
    const next = drafts.next()
    if (next.done) return { draft: next.value, walked }
    next.value.putStream(name, { ...known, walk: { id, ...walked } })
    yield next.value.step()
  }
}

/** Kept until purged, so that an older sight of it, replayed, is known to be older. */
const goneUnit = (unit: UnitState, runStartedAtMs: number): Omit<UnitState, 'ordinal'> => ({
  runId: unit.runId,
  // Not the end of the run: a clock put right must not make the next sight look older.
  observedAtMs: Math.max(unit.observedAtMs, runStartedAtMs),
  rawHash: '',
  entities: [],
  outcome: 'gone',
  doubted: false,
})

/** Units that stay though this run did not see them, and whose last sight is only in marks. */
function unseenMarked(
  store: LifecycleStore,
  name: string,
  runId: string,
  judgement: Judgement,
): string[] {
  const closing = new Set(judgement.closing)
  const keys: string[] = []
  for (const [key, unit] of unitsOf(store, `${name}|`)) {
    if (unit.marked === true && unit.runId !== runId && !closing.has(key)) keys.push(key)
  }
  return keys.toSorted()
}

function markedRuns(store: LifecycleStore, name: string): number {
  const runs = new Set<string>()
  for (const key of store.seenKeys) {
    if (streamOfSeenKey(key) === name) runs.add(runOfSeenKey(key))
  }
  return runs.size
}

/** Open entities that would close with the units held back: no unit that stays shows them. */
function heldEntities(store: LifecycleStore, { held, closing }: Judgement): number {
  const going = new Set([...held, ...closing])
  const found = new Set<string>()
  for (const key of held) {
    for (const id of store.units.get(key)?.entities ?? []) {
      const entity = store.entities.get(id)
      if (entity === undefined || entity.closed) continue
      const isShown = entity.contributions.some(({ unit }) => unit === key)
      if (isShown && entity.contributions.every(({ unit }) => going.has(unit))) found.add(id)
    }
  }
  return found.size
}

/** Closes exactly what the run has held back and nobody has seen since. */
function* release(
  store: LifecycleStore,
  record: KafkaRecord,
  order: Order & { control: 'release' },
  options: LifecycleOptions,
): Generator<Step> {
  const name = streamKey(order)
  const known = store.streams.get(name) ?? NO_STREAM
  const held = known.held?.runId === order.runId ? known.held : null
  const closing = held === null ? [] : [...heldUnits(store, name, held)]
  const { product, stream, runId } = order
  const origin = originOf(record, order, runId, order.orderedAtMs)
  const plan: WalkPlan = {
    closing: closing.toSorted(),
    goneUnit: (unit) => goneUnit(unit, held?.startedAtMs ?? 0),
    cause: 'OPERATOR',
    silent: false,
    rewritten: [],
    purge: null,
    originOf: () => origin,
  }
  const id = order.orderId
  const { draft, walked } = yield* walkStream(store, plan, record, options, name, known, id)
  if (held !== null) draft.putStream(name, { ...known, held: null, walk: null })
  const run = { ...orderRun(order, stream, product), run_id: runId, phase: 'RELEASED' as const }
  yield draft.step((written) => [
    answerOf({ ...run, ...tallyOf(record, draft, written, { closed: walked.closed }) }, options),
  ])
}

/** Ends a connection here, or one stream: all of its units go, with what only they show. */
function* remove(
  store: LifecycleStore,
  record: KafkaRecord,
  order: Order & { control: 'remove' },
  options: LifecycleOptions,
): Generator<Step> {
  const { connection, stream = EVERY_STREAM } = order
  const name = streamKey({ connection, stream })
  const isOne = order.stream !== undefined
  const prefix = isOne ? `${name}|` : `${connection}|`
  const isIts = (key: string) => (isOne ? key === name : key.startsWith(prefix))
  const streams = [...store.streams.keys()].filter(isIts)
  const plan: WalkPlan = {
    closing: [...unitsOf(store, prefix)].map(([key]) => key).toSorted(),
    goneUnit: () => null,
    cause: isOne ? 'LIFECYCLE' : 'OPERATOR',
    silent: order.keep,
    closedAs: 'EXPIRED',
    rewritten: [],
    purge: null,
    originOf: (entity) =>
      originOf(record, sourceOf(entity, order, options), order.orderId, order.orderedAtMs),
  }
  const known = store.streams.get(name) ?? NO_STREAM
  const steps = walkStream(store, plan, record, options, name, known, order.orderId)
  const { draft, walked } = yield* steps
  for (const one of new Set([...streams, name])) draft.forgetStream(one)
  for (const key of store.seenKeys) {
    if (isIts(streamOfSeenKey(key))) draft.dropMark(key)
  }
  const run = {
    ...orderRun(order, stream, productOf(stream, options.transformers)),
    run_id: order.orderId,
    phase: 'REMOVED' as const,
  }
  yield draft.step((written) => [
    answerOf({ ...run, ...tallyOf(record, draft, written, { closed: walked.closed }) }, options),
  ])
}

type Source = Pick<RunEnd, 'connection' | 'vendor' | 'product' | 'tenant' | 'stream'>

/** The stream that shows the entity, where the control record is not of one stream. */
function sourceOf(
  entity: Entity | undefined,
  { vendor, tenant }: Pick<Source, 'vendor' | 'tenant'>,
  { transformers }: LifecycleOptions,
): Source {
  const [connection = '', stream = ''] = entity === undefined ? [] : ownerOf(entity).split('|')
  return { connection, vendor, product: productOf(stream, transformers), tenant, stream }
}

const productOf = (stream: string, transformers: LifecycleOptions['transformers']): string =>
  transformers.find((transformer) => transformer.stream === stream)?.product ?? EVERY_STREAM

const originOf = (
  { topic, partition, offset, timestampMs }: KafkaRecord,
  source: Source,
  runId: string,
  observedAtMs: number,
): Origin => {
  const { connection, vendor, product, tenant, stream } = source
  const facts = { connection, vendor, product, tenant, stream, runId, fetchedAtMs: observedAtMs }
  return { facts, topic, partition, offset, timestampMs, sha256: null }
}

const answerOf = (answer: Run, { prefix, encode }: LifecycleOptions) =>
  runRecord(prefix, answer, encode.run)

type Counts = Partial<Omit<NonNullable<Run['tally']>, 'partition' | 'outputs'>>

/** Time and tally of the answer; the offsets are those of its own transaction. */
function tallyOf(record: KafkaRecord, draft: Draft, written: WrittenOffsets, counts: Counts) {
  // Sorted: the order in which they were first written is not in the log.
  const sorted = [...draft.writtenWith(written)].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const outputs = sorted.map(([partitionKey, offset]) => {
    const cut = partitionKey.lastIndexOf('/')
    return {
      topic: partitionKey.slice(0, cut),
      partition: Number(partitionKey.slice(cut + 1)),
      offset: Number(offset),
    }
  })
  const none = { units_seen: 0, dead_lettered: 0, closed: 0, held: 0, hold: null, purged: 0 }
  const tally = { partition: record.partition, ...none, ...counts, outputs }
  return { at: record.timestampMs, tally, totals: null }
}

const runOf = (end: RunEnd) => ({
  run_id: end.runId,
  connection_id: end.connection,
  vendor: end.vendor,
  product: end.product,
  stream: end.stream,
  tenant: end.tenant,
  scope: end.scope,
  phase: 'TALLY' as const,
  kind: end.kind,
  verdict: end.verdict,
  reason: end.reason,
  started_at: end.startedAtMs,
  partitions: RAW_PARTITIONS,
  declared: end.declared,
  pages: end.pages,
  fetched: end.fetched,
  published: end.published,
  too_large: end.tooLarge,
  hold: end.hold,
})

const orderRun = (order: Order, stream: string, product: string) => ({
  connection_id: order.connection,
  vendor: order.vendor,
  product,
  stream,
  tenant: order.tenant,
  scope: '',
  kind: 'UNKNOWN' as const,
  verdict: 'UNKNOWN' as const,
  reason: null,
  started_at: order.orderedAtMs,
  partitions: RAW_PARTITIONS,
  declared: null,
  pages: 0,
  fetched: 0,
  published: 0,
  too_large: 0,
  hold: null,
})
