// What the exposure topics say of entities: the last state of each that a sink was to write.
import { PipelineError } from '../contracts/errors.ts'
import type { AuditKind, SinkRecord } from '../contracts/ports.ts'
import { type KafkaRecord, partitionKey } from '../contracts/processing.ts'
import { topicName } from '../contracts/topics.ts'
import type { Codecs } from '../runtime/codecs.ts'
import type { LogReader } from '../runtime/kafka/log-reader.ts'
import { decodeOne } from '../runtime/run-sink.ts'
import { passes } from '../runtime/sink-filter.ts'
import { KeySample, seededHash } from '../runtime/sink-sample.ts'
import type { SinkFilter } from '../runtime/sink-settings.ts'

/** Of so many times the sample the state is kept: what the seed leaves out halves it. */
const KEPT_FACTOR = 5
/** Keys that are counted in one partition, about 50 bytes each; beyond it nothing is counted. */
const COUNTED_MAX = 2_000_000
const STALL_MS = 30_000
/** Of the hashes by which keys are counted. */
const COUNT_SEED = 1

export const AUDIT_TOPICS = { asset: 'assets', finding: 'findings' } as const

/** One entity in its topic, as its sink is to see it. */
export type Entity = {
  readonly topic: string
  readonly partition: number
  /** Up to where the sink is: the last state that passes its filter; null: none. */
  revision: number | null
  offset: bigint
  timestampMs: number
  /** A tombstone is among the records up to there. */
  isForgotten: boolean
  /** From its first event on, or from a tombstone: nothing can have been compacted away. */
  isWhole: boolean
  /** Behind where the sink is, and perhaps in the store by now. */
  laterRevision: number | null
  isForgottenLater: boolean
}

/** Where a sink is, by `topic/partition`; where it is not there it has nothing. */
export type Positions = ReadonlyMap<string, bigint>

export type FoldOptions = {
  readonly reader: LogReader
  readonly codecs: Codecs
  readonly prefix: string
  readonly kind: AuditKind
  readonly filter: SinkFilter | undefined
  readonly positions: Positions
  /** Records that the store has refused for good, by `recordPlace`. */
  readonly refused: ReadonlySet<string>
}

export type Folded = {
  readonly entities: Pick<KeySample<Entity>, 'get' | 'entries' | 'isWhole'>
  readonly counts: EntityCounts
}

export type EntityCounts = {
  /** Entities that the store is to show; null: there are too many to be counted. */
  readonly count: number | null
  /** Of these: all that is left of them was refused, so that it shows an earlier state or none. */
  readonly doubtful: number
}

/** Names one record. */
export const recordPlace = (topic: string, partition: number, offset: bigint | string): string =>
  `${partitionKey(topic, partition)}/${offset}`

/** Folds a topic by key, and counts. Keeps KEPT_FACTOR times `sample` keys at most. */
export async function foldAll(
  options: FoldOptions,
  { sample, seed }: { readonly sample: number; readonly seed: number },
): Promise<Folded> {
  const entities = new KeySample<Entity>(KEPT_FACTOR * sample, seed)
  return { entities, counts: await fold(options, entities, true) }
}

/** Folds what the topic says of these keys alone. */
export async function foldOnly(
  options: FoldOptions,
  keys: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Entity>> {
  const kept = new Map<string, Entity>()
  const chosen = {
    has: (key: string) => keys.has(key),
    get: (key: string) => kept.get(key),
    set: (key: string, entity: Entity) => void kept.set(key, entity),
  }
  await fold(options, chosen, false)
  return kept
}

type Chosen = Pick<KeySample<Entity>, 'has' | 'get' | 'set'>

async function fold(options: FoldOptions, chosen: Chosen, counts: boolean): Promise<EntityCounts> {
  const { reader, prefix, kind, positions, refused } = options
  const topic = topicName(prefix, AUDIT_TOPICS[kind])
  let total: number | null = 0
  let doubtful = 0
  for (const partition of await reader.partitions(topic)) {
    const counted: Counted = { all: new Set(), doubtful: new Set() }
    const position = positions.get(partitionKey(topic, partition)) ?? 0n
    const lot: KafkaRecord[] = []
    const onFetch = async () => {
      for (const record of lot.splice(0)) {
        const isPast = record.offset < position
        const isChosen = chosen.has(record.key)
        const passed =
          isChosen || (counts && isPast) ? await passedOf(options, record, isChosen) : null
        if (passed === null) continue
        if (isChosen) take(chosen, record, passed, isPast)
        if (!counts || !isPast) continue
        const isRefused = refused.has(recordPlace(topic, partition, record.offset))
        count(counted, record.key, passed, isRefused)
      }
    }
    const keep = (record: KafkaRecord) => {
      lot.push({ ...record, value: record.value && Buffer.from(record.value) })
    }
    await reader.readToEnd(topic, partition, keep, { onFetch, stallMs: STALL_MS })
    const isTooMany = counted.all.size > COUNTED_MAX
    total = isTooMany || total === null ? null : total + counted.all.size
    doubtful += counted.doubtful.size
  }
  return { count: counts ? total : null, doubtful }
}

/** What a record is to the sink; `record` null where it need not be decoded. */
type Passed = {
  readonly passes: boolean
  readonly record: SinkRecord | null
  readonly isEnd: boolean
}

/** Null: it cannot be read, so that the sink has dead-lettered it. */
async function passedOf(
  { codecs, kind, filter }: FoldOptions,
  record: KafkaRecord,
  isChosen: boolean,
): Promise<Passed | null> {
  if (record.value === null) return { passes: true, record: null, isEnd: true }
  if (filter === undefined && !isChosen) return { passes: true, record: null, isEnd: false }
  try {
    const decoded = await decodeOne(codecs, AUDIT_TOPICS[kind], record)
    return { passes: passes(filter, decoded), record: decoded, isEnd: false }
  } catch (error) {
    if (error instanceof PipelineError && error.failure === 'SERIALIZATION') return null
    throw error
  }
}

/** Hashes of keys of one partition. */
type Counted = { readonly all: Set<number>; readonly doubtful: Set<number> }

function count(
  { all, doubtful }: Counted,
  key: string,
  { passes: isShown, isEnd }: Passed,
  isRefused: boolean,
): void {
  // One more than may be says that some were left out, and stays.
  if (all.size > COUNTED_MAX) return
  const hash = seededHash(key, COUNT_SEED)
  if (isEnd) {
    all.delete(hash)
    doubtful.delete(hash)
  } else if (isShown) {
    if (!isRefused) doubtful.delete(hash)
    else if (!all.has(hash)) doubtful.add(hash)
    all.add(hash)
  }
}

function take(chosen: Chosen, record: KafkaRecord, passed: Passed, isPast: boolean): void {
  const { key, topic, partition } = record
  const entity = chosen.get(key) ?? unknown(topic, partition, isFirst(passed))
  chosen.set(key, entity)
  const revision = revisionOf(passed)
  if (!isPast) {
    if (passed.isEnd) entity.isForgottenLater = true
    else if (passed.passes) entity.laterRevision = Math.max(revision, entity.laterRevision ?? 0)
    return
  }
  entity.isForgotten ||= passed.isEnd
  if (passed.isEnd) {
    entity.revision = null
    entity.isWhole = true
  } else if (passed.passes && (entity.revision === null || revision > entity.revision)) {
    entity.revision = revision
    entity.offset = record.offset
    entity.timestampMs = record.timestampMs
  }
}

function revisionOf({ record }: Passed): number {
  return record !== null && record.value !== null && 'meta' in record.value
    ? record.value.meta.revision
    : 0
}

const isFirst = ({ record, isEnd }: Passed): boolean =>
  isEnd ||
  (record !== null &&
    record.value !== null &&
    'meta' in record.value &&
    record.value.meta.change_type === 'CREATED')

const unknown = (topic: string, partition: number, isWhole: boolean): Entity => ({
  topic,
  partition,
  revision: null,
  offset: -1n,
  timestampMs: 0,
  isForgotten: false,
  isWhole,
  laterRevision: null,
  isForgottenLater: false,
})
