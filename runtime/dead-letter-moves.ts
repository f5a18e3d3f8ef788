// Moves dead letters: back to where they came from, to quarantine, or out of sight. Each once.
import { controlOf, runIdOf, streamKey } from '../contracts/envelope.ts'
import type { OutRecord } from '../contracts/processing.ts'
import { rawTopic, VENDORS, topicName } from '../contracts/topics.ts'
import { randomInt } from 'node:crypto'
import { type Progress, loadProgress } from './checkpoint.ts'
import { type KnownConnection, isSwitchedOff, loadConnections } from './connections.ts'
import { withHeaders, withoutOurs } from './dead-letter.ts'
import {
  type Letter,
  type LetterFilter,
  bareTopic,
  markerRecord,
  matches,
  readFates,
  readLetters,
} from './dead-letters.ts'
import { openAdmin } from './kafka/admin.ts'
import { createKafka } from './kafka/client.ts'
import { type LogReader, openLogReader } from './kafka/log-reader.ts'
import { type Session, openSession } from './kafka/session.ts'
import type { KafkaSettings } from './kafka/types.ts'
import type { Logger } from './log.ts'

/** A record that was tried so often goes to quarantine instead of being tried again. */
export const ATTEMPTS_MAX = 5
/** Letters moved in one transaction; what one fetch brings may be cut into several. */
const BATCH_LETTERS_MAX = 500
/** A session that died holds up readers of the raw topics for so long, or until the next move. */
const TRANSACTION_TIMEOUT_MS = 30_000

export type MoveOptions = {
  readonly settings: KafkaSettings
  readonly log: Logger
  readonly filter: LetterFilter
  readonly dryRun: boolean
  /** Told of each letter that matches and is open, after it was moved or refused. */
  readonly onLetter: (letter: Letter, move: Move) => void
}

/** What parts of a record are replaced before it is replayed. */
export type Repair = {
  readonly value?: Buffer | undefined
  readonly key?: string | undefined
  /** By name; null takes the header away. */
  readonly headers: ReadonlyMap<string, string | null>
}

export type ReplayOptions = MoveOptions & {
  readonly attemptsMax: number
  /** Null where a letter is replayed as it is. */
  readonly repairOf: (letter: Letter) => Repair | null
}

export type Move =
  | { readonly kind: 'replay'; readonly record: OutRecord }
  | { readonly kind: 'quarantine'; readonly record: OutRecord }
  | { readonly kind: 'purge' }
  | { readonly kind: 'refuse'; readonly why: string }

export type Moved = {
  readonly moveId: string
  readonly replayed: number
  readonly quarantined: number
  readonly purged: number
  readonly refused: number
}

/**
 * Puts every open letter that matches back to the topic and partition it came from, in one
 * transaction with the marker that says so; letters of what is polled no more stay.
 * @throws PipelineError; what was moved by then stays so
 */
export function replayLetters(options: ReplayOptions): Promise<Moved> {
  const { prefix } = options.settings
  const { attemptsMax, repairOf } = options
  return moveLetters(options, async (reader) => {
    const readToEnd = reader.readToEnd.bind(reader)
    const known = await loadConnections(prefix, readToEnd)
    const unread = unreadStreams(known, await loadProgress(prefix, readToEnd))
    return (letter, moveId) =>
      replayOf(letter, prefix, moveId, { attemptsMax, unread, repair: repairOf(letter) })
  })
}

/**
 * Marks every open letter that matches as purged, and deletes from each partition what lies before
 * the first letter that is open. @throws PipelineError; what was purged by then stays so
 */
export async function purgeLetters(options: MoveOptions): Promise<Moved> {
  const { settings, log, filter, dryRun } = options
  const firstOpen = new Map<number, bigint>()
  let ends: ReadonlyMap<number, bigint> = new Map()
  const moved = await moveLetters(
    {
      ...options,
      onEvery(letter) {
        const leaves = letter.fate !== null || matches(letter, filter, settings.prefix)
        const { partition, offset } = letter
        if (!leaves && !firstOpen.has(partition)) firstOpen.set(partition, offset)
      },
      onEnds: (found) => (ends = found),
    },
    async () => () => ({ kind: 'purge' }),
  )
  if (dryRun) return moved
  const topic = topicName(settings.prefix, 'dlq')
  const admin = await openAdmin(settings, log)
  try {
    const before = [...ends].map(([p, end]) => [p, firstOpen.get(p) ?? end] as const)
    await admin.deleteRecords(topic, new Map(before))
  } finally {
    await admin.close()
  }
  return moved
}

type Passing = MoveOptions & {
  readonly onEvery?: (letter: Letter) => void
  readonly onEnds?: (ends: ReadonlyMap<number, bigint>) => void
}

type MoveOf = (letter: Letter, moveId: string) => Move
type Begin = (reader: LogReader) => Promise<MoveOf>

/**
 * Fence, then read: whoever moved letters before has been decided, and nobody else moves any until
 * this is done or fenced in its turn.
 */
async function moveLetters(options: Passing, begin: Begin): Promise<Moved> {
  const { settings, log, dryRun } = options
  const reader = openLogReader(settings, log)
  let session: Session | null = null
  try {
    if (!dryRun) {
      session = await openSession(createKafka(settings, 'exposure-dlq', log), {
        transactionalId: `${settings.prefix}dlq`,
        transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
      })
    }
    return await moveAll(options, await begin(reader), reader, session)
  } finally {
    await session?.close()
    await reader.close()
  }
}

async function moveAll(
  options: Passing,
  moveOf: MoveOf,
  reader: LogReader,
  session: Session | null,
): Promise<Moved> {
  const { filter, onLetter, onEvery } = options
  const { prefix } = options.settings
  const moveId = runIdOf(Date.now(), randomInt(0xffffff))
  const counts = { replay: 0, quarantine: 0, purge: 0, refuse: 0 }
  /** What the fetch at hand brought; committed before the one after it is decoded. */
  let pending: [Letter, Move][] = []
  const flush = async () => {
    const moves = pending
    pending = []
    for (let start = 0; start < moves.length; start += BATCH_LETTERS_MAX) {
      const batch = moves.slice(start, start + BATCH_LETTERS_MAX)
      await session?.commit({ outputs: outputsOf(batch, prefix, moveId) })
      for (const [letter, move] of batch) {
        counts[move.kind] += 1
        onLetter(letter, move)
      }
    }
  }
  const ends = await readLetters(reader, prefix, {
    fates: await readFates(reader, prefix),
    onLetter(letter) {
      onEvery?.(letter)
      if (letter.fate !== null || !matches(letter, filter, prefix)) return
      pending.push([letter, moveOf(letter, moveId)])
    },
    onFetch: flush,
  })
  await flush()
  options.onEnds?.(ends)
  const { replay: replayed, quarantine: quarantined, purge: purged, refuse: refused } = counts
  return { moveId, replayed, quarantined, purged, refused }
}

const FATE_OF = { replay: 'replayed', quarantine: 'quarantined', purge: 'purged' } as const

/** The records moved, in the order of the letters, and behind them what says that they were. */
function outputsOf(
  batch: readonly (readonly [Letter, Move])[],
  prefix: string,
  moveId: string,
): OutRecord[] {
  const outputs: OutRecord[] = []
  const marks = new Map<string, { partition: number; kind: keyof typeof FATE_OF; of: bigint[] }>()
  for (const [{ partition, offset }, move] of batch) {
    if (move.kind === 'refuse') continue
    if (move.kind !== 'purge') outputs.push(move.record)
    const name = `${partition} ${move.kind}`
    const mark = marks.get(name) ?? { partition, kind: move.kind, of: [] }
    marks.set(name, mark)
    mark.of.push(offset)
  }
  for (const { partition, kind, of } of marks.values()) {
    outputs.push(markerRecord(prefix, partition, of, FATE_OF[kind], moveId))
  }
  return outputs
}

/** Why no run of the stream is to come; null: one may. */
export type UnreadStream = (connection: string, stream: string) => string | null

export function unreadStreams(
  known: readonly KnownConnection[],
  { checkpoints }: Pick<Progress, 'checkpoints'>,
): UnreadStream {
  const definitions = new Map(known.map(({ name, definition }) => [name, definition]))
  return (connection, stream) => {
    const definition = definitions.get(connection)
    if (definition === undefined) return `there is no connection ${connection}`
    const name = `${stream} of ${connection}`
    if (definition !== null && isSwitchedOff(definition, stream)) return `${name} is switched off`
    const { withdrawnAtMs } = checkpoints.get(streamKey({ connection, stream })) ?? {}
    return withdrawnAtMs === undefined ? null : `${name} was taken back for a better stream`
  }
}

export type ReplayRules = {
  readonly attemptsMax: number
  readonly unread: UnreadStream
  readonly repair: Repair | null
}

/** Where the letter goes, or why it stays. */
export function replayOf(
  letter: Letter,
  prefix: string,
  moveId: string,
  { attemptsMax, unread, repair }: ReplayRules,
): Move {
  const original = withoutOurs(letter.record)
  const repaired = repair === null ? original : repairedParts(original, repair)
  const why = refusal(letter, prefix, repaired.headers, unread)
  if (why !== null) return { kind: 'refuse', why }
  const came = { 'x-dlq-replay': moveId, 'x-dlq-letter': letter.id }
  if (letter.attempts >= attemptsMax) {
    const { key, headers, exact, value } = letter.record
    const whole = { key, headers, ...(exact === undefined ? {} : { exact }) }
    const { partition } = letter
    const topic = topicName(prefix, 'quarantine')
    return { kind: 'quarantine', record: { topic, partition, value, ...withHeaders(whole, came) } }
  }
  const { topic, topicPartition: partition } = letter
  const added = { ...came, ...repairHeader(repair), 'x-dlq-attempts': String(letter.attempts) }
  const value = repair?.value ?? letter.record.value
  return {
    kind: 'replay',
    record: { topic, partition, value, ...withHeaders(repaired, added) },
  }
}

/** Why a letter is not replayed; null when it is. */
function refusal(
  letter: Letter,
  prefix: string,
  headers: Readonly<Record<string, string>>,
  unread: UnreadStream,
): string | null {
  const { topic, topicPartition, record } = letter
  if (topicPartition < 0) {
    return 'it never was on a topic: the next run of its stream reads it from the vendor again'
  }
  const raw = VENDORS.map(rawTopic)
  const origin = raw.find(({ name }) => prefix + name === topic)
  if (origin === undefined) {
    const outOfOrder = `on ${bareTopic(prefix, topic)} it would be out of order`
    return `only raw records are replayed: ${outOfOrder} (docs/dead-letters.md: letters of a sink)`
  }
  if (!Number.isSafeInteger(topicPartition) || topicPartition >= origin.partitions) {
    return `${topic} has no partition ${topicPartition}`
  }
  if (record.headers['x-dlq-headers-dropped'] !== undefined) {
    return 'its headers were too large to be kept'
  }
  const control = controlOf(headers)
  if (control !== null) {
    const again = 'the next run, or the order given again, says it anew'
    return `it is the control record "${control}": ${again}`
  }
  const { 'x-connection': connection, 'x-stream': stream = '' } = headers
  // Without a run of the stream nothing would ever close what the record brings.
  const why = connection === undefined ? null : unread(connection, stream)
  return why === null ? null : `${why}: nothing would ever close what it shows`
}

type Parts = Pick<OutRecord, 'key' | 'headers' | 'exact'>

/** What is replaced is text; the rest stays as it is, to the byte. */
function repairedParts({ key, headers, exact }: Parts, repair: Repair): Parts {
  const kept = Object.entries(headers).filter(([name]) => !repair.headers.has(name))
  const set = [...repair.headers].flatMap(([name, value]) =>
    value === null ? [] : [[name, value] as const],
  )
  const text = {
    key: repair.key ?? key,
    headers: Object.fromEntries([...kept, ...set]),
  }
  if (exact === undefined) return text
  const pairs = exact.headers.filter(([name]) => !repair.headers.has(name.toString()))
  const more = set.map(([name, value]) => [Buffer.from(name), Buffer.from(value)] as const)
  const exactKey = repair.key === undefined ? exact.key : Buffer.from(repair.key)
  return { ...text, exact: { key: exactKey, headers: [...pairs, ...more] } }
}

function repairHeader(repair: Repair | null): Record<string, string> {
  if (repair === null) return {}
  const parts = [
    ...(repair.value === undefined ? [] : ['value']),
    ...(repair.key === undefined ? [] : ['key']),
    ...repair.headers.keys(),
  ]
  return { 'x-dlq-repaired': parts.join(',') }
}
