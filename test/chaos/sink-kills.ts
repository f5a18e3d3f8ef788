// SIGKILL to every sink amid its batches: in the end each store holds what the topics have told.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { stringify } from 'yaml'
import { topicName } from '../../contracts/topics.ts'
import { sinkGroup } from '../../runtime/run-sink.ts'
import { buryMembers } from '../support/dead-members.ts'
import type { StackAddresses } from '../support/global-setup.ts'
import { waitFor } from '../support/wait-for.ts'
import { type Arena, openArena } from './arena.ts'
import { Fleet } from './fleet.ts'
import { Problems } from './problems.ts'
import type { Form, Scenario, ScenarioReport } from './scenario.ts'
import type { Held, SinkStore, Told } from './sink-store.ts'
import { SINK_STORES } from './sink-stores.ts'
import { type Teller, openTeller, readTold } from './sink-told.ts'

const ATTACK_MS = { SHORT: 12_000, LONG: 28_000 } as const
/** Of each sink; a slow machine goes on attacking for so long until it is done. */
const KILLS_MIN = { SHORT: 1, LONG: 3 } as const
const GRACE_MS = 60_000
const PAUSE_MS_MAX = 500
/** Behind the last kill: what every store must still be able to take. */
const LAST_RECORDS = 40
const FIRST_TIMEOUT_MS = 90_000
const DRAIN_TIMEOUT_MS = 150_000
const READ = ['assets', 'findings', 'connectorErrors'] as const

/** One sink, its store, and the processes that take turns at it. */
type Line = {
  readonly type: string
  readonly store: SinkStore
  readonly fleet: Fleet
  readonly group: string
  kills: number
  /** Of all offsets when its present process began: it is killed only when it has moved on. */
  since: bigint
}

type Endings = (() => Promise<unknown>)[]

async function openLines(arena: Arena, endings: Endings): Promise<Line[]> {
  const { seed, stack, prefix, database, query } = arena
  const folder = await mkdtemp(join(tmpdir(), 'exposure-sinks-'))
  endings.push(() => rm(folder, { recursive: true, force: true }))
  const lines: Line[] = []
  for (const [type, open] of Object.entries(SINK_STORES)) {
    const store = await open({ seed, stack, prefix, folder, database, query })
    if (store === null) continue
    endings.push(() => store.close())
    const configFile = join(folder, `${type}.yaml`)
    const { brokers, registryUrl } = stack
    const document = { kafka: { brokers, prefix }, registry: { url: registryUrl } }
    await writeFile(configFile, stringify({ ...document, sinks: store.settings }))
    const fleet = new Fleet(configFile, store.env)
    endings.push(() => fleet.close())
    const group = sinkGroup(prefix, store.name)
    lines.push({ type, store, fleet, group, kills: 0, since: 0n })
  }
  return lines
}

async function committedOf({ admin, prefix }: Arena, { group }: Line): Promise<bigint> {
  let sum = 0n
  for (const topic of READ) {
    const offsets = await admin.committedOffsets(group, topicName(prefix, topic))
    for (const offset of offsets.values()) sum += offset ?? 0n
  }
  return sum
}

/** Of those that have written since their last death, the one that has died the least. */
async function nextVictim(arena: Arena, lines: readonly Line[]): Promise<Line | null> {
  for (const line of lines.toSorted((a, b) => a.kills - b.kills)) {
    const isRunning = line.fleet.instances().length > 0
    if (isRunning && (await committedOf(arena, line)) > line.since) return line
  }
  return null
}

/** Kills one after the other, while all is told; none is left out on a slow machine. */
async function attack(arena: Arena, lines: readonly Line[], form: Form): Promise<void> {
  const { random, stack } = arena
  const endMs = Date.now() + ATTACK_MS[form]
  const isEnough = () => lines.every(({ kills }) => kills >= KILLS_MIN[form])
  const isOver = () => Date.now() > (isEnough() ? endMs : endMs + GRACE_MS)
  while (!isOver()) {
    await pause(random.below(PAUSE_MS_MAX))
    const line = await nextVictim(arena, lines)
    const [victim] = line?.fleet.instances() ?? []
    if (line === null || victim === undefined) continue
    await line.fleet.kill(victim)
    line.kills += 1
    line.since = await committedOf(arena, line)
    // Kafka would wait half a minute for the dead one.
    await buryMembers(stack.brokers, [line.group])
  }
}

async function caughtUp({ admin, prefix }: Arena, { group, store }: Line): Promise<boolean> {
  const topics = READ.filter((topic) => store.name !== 'webhook' || topic === 'connectorErrors')
  const names = topics.map((topic) => topicName(prefix, topic))
  return (await admin.lag(group, names)).every(({ lag }) => lag === 0n)
}

async function battle(arena: Arena, lines: readonly Line[], teller: Teller, form: Form) {
  await teller.tellMore(LAST_RECORDS)
  for (const { fleet } of lines) fleet.start('sinks')
  // At the beginning all start at once, and the first records are the same for all.
  for (const line of lines) {
    await waitFor(async () => (await committedOf(arena, line)) > 0n, {
      timeoutMs: FIRST_TIMEOUT_MS,
      what: `${line.type} writes`,
    })
  }
  const over = new AbortController()
  const telling = teller.tell(over.signal)
  await attack(arena, lines, form)
  over.abort()
  await telling
  await teller.tellMore(LAST_RECORDS)
  for (const line of lines) {
    await waitFor(() => caughtUp(arena, line), {
      timeoutMs: DRAIN_TIMEOUT_MS,
      what: `${line.type} has read all`,
    })
  }
  await Promise.all(lines.map(({ fleet }) => fleet.retireAll()))
}

/** Number of entities that are as they must be. */
function compare(type: string, wanted: Held, got: Held, problems: Problems): number {
  let right = 0
  for (const [uid, state] of wanted) {
    const is = got.get(uid)
    if (is === state) right += 1
    else problems.add(`${type} differs`, `${uid} is ${is ?? 'missing'} in place of ${state}`)
  }
  for (const uid of got.keys()) {
    if (!wanted.has(uid)) problems.add(`${type} has too much`, uid)
  }
  return right
}

async function judge(lines: readonly Line[], told: Told, problems: Problems) {
  let [wanted, got] = [0, 0]
  for (const { type, store, kills } of lines) {
    const found = await store.look(told)
    wanted += found.wanted.size
    got += compare(type, found.wanted, found.got, problems)
    for (const problem of found.problems) problems.add(type, problem)
    problems.expect(kills > 0, 'nothing was attacked', () => type)
  }
  return { wanted, got }
}

async function run(seed: number, stack: StackAddresses, form: Form): Promise<ScenarioReport> {
  const startedMs = performance.now()
  const problems = new Problems()
  const arena = await openArena(seed, stack, { streams: {}, compaction: false })
  const endings: Endings = [() => arena.close()]
  try {
    const lines = await openLines(arena, endings)
    const teller = await openTeller(arena)
    endings.push(() => teller.close())
    await battle(arena, lines, teller, form)
    const told = await readTold(arena)
    problems.expect(told.letters === 0, 'dead letters', () => String(told.letters))
    const { wanted, got } = await judge(lines, told, problems)
    const left = Object.keys(SINK_STORES).length - lines.length
    return {
      scenario: 'sinks',
      seed,
      seconds: Math.round((performance.now() - startedMs) / 100) / 10,
      attacks: {
        ...Object.fromEntries(lines.map(({ type, kills }) => [`${type} killed`, kills])),
        records: told.records + told.eventIds.error.length,
        'stores left out': left,
      },
      eventsWanted: wanted,
      eventsGot: got,
      problems: problems.list(),
    }
  } finally {
    for (const end of endings.toReversed()) await end()
  }
}

export const sinkKills: Scenario = {
  name: 'sinks',
  says: 'SIGKILL to every sink amid its batches; then each store holds what the topics have told',
  run,
}
