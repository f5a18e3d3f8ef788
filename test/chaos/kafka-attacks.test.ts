// The transactional core under attack, each attack in its short form.
import { describe, expect, it } from 'vitest'
import { expectKept, SEED_TIMEOUT_MS } from './expect-report.ts'
import { hardCompaction, lostAnswers, overlappingAborts } from './kafka-attacks.ts'

describe('a processor whose answers are lost', { timeout: SEED_TIMEOUT_MS }, () => {
  it('writes all once', async () => {
    const { attacks } = await expectKept(lostAnswers, 1)
    expect(attacks).toMatchObject({ 'cut-after': expect.any(Number), lateMs: 1 })
  })
})

describe('transactions that are aborted in overlap', { timeout: SEED_TIMEOUT_MS }, () => {
  it('leave no trace in what is made of the topic', async () => {
    const { attacks } = await expectKept(overlappingAborts, 1)
    expect(attacks['aborted send']).toBeGreaterThan(0)
  })
})

describe('a state that is compacted by the second', { timeout: SEED_TIMEOUT_MS }, () => {
  it('is restored whole by one owner after another', async () => {
    const { attacks } = await expectKept(hardCompaction, 1)
    expect(attacks['restore from a log with holes']).toBeGreaterThan(0)
  })
})
