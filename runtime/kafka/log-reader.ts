// Reads one partition to its end without a consumer group: state, checkpoints, what is open.
import { PipelineError } from '../../contracts/errors.ts'
import type { Logger } from '../log.ts'
import { createKafka, type KafkaClient } from './client.ts'
import { openCluster, type Cluster } from './cluster.ts'
import { kafkaError } from './errors.ts'
import { decodeRecords, positionAfter, type FetchedPartition } from './record-batches.ts'
import type { KafkaRecord, KafkaSettings } from './types.ts'
import { pause, within } from './waiting.ts'

/** How long a fetch waits at the broker while a stranger's open transaction bars the way. */
const FETCH_WAIT_MS = 200
const FETCH_BYTES_MAX = 4 * 1024 * 1024
/** Longer than the transaction timeout of any writer of ours, and than the clients' default. */
const STALL_MS = 120_000
const RETRY_PAUSE_MS = 100
const CLOSE_TIMEOUT_MS = 5_000
const OFFSET_OUT_OF_RANGE = 1

export type ReadOptions = {
  /** Records below this offset are left out; default: from the first. */
  readonly from?: bigint
  /** After every fetch, also while waiting; what it throws ends the read. For heartbeats. */
  readonly onFetch?: (position: bigint) => Promise<void>
  /** Without progress for so long the read fails; default 120 s. */
  readonly stallMs?: number
  /** Bytes of one fetch; default 4 MiB. A bigger batch still arrives whole. */
  readonly fetchBytesMax?: number
}

export type ReadResult = {
  /** Where to read on later: the high watermark when the read began. */
  readonly end: bigint
  readonly records: number
  readonly abortedRecords: number
  readonly markers: number
  readonly emptyBatches: number
  readonly fetches: number
  /** Fetches that brought nothing: a transaction was open. */
  readonly waits: number
  readonly bytes: number
}

export type LogReader = {
  /**
   * Hands every committed record up to the high watermark of now to `onRecord`, in order. Follow a
   * log by calling again `from` the last `end`. Values are views: copy what is kept.
   * @throws PipelineError when nothing moves for `stallMs`, or the log ends before `from`
   */
  readToEnd(
    topic: string,
    partition: number,
    onRecord: (record: KafkaRecord) => void,
    options?: ReadOptions,
  ): Promise<ReadResult>
  /** The high watermark. */
  endOffset(topic: string, partition: number): Promise<bigint>
  /** The first record written at or after this time; the end when there is none. */
  offsetAt(topic: string, partition: number, timeMs: number): Promise<bigint>
  /** The partitions of a topic, in order. */
  partitions(topic: string): Promise<number[]>
  close(): Promise<void>
}

/** A reader; connects at its first use. Reads of several partitions may run at once. */
export function openLogReader(settings: KafkaSettings, log: Logger): LogReader {
  const client = createKafka(settings, 'exposure-log-reader', log)
  return readerOf(client, openCluster(client))
}

/** A reader over connections that are there already, which it closes; for this folder only. */
export function readerOf({ settings, log }: KafkaClient, cluster: Cluster): LogReader {
  const ours = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      if (error instanceof HandlerError) throw error.cause
      throw kafkaError(error, 'FETCH', settings.brokers)
    }
  }
  return {
    readToEnd: (topic, partition, onRecord, options = {}) =>
      ours(readPartition(cluster, topic, partition, onRecord, options)),
    endOffset: async (topic, partition) => BigInt(await ours(cluster.endOffset(topic, partition))),
    offsetAt: async (topic, partition, timeMs) =>
      BigInt(await ours(cluster.offsetAt(topic, partition, timeMs))),
    partitions: (topic) => ours(cluster.partitions(topic)),
    async close() {
      try {
        await within('closing a reader', CLOSE_TIMEOUT_MS, cluster.close())
      } catch (error) {
        log.debug({ err: error }, 'a log reader did not close')
      }
    },
  }
}

/** Carries what a callback threw past our own retries and classification, as it is. */
class HandlerError extends Error {}

async function handled<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new HandlerError('a callback of the reader threw', { cause })
  }
}

async function readPartition(
  cluster: Cluster,
  topic: string,
  partition: number,
  onRecord: (record: KafkaRecord) => void,
  options: ReadOptions,
): Promise<ReadResult> {
  const { stallMs = STALL_MS, fetchBytesMax = FETCH_BYTES_MAX, onFetch } = options
  const from = Number(options.from ?? 0n)
  // Isolation level 0: a read that stopped at the last stable offset would leave out our own
  // committed records behind a stranger's open transaction. So the end is known, and waited for.
  const end = await cluster.endOffset(topic, partition)
  if (from > end) {
    const text = `${topic}/${partition} ends at ${end}, before ${from}: it was made anew`
    throw new PipelineError('MISSING_DATA', 'FETCH', text)
  }
  const counts = { records: 0, abortedRecords: 0, markers: 0, emptyBatches: 0 }
  const totals = { fetches: 0, waits: 0, bytes: 0 }
  let position = Math.max(from, await cluster.startOffset(topic, partition))
  let movedAtMs = Date.now()
  const fetch = (offset: number): Promise<FetchedPartition> => {
    totals.fetches++
    return cluster.fetch({
      topic,
      partition,
      offset,
      bytesMax: fetchBytesMax,
      waitMs: FETCH_WAIT_MS,
    })
  }
  let ahead: Promise<FetchedPartition> | undefined

  while (position < end) {
    const pending: Promise<FetchedPartition> = ahead ?? fetch(position)
    ahead = undefined
    const got = await settled(pending)
    if (got.errorCode === OFFSET_OUT_OF_RANGE) {
      position = Math.max(position, await cluster.startOffset(topic, partition))
    }
    const after = positionAfter(got.records, position)
    if (after > position) {
      totals.bytes += got.records.length
      // The next request leaves before these records are decoded. Its failure is met when awaited.
      if (after < end) ahead = marked(fetch(after))
      const source = { topic, partition, from: position }
      await handled(() => decodeRecords(source, got, counts, onRecord))
      position = after
      movedAtMs = Date.now()
    } else {
      totals.waits++
      if (Date.now() - movedAtMs > stallMs) throw stalled(topic, partition, position, end, got)
      if (got.errorCode !== 0) await recover(cluster)
    }
    if (onFetch !== undefined) await handled(() => onFetch(BigInt(position)))
  }
  return { end: BigInt(Math.max(end, from)), ...counts, ...totals }
}

/** Awaited later; without a handler until then Node would end the process for its failure. */
function marked<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined)
  return work
}

type Got = FetchedPartition & { readonly error?: unknown }

/** A request that failed counts as one without progress: the stall bound decides how long. */
async function settled(fetching: Promise<FetchedPartition>): Promise<Got> {
  try {
    return await fetching
  } catch (error) {
    const errorCode = -1
    return { errorCode, lastStableOffset: -1, aborted: [], records: Buffer.alloc(0), error }
  }
}

async function recover(cluster: Cluster): Promise<void> {
  await pause(RETRY_PAUSE_MS)
  try {
    await cluster.refresh()
  } catch {
    // The next fetch meets the same trouble and reports it when the stall bound is reached.
  }
}

function stalled(
  topic: string,
  partition: number,
  position: number,
  end: number,
  got: Got,
): PipelineError {
  if (got.error !== undefined) return kafkaError(got.error, 'FETCH')
  const why =
    got.errorCode === 0
      ? `a transaction is open at ${got.lastStableOffset}`
      : `Kafka answers with error code ${got.errorCode}`
  const text = `reading ${topic}/${partition} stands at ${position} of ${end}: ${why}`
  return new PipelineError('TEMPORARY_FAILURE', 'FETCH', text)
}
