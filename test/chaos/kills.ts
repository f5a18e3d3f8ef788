// SIGKILL at random moments to producers, transformers and sink, while the vendors have faults.
import { setTimeout as pause } from 'node:timers/promises'
import type { Fault } from '../../simulator/faults.ts'
import type { Arena } from './arena.ts'
import { type Attacks, fight } from './battle.ts'
import type { Stage } from './fleet.ts'
import { evolveBetweenRuns, killInstance, underWay } from './progress.ts'
import type { Scenario } from './scenario.ts'

const ATTACK_MS = { SHORT: 14_000, LONG: 26_000 } as const
const PAUSE_MS_MIN = 500
const PAUSE_MS_MAX = 3_500
const EVOLVE_TIMEOUT_MS = 8_000
/** Longer than a turn of all streams: what a step changes is told before the next one. */
const STEP_PAUSE_MS = 2_500
const STEPS_MAX = 3
/** A producer idles between its runs: most of random moments would hit nothing. */
const UNDER_WAY_TIMEOUT_MS = 3_000
const VICTIMS: readonly Stage[] = [
  'producers',
  'producers',
  'transformers',
  'transformers',
  'sinks',
]

/** What a vendor does to its clients on a bad day; each is over after a request or two. */
const FAULTS: readonly Fault[] = [
  { vendor: 'prisma-cloud', kind: 'status', answer: 'unavailable' },
  { vendor: 'prisma-cloud', kind: 'status', answer: 'bad-gateway' },
  { vendor: 'prisma-cloud', kind: 'expire-token' },
  { vendor: 'prisma-cloud', kind: 'reset' },
  { vendor: 'prisma-cloud', kind: 'truncate', form: 'json' },
  { vendor: 'prisma-cloud', kind: 'slow-body', delayMs: 20, pieces: 8 },
  { vendor: 'prisma-cloud', kind: 'slow', delayMs: 150, times: 6 },
  { vendor: 'cortex', kind: 'status', answer: 'bad-gateway' },
  { vendor: 'cortex', kind: 'status', answer: 'too-many-requests-with-headers' },
  { vendor: 'cortex', kind: 'reset' },
  { vendor: 'cortex', kind: 'truncate', form: 'gzip' },
  { vendor: 'cortex', kind: 'not-json' },
  { vendor: 'cortex', kind: 'slow', delayMs: 300 },
]

/** Between their pages, producers are to be met in the middle of a run. */
export const SLOW_PAGES: Fault = { vendor: 'prisma-cloud', kind: 'slow', delayMs: 120, skip: 6 }

/** Sets faults and moves the estate on between runs, until told to stop. */
export async function troubleVendors(arena: Arena, signal: AbortSignal): Promise<void> {
  const { random, simulator } = arena
  while (!signal.aborted) {
    simulator.faults.set({ ...random.pick(FAULTS), skip: random.below(4) })
    simulator.faults.set({ ...SLOW_PAGES, times: 1 + random.below(6) })
    await pause(STEP_PAUSE_MS, undefined, { signal }).catch(() => undefined)
    await evolveBetweenRuns(arena, 1 + random.below(STEPS_MAX), EVOLVE_TIMEOUT_MS)
  }
}

async function attack(arena: Arena, attackMs: number): Promise<Attacks> {
  const { random, fleet } = arena
  const over = new AbortController()
  const vendors = troubleVendors(arena, over.signal)
  const endMs = Date.now() + attackMs
  const killed: Record<Stage, number> = { producers: 0, transformers: 0, sinks: 0 }
  while (Date.now() < endMs) {
    await pause(PAUSE_MS_MIN + random.below(PAUSE_MS_MAX - PAUSE_MS_MIN))
    const stage = random.pick(VICTIMS)
    const instances = fleet.instances(stage)
    if (instances.length === 0) continue
    killed[stage] += 1
    if (stage === 'producers') await underWay(arena, UNDER_WAY_TIMEOUT_MS)
    await killInstance(arena, random.pick(instances))
  }
  over.abort()
  await vendors
  return killed
}

export const kills: Scenario = {
  name: 'kills',
  says: 'SIGKILL at random moments over an evolving estate with vendor faults on',
  run: (seed, stack, form) =>
    fight(
      {
        name: 'kills',
        instances: { producers: 1, transformers: 1 + (seed % 3), sinks: 1 + (seed % 2) },
        // Every second seed is met in its very first load.
        afterPeace: seed % 4 < 2,
        attack: (arena) => attack(arena, ATTACK_MS[form]),
      },
      seed,
      stack,
    ),
}
