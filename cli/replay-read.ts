// The reading part of `exposure replay raw`: one raw partition, each unit's newest record once.
import { controlOf, parseRawFacts, rawKey } from '../contracts/envelope.ts'
import type { KafkaRecord } from '../contracts/processing.ts'
import { rawTopic, stateTopic } from '../contracts/topics.ts'
import { MAPPING_VERSION } from '../transformers/mapping-version.ts'
import { LifecycleStore } from '../transformers/lifecycle/state.ts'
import { type Reading, createReplay } from '../transformers/replay.ts'
import { transformerGroup } from '../transformers/main.ts'
import type { Replay } from './replay.ts'
import { type ReplayTotals, addTo } from './replay-report.ts'

export type { Reading } from '../transformers/replay.ts'

/** Decoded records of one fetch are held at one time: less than the reader's usual. */
const FETCH_BYTES_MAX = 1024 * 1024
/** Clocks of producers and brokers may differ by so much. */
const CLOCK_SLACK_MS = 3_600_000

export type Taking = {
  /** A record and what it says; its bytes are a view, to be copied when kept. */
  readonly onRecord: (record: KafkaRecord, reading: Reading) => void
  readonly onFetch: () => Promise<void>
}

/**
 * Only records that the transformers have passed: what is behind comes to this build anyway, and
 * state that lags would show the vendor's changes as ours. So the offset is read before the state.
 */
export async function readPartition(
  replay: Replay,
  partition: number,
  totals: ReplayTotals,
  taking: Taking | null = null,
): Promise<void> {
  const { settings, admin, reader, vendor, codecs, transformer } = replay
  const raw = settings.prefix + rawTopic(vendor).name
  const group = transformerGroup(settings.prefix, vendor)
  const done = (await admin.committedOffsets(group, raw)).get(partition) ?? 0n
  const from = await reader.offsetAt(raw, partition, startOf(replay.runId) - CLOCK_SLACK_MS)
  const newest = await newestOffsets(replay, raw, partition, from, done)
  if (newest.size === 0) return
  const store = new LifecycleStore()
  const state = settings.prefix + stateTopic(vendor).name
  const load = ({ key, value }: KafkaRecord) => store.load(key, value)
  await reader.readToEnd(state, partition, load, { onFetch: stopped(replay) })
  const read = createReplay(store, {
    prefix: settings.prefix,
    mappingVersion: MAPPING_VERSION,
    transformer,
    encode: {
      asset: (value) => codecs.encode('assets', value),
      finding: (value) => codecs.encode('findings', value),
      vulnerability: (value) => codecs.encode('vulnerabilities', value),
      run: (value) => codecs.encode('runs', value),
    },
  })
  const onRecord = (record: KafkaRecord) => {
    if (!newest.delete(record.offset)) return
    const reading = read(record)
    account(replay, record, reading, totals)
    taking?.onRecord(record, reading)
  }
  const onFetch = async () => {
    await stopped(replay)()
    await taking?.onFetch()
  }
  await reader.readToEnd(raw, partition, onRecord, {
    from,
    onFetch,
    fetchBytesMax: FETCH_BYTES_MAX,
  })
}

/** Offsets of the newest sight of each unit; of equal ones the one written last. */
async function newestOffsets(
  replay: Replay,
  raw: string,
  partition: number,
  from: bigint,
  done: bigint,
): Promise<Set<bigint>> {
  const newest = new Map<string, { offset: bigint; fetchedAtMs: number }>()
  const note = ({ offset, headers, key }: KafkaRecord) => {
    if (offset >= done || !isOurs(replay, headers)) return
    const fetchedAtMs = fetchedAtOf(headers, key)
    const known = newest.get(key)
    if (fetchedAtMs === null || (known !== undefined && known.fetchedAtMs > fetchedAtMs)) return
    newest.set(key, { offset, fetchedAtMs })
  }
  await replay.reader.readToEnd(raw, partition, note, { from, onFetch: stopped(replay) })
  return new Set([...newest.values()].map(({ offset }) => offset))
}

const isOurs = (replay: Replay, headers: KafkaRecord['headers']): boolean =>
  controlOf(headers) === null &&
  headers['x-connection'] === replay.connection &&
  headers['x-stream'] === replay.stream &&
  (headers['x-run-id'] ?? '') >= replay.runId

/** Null: damaged. It is a dead letter, and never was the sight of a unit. */
function fetchedAtOf(headers: KafkaRecord['headers'], key: string): number | null {
  try {
    const facts = parseRawFacts(headers)
    return rawKey(facts) === key ? facts.fetchedAtMs : null
  } catch {
    return null
  }
}

/** The start of a run, in ms, from its id. */
const startOf = (runId: string): number => Number(runId.slice(0, runId.indexOf('-')))

const stopped = (replay: Replay) => async (): Promise<void> => replay.signal.throwIfAborted()

function account(
  { report }: Replay,
  { headers }: KafkaRecord,
  reading: Reading,
  totals: ReplayTotals,
): void {
  const unit = headers['x-unit'] ?? ''
  totals.units += 1
  addTo(totals.outcomes, reading.outcome)
  if (reading.outcome === 'unreadable') report.unreadable(unit, reading.error.message)
  if (reading.outcome !== 'changed') return
  if (reading.versionStands) totals.versionStands += 1
  for (const difference of reading.differences) {
    totals.entities += 1
    for (const { path } of difference.fields) addTo(totals.fields, `${difference.kind}.${path}`)
    report.difference(unit, difference)
  }
}
