// The course of every seed: begin in peace, attack, let all end in quiet, then compare.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { StackAddresses } from '../support/global-setup.ts'
import { type Arena, type ArenaOptions, openArena } from './arena.ts'
import { type Checked, check } from './checker.ts'
import type { Stage } from './fleet.ts'
import { drained, evolveBetweenRuns, runsComplete } from './progress.ts'
import type { ScenarioReport } from './scenario.ts'

/** Attacks by name, counted. */
export type Attacks = Record<string, number>

export type Battle = {
  readonly name: string
  readonly arena?: ArenaOptions
  /** How many processes of each stage. */
  readonly instances: Readonly<Record<Stage, number>>
  /** Whether it begins only when every stream has been read once. Default: all begin at once. */
  readonly afterPeace?: boolean
  /** Returns what it did; everything it broke must be whole again. */
  readonly attack: (arena: Arena) => Promise<Attacks>
  /** Steps of the estate after the attack. Default 3, so that something is closed at the end. */
  readonly lastSteps?: number
  /** Judges what only this attack knows of; returns sentences. */
  readonly judge?: (arena: Arena, checked: Checked) => Promise<readonly string[]>
}

const LAST_STEPS = 3
/** What is in doubt at one sight is settled by the next. */
const LAST_RUNS = 2
const LAST_STEPS_TIMEOUT_MS = 30_000
const LOG_DIR = resolve(import.meta.dirname, '../../.exposure/chaos')

/** One seed of a battle. What breaks on the way is a broken promise, not a broken harness. */
export async function fight(
  battle: Battle,
  seed: number,
  stack: StackAddresses,
): Promise<ScenarioReport> {
  const startedMs = performance.now()
  const arena = await openArena(seed, stack, battle.arena)
  const { fleet } = arena
  let attacks: Attacks = {}
  try {
    for (const stage of ['transformers', 'sinks', 'producers'] as const) {
      for (let n = 0; n < battle.instances[stage]; n++) fleet.start(stage)
    }
    if (battle.afterPeace === true) await runsComplete(arena, 0, 1)
    attacks = await battle.attack(arena)
    await settle(arena, battle.lastSteps ?? LAST_STEPS)
    const checked = await check(arena)
    const judged = (await battle.judge?.(arena, checked)) ?? []
    return report(battle, arena, startedMs, attacks, checked, [...checked.problems, ...judged])
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    return report(battle, arena, startedMs, attacks, null, [`it did not come to its end: ${said}`])
  } finally {
    await arena.close()
  }
}

/**
 * Nothing attacks any more. The estate moves a last time, there are two complete runs of
 * everything, then each stage ends in its turn.
 */
async function settle(arena: Arena, lastSteps: number): Promise<void> {
  const { fleet, simulator } = arena
  fleet.wakeAll()
  simulator.faults.clear()
  if (lastSteps > 0) await evolveBetweenRuns(arena, lastSteps, LAST_STEPS_TIMEOUT_MS)
  await runsComplete(arena, Date.now(), LAST_RUNS)
  await fleet.retireAll('producers')
  await drained(arena)
  await fleet.retireAll()
}

function report(
  { name }: Battle,
  arena: Arena,
  startedMs: number,
  attacks: Attacks,
  checked: Checked | null,
  problems: readonly string[],
): ScenarioReport {
  const { seed, fleet, prefix } = arena
  if (problems.length > 0) {
    mkdirSync(LOG_DIR, { recursive: true })
    const text = [`${name} ${seed} ${prefix}`, ...problems, fleet.logs()].join('\n')
    writeFileSync(join(LOG_DIR, `${name}-${seed}.log`), text)
  }
  const evolved = arena.simulator.truth().step
  const taken = checked?.compactedAway ?? 0
  const compacted = taken === 0 ? {} : { 'events compacted away': taken }
  return {
    scenario: name,
    seed,
    seconds: Math.round((performance.now() - startedMs) / 100) / 10,
    attacks: { ...attacks, ...compacted, kills: fleet.kills, stalls: fleet.stalls, steps: evolved },
    eventsWanted: checked?.eventsWanted ?? 0,
    eventsGot: checked?.eventsGot ?? 0,
    problems,
  }
}
