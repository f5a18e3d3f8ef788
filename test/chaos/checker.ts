// After a seed: the topics as a stranger reads them and the database, against the whole truth.
import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { Truth } from '../../simulator/truth.ts'
import type { Arena } from './arena.ts'
import {
  type EventLine,
  byKey,
  checkFinal,
  checkJustified,
  checkLegal,
  checkWanted,
  presenceOf,
  type OfStream,
} from './check-events.ts'
import { checkRaw } from './check-raw.ts'
import { FOLLOWED } from './compaction.ts'
import { Problems } from './problems.ts'
import { CHECKED_TOPICS } from './progress.ts'
import { type Events, referenceEvents } from './reference.ts'
import { type Line, type Lines, readTopics } from './topics.ts'

/** Longer than events are kept from it, and the cleaner takes for a round. */
const COMPACTED_WITHIN_MS = 9_000
const COMPACTED_POLL_MS = 1_500

export type Checked = {
  readonly problems: readonly string[]
  readonly eventsWanted: number
  readonly eventsGot: number
  /** Events that were there once, and are no more. */
  readonly compactedAway: number
  /** Of exposure.runs. */
  readonly runs: readonly Line[]
}

/** Every promise that the topics and the store have to keep once all is quiet. */
export async function check(arena: Arena): Promise<Checked> {
  const { stack, prefix, simulator } = arena
  const problems = new Problems()
  const history = await arena.recorder.finish()
  const compactedAway = checkLeft(history, await compacted(arena, history), problems)
  const lines = { ...(await readTopics(stack, prefix, CHECKED_TOPICS)), ...history }
  const raw = [...lines.rawPrismaCloud, ...lines.rawCortex]
  checkRaw(raw, lines.checkpoints, lines.runs, problems)

  const assets = byKey(lines.assets as EventLine[], problems)
  const findings = byKey(lines.findings as EventLine[], problems)
  const all = new Map([...assets, ...findings])
  const topics = [lines.rawPrismaCloud, lines.rawCortex]
  const wanted = topics.map((records) => referenceEvents(records, arena.fuse))
  checkWanted(all, wantedByKey(wanted), problems)
  checkLegal(all, problems)
  checkFollowed(arena, problems)

  const isOn = onIn(arena)
  const past = simulator.history()
  if (past === null) throw new TypeError('the simulator of an arena keeps its history')
  checkJustified(all, presenceOf(past, isOn), problems)
  checkFinal(assets, findings, shown(simulator.truth(), isOn), problems)
  await checkStore(arena, assets, findings, problems)
  for (const { key, headers } of lines.dlq) {
    problems.add('a dead letter', `${key} ${headers['x-dlq-reason'] ?? ''}`)
  }
  return {
    problems: problems.list(),
    eventsWanted: wanted.reduce((sum, of) => sum + of.assets.length + of.findings.length, 0),
    eventsGot: lines.assets.length + lines.findings.length,
    compactedAway,
    runs: lines.runs,
  }
}

type EventLines = Lines<(typeof FOLLOWED)[number]>

/** Not a promise of the product: what its reader has missed would look like what never was. */
function checkFollowed({ recorder, followedLagMs }: Arena, problems: Problems): void {
  const behindMs = recorder.behindMs()
  if (problems.list().length === 0 || followedLagMs === null || behindMs < followedLagMs) return
  problems.add('the history may have holes', `its reader was ${behindMs} ms behind`)
}

const countOf = (lines: EventLines): number => lines.assets.length + lines.findings.length

/** What stands on the topics once compaction has had its time, where there is any. */
async function compacted(
  { stack, prefix, followedLagMs }: Arena,
  history: EventLines,
): Promise<EventLines> {
  const deadlineMs = Date.now() + COMPACTED_WITHIN_MS
  for (;;) {
    const left = await readTopics(stack, prefix, FOLLOWED)
    const isTaken = countOf(left) < countOf(history)
    if (followedLagMs === null || isTaken || Date.now() > deadlineMs) return left
    await pause(COMPACTED_POLL_MS)
  }
}

/**
 * Compaction may take what is not the last of its key, and no more: who reads what it has left
 * knows the same. Returns how much it has taken.
 */
function checkLeft(history: EventLines, left: EventLines, problems: Problems): number {
  for (const topic of FOLLOWED) {
    const place = ({ partition, offset }: Line) => `${topic} ${partition}/${offset}`
    const last = new Map(history[topic].map((line) => [line.key, line]))
    const there = new Map(left[topic].map((line) => [place(line), line]))
    for (const [key, line] of last) {
      // A tombstone may have gone as well.
      const stands = line.value === null || isDeepStrictEqual(there.get(place(line)), line)
      problems.expect(stands, 'compaction took the last of a key', () => `${topic} ${key}`)
    }
    const known = new Set(history[topic].map(place))
    for (const line of left[topic]) {
      problems.expect(known.has(place(line)), 'the history has a hole', () => place(line))
    }
  }
  return countOf(history) - countOf(left)
}

/** Events of several logs by their keys. */
export function wantedByKey(wanted: readonly Events[]): Map<string, (Asset | Finding)[]> {
  const assets = wanted.flatMap((of) => of.assets)
  const findings = wanted.flatMap((of) => of.findings)
  return new Map<string, (Asset | Finding)[]>([
    ...Map.groupBy(assets, ({ asset_uid }) => asset_uid),
    ...Map.groupBy(findings, ({ finding_uid }) => finding_uid),
  ])
}

const CONNECTION_OF = { 'sim-alpha': 'alpha', 'sim-beta': 'beta' } as const

/** Whether a stream of a tenant is read by this arena. */
export function onIn({ streams }: Pick<Arena, 'streams'>): (of: OfStream) => boolean {
  return ({ tenant, stream }) => {
    const connection = CONNECTION_OF[tenant as keyof typeof CONNECTION_OF] ?? 'prisma'
    return streams[connection]?.includes(stream) ?? false
  }
}

const shown = (truth: Truth, isOn: (of: OfStream) => boolean) => ({
  assets: truth.assets.filter(isOn),
  findings: truth.findings.filter(isOn),
})

/** The tables hold the last event of every key, and no other. */
export async function checkStore(
  { query }: Arena,
  assets: ReadonlyMap<string, readonly (Asset | Finding)[]>,
  findings: ReadonlyMap<string, readonly (Asset | Finding)[]>,
  problems: Problems,
): Promise<void> {
  const tables = [
    ['asset', assets],
    ['finding', findings],
  ] as const
  for (const [table, events] of tables) {
    const rows = await query<{ key: string; event_id: string }>(
      `select ${table}_uid as key, event_id from exposure.${table}`,
    )
    const stored = new Map(rows.map(({ key, event_id }) => [key, event_id]))
    for (const [key, of] of events) {
      const last = of.at(-1)?.meta.event_id
      const holds = stored.get(key) === last
      problems.expect(holds, 'the store is not at the last event', () => `${table} ${key}`)
    }
    for (const key of stored.keys()) {
      problems.expect(events.has(key), 'the store has what no event told', () => `${table} ${key}`)
    }
  }
}
