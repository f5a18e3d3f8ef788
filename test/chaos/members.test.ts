// Members of the groups that stand still, wake, come and go: the work goes on, once.
import { beforeAll, describe, expect, it } from 'vitest'
import { python } from '../support/python.ts'
import { SEED_TIMEOUT_MS, expectKept } from './expect-report.ts'
import { rebalance } from './rebalance.ts'
import { stall } from './stall.ts'

// The first one on a machine may have to be made.
beforeAll(async () => void (await python()))

describe('an instance that stalls', () => {
  it(
    'is taken over from, and changes nothing when it wakes',
    { timeout: SEED_TIMEOUT_MS },
    async () => {
      const { attacks } = await expectKept(stall, 2)
      expect(attacks['stalls']).toBeGreaterThan(1)
      expect(attacks['records while one was stalled']).toBeGreaterThan(0)
    },
  )
})

describe('instances that join and leave every two seconds', () => {
  it('answer runs all the while, and end in equality', { timeout: SEED_TIMEOUT_MS }, async () => {
    const { attacks } = await expectKept(rebalance, 3)
    expect(attacks['joins']).toBeGreaterThan(1)
    expect(attacks['leaves']).toBeGreaterThan(1)
  })
})
