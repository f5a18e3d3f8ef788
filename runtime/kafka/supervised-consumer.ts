// A consumer that comes back: what kafkajs gives up is built anew, for as long as it takes.
import type { Consumer, EachBatchPayload, KafkaMessage, PartitionAssigner } from 'kafkajs'
import type { PipelineError } from '../../contracts/errors.ts'
import type { Logger } from '../log.ts'
import { createKafka, instanceOf, METADATA_AGE_MAX_MS, type KafkaClient } from './client.ts'
import { openCluster, type Cluster } from './cluster.ts'
import { headerBytesOf } from './cures.ts'
import { isRebalance, kafkaError } from './errors.ts'
import { createHealth, type Health } from './health.ts'
import { recordText } from './record-text.ts'
import type { KafkaRecord, KafkaSettings } from './types.ts'
import { backoff, pause, within } from './waiting.ts'

const REBALANCE_TIMEOUT_MS = 60_000
/** Bounds both the latency of a stop and the wait for a first record. */
const FETCH_WAIT_MS = 250
const PARTITION_BYTES_MAX = 2 * 1024 * 1024
const FETCH_BYTES_MAX = 16 * 1024 * 1024
/**
 * kafkajs counts these for the life of the consumer, not since the last success, and its jitter
 * makes a random walk of the pause: hence no end, no growth, no jitter.
 */
const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, multiplier: 1, factor: 0 }
const RETRIES_MAX = 1_000_000
const REBUILD_FIRST_MS = 500
const REBUILD_MAX_MS = 30_000
/** Leaving the group takes a fetch and a batch; a member that does not leave holds all up. */
const STOP_TIMEOUT_MS = 20_000
const WATCH_MS = 2_000
/** No heartbeat for so long, with nothing being worked on: is Kafka there at all? */
const SILENCE_MS = 10_000
const PROBE_TIMEOUT_MS = 15_000
/** Silent for so long: the consumer is beyond recovery and is built anew. */
const SILENCE_MAX_MS = 300_000
/** Just over: kafkajs sends a heartbeat only when the interval has passed. */
const HEARTBEAT_EXTRA_MS = 50

/** What one fetch brought for one partition; `records` is empty when it held only markers. */
export type FetchedBatch = {
  readonly topic: string
  readonly partition: number
  readonly records: readonly KafkaRecord[]
  /** Where the fetch began. */
  readonly fetchedOffset: bigint
  readonly firstOffset: bigint
  /** Behind the last record, marker or hole. */
  readonly nextOffset: bigint
}

export type BatchControl = {
  /** @throws what kafkajs throws when the group is being dealt anew; let it pass as it is */
  heartbeat(): Promise<void>
  /** False when the consumer stops or has been told to read elsewhere: end early. */
  isRunning(): boolean
  /** A seek waits to be carried out: what this batch brought is void. */
  isSeeking(): boolean
  /** Everything below `next` is done: the next fetch begins there. */
  resolve(next: bigint): void
  /** Commits `next` for the group, outside any transaction. */
  commit(next: bigint): Promise<void>
  seek(topic: string, partition: number, offset: bigint): void
  /** Fires when the consumer is told to stop. */
  readonly signal: AbortSignal
}

export type SupervisedOptions = {
  readonly settings: KafkaSettings
  readonly groupId: string
  readonly topics: readonly string[]
  readonly sessionTimeoutMs: number
  /** Partitions worked on at one time. */
  readonly concurrency: number
  readonly assigner?: PartitionAssigner
  readonly log: Logger
  readonly onBatch: (batch: FetchedBatch, control: BatchControl) => Promise<void>
  /**
   * At every join, before any batch of it: partitions by topic; how long the join took in ms, by
   * the wall's clock: below 0 when that was put back meanwhile; how to read from elsewhere.
   */
  readonly onAssigned: (
    assigned: ReadonlyMap<string, readonly number[]>,
    tookMs: number,
    seek: BatchControl['seek'],
  ) => void
  /** `member`: a heartbeat was answered. `leaving`: the group deals anew, or is being left. */
  readonly onMembership?: ((state: 'member' | 'leaving') => void) | undefined
  readonly onTrouble?: ((error: PipelineError) => void) | undefined
  readonly onProgress?: (() => void) | undefined
}

export type RunningConsumer = {
  /** Ends the batch under way, leaves the group. Bounded; never throws. */
  stop(): Promise<void>
  /** Resolves when stopped. Never rejects: trouble is told to onTrouble and gone on from. */
  readonly done: Promise<void>
}

/** A sign of life every tenth of the session: several may be lost before the session ends. */
export const heartbeatIntervalOf = (sessionTimeoutMs: number): number =>
  Math.max(200, Math.floor(sessionTimeoutMs / 10))

export function superviseConsumer(options: SupervisedOptions): RunningConsumer {
  const stopping = new AbortController()
  const health = createHealth(options)
  const done = superviseUntil(stopping.signal, options, health)
  return {
    done,
    async stop() {
      stopping.abort()
      await done
    },
  }
}

async function superviseUntil(
  signal: AbortSignal,
  options: SupervisedOptions,
  health: Health,
): Promise<void> {
  const { settings, log, groupId } = options
  const waits = backoff(REBUILD_FIRST_MS, REBUILD_MAX_MS)
  while (!signal.aborted) {
    try {
      await consumeOnce(signal, options, health, () => waits.reset())
    } catch (error) {
      const failure = kafkaError(error, 'FETCH', settings.brokers)
      log.info({ err: failure, groupId }, 'a consumer ended and is built anew')
      health.failed(failure)
      await pause(waits.nextMs(), signal)
    }
  }
}

/** One life of a kafkajs consumer. Returns when stopped. @throws when it crashed */
async function consumeOnce(
  signal: AbortSignal,
  options: SupervisedOptions,
  health: Health,
  onJoined: () => void,
): Promise<void> {
  const { settings, groupId, log, concurrency } = options
  // An instance of its own: see createKafka.
  const client = createKafka(settings, `exposure-${groupId}`, log)
  const consumer = create(client, options)
  const life = { seenMs: Date.now(), working: 0 }
  const ended = Promise.withResolvers<void>()
  // Awaited last; a crash during the start must not end the process meanwhile.
  ended.promise.catch(() => undefined)
  signal.addEventListener('abort', () => ended.resolve(), { once: true })
  listen(consumer, options, () => {
    life.seenMs = Date.now()
    onJoined()
    health.worked()
  })
  consumer.on(consumer.events.HEARTBEAT, () => {
    life.seenMs = Date.now()
    options.onMembership?.('member')
  })
  consumer.on(consumer.events.CRASH, ({ payload }) => ended.reject(payload.error))
  const watching = watch(client, life, health, ended)
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [...options.topics], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: concurrency,
      eachBatch: async (payload) => {
        life.working += 1
        try {
          await workOn(consumer, payload, signal, options, health)
        } finally {
          life.working -= 1
          life.seenMs = Date.now()
        }
      },
    })
    await ended.promise
  } finally {
    watching.end()
    options.onMembership?.('leaving')
    await disconnect(consumer, log)
  }
}

function create(client: KafkaClient, options: SupervisedOptions): Consumer {
  const { groupId, sessionTimeoutMs, assigner } = options
  return instanceOf(client).consumer({
    groupId,
    readUncommitted: false,
    allowAutoTopicCreation: false,
    sessionTimeout: sessionTimeoutMs,
    heartbeatInterval: heartbeatIntervalOf(sessionTimeoutMs),
    rebalanceTimeout: REBALANCE_TIMEOUT_MS,
    metadataMaxAge: METADATA_AGE_MAX_MS,
    minBytes: 1,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    maxBytesPerPartition: PARTITION_BYTES_MAX,
    maxBytes: FETCH_BYTES_MAX,
    ...(assigner === undefined ? {} : { partitionAssigners: [assigner] }),
    // It never restarts by itself: one way back, ours.
    retry: { ...RETRY, retries: RETRIES_MAX, restartOnFailure: async () => false },
  })
}

function listen(consumer: Consumer, options: SupervisedOptions, onJoined: () => void): void {
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    const assigned = Object.entries(payload.memberAssignment)
    const byTopic = new Map(assigned.map(([topic, partitions]) => [topic, [...partitions]]))
    options.onAssigned(byTopic, payload.duration, seekIn(consumer))
    onJoined()
  })
  consumer.on(consumer.events.REBALANCING, () => options.onMembership?.('leaving'))
}

type Life = { seenMs: number; readonly working: number }

/** kafkajs tries for ever without a word while Kafka is away: asks, so that somebody is told. */
function watch(
  client: KafkaClient,
  life: Life,
  health: Health,
  ended: PromiseWithResolvers<void>,
): { end(): void } {
  const cluster = openCluster(client)
  let asking = false
  const ask = async (): Promise<void> => {
    asking = true
    try {
      await within('asking Kafka for its metadata', PROBE_TIMEOUT_MS, cluster.refresh())
    } catch (error) {
      health.failed(kafkaError(error, 'FETCH', client.settings.brokers))
    } finally {
      asking = false
    }
  }
  const timer = setInterval(() => {
    const silentMs = Date.now() - life.seenMs
    if (life.working > 0 || silentMs < SILENCE_MS) return
    if (silentMs > SILENCE_MAX_MS) ended.reject(new Error('no heartbeat for too long'))
    if (!asking) void ask()
  }, WATCH_MS)
  return {
    end() {
      clearInterval(timer)
      void closeProbe(cluster, client.log)
    },
  }
}

async function closeProbe(cluster: Cluster, log: Logger): Promise<void> {
  try {
    await cluster.close()
  } catch (error) {
    log.debug({ err: error }, 'a probe did not close')
  }
}

async function workOn(
  consumer: Consumer,
  payload: EachBatchPayload,
  signal: AbortSignal,
  options: SupervisedOptions,
  health: Health,
): Promise<void> {
  const { settings, sessionTimeoutMs } = options
  try {
    await options.onBatch(batchOf(payload), controlOf(consumer, payload, signal))
    health.worked()
  } catch (error) {
    // As they are: kafkajs joins anew for them.
    if (isRebalance(error)) throw error
    health.failed(kafkaError(error, 'FETCH', settings.brokers))
    // A member that was asleep must learn that it is no longer one before it takes up work again
    // and fences the rightful owner. Within the interval the heartbeat would not really be sent.
    await pause(heartbeatIntervalOf(sessionTimeoutMs) + HEARTBEAT_EXTRA_MS, signal)
    await payload.heartbeat()
    // A plain error is redelivered. A TypeError, or one that says it is not retriable, would stop
    // kafkajs for ever.
    throw new Error('a batch is delivered again', { cause: error })
  }
}

function controlOf(
  consumer: Consumer,
  payload: EachBatchPayload,
  signal: AbortSignal,
): BatchControl {
  const { topic, partition } = payload.batch
  return {
    heartbeat: () => payload.heartbeat(),
    isRunning: () => payload.isRunning() && !payload.isStale() && !signal.aborted,
    isSeeking: () => payload.isStale(),
    resolve: (next) => payload.resolveOffset((next - 1n).toString()),
    commit: (next) => {
      const partitions = [{ partition, offset: next.toString() }]
      return payload.commitOffsetsIfNecessary({ topics: [{ topic, partitions }] })
    },
    seek: seekIn(consumer),
    signal,
  }
}

const seekIn =
  (consumer: Consumer): BatchControl['seek'] =>
  (topic, partition, offset) =>
    consumer.seek({ topic, partition, offset: offset.toString() })

function batchOf({ batch }: EachBatchPayload): FetchedBatch {
  const { topic, partition, messages } = batch
  // kafkajs' own types leave out where the fetch began.
  const { fetchedOffset } = batch as unknown as { fetchedOffset: string }
  return {
    topic,
    partition,
    records: messages.map((message) => recordOf(topic, partition, message)),
    fetchedOffset: BigInt(fetchedOffset),
    firstOffset: BigInt(batch.firstOffset() ?? fetchedOffset),
    nextOffset: BigInt(batch.lastOffset()) + 1n,
  }
}

function recordOf(topic: string, partition: number, message: KafkaMessage): KafkaRecord {
  return {
    topic,
    partition,
    offset: BigInt(message.offset),
    timestampMs: Number(message.timestamp),
    value: message.value,
    ...recordText(message.key, headerBytesOf(message)),
  }
}

async function disconnect(consumer: Consumer, log: Logger): Promise<void> {
  try {
    await within('leaving a consumer group', STOP_TIMEOUT_MS, consumer.disconnect())
  } catch (error) {
    log.info({ err: error }, 'a consumer did not leave its group: its session must end by itself')
  }
}
