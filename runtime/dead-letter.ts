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

/** Headers that begin so are ours: what a record brings of them from elsewhere is not kept. */
const OURS = 'x-dlq-'
/** Put on a record that is replayed; when it fails again they say where it came from. */
export const REPLAY_HEADERS = ['x-dlq-replay', 'x-dlq-letter', 'x-dlq-repaired'] as const

/** On what a store refused: the name of its sink. */
export const SINK_HEADER = 'x-dlq-sink'

/** How often a record was tried before, as a replayed one says; else 0. */
export function attemptsOf(headers: Headers): number {
  const attempts = Number(headers['x-dlq-attempts'] ?? 0)
  return Number.isSafeInteger(attempts) && attempts > 0 ? attempts : 0
}

/**
 * The record for `exposure.dlq`: same key, value and headers to the byte (if key and headers are
 * at most 1 MiB), plus `x-dlq-*`. `attempts` counts how often the record was tried. A partition of
 * -1 says that it never was on a topic.
 */
export function deadLetter(
  prefix: string,
  record: Omit<KafkaRecord, 'timestampMs'>,
  error: PipelineError,
  attempts: number,
): OutRecord {
  const added = {
    ...replayHeaders(record.headers),
    'x-dlq-reason': error.failure,
    'x-dlq-stage': error.stage,
    'x-dlq-error': describe(error),
    'x-dlq-topic': record.topic,
    'x-dlq-partition': String(record.partition),
    'x-dlq-offset': String(record.offset),
    'x-dlq-attempts': String(attempts),
  }
  return {
    topic: topicName(prefix, 'dlq'),
    partition: partitionOf(record.key, TOPICS.dlq.partitions),
    value: record.value,
    ...(bytesOf(record) > KEY_AND_HEADERS_BYTES_MAX
      ? withoutHeaders(record, added)
      : withHeaders(withoutOurs(record), added)),
  }
}

type KeyAndHeaders = Pick<OutRecord, 'key' | 'headers' | 'exact'>

/** The record's key and headers with more headers behind its own, or in place of some. */
export function withHeaders({ key, headers, exact }: KeyAndHeaders, added: Headers): KeyAndHeaders {
  const text = { key, headers: { ...headers, ...added } }
  if (exact === undefined) return text
  const more = Object.entries(added).map(
    ([name, value]) => [Buffer.from(name), Buffer.from(value)] as const,
  )
  const before = exact.headers.filter(([name]) => !Object.hasOwn(added, name.toString()))
  return { ...text, exact: { key: exact.key, headers: [...before, ...more] } }
}

/** Key and headers as they were before this topic: none of its own headers. */
export function withoutOurs({ key, headers, exact }: KeyAndHeaders): KeyAndHeaders {
  const kept = Object.entries(headers).filter(([name]) => !name.startsWith(OURS))
  const text = { key, headers: Object.fromEntries(kept) }
  if (exact === undefined) return text
  const pairs = exact.headers.filter(([name]) => !name.toString().startsWith(OURS))
  return { ...text, exact: { key: exact.key, headers: pairs } }
}

function replayHeaders(headers: Headers): Headers {
  const known = REPLAY_HEADERS.flatMap((name) => {
    const value = headers[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return Object.fromEntries(known)
}

/** Of headers that would not fit, only their count. */
function withoutHeaders({ key, headers, exact }: KeyAndHeaders, added: Headers): KeyAndHeaders {
  const count = exact?.headers.length ?? Object.keys(headers).length
  const dropped = { 'x-dlq-headers-dropped': String(count), ...added }
  return withHeaders(
    {
      key,
      headers: {},
      ...(exact === undefined ? {} : { exact: { key: exact.key, headers: [] } }),
    },
    dropped,
  )
}

function bytesOf({ key, headers, exact }: KeyAndHeaders): number {
  const parts =
    exact === undefined
      ? [key, ...Object.entries(headers).flat()]
      : [exact.key ?? '', ...exact.headers.flat().map((part) => part ?? '')]
  return parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0)
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
