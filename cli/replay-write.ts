// The writing part of `exposure replay raw`: the same records again, in transactions, paced.
import { setTimeout as sleep } from 'node:timers/promises'
import { replayedHeaders } from '../contracts/envelope.ts'
import { type KafkaRecord, type OutRecord, partitionKey } from '../contracts/processing.ts'
import { createKafka } from '../runtime/kafka/client.ts'
import { openSession } from '../runtime/kafka/session.ts'
import type { Replay } from './replay.ts'

const TRANSACTION_TIMEOUT_MS = 20_000
const TRANSACTION_RECORDS_MAX = 1_000
const TRANSACTION_BYTES_MAX = 8 * 1024 * 1024
/** So many at most, so that the vendor's own records are not held up behind them. */
const RECORDS_PER_SECOND_MAX = 2_000

export type Rewriter = {
  /** Takes a copy; written by the next `flush`. */
  add(record: KafkaRecord): void
  flush(): Promise<void>
  written(): number
  /** The last offset written per raw partition. */
  last(): ReadonlyMap<number, bigint>
  close(): Promise<void>
}

/**
 * One transactional id per vendor: a replay that is begun while another runs ends the other.
 * @throws PipelineError when Kafka cannot be reached
 */
export async function openRewriter(replay: Replay, topic: string, id: string): Promise<Rewriter> {
  const { settings, log, vendor, signal } = replay
  const session = await openSession(createKafka(settings, 'exposure-replay', log), {
    transactionalId: `${settings.prefix}replay.${vendor}`,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
  })
  const waiting: OutRecord[] = []
  const last = new Map<number, bigint>()
  let written = 0
  return {
    add: (record) => void waiting.push(rewritten(record, id)),
    async flush() {
      while (waiting.length > 0) {
        signal.throwIfAborted()
        const outputs = waiting.splice(0, chunkLength(waiting))
        const offsets = await session.commit({ outputs })
        for (const { partition } of outputs) {
          const offset = offsets.get(partitionKey(topic, partition))
          if (offset !== undefined) last.set(partition, offset)
        }
        written += outputs.length
        await sleep((outputs.length / RECORDS_PER_SECOND_MAX) * 1_000, undefined, { signal })
      }
    },
    written: () => written,
    last: () => last,
    close: () => session.close(),
  }
}

/** A copy, with nothing changed but the header that says so. */
function rewritten({ topic, partition, key, value, headers, exact }: KafkaRecord, id: string) {
  const mark = [Buffer.from('x-replay'), Buffer.from(id)] as const
  const others = exact?.headers.filter(([name]) => name.toString() !== 'x-replay') ?? []
  return {
    topic,
    partition,
    key,
    value: value === null ? null : Buffer.from(value),
    headers: replayedHeaders(headers, id),
    ...(exact === undefined ? {} : { exact: { key: exact.key, headers: [...others, mark] } }),
  }
}

/** How many of the first records make a transaction; at least one. */
function chunkLength(records: readonly OutRecord[]): number {
  let bytes = 0
  for (const [index, { value }] of records.entries()) {
    bytes += value?.length ?? 0
    const isFull = index >= TRANSACTION_RECORDS_MAX || bytes > TRANSACTION_BYTES_MAX
    if (isFull && index > 0) return index
  }
  return records.length
}
