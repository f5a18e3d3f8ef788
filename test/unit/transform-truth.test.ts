// Every record of the simulated vendors against what is true of the simulated machines.
import { describe, expect, it } from 'vitest'
import { assetUid, uid } from '../../contracts/identity.ts'
import type { AssetState } from '../../contracts/asset.ts'
import type { FindingState } from '../../contracts/finding.ts'
import { type AssetDialect, assetRecord } from '../../simulator/cortex/assets.ts'
import { endpointRecord } from '../../simulator/cortex/endpoints.ts'
import { findingRows } from '../../simulator/cortex/findings.ts'
import { type Machine, createEstate } from '../../simulator/estate.ts'
import { hostRecord } from '../../simulator/prisma-cloud/host-record.ts'
import { type TrueAsset, type TrueFinding, truthOf } from '../../simulator/truth.ts'
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

const vendorOf = (product: string) => (product === 'prisma-compute' ? 'prisma-cloud' : 'cortex')
const uidOf = (product: string, nativeId: string) =>
  assetUid({ vendor: vendorOf(product), product, tenant: TENANT, nativeId })

/** What an asset must say, in the terms of the truth. */
function expectedAsset(asset: TrueAsset) {
  const asset_uid = uidOf(asset.product, asset.nativeId)
  const { type, value } = asset.entity
  return {
    asset_uid,
    entity_uid: uid('ent_', type === null ? ['asset_uid', asset_uid] : [type, value]),
    name: asset.name,
    provider: asset.provider,
    region: asset.region,
    accountId: asset.accountId,
    privateIps: asset.privateIps,
    publicIps: asset.publicIps,
    ...(asset.osFamily === null ? {} : { osFamily: asset.osFamily }),
  }
}
const saidOfAsset = (asset: AssetState, withOs: boolean) => ({
  asset_uid: asset.asset_uid,
  entity_uid: asset.entity_uid,
  name: asset.name,
  provider: asset.cloud?.provider ?? null,
  region: asset.cloud?.region ?? null,
  accountId: asset.cloud?.account_id ?? null,
  privateIps: asset.private_ips,
  publicIps: asset.public_ips,
  ...(withOs ? { osFamily: asset.os?.family } : {}),
})

type Said = {
  readonly key: string
  readonly severityId: number
  readonly cvss: number | null
  readonly versions: readonly string[]
  readonly fixVersions: readonly string[]
}
const expectedFinding = (finding: TrueFinding): Said => ({
  key: JSON.stringify([
    uidOf(finding.product, finding.assetNativeId),
    finding.vulnId,
    finding.packageType,
    finding.packageName,
  ]),
  severityId: finding.severityId,
  cvss: finding.cvss,
  versions: finding.versions,
  fixVersions: finding.fixVersions.toSorted(),
})

/** Rows of several versions are contributors of one finding: their versions are the union. */
function saidOfFindings(findings: readonly FindingState[]): Said[] {
  const groups = Map.groupBy(findings, (finding) => finding.finding_uid)
  return [...groups.values()].flatMap(([first, ...others]) => {
    if (!first) return []
    const all = [first, ...others]
    const { asset_uid, vuln_id, package: affected } = first
    return [
      {
        key: JSON.stringify([asset_uid, vuln_id, affected?.type, affected?.name]),
        severityId: Math.max(...all.map((finding) => finding.severity_id)),
        cvss: first.cvss_score,
        versions: [...new Set(all.flatMap((f) => f.package?.versions ?? []))].toSorted(),
        fixVersions: [...new Set(all.flatMap((f) => f.fix?.versions ?? []))].toSorted(),
      },
    ]
  })
}

const by =
  <T>(key: (item: T) => string) =>
  (a: T, b: T) =>
    key(a) < key(b) ? -1 : 1

describe('the simulated estate', () => {
  it.each(['compute.hosts', 'xdr.endpoints', 'cloud.assets'])('is told truly by %s', (stream) => {
    const expected = truth.assets.filter((asset) => asset.stream === stream)
    expect(expected.length).toBeGreaterThan(5)
    const withOs = expected.every((asset) => asset.osFamily !== null)
    const said = (unitsOf[stream]?.() ?? []).flatMap((unit) => observe(stream, unit).assets)
    expect(
      said.map((asset) => saidOfAsset(asset, withOs)).toSorted(by((a) => a.asset_uid)),
    ).toEqual(expected.map(expectedAsset).toSorted(by((a) => a.asset_uid)))
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
    const expected = truth.findings.filter((finding) => finding.stream === stream)
    expect(expected.length).toBeGreaterThan(20)
    const said = (unitsOf[stream]?.() ?? []).flatMap((unit) => observe(stream, unit).findings)
    expect(saidOfFindings(said).toSorted(by((f) => f.key))).toEqual(
      expected.map(expectedFinding).toSorted(by((f) => f.key)),
    )
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
