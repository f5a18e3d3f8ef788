// Source and transformer of every CSPM stream together, over HTTP: what they say is the truth.
import { describe, expect, it } from 'vitest'
import type { AssetState } from '../../contracts/asset.ts'
import type { FindingState } from '../../contracts/finding.ts'
import { assetUid, uid } from '../../contracts/identity.ts'
import type { Observation, Source, Unit } from '../../contracts/ports.ts'
import type { PrismaCloudClient } from '../../producers/prisma-cloud/client.ts'
import { cspmConfig } from '../../producers/prisma-cloud/cspm-config.ts'
import { cspmInventory } from '../../producers/prisma-cloud/cspm-inventory.ts'
import { cspmVulnerabilities } from '../../producers/prisma-cloud/cspm-vulnerabilities.ts'
import type { Simulator } from '../../simulator/simulator.ts'
import type { TrueAsset, TrueFinding } from '../../simulator/truth.ts'
import { connectPrisma, pullAll } from '../support/connect.ts'
import { runSimulator } from '../support/simulator.ts'
import { FETCHED_MS, TENANT, expectValid, transformerOf } from '../support/transform.ts'

/** What the stream's transformer says of a unit as its source gave it. */
function observeUnit(stream: string, unit: Unit): Observation {
  const transformer = transformerOf(stream)
  const { vendor, product } = transformer
  const facts = {
    connection: 'prod',
    vendor,
    product,
    tenant: TENANT,
    stream,
    unit: unit.unit,
    assetNativeId: unit.assetNativeId,
    runId: 'run-1',
    fetchedAtMs: FETCHED_MS,
    endpoint: '/listing',
    page: 1,
    contentType: unit.contentType,
    columns: unit.columns,
    tooLargeBytes: null,
  }
  const observation = transformer.transform({ facts, body: unit.body ?? Buffer.alloc(0) })
  expectValid(observation)
  return observation
}

async function said<C>(
  simulator: Simulator,
  source: Source<PrismaCloudClient, C>,
  settings: Record<string, unknown> = {},
): Promise<Observation[]> {
  const { client } = connectPrisma(simulator.prisma, settings)
  const { units, end } = await pullAll(source, client)
  expect(end.verdict).toBe('COMPLETE')
  return units.map((unit) => observeUnit(source.stream, unit))
}

const uidOf = (nativeId: string) =>
  assetUid({ vendor: 'prisma-cloud', product: 'prisma-cspm', tenant: TENANT, nativeId })

function expectedAsset(asset: TrueAsset) {
  const { type, value } = asset.entity
  const asset_uid = uidOf(asset.nativeId)
  return {
    asset_uid,
    entity_uid: uid('ent_', type === null ? ['asset_uid', asset_uid] : [type, value]),
    name: asset.name,
    provider: asset.provider,
    region: asset.region,
    accountId: asset.accountId,
    osFamily: asset.osFamily,
    privateIps: asset.privateIps,
    publicIps: asset.publicIps,
  }
}
const saidOfAsset = (asset: AssetState) => ({
  asset_uid: asset.asset_uid,
  entity_uid: asset.entity_uid,
  name: asset.name,
  provider: asset.cloud?.provider ?? null,
  region: asset.cloud?.region ?? null,
  accountId: asset.cloud?.account_id ?? null,
  osFamily: asset.os?.family ?? null,
  privateIps: asset.private_ips,
  publicIps: asset.public_ips,
})

const expectedFinding = (finding: TrueFinding) => ({
  key: [
    uidOf(finding.assetNativeId),
    finding.vulnId,
    finding.packageType,
    finding.packageName,
  ].join('|'),
  severityId: finding.severityId,
  cvss: finding.cvss,
  versions: finding.versions,
  fixVersions: finding.fixVersions,
})
const saidOfFinding = (finding: FindingState) => ({
  key: [
    finding.asset_uid,
    finding.vuln_id,
    finding.package?.type ?? '',
    finding.package?.name,
  ].join('|'),
  severityId: finding.severity_id,
  cvss: finding.cvss_score,
  versions: finding.package?.versions,
  fixVersions: finding.fix?.versions,
})

const sorted = <T>(list: readonly T[], key: (item: T) => string): T[] =>
  list.toSorted((a, b) => (key(a) < key(b) ? -1 : 1))

describe('CSPM, from its API to what is said of it', () => {
  it.each([cspmConfig, cspmInventory] as const)('gives the assets of $stream', async (source) => {
    const simulator = await runSimulator({ machines: 80, seed: 5 })
    const observations = await said(simulator, source as typeof cspmConfig)
    const assets = observations.flatMap((o) => o.assets)
    const expected = simulator.truth().assets.filter((a) => a.stream === source.stream)
    expect(expected.length).toBeGreaterThan(50)
    expect(sorted(assets.map(saidOfAsset), (a) => a.asset_uid)).toEqual(
      sorted(expected.map(expectedAsset), (a) => a.asset_uid),
    )
    expect(observations.flatMap((o) => o.drift ?? [])).toEqual([])
  })

  it.each(['drop', 'keep'] as const)('gives the weaknesses, overlap: %s', async (overlap) => {
    const simulator = await runSimulator({ machines: 60, seed: 5 })
    const observations = await said(simulator, cspmVulnerabilities, { overlap })
    const findings = observations.flatMap((o) => o.findings)
    const expected = simulator
      .truth(overlap)
      .findings.filter((f) => f.stream === 'cspm.vulnerabilities')
    expect(expected.length).toBeGreaterThan(20)
    expect(sorted(findings.map(saidOfFinding), (f) => f.key)).toEqual(
      sorted(expected.map(expectedFinding), (f) => f.key),
    )
    expect(new Set(findings.map((f) => f.finding_uid)).size).toBe(findings.length)
    expect(observations.flatMap((o) => o.drift ?? [])).toEqual([])
  })

  it('knows machines as Compute does, and weaknesses by their asset', async () => {
    const simulator = await runSimulator({ machines: 40 })
    const assets = (await said(simulator, cspmConfig)).flatMap((o) => o.assets)
    const entities = new Set(assets.map((a) => a.entity_uid))
    const hosts = simulator
      .truth()
      .assets.filter((a) => a.stream === 'compute.hosts' && a.entity.type !== null)
    expect(hosts.length).toBeGreaterThan(10)
    for (const { entity } of hosts) {
      expect(entities.has(uid('ent_', [entity.type ?? '', entity.value ?? '']))).toBe(true)
    }
    const observations = await said(simulator, cspmVulnerabilities, { overlap: 'keep' })
    const known = new Set(assets.map((a) => a.asset_uid))
    const ofHosts = observations
      .flatMap((o) => o.findings)
      .filter((f) => f.asset.kind === 'VIRTUAL_MACHINE')
    expect(ofHosts.length).toBeGreaterThan(20)
    expect(ofHosts.every((f) => known.has(f.asset_uid))).toBe(true)
  })

  it('says of one CVE on too many assets what the searches tell', async () => {
    const cspm = { downloadRowsMax: 3 }
    const simulator = await runSimulator({ machines: 30, cspm })
    const settings = { overlap: 'keep', downloadRowsMax: 3 }
    const findings = (await said(simulator, cspmVulnerabilities, settings)).flatMap(
      (o) => o.findings,
    )
    const bare = findings.filter((f) => f.package === null)
    expect(bare.length).toBeGreaterThan(2)
    const ours = simulator.truth('keep').findings.filter((f) => f.product === 'prisma-cspm')
    const facts = new Map(ours.map((f) => [f.vulnId, f]))
    for (const finding of bare) {
      const truth = facts.get(finding.vuln_id)
      expect(finding.severity_id).toBe(truth?.severityId)
      expect(finding.cvss_score).toBe(truth?.cvss)
      expect(finding.asset.name).toMatch(/^asset /)
      expect(finding.fix?.available).toBe((truth?.fixVersions.length ?? 0) > 0)
    }
  })

  it('takes addresses, exposure and tags from the details of an asset', async () => {
    const simulator = await runSimulator({ machines: 40 })
    const settings = { enrichment: { budget: 1_000 } }
    const assets = (await said(simulator, cspmInventory, settings)).flatMap((o) => o.assets)
    const plain = (await said(simulator, cspmInventory)).flatMap((o) => o.assets)
    expect(assets.map((a) => a.entity_uid)).toEqual(plain.map((a) => a.entity_uid))
    const exposed = assets.filter((a) => a.internet_exposed === true)
    expect(exposed.length).toBeGreaterThan(3)
    expect(exposed.every((a) => a.public_ips.length === 1)).toBe(true)
    expect(new Set(assets.map((a) => a.internet_exposed))).toEqual(new Set([true, false, null]))
    expect(assets.every((a) => a.tags['Owner'] === 'platform')).toBe(true)
    expect(plain.every((a) => a.internet_exposed === null)).toBe(true)
  })
})
