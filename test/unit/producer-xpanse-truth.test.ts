// What a full pull of Xpanse and of the CVE dictionary tells, against what is true of the estate.
import { describe, expect, it } from 'vitest'
import { cloudVulnerabilities } from '../../producers/cortex/uvem-vulnerabilities.ts'
import { xpanseAssets } from '../../producers/cortex/xpanse-assets.ts'
import { xpanseServices } from '../../producers/cortex/xpanse-services.ts'
import type { TenantBehaviour } from '../../simulator/cortex/tenant.ts'
import type { CortexAccess } from '../../simulator/simulator.ts'
import { connectCortex, pullAll } from '../support/connect.ts'
import { runSimulator } from '../support/simulator.ts'
import {
  assetTruthFor,
  assetsSaid,
  entriesSaid,
  entryTruthFor,
  observationsOf,
  saidOf,
  truthFor,
} from '../support/stream-truth.ts'

/** Two tenants that answer alike; eleven rows a page, so that a small estate has several. */
const simulated = (behaviour: Partial<TenantBehaviour> = {}) => {
  const tenant = { pageRowsMax: 11, ...behaviour }
  return runSimulator({ machines: 240, cortexTenants: [tenant, tenant] })
}
const connected = (access: CortexAccess) => connectCortex(access, { tenant: access.tenant })

describe('a full pull tells exactly what is true', () => {
  it.each([
    [0, 'spec'],
    [1, 'live'],
  ] as const)(
    'of exposed assets and services of tenant %i in the %s names',
    async (slot, xpanseDialect) => {
      const simulator = await simulated({ xpanseDialect })
      const access = simulator.cortex[slot]
      const { client, faults } = connected(access)
      for (const step of [0, 1, 2]) {
        for (const source of [xpanseAssets, xpanseServices]) {
          const { units, chunks, end } = await pullAll(source, client)
          const { assets } = simulator.truth()
          const expected = assetTruthFor(assets, source.stream, access.tenant)
          expect(expected.length, `step ${step}`).toBeGreaterThan(11)
          const observations = observationsOf(source.stream, access.tenant, units)
          expect(assetsSaid(observations.flatMap((o) => o.assets))).toEqual(expected)
          expect(end).toEqual({ verdict: 'COMPLETE', declared: expected.length, reason: null })
          expect(chunks.length).toBe(Math.ceil(expected.length / 11))
        }
        simulator.evolve()
      }
      expect(faults).toEqual([])
    },
  )

  it('of the weaknesses that services show', async () => {
    const simulator = await simulated()
    const access = simulator.cortex[0]
    const { client } = connected(access)
    const { units } = await pullAll(xpanseServices, client)
    const observations = observationsOf('xpanse.services', access.tenant, units)
    expect(observations.every(({ findingsKnown }) => findingsKnown)).toBe(true)
    expect(observations.flatMap(({ drift }) => drift ?? [])).toEqual([])
    const all = observations.flatMap(({ findings }) => findings)
    const { findings } = simulator.truth()
    const expected = truthFor(findings, 'xpanse.services', access.tenant)
    expect(expected.length).toBeGreaterThan(20)
    expect(saidOf(all)).toEqual(expected)
    expect(new Set(all.map((f) => f.finding_uid)).size).toBe(all.length)
  })

  it('of the dictionary, which has no tenant and no asset', async () => {
    const simulator = await simulated({ pageRowsMax: 100 })
    const access = simulator.cortex[1]
    const { client } = connected(access)
    const { units, end } = await pullAll(cloudVulnerabilities, client)
    expect(units.every((u) => u.assetNativeId === u.unit)).toBe(true)
    const observations = observationsOf('cloud.vulnerabilities', access.tenant, units)
    expect(observations.flatMap(({ drift }) => drift ?? [])).toEqual([])
    const expected = entryTruthFor(simulator.truth(), 'cloud.vulnerabilities')
    expect(expected.length).toBeGreaterThan(300)
    expect(entriesSaid(observations.flatMap((o) => o.vulnerabilities ?? []))).toEqual(expected)
    expect(end).toMatchObject({ verdict: 'COMPLETE', declared: expected.length })
  })
})
