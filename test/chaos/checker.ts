// After a seed: the topics as a stranger reads them and the database, against the whole truth.
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
import { Problems } from './problems.ts'
import { CHECKED_TOPICS } from './progress.ts'
import { type Events, referenceEvents } from './reference.ts'
import { type Line, readTopics } from './topics.ts'

export type Checked = {
  readonly problems: readonly string[]
  readonly eventsWanted: number
  readonly eventsGot: number
  readonly deadLetters: readonly Line[]
  /** Of exposure.runs. */
  readonly runs: readonly Line[]
}

/** Every promise that the topics and the store have to keep once all is quiet. */
export async function check(arena: Arena): Promise<Checked> {
  const { stack, prefix, simulator } = arena
  const problems = new Problems()
  const lines = await readTopics(stack, prefix, CHECKED_TOPICS)
  const raw = [...lines.rawPrismaCloud, ...lines.rawCortex]
  checkRaw(raw, lines.checkpoints, lines.runs, problems)

  const assets = byKey(lines.assets as EventLine[], problems)
  const findings = byKey(lines.findings as EventLine[], problems)
  const all = new Map([...assets, ...findings])
  const topics = [lines.rawPrismaCloud, lines.rawCortex]
  const wanted = topics.map((records) => referenceEvents(records, arena.fuse))
  checkWanted(all, wantedByKey(wanted), problems)
  checkLegal(all, problems)

  const isOn = onIn(arena)
  const history = simulator.history()
  if (history === null) throw new TypeError('the simulator of an arena keeps its history')
  checkJustified(all, presenceOf(history, isOn), problems)
  checkFinal(assets, findings, shown(simulator.truth(), isOn), problems)
  await checkStore(arena, assets, findings, problems)
  for (const { key, headers } of lines.dlq) {
    problems.add('a dead letter', `${key} ${headers['x-dlq-reason'] ?? ''}`)
  }
  return {
    problems: problems.list(),
    eventsWanted: wanted.reduce((sum, of) => sum + of.assets.length + of.findings.length, 0),
    eventsGot: lines.assets.length + lines.findings.length,
    deadLetters: lines.dlq,
    runs: lines.runs,
  }
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
