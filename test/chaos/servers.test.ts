// Servers and vendors that fail: the pipeline waits, goes on, and closes nothing for it.
import { beforeAll, describe, it } from 'vitest'
import { python } from '../support/python.ts'
import { SEED_TIMEOUT_MS, expectKept } from './expect-report.ts'
import { outages } from './outages.ts'
import { poison } from './poison.ts'
import { vendorFaults } from './vendor-faults.ts'

// The first one on a machine may have to be made.
beforeAll(async () => void (await python()))

describe('servers that are away or refuse', () => {
  it('are waited for, and nothing is dead-lettered', { timeout: SEED_TIMEOUT_MS }, async () => {
    await expectKept(outages, 4)
  })
})

describe('a key that ends in mid-run, and other faults of vendors', () => {
  it('close nothing that is there', { timeout: SEED_TIMEOUT_MS }, async () => {
    await expectKept(vendorFaults, 2)
  })
})

describe('raw records damaged on their way', () => {
  it('become dead letters, and close nothing', { timeout: SEED_TIMEOUT_MS }, async () => {
    await expectKept(poison, 1)
  })
})
