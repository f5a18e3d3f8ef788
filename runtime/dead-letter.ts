// Dead letters: a record that cannot be processed, byte for byte, with the reason in its headers.
import type { Headers } from '../contracts/envelope.ts'
import type { PipelineError } from '../contracts/errors.ts'
import { partitionOf } from '../contracts/placement.ts'
import type { KafkaRecord, OutRecord } from '../contracts/processing.ts'
import { TOPICS, topicName } from '../contracts/topics.ts'

const ERROR_BYTES_MAX = 1_000
/** What the topic leaves beside the largest unit is twice this. */
const KEY_AND_HEADERS_BYTES_MAX = 1024 * 1024

/** What messages of drivers and proxies are known to carry. Ours hold no secret to begin with. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/(\w+:\/\/)[^\s/@]+@/g, '$1***@'],
  [/\b(bearer|basic)\s+[\w.~+/=-]+/gi, '$1 ***'],
  [/((?:password|passwd|secret|token|api[-_]?key|authorization)["']?\s*[=:]\s*)\S+/gi, '$1***'],
]

/**
 * The record for `exposure.dlq`: same key, value and headers (if key and headers are at most
 * 1 MiB), plus `x-dlq-*`. `attempts` counts how often the record was tried. A partition of -1
 * says that it never was on a topic.
 */
export function deadLetter(
  prefix: string,
  record: Omit<KafkaRecord, 'timestampMs'>,
  error: PipelineError,
  attempts: number,
): OutRecord {
  return {
    topic: topicName(prefix, 'dlq'),
    partition: partitionOf(record.key, TOPICS.dlq.partitions),
    key: record.key,
    value: record.value,
    headers: {
      ...keptHeaders(record),
      'x-dlq-reason': error.failure,
      'x-dlq-stage': error.stage,
      'x-dlq-error': describe(error),
      'x-dlq-topic': record.topic,
      'x-dlq-partition': String(record.partition),
      'x-dlq-offset': String(record.offset),
      'x-dlq-attempts': String(attempts),
    },
  }
}

/** The record's own headers; of those that would not fit only the count. */
function keptHeaders({ key, headers }: Pick<KafkaRecord, 'key' | 'headers'>): Headers {
  const texts = [key, ...Object.entries(headers).flat()]
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  if (bytes <= KEY_AND_HEADERS_BYTES_MAX) return headers
  return { 'x-dlq-headers-dropped': String(Object.keys(headers).length) }
}

/** Message and violations, at most 1 kB of UTF-8, nothing that looks like a secret. */
function describe(error: PipelineError): string {
  const text = [error.message, ...(error.details.violations ?? [])].join('; ')
  const safe = SECRETS.reduce((kept, [pattern, mask]) => kept.replace(pattern, mask), text)
  const bytes = Buffer.from(safe)
  if (bytes.length <= ERROR_BYTES_MAX) return safe
  // A character cut in half at the end would decode as a replacement character.
  return bytes
    .subarray(0, ERROR_BYTES_MAX)
    .toString()
    .replace(/\ufffd+$/, '')
}
