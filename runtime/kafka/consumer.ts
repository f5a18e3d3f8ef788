// The plain consumer of sinks: read_committed, offsets committed only after the handler is done.
import { PipelineError } from '../../contracts/errors.ts'
import type { Logger } from '../log.ts'
import {
  heartbeatIntervalOf,
  superviseConsumer,
  type BatchControl,
  type FetchedBatch,
} from './supervised-consumer.ts'
import type { KafkaRecord, KafkaSettings } from './types.ts'
import { backoff, pause } from './waiting.ts'

const SESSION_TIMEOUT_MS = 30_000
const CONCURRENCY = 3
const RETRY_FIRST_MS = 500
const RETRY_MAX_MS = 30_000
/** A store that asks for a longer pause is tried before that. */
const RETRY_AFTER_MAX_MS = 300_000

/**
 * What one fetch brought for one partition. `records` is empty when it held only markers or aborted
 * records: there is nothing to write, but `nextOffset` has moved.
 */
export type ConsumedBatch = {
  readonly topic: string
  readonly partition: number
  readonly records: readonly KafkaRecord[]
  readonly firstOffset: bigint
  /** Where to go on: behind the last record, marker or hole. */
  readonly nextOffset: bigint
}

export type ConsumerControl = {
  /** Call it at least every few seconds of work. Let what it throws pass as it is. */
  heartbeat(): Promise<void>
  /** Reads on from `offset`; the batch at hand is then neither resolved nor committed. */
  seek(topic: string, partition: number, offset: bigint): void
  /** False when the consumer stops or a seek waits: end early, by throwing or after a seek. */
  isRunning(): boolean
}

export type ConsumerOptions = {
  readonly settings: KafkaSettings
  /** Complete names, prefix included. */
  readonly groupId: string
  readonly topics: readonly string[]
  readonly log: Logger
  /**
   * One partition's batches come one after the other, those of different partitions at once. When
   * it throws, the batch comes again: a retriable PipelineError in place, with heartbeats, after a
   * growing pause; anything else by being read anew.
   */
  readonly onBatch: (batch: ConsumedBatch, control: ConsumerControl) => Promise<void>
  /** True: the handler commits the offsets itself, nobody else does. */
  readonly handlerCommits?: boolean
  /** All partitions of this member, at every join, before any batch of it. */
  readonly onAssigned?: (
    partitions: { readonly topic: string; readonly partition: number }[],
    seek: ConsumerControl['seek'],
  ) => void | Promise<void>
  /** Once, when trouble lasts. */
  readonly onTrouble?: (error: PipelineError) => void
  /** After every batch, and when the group was joined. */
  readonly onProgress?: () => void
  /** Default 30 s: so long a member that died holds up its partitions. */
  readonly sessionTimeoutMs?: number
  /** Partitions worked on at once; default 3. */
  readonly concurrency?: number
}

/** Starts consuming. Kafka need not be there yet: trouble is told, and gone on from. */
export async function runConsumer(options: ConsumerOptions): Promise<{
  stop(): Promise<void>
  readonly done: Promise<void>
}> {
  const { settings, groupId, topics, log, onTrouble, onProgress } = options
  const sessionTimeoutMs = options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS
  let assigning: Promise<void> = Promise.resolve()
  return superviseConsumer({
    settings,
    groupId,
    topics,
    log,
    sessionTimeoutMs,
    concurrency: options.concurrency ?? CONCURRENCY,
    onTrouble,
    onProgress,
    onAssigned(assigned, _tookMs, seek) {
      const partitions = [...assigned].flatMap(([topic, numbers]) =>
        numbers.map((partition) => ({ topic, partition })),
      )
      assigning = Promise.resolve(options.onAssigned?.(partitions, seek))
      // Batches wait for it and throw what it threw; meanwhile nobody else looks at it.
      assigning.catch(() => undefined)
    },
    async onBatch(batch, control) {
      await assigning
      // Fetched from where the group stands, before it was known where to begin.
      if (control.isSeeking()) return
      const handled = await handle(batch, control, options, sessionTimeoutMs)
      if (!handled || control.isSeeking()) return
      control.resolve(batch.nextOffset)
      if (options.handlerCommits !== true) await control.commit(batch.nextOffset)
    },
  })
}

/** False when the consumer stopped while the handler's trouble lasted. */
async function handle(
  batch: FetchedBatch,
  control: BatchControl,
  options: ConsumerOptions,
  sessionTimeoutMs: number,
): Promise<boolean> {
  const { topic, partition, records, firstOffset, nextOffset } = batch
  const waits = backoff(RETRY_FIRST_MS, RETRY_MAX_MS)
  let told = false
  // Without end: a store may be down for a night, and nothing may be lost or skipped for it.
  while (control.isRunning()) {
    try {
      await options.onBatch({ topic, partition, records, firstOffset, nextOffset }, control)
      return true
    } catch (error) {
      if (!(error instanceof PipelineError) || !error.retriable) throw error
      if (!told) options.onTrouble?.(error)
      told = true
      options.log.debug({ err: error, topic, partition }, 'a batch is tried again in place')
      const askedMs = Math.min(error.details.retryAfterMs ?? 0, RETRY_AFTER_MAX_MS)
      const waitMs = Math.max(waits.nextMs(), askedMs)
      await waitAlive(waitMs, control, heartbeatIntervalOf(sessionTimeoutMs))
    }
  }
  return false
}

/** Waits without leaving the group. @throws what the heartbeat throws when the group moves on */
async function waitAlive(
  totalMs: number,
  control: BatchControl,
  heartbeatMs: number,
): Promise<void> {
  const untilMs = Date.now() + totalMs
  for (let leftMs = totalMs; leftMs > 0 && control.isRunning(); leftMs = untilMs - Date.now()) {
    await pause(Math.min(leftMs, heartbeatMs), control.signal)
    await control.heartbeat()
  }
}
