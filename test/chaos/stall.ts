// SIGSTOP, and SIGCONT after another has taken over: the stalled one must publish nothing more.
import { setTimeout as pause } from 'node:timers/promises'
import { topicName } from '../../contracts/topics.ts'
import type { Arena } from './arena.ts'
import { type Attacks, fight } from './battle.ts'
import type { Instance, Stage } from './fleet.ts'
import { troubleVendors } from './kills.ts'
import { bury } from './progress.ts'
import type { Scenario } from './scenario.ts'

const ATTACK_MS = { SHORT: 18_000, LONG: 28_000 } as const
/** Before Kafka is told that the stalled one is dead; it may stand amid a transaction. */
const UNNOTICED_MS_MAX = 800
const ASLEEP_MS_MIN = 1_500
const ASLEEP_MS_MAX = 4_000
/** How long the woken one may try to go on, beside the one that has taken over. */
const AWAKE_MS_MAX = 2_500
/** However slow the machine: less would be no attack. */
const STALLS_MIN = 2
const TURNS_MAX = 200
/** Work goes on while one is stalled, but on a busy machine it takes its time. */
const WORK_TIMEOUT_MS = 40_000
const LOOK_MS = 200
const VICTIMS: readonly Stage[] = ['transformers', 'producers', 'transformers', 'sinks']

async function attack(arena: Arena, attackMs: number): Promise<Attacks> {
  const { fleet, random } = arena
  const over = new AbortController()
  const vendors = troubleVendors(arena, over.signal)
  const endMs = Date.now() + attackMs
  const counts: Attacks = { 'records while one was stalled': 0 }
  const isOver = () => Date.now() >= endMs && fleet.stalls >= STALLS_MIN
  for (let n = 0; n < TURNS_MAX && !isOver(); n++) {
    await pause(random.below(UNNOTICED_MS_MAX))
    const stage = VICTIMS[n % VICTIMS.length] ?? 'transformers'
    const [victim] = fleet.instances(stage)
    if (victim === undefined) continue
    const before = await recordsOf(arena)
    await stallOnce(arena, victim, stage)
    counts['records while one was stalled'] =
      (counts['records while one was stalled'] ?? 0) + (await recordsSince(arena, before))
    counts[`${stage} stalled`] = (counts[`${stage} stalled`] ?? 0) + 1
    fleet.wake(victim)
    await pause(random.below(AWAKE_MS_MAX))
    await fleet.retire(victim)
  }
  over.abort()
  await vendors
  return counts
}

/** Another of the stage is there, and Kafka believes the stalled one dead. */
async function stallOnce(arena: Arena, victim: Instance, stage: Stage): Promise<void> {
  const { fleet, random } = arena
  fleet.stall(victim)
  fleet.start(stage)
  await pause(random.below(UNNOTICED_MS_MAX))
  await bury(arena, stage)
  await pause(ASLEEP_MS_MIN + random.below(ASLEEP_MS_MAX - ASLEEP_MS_MIN))
}

/** Waits for the first; 0 when there is none in time. */
async function recordsSince(arena: Arena, before: number): Promise<number> {
  const deadlineMs = Date.now() + WORK_TIMEOUT_MS
  for (;;) {
    const records = (await recordsOf(arena)) - before
    if (records > 0 || Date.now() > deadlineMs) return records
    await pause(LOOK_MS)
  }
}

/** Offsets taken in the raw topics and those of the events: that work goes on. */
async function recordsOf({ admin, prefix }: Arena): Promise<number> {
  const topics = ['rawPrismaCloud', 'rawCortex', 'assets', 'findings', 'runs'] as const
  const ends = await Promise.all(topics.map((t) => admin.endOffsets(topicName(prefix, t))))
  return ends.flatMap((of) => [...of.values()]).reduce((sum, end) => sum + Number(end), 0)
}

export const stall: Scenario = {
  name: 'stall',
  says: 'SIGSTOP, take-over by another, SIGCONT: the stalled one publishes nothing more',
  run: (seed, stack, form) =>
    fight(
      {
        name: 'stall',
        instances: { producers: 1, transformers: 2, sinks: 1 },
        afterPeace: true,
        attack: (arena) => attack(arena, ATTACK_MS[form]),
      },
      seed,
      stack,
    ),
}
