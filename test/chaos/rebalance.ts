// Instances join and leave every few seconds: work still advances, and nothing is lost or twice.
import { setTimeout as pause } from 'node:timers/promises'
import type { Run } from '../../contracts/run.ts'
import { RAW_PARTITIONS } from '../../contracts/topics.ts'
import type { Arena } from './arena.ts'
import { type Attacks, fight } from './battle.ts'
import type { Checked } from './checker.ts'
import type { Stage } from './fleet.ts'
import { troubleVendors } from './kills.ts'
import type { Scenario } from './scenario.ts'

const ATTACK_MS = { SHORT: 20_000, LONG: 30_000 } as const
const EVERY_MS = 2_000
const INSTANCES_MAX = 3
const STAGES: readonly Stage[] = ['transformers', 'sinks', 'transformers']

async function attack(arena: Arena, attackMs: number): Promise<Attacks> {
  const { fleet, random } = arena
  const over = new AbortController()
  const vendors = troubleVendors(arena, over.signal)
  const endMs = Date.now() + attackMs
  const counts: Attacks = { joins: 0, leaves: 0 }
  for (let n = 0; Date.now() < endMs; n++) {
    const stage = STAGES[n % STAGES.length] ?? 'transformers'
    const members = fleet.instances(stage)
    const isJoin = members.length < 2 || (members.length < INSTANCES_MAX && random.chance(0.5))
    if (isJoin) fleet.start(stage)
    // Its leaving is not waited for: the next join may well meet it.
    else void fleet.retire(random.pick(members))
    counts[isJoin ? 'joins' : 'leaves'] = (counts[isJoin ? 'joins' : 'leaves'] ?? 0) + 1
    await pause(EVERY_MS)
  }
  over.abort()
  await vendors
  return counts
}

/** Runs that every partition has answered in this time. */
function answeredWithin(checked: Checked, fromMs: number, untilMs: number): number {
  const tallies = checked.runs.filter(
    ({ value, timestamp }) =>
      (value as Run | null)?.phase === 'TALLY' && timestamp >= fromMs && timestamp <= untilMs,
  )
  const byRun = Map.groupBy(tallies, ({ key, value }) => `${key}|${(value as Run).run_id}`)
  return [...byRun.values()].filter((of) => of.length === RAW_PARTITIONS).length
}

export const rebalance: Scenario = {
  name: 'rebalance',
  says: 'one to three instances of transformers and sinks, joining and leaving every two seconds',
  run: (seed, stack, form) => {
    let [fromMs, untilMs] = [0, 0]
    return fight(
      {
        name: 'rebalance',
        instances: { producers: 1, transformers: 2, sinks: 2 },
        afterPeace: true,
        async attack(arena) {
          fromMs = Date.now()
          const counts = await attack(arena, ATTACK_MS[form])
          untilMs = Date.now()
          return counts
        },
        judge: async (_, checked) =>
          answeredWithin(checked, fromMs, untilMs) > 0
            ? []
            : ['no run was answered during the attack'],
      },
      seed,
      stack,
    )
  },
}
