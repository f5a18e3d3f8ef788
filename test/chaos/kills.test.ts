// Item by item what a power cut may do to a pipeline: nothing, in the end.
import { beforeAll, describe, expect, it } from 'vitest'
import { python } from '../support/python.ts'
import { SEED_TIMEOUT_MS, expectKept } from './expect-report.ts'
import { kills } from './kills.ts'

// The first one on a machine may have to be made.
beforeAll(async () => void (await python()))

describe('a pipeline killed at random moments', () => {
  // An even seed and an odd one: the odd one's topics are compacted hard.
  it.each([2, 3])('ends in equality, seed %i', { timeout: SEED_TIMEOUT_MS }, async (seed) => {
    const { attacks } = await expectKept(kills, seed)
    expect(attacks['kills']).toBeGreaterThan(0)
  })
})
