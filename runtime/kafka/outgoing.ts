// Records on their way out: cut into requests, and the broker's answer checked record by record.
import { PipelineError } from '../../contracts/errors.ts'
import type { OutRecord } from './types.ts'
import { partitionKey } from './types.ts'

/** kafkajs makes one record batch per partition and request; a topic takes 1 MB by default. */
export const PARTITION_BYTES_MAX = 900_000
export const PARTITION_RECORDS_MAX = 2_000
/** All partitions of one request together: what lies in memory encoded at one time. */
export const REQUEST_BYTES_MAX = 8_000_000

/** Length, offsets, time and the lengths of key and value, generously. */
const RECORD_OVERHEAD_BYTES = 70

function sizeOf(record: OutRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + record.key.length * 3 + (record.value?.length ?? 0)
  for (const name in record.headers) {
    bytes += name.length * 3 + (record.headers[name] ?? '').length * 3
  }
  const { key = null, headers = [] } = record.exact ?? {}
  for (const part of [key, ...headers.flat()]) bytes += part?.length ?? 0
  return bytes
}

/**
 * Cuts records into requests of at most PARTITION_BYTES_MAX and PARTITION_RECORDS_MAX for any one
 * partition, in order. A bigger record goes alone in its partition.
 */
export function requestsOf(records: readonly OutRecord[]): OutRecord[][] {
  const requests: OutRecord[][] = []
  let current: OutRecord[] = []
  let totalBytes = 0
  let held = new Map<string, { bytes: number; count: number }>()
  for (const record of records) {
    const bytes = sizeOf(record)
    const key = partitionKey(record.topic, record.partition)
    const before = held.get(key) ?? { bytes: 0, count: 0 }
    const full =
      (before.count > 0 && before.bytes + bytes > PARTITION_BYTES_MAX) ||
      before.count >= PARTITION_RECORDS_MAX ||
      (totalBytes > 0 && totalBytes + bytes > REQUEST_BYTES_MAX)
    if (full) {
      requests.push(current)
      current = []
      totalBytes = 0
      held = new Map()
    }
    const last = full ? { bytes: 0, count: 0 } : before
    held.set(key, { bytes: last.bytes + bytes, count: last.count + 1 })
    totalBytes += bytes
    current.push(record)
  }
  if (current.length > 0) requests.push(current)
  return requests
}

export type TopicMessages = {
  readonly topic: string
  readonly messages: {
    readonly partition: number
    readonly key: string | Buffer | null
    readonly value: Buffer | null
    readonly headers: Record<string, string>
  }[]
}

/** Our encoder takes pairs as well; kafkajs hands headers on to it without a look. */
const headersOf = ({ headers, exact }: OutRecord): Record<string, string> =>
  exact === undefined ? { ...headers } : (exact.headers as unknown as Record<string, string>)

/** The records of one request in the form kafkajs takes. */
export function topicMessagesOf(records: readonly OutRecord[]): TopicMessages[] {
  const topics = new Map<string, TopicMessages>()
  for (const record of records) {
    const { topic, partition, value, exact } = record
    const key = exact === undefined ? record.key : exact.key
    let entry = topics.get(topic)
    if (entry === undefined) topics.set(topic, (entry = { topic, messages: [] }))
    entry.messages.push({ partition, key, value, headers: headersOf(record) })
  }
  return [...topics.values()]
}

/** One line of the broker's answer to a produce request. */
export type Acknowledgement = {
  readonly topicName: string
  readonly partition: number
  readonly errorCode: number
  readonly baseOffset?: string
}

/**
 * Highest offset written per partition of one request. kafkajs can resolve without having sent some
 * partitions at all (a leader change during a request to several brokers), so each must be named.
 * @throws PipelineError TEMPORARY_FAILURE naming the first partition without a good answer
 */
export function writtenBy(
  records: readonly OutRecord[],
  answers: readonly Acknowledgement[],
): Map<string, bigint> {
  const counts = new Map<string, number>()
  for (const { topic, partition } of records) {
    const key = partitionKey(topic, partition)
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  const written = new Map<string, bigint>()
  for (const { topicName, partition, errorCode, baseOffset } of answers) {
    const key = partitionKey(topicName, partition)
    const count = counts.get(key)
    const base = BigInt(baseOffset ?? -1)
    if (count === undefined || errorCode !== 0 || base < 0n) continue
    written.set(key, base + BigInt(count) - 1n)
  }
  for (const key of counts.keys()) {
    if (written.has(key)) continue
    const text = `Kafka did not acknowledge the records for ${key}`
    throw new PipelineError('TEMPORARY_FAILURE', 'PUBLISH', text)
  }
  return written
}
