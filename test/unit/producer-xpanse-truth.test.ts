// What a full pull of Xpanse and of the CVE dictionary tells, against what is true of the estate.
import { describe, expect, it } from 'vitest'
import { assetUid, uid } from '../../contracts/identity.ts'
import type { Unit } from '../../contracts/ports.ts'
import { cloudVulnerabilities } from '../../producers/cortex/uvem-vulnerabilities.ts'
import { xpanseAssets } from '../../producers/cortex/xpanse-assets.ts'
import { xpanseServices } from '../../producers/cortex/xpanse-services.ts'
import type { TenantBehaviour } from '../../simulator/cortex/tenant.ts'
import type { CortexAccess, Simulator } from '../../simulator/simulator.ts'
import { connectCortex, pullAll } from '../support/connect.ts'
import { observedUnit } from '../support/observed.ts'
import { runSimulator } from '../support/simulator.ts'

type TokenSource = typeof xpanseAssets

/** Two tenants that answer alike; eleven rows a page, so that a small estate has several. */
const simulated = (behaviour: Partial<TenantBehaviour> = {}) => {
  const tenant = { pageRowsMax: 11, ...behaviour }
  return runSimulator({ machines: 240, cortexTenants: [tenant, tenant] })
}
const connected = (access: CortexAccess) => connectCortex(access, { tenant: access.tenant })
const by =
  <T>(key: (item: T) => string) =>
  (a: T, b: T) =>
    key(a) < key(b) ? -1 : 1

/** Assets as units say them, in the words of the truth. */
const saidAssets = (source: TokenSource, tenant: string, units: readonly Unit[]) =>
  units
    .flatMap((unit) => observedUnit(source.stream, tenant, unit).assets)
    .map((asset) => ({
      asset_uid: asset.asset_uid,
      entity_uid: asset.entity_uid,
      name: asset.name,
      provider: asset.cloud?.provider ?? null,
      region: asset.cloud?.region ?? null,
      accountId: asset.cloud?.account_id ?? null,
      osFamily: asset.os?.family ?? null,
      publicIps: asset.public_ips,
      privateIps: asset.private_ips,
    }))
    .toSorted(by((asset) => asset.asset_uid))

const trueAssets = (simulator: Simulator, source: TokenSource, tenant: string) =>
  simulator
    .truth()
    .assets.filter((asset) => asset.stream === source.stream && asset.tenant === tenant)
    .map(({ product, nativeId, entity, ...rest }) => {
      const asset_uid = assetUid({ vendor: 'cortex', product, tenant, nativeId })
      const key = entity.type === null ? ['asset_uid', asset_uid] : [entity.type, entity.value]
      const { name, provider, region, accountId, osFamily, publicIps, privateIps } = rest
      const place = { provider, region, accountId, osFamily, publicIps, privateIps }
      return { asset_uid, entity_uid: uid('ent_', key), name, ...place }
    })
    .toSorted(by((asset) => asset.asset_uid))

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
          const expected = trueAssets(simulator, source, access.tenant)
          expect(expected.length, `step ${step}`).toBeGreaterThan(11)
          expect(saidAssets(source, access.tenant, units)).toEqual(expected)
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
    const observations = units.map((u) => observedUnit('xpanse.services', access.tenant, u))
    expect(observations.every(({ findingsKnown }) => findingsKnown)).toBe(true)
    expect(observations.flatMap(({ drift }) => drift ?? [])).toEqual([])
    const all = observations.flatMap(({ findings }) => findings)
    const said = all
      .filter((finding) => finding.status === 'OPEN')
      .map((finding) => ({
        asset_uid: finding.asset_uid,
        vulnId: finding.vuln_id,
        severityId: finding.severity_id,
        cvss: finding.cvss_score,
        packageName: finding.package?.name,
        packageType: finding.package?.type ?? null,
        versions: finding.package?.versions,
      }))
    const expected = simulator
      .truth()
      .findings.filter((f) => f.stream === 'xpanse.services' && f.tenant === access.tenant)
      .map(({ product, tenant, assetNativeId: nativeId, ...f }) => ({
        asset_uid: assetUid({ vendor: 'cortex', product, tenant, nativeId }),
        vulnId: f.vulnId,
        severityId: f.severityId,
        cvss: f.cvss,
        packageName: f.packageName,
        packageType: f.packageType,
        versions: f.versions,
      }))
    expect(expected.length).toBeGreaterThan(20)
    const key = (f: { asset_uid: string; vulnId: string }) => `${f.asset_uid} ${f.vulnId}`
    expect(said.toSorted(by(key))).toEqual(expected.toSorted(by(key)))
    expect(new Set(said.map(key)).size).toBe(said.length)
  })

  it('of the dictionary, which has no tenant and no asset', async () => {
    const simulator = await simulated({ pageRowsMax: 100 })
    const access = simulator.cortex[1]
    const { client } = connected(access)
    const { units, end } = await pullAll(cloudVulnerabilities, client)
    expect(units.every((u) => u.assetNativeId === u.unit)).toBe(true)
    const observations = units.map((u) => observedUnit('cloud.vulnerabilities', access.tenant, u))
    expect(observations.flatMap(({ drift }) => drift ?? [])).toEqual([])
    const said = observations
      .flatMap(({ vulnerabilities }) => vulnerabilities ?? [])
      .map((v) => ({
        vulnId: v.vuln_id,
        severityId: v.severity_id,
        cvss: v.cvss_score,
        epss: v.epss?.score,
        isExploited: v.exploit?.maturity === 'IN_THE_WILD',
      }))
    const expected = simulator
      .truth()
      .vulnerabilities.map(({ product: _product, stream: _stream, ...v }) => v)
    expect(expected.length).toBeGreaterThan(300)
    expect(said.toSorted(by((v) => v.vulnId))).toEqual(expected.toSorted(by((v) => v.vulnId)))
    expect(end).toMatchObject({ verdict: 'COMPLETE', declared: expected.length })
  })
})
