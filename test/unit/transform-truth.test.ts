// Every record of the simulated vendors against what is true of the simulated machines.
import { describe, expect, it } from 'vitest'
import { type AssetDialect, assetRecord } from '../../simulator/cortex/assets.ts'
import { endpointRecord } from '../../simulator/cortex/endpoints.ts'
import { findingRows } from '../../simulator/cortex/findings.ts'
import { type Machine, createEstate } from '../../simulator/estate.ts'
import { hostRecord } from '../../simulator/prisma-cloud/host-record.ts'
import { truthOf } from '../../simulator/truth.ts'
import { assetTruthFor, assetsSaid, saidOf, truthFor } from '../support/stream-truth.ts'
import { TENANT, observe } from '../support/transform.ts'

const SLOTS = [0, 1] as const
const estate = createEstate(7, 60)
const truth = truthOf(estate, { prisma: TENANT, cortex: [TENANT, TENANT] }, new Set())

const unitsOf: Readonly<Record<string, () => unknown[]>> = {
  'compute.hosts': () =>
    estate.machines
      .filter((m) => m.inCompute)
      .map((m) => hostRecord(m, { normalizedSeverity: true, compact: false })),
  'xdr.endpoints': () => inTenants((m) => m.hasAgent).map(([m, slot]) => endpointRecord(m, slot)),
  'cloud.assets': () => inventory('live'),
  'cloud.findings': () =>
    SLOTS.flatMap((slot) => findingRows({ estate: () => estate, files: new Map() }, slot))
      .map((row) => row.value())
      .filter((row) => row['xdm.finding.category'] === 'VULNERABILITY'),
}
const inventory = (dialect: AssetDialect) =>
  inTenants((m) => m.inInventory).map(([m]) => assetRecord(m, dialect))

function inTenants(which: (machine: Machine) => boolean): [Machine, 0 | 1][] {
  return estate.machines.flatMap((m): [Machine, 0 | 1][] =>
    m.tenant === null || !which(m) ? [] : [[m, m.tenant]],
  )
}

describe('the simulated estate', () => {
  it.each(['compute.hosts', 'xdr.endpoints', 'cloud.assets'])('is told truly by %s', (stream) => {
    const expected = assetTruthFor(truth.assets, stream, TENANT)
    expect(expected.length).toBeGreaterThan(5)
    const said = (unitsOf[stream]?.() ?? []).flatMap((unit) => observe(stream, unit).assets)
    expect(assetsSaid(said)).toEqual(expected)
  })

  it('is told alike in the field names of a live tenant and of the specification', () => {
    const keys = (dialect: AssetDialect) =>
      inventory(dialect)
        .flatMap((unit) => observe('cloud.assets', unit).assets)
        .map(({ asset_uid, entity_uid, criticality, finding_counts, business_units }) => ({
          asset_uid,
          entity_uid,
          criticality,
          finding_counts,
          business_units,
        }))
    expect(keys('spec')).toEqual(keys('live'))
  })

  it.each(['compute.hosts', 'cloud.findings'])('has the weaknesses that %s tells', (stream) => {
    const expected = truthFor(truth.findings, stream, TENANT)
    expect(expected.length).toBeGreaterThan(20)
    const said = (unitsOf[stream]?.() ?? []).flatMap((unit) => observe(stream, unit).findings)
    expect(saidOf(said)).toEqual(expected)
  })

  it('is one set of machines, whichever of the vendors tells of them', () => {
    const told = (stream: string) => {
      const assets = (unitsOf[stream]?.() ?? []).flatMap((unit) => observe(stream, unit).assets)
      return new Set(assets.map((asset) => asset.entity_uid))
    }
    const clouds = (machines: readonly Machine[]) => machines.filter((m) => m.cloud !== null).length
    const hosts = estate.machines.filter((m) => m.inCompute)
    const both = hosts.filter((m) => m.tenant !== null && m.inInventory)
    const shared = told('compute.hosts').intersection(told('cloud.assets'))
    expect(clouds(both)).toBeGreaterThan(3)
    expect(shared.size).toBe(clouds(both))
  })
})
