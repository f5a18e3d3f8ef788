// What `exposure replay raw` waits for and counts: runs, consumed offsets, events that came out.
import { setTimeout as sleep } from 'node:timers/promises'
import { replayOf } from '../contracts/envelope.ts'
import { PipelineError } from '../contracts/errors.ts'
import { type KafkaRecord, partitionKey } from '../contracts/processing.ts'
import { topicName } from '../contracts/topics.ts'
import type { Codecs, Decoded } from '../runtime/codecs.ts'
import type { Admin } from '../runtime/kafka/admin.ts'
import type { LogReader } from '../runtime/kafka/log-reader.ts'
import { transformerGroup } from '../transformers/main.ts'
import type { Replay } from './replay.ts'
import { readSteps } from './run-story.ts'

const POLL_MS = 200
/** Transformers that do not move for so long are not running, or are in trouble. */
const STALL_MS = 120_000

type Named = Pick<Replay, 'settings' | 'connection' | 'stream' | 'vendor' | 'signal'>

/** The newest run whose listing was whole. @throws PipelineError when there is none */
export async function latestCompleteRun(
  reader: LogReader,
  codecs: Codecs,
  { settings, connection, stream }: Named,
): Promise<string> {
  let latest = ''
  await readSteps(reader, codecs, settings.prefix, { connection, stream }, ({ run }) => {
    if (run.phase !== 'FETCHED' || run.verdict !== 'COMPLETE') return
    if (run.run_id > latest) latest = run.run_id
  })
  if (latest !== '') return latest
  const text = `no COMPLETE run of ${stream} of ${connection} is known`
  throw new PipelineError('MISSING_DATA', 'FETCH', text, {
    remediation: 'Name the run to begin with: --from RUN (exposure.runs has them).',
  })
}

export const eventTopicsOf = (prefix: string): string[] =>
  (['assets', 'findings', 'vulnerabilities'] as const).map((topic) => topicName(prefix, topic))

export type Ends = ReadonlyMap<string, { topic: string; partition: number; end: bigint }>

/** Where each partition of these topics ends now. */
export async function endsOf(reader: LogReader, topics: readonly string[]): Promise<Ends> {
  const ends = new Map<string, { topic: string; partition: number; end: bigint }>()
  for (const topic of topics) {
    for (const partition of await reader.partitions(topic)) {
      const end = await reader.endOffset(topic, partition)
      ends.set(partitionKey(topic, partition), { topic, partition, end })
    }
  }
  return ends
}

/**
 * Resolves when the transformers have read past these offsets.
 * @throws PipelineError TEMPORARY_FAILURE when they stand still for STALL_MS
 */
export async function passed(
  admin: Admin,
  { settings, vendor, signal }: Named,
  rawTopic: string,
  targets: ReadonlyMap<number, bigint>,
  published: number,
): Promise<void> {
  const group = transformerGroup(settings.prefix, vendor)
  let before = -1n
  let movedAtMs = Date.now()
  for (;;) {
    const committed = await admin.committedOffsets(group, rawTopic)
    const open = [...targets].filter(([p, offset]) => (committed.get(p) ?? 0n) <= offset)
    if (open.length === 0) return
    const sum = [...committed.values()].reduce<bigint>(
      (total, offset) => total + (offset ?? 0n),
      0n,
    )
    if (sum !== before) movedAtMs = Date.now()
    before = sum
    if (Date.now() - movedAtMs > STALL_MS) {
      const text = `${published} records are written again, but ${vendor} transformers stand still`
      throw new PipelineError('TEMPORARY_FAILURE', 'NORMALIZE', text, {
        remediation: 'Start `exposure run transformers`: they go on with these by themselves.',
      })
    }
    await sleep(POLL_MS, undefined, { signal })
  }
}

/** Events behind which a record of this replay stands, since the topics ended at `before`. */
export async function eventsSince(
  reader: LogReader,
  codecs: Codecs,
  before: Ends,
  replayId: string,
  rawTopic: string,
): Promise<number> {
  const written = new Set<string>()
  for (const { topic, partition, end } of before.values()) {
    if (topic !== rawTopic) continue
    const note = ({ headers, offset }: KafkaRecord) => {
      if (replayOf(headers) === replayId) written.add(`${partition}/${offset}`)
    }
    await reader.readToEnd(topic, partition, note, { from: end })
  }
  let events = 0
  for (const { topic, partition, end } of before.values()) {
    if (topic === rawTopic) continue
    const place = { topic, partition, from: end }
    await readDecoded(reader, codecs, place, ({ value }) => {
      if (!('meta' in value)) return
      const { raw_topic, raw_partition, raw_offset } = value.meta.source
      if (raw_topic === rawTopic && written.has(`${raw_partition}/${raw_offset}`)) events += 1
    })
  }
  return events
}

type Place = { readonly topic: string; readonly partition: number; readonly from: bigint }

/** Values of one partition, decoded fetch by fetch. */
async function readDecoded(
  reader: LogReader,
  codecs: Codecs,
  { topic, partition, from }: Place,
  onValue: (decoded: Decoded) => void,
): Promise<void> {
  const values: Buffer[] = []
  const keep = ({ value }: KafkaRecord) => {
    if (value !== null) values.push(Buffer.from(value))
  }
  const onFetch = async () => {
    for (const value of values.splice(0)) onValue(await codecs.decodeAny(value))
  }
  await reader.readToEnd(topic, partition, keep, { from, onFetch })
}
