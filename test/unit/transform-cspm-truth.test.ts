// Source and transformer of every CSPM stream together, over HTTP: what they say is the truth.
import { describe, expect, it } from 'vitest'
import { uid } from '../../contracts/identity.ts'
import type { Observation, Source } from '../../contracts/ports.ts'
import type { PrismaCloudClient } from '../../producers/prisma-cloud/client.ts'
import { cspmConfig } from '../../producers/prisma-cloud/cspm-config.ts'
import { cspmInventory } from '../../producers/prisma-cloud/cspm-inventory.ts'
import { cspmVulnerabilities } from '../../producers/prisma-cloud/cspm-vulnerabilities.ts'
import type { Simulator } from '../../simulator/simulator.ts'
import { connectPrisma, pullAll } from '../support/connect.ts'
import { runSimulator } from '../support/simulator.ts'
import {
  assetTruthFor,
  assetsSaid,
  observationsOf,
  saidOf,
  truthFor,
} from '../support/stream-truth.ts'
import { expectValid } from '../support/transform.ts'

async function said<C>(
  simulator: Simulator,
  source: Source<PrismaCloudClient, C>,
  settings: Record<string, unknown> = {},
): Promise<Observation[]> {
  const { client } = connectPrisma(simulator.prisma, settings)
  const { units, end } = await pullAll(source, client)
  expect(end.verdict).toBe('COMPLETE')
  const observations = observationsOf(source.stream, simulator.prisma.prismaId, units)
  for (const observation of observations) expectValid(observation)
  return observations
}

describe('CSPM, from its API to what is said of it', () => {
  it.each([cspmConfig, cspmInventory] as const)('gives the assets of $stream', async (source) => {
    const simulator = await runSimulator({ machines: 80, seed: 5 })
    const observations = await said(simulator, source as typeof cspmConfig)
    const { assets } = simulator.truth()
    const expected = assetTruthFor(assets, source.stream, simulator.prisma.prismaId)
    expect(expected.length).toBeGreaterThan(50)
    expect(assetsSaid(observations.flatMap((o) => o.assets))).toEqual(expected)
    expect(observations.flatMap((o) => o.drift ?? [])).toEqual([])
  })

  it.each(['drop', 'keep'] as const)('gives the weaknesses, overlap: %s', async (overlap) => {
    const simulator = await runSimulator({ machines: 60, seed: 5 })
    const observations = await said(simulator, cspmVulnerabilities, { overlap })
    const findings = observations.flatMap((o) => o.findings)
    const told = simulator.truth(overlap).findings
    const expected = truthFor(told, 'cspm.vulnerabilities', simulator.prisma.prismaId)
    expect(expected.length).toBeGreaterThan(20)
    expect(saidOf(findings)).toEqual(expected)
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
