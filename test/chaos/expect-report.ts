// The short form of an attack as a test: no promise broken, and something was really done.
import { expect, inject } from 'vitest'
import type { Scenario, ScenarioReport } from './scenario.ts'

/** At most this long, however slow the machine. */
export const SEED_TIMEOUT_MS = 400_000

/** Runs one seed in its short form. */
export async function expectKept(scenario: Scenario, seed: number): Promise<ScenarioReport> {
  return expectWhole(await scenario.run(seed, inject('stack'), 'SHORT'))
}

/** Returns what it was given. */
export function expectWhole(report: ScenarioReport): ScenarioReport {
  const { seed, problems } = report
  expect({ seed, problems }).toEqual({ seed, problems: [] })
  expect(report.eventsGot).toBe(report.eventsWanted)
  expect(report.eventsGot).toBeGreaterThan(0)
  return report
}
