// Every way in which a simulated vendor can fail, a key that ends in mid-run among them: whatever
// it is, nothing that is there is closed by it.
import { setTimeout as pause } from 'node:timers/promises'
import type { Fault } from '../../simulator/faults.ts'
import { factsOfStream } from '../../simulator/scenario-streams.ts'
import { SCENARIOS } from '../../simulator/scenarios.ts'
import type { StreamName } from '../../simulator/truth.ts'
import type { Arena, Streams } from './arena.ts'
import { type Attacks, fight } from './battle.ts'
import { checkpointsOf } from './progress.ts'
import type { Form, Scenario } from './scenario.ts'

/** Of scenarios in one short seed. Three long ones take all of them between them. */
const SCENARIOS_SHORT = 6
const SEEDS_FOR_ALL = 3
/** A scenario that lets no run end is left after this. */
const SCENARIO_MS_MAX = { SHORT: 6_000, LONG: 12_000 } as const
const POLL_MS = 200
/** The default fuse: most of the rows missing must blow it. */
const FUSE_PERCENT = 30
const STREAMS: Streams = {
  prisma: ['compute.hosts', 'cspm.config'],
  alpha: ['xdr.endpoints', 'cloud.assets', 'cloud.findings'],
}

const both = (fault: object): Fault[] =>
  (['prisma-cloud', 'cortex'] as const).map((vendor) => ({ ...fault, vendor }) as Fault)

/**
 * Beside the simulator's own: a key that ends between two pages, and rows that nobody misses. So
 * many that chance cannot leave a short listing above the fuse: less is rightly believed.
 */
const MORE: Readonly<Record<string, readonly Fault[]>> = {
  'expired-key': [
    ...both({ kind: 'status', answer: 'unauthorized', skip: 4, times: 'forever' }),
    { vendor: 'prisma-cloud', kind: 'expire-token', skip: 4 },
  ],
  'most-of-the-rows': both({
    kind: 'missing-rows',
    share: 0.8,
    declared: 'shown',
    times: 'forever',
  }),
}

/** Listings that take several pages in so small an estate. */
const SEVERAL_PAGES: readonly StreamName[] = ['compute.hosts']

/**
 * A row that slips past is one that has gone: told twice, or by a listing of one page, of which it
 * leaves no trace, it would rightly be believed.
 */
function shownOnce(fault: Fault): Fault[] {
  if (fault.kind !== 'shift-rows') return [fault]
  const isSeen = SEVERAL_PAGES.some((stream) => stream === fault.endpoint)
  return isSeen ? [{ ...fault, times: 1 }] : []
}

/** The faults of each scenario that the streams of this arena can meet. */
function faultsByName(): [string, readonly Fault[]][] {
  const streams = Object.values(STREAMS).flat() as StreamName[]
  const named = SCENARIOS.map(({ name, faults }): [string, readonly Fault[]] => {
    const all = streams.flatMap((stream) => faults(factsOfStream(stream)) ?? [])
    const each = new Map(all.flatMap(shownOnce).map((fault) => [JSON.stringify(fault), fault]))
    return [name, [...each.values()]]
  })
  return [...Object.entries(MORE), ...named.filter(([, faults]) => faults.length > 0)]
}

/** The key's end is in every seed; of the others each seed takes its own. */
function chosen({ seed, random }: Arena, form: Form): [string, readonly Fault[]][] {
  const [first, ...rest] = faultsByName()
  if (first === undefined) return []
  if (form === 'LONG') {
    return [first, ...rest.filter((_, place) => place % SEEDS_FOR_ALL === seed % SEEDS_FOR_ALL)]
  }
  const start = random.below(rest.length)
  const turned = [...rest.slice(start), ...rest.slice(0, start)]
  return [first, ...turned.slice(0, SCENARIOS_SHORT - 1)]
}

async function attack(arena: Arena, form: Form): Promise<Attacks> {
  const counts: Attacks = {}
  for (const [name, faults] of chosen(arena, form)) {
    const sinceMs = Date.now()
    arena.simulator.faults.set(...faults)
    const ended = await runsEnded(arena, sinceMs, SCENARIO_MS_MAX[form])
    arena.simulator.faults.clear()
    counts[name] = ended
  }
  return counts
}

/** Waits for a run of every stream that began after `sinceMs`; returns how many have ended. */
async function runsEnded(arena: Arena, sinceMs: number, timeoutMs: number): Promise<number> {
  const deadlineMs = Date.now() + timeoutMs
  const wanted = Object.values(STREAMS).flat().length
  for (;;) {
    const all = await checkpointsOf(arena)
    const ended = [...all.values()].filter((of) =>
      of.some(({ startedAtMs, verdict }) => startedAtMs > sinceMs && verdict !== null),
    ).length
    if (ended === wanted || Date.now() > deadlineMs) return ended
    await pause(POLL_MS)
  }
}

export const vendorFaults: Scenario = {
  name: 'vendor-faults',
  says: 'a key that ends in mid-run, and every fault scenario of the simulator: nothing is closed',
  run: (seed, stack, form) =>
    fight(
      {
        name: 'vendor-faults',
        arena: { streams: STREAMS, fuse: FUSE_PERCENT, compaction: false },
        instances: { producers: 1, transformers: 1, sinks: 1 },
        afterPeace: true,
        attack: (arena) => attack(arena, form),
        lastSteps: 0,
      },
      seed,
      stack,
    ),
}
