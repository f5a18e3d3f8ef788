// Every sink, killed again and again while its topics grow.
import { beforeAll, describe, expect, it } from 'vitest'
import { python } from '../support/python.ts'
import { SEED_TIMEOUT_MS, expectKept } from './expect-report.ts'
import { sinkKills } from './sink-kills.ts'

// The first one on a machine may have to be made.
beforeAll(async () => void (await python()))

describe('sinks killed amid their batches', () => {
  it('leave in every store what was told', { timeout: SEED_TIMEOUT_MS }, async () => {
    const { attacks } = await expectKept(sinkKills, 1)
    expect(attacks['records']).toBeGreaterThan(0)
  })
})
