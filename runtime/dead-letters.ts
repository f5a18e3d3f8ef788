// The dead letters on their topic: which there are, and what has become of each.
import { PipelineError } from '../contracts/errors.ts'
import type { KafkaRecord, OutRecord } from '../contracts/processing.ts'
import { TOPICS, topicName } from '../contracts/topics.ts'
import { z } from 'zod'
import { attemptsOf } from './dead-letter.ts'
import type { LogReader } from './kafka/log-reader.ts'

/** What of a reader is needed here. */
export type LetterLog = Pick<LogReader, 'readToEnd' | 'endOffset'>

/** What has become of a letter; a letter without any of these is open. */
export const FATES = ['replayed', 'quarantined', 'purged'] as const
type FateName = (typeof FATES)[number]
export type Fate = {
  readonly name: FateName
  /** The id of the replay or purge. */
  readonly moveId: string
  readonly atMs: number
}

export type Letter = {
  /** `partition/offset` on the topic of the dead letters: the name of the letter. */
  readonly id: string
  readonly partition: number
  readonly offset: bigint
  readonly atMs: number
  readonly reason: string
  readonly stage: string
  readonly error: string
  /** Where the record was, prefix included; its partition is -1 when it never was on a topic. */
  readonly topic: string
  readonly topicPartition: number
  readonly topicOffset: string
  readonly connection: string | null
  readonly stream: string | null
  readonly attempts: number
  readonly fate: Fate | null
  /** As it lies on the topic. The value is a view: copy what is kept. */
  readonly record: KafkaRecord
}

/** All that are given must hold. */
export type LetterFilter = {
  readonly ids?: ReadonlySet<string> | undefined
  readonly reason?: string | undefined
  readonly stage?: string | undefined
  /** With the prefix or without. */
  readonly topic?: string | undefined
  readonly connection?: string | undefined
  readonly stream?: string | undefined
  /** The whole key. */
  readonly key?: string | undefined
  /** Epoch ms. */
  readonly since?: number | undefined
}

export function matches(letter: Letter, filter: LetterFilter, prefix: string): boolean {
  const { ids, reason, stage, topic, connection, stream, key, since } = filter
  const same = (wanted: string | undefined, found: string | null) =>
    wanted === undefined || wanted === found
  return (
    (ids === undefined || ids.has(letter.id)) &&
    same(reason, letter.reason) &&
    same(stage, letter.stage) &&
    (same(topic, letter.topic) || letter.topic === prefix + topic) &&
    same(connection, letter.connection) &&
    same(stream, letter.stream) &&
    same(key, letter.record.key) &&
    (since === undefined || letter.atMs >= since)
  )
}

/*
 * What becomes of a letter is a record on the same partition, behind the letter: a marker. So it is
 * written in the transaction of the move, and retention, which takes a partition's oldest first,
 * never takes it before the letter.
 */
const MARKER = 'x-dlq-marker'
const markedOffsets = z.object({ offsets: z.array(z.int().min(0)) })

/** Says of letters of one partition what has become of them. */
export function markerRecord(
  prefix: string,
  partition: number,
  offsets: readonly bigint[],
  name: FateName,
  moveId: string,
): OutRecord {
  return {
    topic: topicName(prefix, 'dlq'),
    partition,
    key: '',
    value: Buffer.from(JSON.stringify({ offsets: offsets.map(Number) })),
    headers: { 'content-type': 'application/json', [MARKER]: name, 'x-dlq-replay': moveId },
  }
}

/** A letter always has a reason, and none of its other headers of ours is anybody else's. */
const isLetter = ({ headers }: KafkaRecord): boolean => headers['x-dlq-reason'] !== undefined

/** What has become of the letters of each partition, by offset. */
export type Fates = ReadonlyMap<number, ReadonlyMap<bigint, Fate>>

/** One pass over the topic; of each letter that is not open it keeps the offset and a reference. */
export async function readFates(reader: LetterLog, prefix: string): Promise<Fates> {
  const fates = new Map<number, Map<bigint, Fate>>()
  for (let partition = 0; partition < TOPICS.dlq.partitions; partition++) {
    const known = new Map<bigint, Fate>()
    fates.set(partition, known)
    await reader.readToEnd(topicName(prefix, 'dlq'), partition, (record) => {
      for (const [offset, fate] of marked(record)) known.set(offset, fate)
    })
  }
  return fates
}

/** What a record says of letters before it; nothing when it is no marker that can be read. */
function marked(record: KafkaRecord): (readonly [bigint, Fate])[] {
  const { headers, value, timestampMs } = record
  const name = FATES.find((fate) => fate === headers[MARKER])
  if (name === undefined || isLetter(record) || value === null) return []
  const fate = { name, moveId: headers['x-dlq-replay'] ?? '', atMs: timestampMs }
  try {
    const { offsets } = markedOffsets.parse(JSON.parse(value.toString()))
    return offsets.map((offset) => [BigInt(offset), fate] as const)
  } catch (cause) {
    // To pass it over would move again what it says was moved.
    const place = `${record.topic}/${record.partition} at ${record.offset}`
    const message = `the marker on ${place} cannot be read: somebody else has written it`
    throw new PipelineError('INVALID_RESPONSE', 'PARSE', message, { cause })
  }
}

/** One letter, or null when none lies there (any more). Its value is a copy. */
export async function readLetter(
  reader: LetterLog,
  prefix: string,
  partition: number,
  offset: bigint,
): Promise<Letter | null> {
  const topic = topicName(prefix, 'dlq')
  if ((await reader.endOffset(topic, partition)) <= offset) return null
  const found: KafkaRecord[] = []
  const fates = new Map<bigint, Fate>()
  const onRecord = (record: KafkaRecord) => {
    if (record.offset === offset && isLetter(record)) {
      found.push({ ...record, value: record.value && Buffer.from(record.value) })
    }
    for (const [at, fate] of marked(record)) if (at === offset) fates.set(at, fate)
  }
  await reader.readToEnd(topic, partition, onRecord, { from: offset })
  const [record] = found
  return record === undefined ? null : letterOf(record, new Map([[partition, fates]]))
}

export type ReadLetters = {
  readonly fates: Fates
  readonly onLetter: (letter: Letter) => void
  /** After each fetch, while the next is on its way; what it throws ends the reading. */
  readonly onFetch?: () => Promise<void>
}

/**
 * Hands over every letter, partition by partition in order, whatever has become of it. Resolves
 * with where each partition ended when its reading began.
 */
export async function readLetters(
  reader: LetterLog,
  prefix: string,
  { fates, onLetter, onFetch }: ReadLetters,
): Promise<Map<number, bigint>> {
  const ends = new Map<number, bigint>()
  for (let partition = 0; partition < TOPICS.dlq.partitions; partition++) {
    const { end } = await reader.readToEnd(
      topicName(prefix, 'dlq'),
      partition,
      (record) => {
        if (isLetter(record)) onLetter(letterOf(record, fates))
      },
      onFetch === undefined ? {} : { onFetch },
    )
    ends.set(partition, end)
  }
  return ends
}

function letterOf(record: KafkaRecord, fates: Fates): Letter {
  const { partition, offset, timestampMs: atMs, headers, key } = record
  const said = (name: string): string => headers[`x-dlq-${name}`] ?? ''
  // What a damaged record does not say in its headers, its key may.
  const [connection, stream] = key.includes('|') ? key.split('|') : []
  return {
    id: `${partition}/${offset}`,
    partition,
    offset,
    atMs,
    reason: said('reason'),
    stage: said('stage'),
    error: said('error'),
    topic: said('topic'),
    topicPartition: Number(said('partition') || -1),
    topicOffset: said('offset'),
    connection: headers['x-connection'] ?? connection ?? null,
    stream: headers['x-stream'] ?? stream ?? null,
    attempts: attemptsOf(headers),
    fate: fates.get(partition)?.get(offset) ?? null,
    record,
  }
}

/** A topic's name without the prefix. */
export const bareTopic = (prefix: string, topic: string): string =>
  topic.startsWith(prefix) ? topic.slice(prefix.length) : topic
