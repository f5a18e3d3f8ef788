// The transactional core under attack, each attack in its short form.
import { describe, expect, it } from 'vitest'
import { stack } from '../support/stack.ts'
import { hardCompaction, lostAnswers, overlappingAborts } from './kafka-attacks.ts'
import type { Scenario } from './scenario.ts'

async function expectExact(scenario: Scenario, seed: number) {
  const report = await scenario.run(seed, stack(), 'SHORT')
  expect(report).toMatchObject({ problems: [], eventsGot: report.eventsWanted })
  expect(report.eventsWanted).toBeGreaterThan(0)
  return report
}

describe('a processor whose answers are lost', { timeout: 180_000 }, () => {
  it('writes all once', async () => {
    const { attacks } = await expectExact(lostAnswers, 1)
    expect(attacks).toMatchObject({ 'cut-after': expect.any(Number), lateMs: 1 })
  })
})

describe('transactions that are aborted in overlap', { timeout: 120_000 }, () => {
  it('leave no trace in what is made of the topic', async () => {
    const { attacks } = await expectExact(overlappingAborts, 1)
    expect(attacks['aborted send']).toBeGreaterThan(0)
  })
})

describe('a state that is compacted by the second', { timeout: 120_000 }, () => {
  it('is restored whole by one owner after another', async () => {
    const { attacks } = await expectExact(hardCompaction, 1)
    expect(attacks['restore from a log with holes']).toBeGreaterThan(0)
  })
})
