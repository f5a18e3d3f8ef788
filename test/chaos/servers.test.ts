// Servers and vendors that fail: the pipeline waits, goes on, and closes nothing for it.
import { beforeAll, describe, expect, it } from 'vitest'
import { findJava, usualPlaces } from '../../stack/java.ts'
import { python } from '../support/python.ts'
import { brokerRestarts } from './broker-restarts.ts'
import { SEED_TIMEOUT_MS, expectKept } from './expect-report.ts'
import { outages } from './outages.ts'
import { poison } from './poison.ts'
import { vendorFaults } from './vendor-faults.ts'

// Where only containers run there is no Java for a broker of our own.
const java = await findJava(usualPlaces()).catch(() => null)

// The first one on a machine may have to be made.
beforeAll(async () => void (await python()))

describe('servers that are away or refuse', () => {
  it('are waited for, and nothing is dead-lettered', { timeout: SEED_TIMEOUT_MS }, async () => {
    await expectKept(outages, 4)
  })
})

describe.runIf(java !== null)('the only broker', () => {
  it(
    'is waited for when it is killed, and gone on with when it is there again',
    { timeout: SEED_TIMEOUT_MS },
    async () => {
      const { attacks } = await expectKept(brokerRestarts, 1)
      expect(attacks['restarts']).toBe(1)
    },
  )
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
