// Runs a sink: consume, decode, write, dead-letter what is refused, and only then move on.
import { PipelineError } from '../contracts/errors.ts'
import {
  type OpenSink,
  type Rejection,
  SINK_KINDS,
  type Sink,
  type SinkBatch,
  type SinkRecord,
} from '../contracts/ports.ts'
import type { KafkaRecord, OutRecord } from '../contracts/processing.ts'
import { topicName } from '../contracts/topics.ts'
import { AVRO_TOPICS, type AvroTopic, type Codecs } from './codecs.ts'
import { SINK_HEADER, deadLetter, withHeaders } from './dead-letter.ts'
import { type ConsumedBatch, type ConsumerControl, runConsumer } from './kafka/consumer.ts'
import { openPublisher } from './kafka/publisher.ts'
import { type KafkaSettings, partitionKey } from './kafka/types.ts'
import { backoff, pause } from './kafka/waiting.ts'
import { seekBehind } from './sink-behind.ts'
import { passes } from './sink-filter.ts'
import type { SinkFilter, SinkStart } from './sink-settings.ts'
import { commitStart } from './sink-start.ts'
import {
  type Trouble,
  type TroubleOptions,
  createTrouble,
  scopeOf,
  sinkFailure,
} from './sink-trouble.ts'

/** Records handed to a sink at once. */
export const SINK_BATCH_RECORDS_MAX = 1_000
const HEARTBEAT_MS = 2_000
const OPEN_FIRST_MS = 500
const OPEN_MAX_MS = 30_000

export type SinkProgress = {
  readonly topic: string
  readonly partition: number
  /** Everything below is in the store or in the dead-letter topic. */
  readonly nextOffset: bigint
  readonly records: number
}

export type RunSinkOptions = TroubleOptions & {
  readonly settings: KafkaSettings
  /** Absent: it gets everything. */
  readonly filter?: SinkFilter | undefined
  /** Where to begin when the group has no offsets yet. Default: at the beginning. */
  readonly start?: SinkStart | undefined
  readonly codecs: Codecs
  readonly onProgress?: (progress: SinkProgress) => void
}

export type RunningSink = {
  /** What the store said at the first opening that waiting does not mend; it is asked again. */
  readonly refused: PipelineError | null
  /** Writes what the store holds back in memory. @throws PipelineError when it cannot be written */
  flush(): Promise<void>
  /** Ends the batch under way and closes the store. Bounded; never throws. */
  stop(): Promise<void>
}

/** The consumer group of a sink. */
export const sinkGroup = (prefix: string, name: string): string => `${prefix}sink.${name}`

/** The topics that a sink reads, by their complete names. */
export const sinkTopics = (prefix: string, { kinds = SINK_KINDS }: Pick<Sink, 'kinds'>) =>
  new Map(
    AVRO_TOPICS.filter((topic) => kinds.includes(KINDS[topic].kind)).map((topic) => [
      topicName(prefix, topic),
      topic,
    ]),
  )

/**
 * Opens the store and starts consuming. A store that is away or refuses is reported, asked again
 * and cleared, now and later; nothing is dead-lettered for it. Never throws.
 */
export async function runSink(options: RunSinkOptions): Promise<RunningSink> {
  const { settings, sink, log } = options
  const startedAtMs = Date.now()
  const stopping = new AbortController()
  const trouble = createTrouble(options)
  let store: OpenSink | null = null
  let refused: PipelineError | null = null
  try {
    store = await sink.open()
  } catch (error) {
    const failure = sinkFailure(error)
    if (!failure.retriable) refused = failure
    trouble.raise('open', failure)
  }
  const publisher = openPublisher(settings, log)
  let consumer: { stop(): Promise<void> } | null = null
  const starting = (async () => {
    // Before the store is there, which may take a night.
    const decide = () => decideStart(options, startedAtMs)
    const decided = await inTime(decide, trouble, stopping.signal)
    store ??= await inTime(() => sink.open(), trouble, stopping.signal)
    if (decided === null || store === null) return
    trouble.over('open')
    const send = (records: readonly OutRecord[]) => publisher.send(records)
    consumer = await consume(options, store, send, trouble)
  })()
  starting.catch((error: unknown) => trouble.raise('open', sinkFailure(error)))
  return {
    refused,
    async flush() {
      await store?.flush?.()
    },
    async stop() {
      stopping.abort()
      await starting.catch((error: unknown) => log.debug({ err: error }, 'sink never started'))
      await consumer?.stop()
      await publisher.close()
      await store?.close()
    },
  }
}

/** Tries until `work` is done; null when told to stop before that. */
async function inTime<T>(
  work: () => Promise<T>,
  trouble: Trouble,
  signal: AbortSignal,
): Promise<T | null> {
  const waits = backoff(OPEN_FIRST_MS, OPEN_MAX_MS)
  // Without end: a store may be away for a night, and then it is wanted.
  while (!signal.aborted) {
    try {
      return await work()
    } catch (error) {
      trouble.raise('open', sinkFailure(error))
    }
    await pause(waits.nextMs(), signal)
  }
  return null
}

async function decideStart(
  { settings, sink, start = 'beginning', log }: RunSinkOptions,
  startedAtMs: number,
): Promise<true> {
  const groupId = sinkGroup(settings.prefix, sink.name)
  const topics = [...sinkTopics(settings.prefix, sink).keys()]
  await commitStart({ settings, groupId, topics, start, startedAtMs, log })
  return true
}

const startsLater = ({ start = 'beginning' }: RunSinkOptions): boolean => start !== 'beginning'

type Send = (records: readonly OutRecord[]) => Promise<void>

function consume(options: RunSinkOptions, store: OpenSink, send: Send, trouble: Trouble) {
  const { settings, sink, log } = options
  const topics = sinkTopics(settings.prefix, sink)
  const writer: Writer = {
    options,
    store,
    send,
    trouble,
    topics,
    compared: new Set(),
    sent: new Map(),
  }
  const place = { settings, groupId: sinkGroup(settings.prefix, sink.name), log }
  return runConsumer({
    ...place,
    topics: [...topics.keys()],
    handlerCommits: store.commitsOffsets === true,
    onAssigned(partitions, seek) {
      writer.compared.clear()
      writer.sent.clear()
      trouble.dealtAnew()
      return seekBehind({ ...place, store, partitions, startsLater: startsLater(options), seek })
    },
    onTrouble: (error) => {
      // What a batch threw has been raised already.
      if (!trouble.knows(error)) trouble.raise('kafka', error)
    },
    onProgress: () => trouble.over('kafka'),
    onBatch: (batch, control) => onBatch(writer, batch, control),
  })
}

type Writer = {
  readonly options: RunSinkOptions
  readonly store: OpenSink
  readonly send: Send
  readonly trouble: Trouble
  readonly topics: ReadonlyMap<string, AvroTopic>
  /** Partitions whose first batch since the last join has been compared with the store. */
  readonly compared: Set<string>
  /** Per partition, dead letters of the batch at hand that are out: a second try omits them. */
  readonly sent: Map<string, Set<bigint>>
}

async function onBatch(writer: Writer, batch: ConsumedBatch, control: ConsumerControl) {
  const place = partitionKey(batch.topic, batch.partition)
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    const result = await aliveWhile(work(), control)
    if ('error' in result) throw writer.trouble.raise(place, sinkFailure(result.error))
    return result.value
  }
  const from = await startOf(writer, batch, control, guarded)
  if (from === null) return
  for (const slice of slicesOf(batch, from)) {
    if (!control.isRunning()) return
    await writeSlice(writer, slice, guarded)
    writer.trouble.over(place)
    await control.heartbeat()
  }
}

type Guarded = <T>(work: () => Promise<T>) => Promise<T>

/** Where in the batch to begin; null when the partition is read again from further back. */
async function startOf(
  { compared, store, options }: Writer,
  batch: ConsumedBatch,
  control: ConsumerControl,
  guarded: Guarded,
): Promise<bigint | null> {
  const { topic, partition, firstOffset } = batch
  const place = partitionKey(topic, partition)
  if (compared.has(place)) return firstOffset
  const stored = await guarded(() => store.storedOffset(topic, partition))
  // Once per join only: holes in the log put the first record behind a perfectly right offset.
  compared.add(place)
  // A store that has nothing yet is not read back to before the place where it was to begin.
  const isNew = stored === 0n && startsLater(options)
  if (stored === null || isNew) return firstOffset
  if (stored >= firstOffset) return stored
  options.log.debug({ topic, partition, stored, firstOffset }, 'the store is behind: reading back')
  control.seek(topic, partition, stored)
  return null
}

/** Cuts a batch to the size of a sink; a batch without records still moves the store's offset. */
function slicesOf(batch: ConsumedBatch, from: bigint): ConsumedBatch[] {
  const records = batch.records.filter((record) => record.offset >= from)
  if (records.length <= SINK_BATCH_RECORDS_MAX) return [{ ...batch, records }]
  const slices: ConsumedBatch[] = []
  let firstOffset = batch.firstOffset
  for (let start = 0; start < records.length; start += SINK_BATCH_RECORDS_MAX) {
    const nextOffset = records[start + SINK_BATCH_RECORDS_MAX]?.offset ?? batch.nextOffset
    const part = records.slice(start, start + SINK_BATCH_RECORDS_MAX)
    slices.push({ ...batch, records: part, firstOffset, nextOffset })
    firstOffset = nextOffset
  }
  return slices
}

async function writeSlice(writer: Writer, slice: ConsumedBatch, guarded: Guarded): Promise<void> {
  const { store, options, sent } = writer
  const { topic, partition, firstOffset, nextOffset } = slice
  const { records, sources, poison } = await guarded(() => decodeAll(writer, slice))
  // Dead letters go before the store moves its own offset beyond them.
  await guarded(() => sendDeadLetters(writer, poison))
  const batch: SinkBatch = { topic, partition, firstOffset, nextOffset, records }
  const rejections = await guarded(() => store.write(batch))
  if (rejections.length > 0) {
    const refused = rejections.flatMap((rejection) => refusedOf(sources, rejection))
    await guarded(() => sendDeadLetters(writer, refused))
    // A store that keeps offsets has stopped before the first rejection; this moves it on.
    const rest = store.commitsOffsets === true ? without(records, rejections) : []
    await guarded(() => store.write({ ...batch, records: rest }))
  }
  sent.delete(partitionKey(topic, partition))
  options.onProgress?.({ topic, partition, nextOffset, records: records.length })
}

function without(records: readonly SinkRecord[], rejections: readonly Rejection[]): SinkRecord[] {
  const refused = new Set(rejections.map(({ index }) => index))
  return records.filter((_record, index) => !refused.has(index))
}

type Refused = { readonly record: KafkaRecord; readonly error: PipelineError }

function refusedOf(sources: readonly KafkaRecord[], { index, reason }: Rejection): Refused[] {
  const record = sources[index]
  if (record === undefined) return []
  return [{ record, error: new PipelineError('SINK_REJECTED', 'SINK', reason) }]
}

async function decodeAll(writer: Writer, slice: ConsumedBatch) {
  const topic = writer.topics.get(slice.topic)
  if (topic === undefined) {
    throw new PipelineError('INTERNAL', 'SINK', `${slice.topic} is not a topic of events`)
  }
  const { codecs, filter } = writer.options
  const records: SinkRecord[] = []
  /** As `records`: what each was decoded from. */
  const sources: KafkaRecord[] = []
  const poison: Refused[] = []
  for (const record of slice.records) {
    try {
      const decoded = await decodeOne(codecs, topic, record)
      if (!passes(filter, decoded)) continue
      records.push(decoded)
      sources.push(record)
    } catch (error) {
      if (!(error instanceof PipelineError) || error.failure !== 'SERIALIZATION') throw error
      poison.push({ record, error })
    }
  }
  return { records, sources, poison }
}

const KINDS = {
  assets: { kind: 'asset', schemaName: 'Asset' },
  findings: { kind: 'finding', schemaName: 'Finding' },
  vulnerabilities: { kind: 'vulnerability', schemaName: 'Vulnerability' },
  connectorErrors: { kind: 'connector-error', schemaName: 'ConnectorError' },
  runs: { kind: 'run', schemaName: 'Run' },
} as const

/** What a record says. @throws PipelineError SERIALIZATION when it cannot be read */
export async function decodeOne(
  codecs: Codecs,
  topic: AvroTopic,
  { key, offset, timestampMs, value }: KafkaRecord,
): Promise<SinkRecord> {
  const { kind, schemaName } = KINDS[topic]
  const place = { key, offset, timestampMs }
  if (value === null) return { kind, value: null, ...place }
  const decoded = await codecs.decodeAny(value)
  if (decoded.schemaName !== schemaName) {
    const message = `a ${decoded.schemaName} lies among the ${topic}`
    throw new PipelineError('SERIALIZATION', 'SINK', message)
  }
  return { kind, value: decoded.value, ...place } as SinkRecord
}

async function sendDeadLetters(writer: Writer, refused: readonly Refused[]): Promise<void> {
  const { options, sent, send } = writer
  const [first] = refused
  if (first === undefined) return
  const place = partitionKey(first.record.topic, first.record.partition)
  const done = sent.get(place) ?? new Set<bigint>()
  sent.set(place, done)
  const fresh = refused.filter(({ record }) => !done.has(record.offset))
  await send(
    fresh.map(({ record, error }) => {
      const letter = deadLetter(options.settings.prefix, record, error, 1)
      return { ...letter, ...withHeaders(letter, { [SINK_HEADER]: options.sink.name }) }
    }),
  )
  for (const { record, error } of fresh) {
    done.add(record.offset)
    const { topic, partition, key } = record
    const pointer = { topic, partition, offset: Number(record.offset), key }
    options.reporter.raise(error, scopeOf(options.sink), pointer)
  }
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown }

/**
 * Heartbeats while `work` lasts: a slow store must not cost the membership.
 * @throws only what a heartbeat throws, which must pass as it is
 */
async function aliveWhile<T>(work: Promise<T>, control: ConsumerControl): Promise<Outcome<T>> {
  const settled = work.then(
    (value): Outcome<T> => ({ value }),
    (error: unknown): Outcome<T> => ({ error }),
  )
  // Bounded by the work itself: every call to a store, registry or broker has a timeout.
  for (;;) {
    const timer = new AbortController()
    const outcome = await Promise.race([settled, pause(HEARTBEAT_MS, timer.signal)])
    timer.abort()
    if (outcome !== undefined) return outcome
    await control.heartbeat()
  }
}
