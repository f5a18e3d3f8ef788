// Every stream of Compute, pulled from the simulator and mapped, against what is true there.
import { describe, expect, it } from 'vitest'
import { assetUid } from '../../contracts/identity.ts'
import type { Observation } from '../../contracts/ports.ts'
import { prismaCloudConnector } from '../../producers/prisma-cloud/connector.ts'
import type { Simulator } from '../../simulator/simulator.ts'
import { connectPrisma, pullAll } from '../support/connect.ts'
import { runSimulator } from '../support/simulator.ts'
import { assetTruthFor, assetsSaid, saidOf, truthFor } from '../support/stream-truth.ts'
import { TENANT, expectValid, observeBytes } from '../support/transform.ts'

const SOURCES = prismaCloudConnector.sources.filter((s) => s.product === 'prisma-compute')
const STREAMS = SOURCES.map((source) => source.stream)

/** Everything that `stream` shows now, as its transformer says it. */
async function observed(simulator: Simulator, stream: string): Promise<Observation[]> {
  const source = SOURCES.find((s) => s.stream === stream)
  if (source === undefined) throw new Error(`no source of ${stream}`)
  const { client } = connectPrisma(simulator.prisma, { computeRequestsPer30s: 100_000 })
  const { units, end } = await pullAll(source, client)
  expect(end.verdict).toBe('COMPLETE')
  return units.map((unit) => {
    const observation = observeBytes(stream, unit.body ?? Buffer.alloc(0))
    expectValid(observation)
    expect(observation.findingsKnown).toBe(true)
    expect(observation.drift).toEqual([])
    const [asset] = observation.assets
    expect(asset?.asset_uid).toBe(uidOf(unit.assetNativeId))
    return observation
  })
}

const uidOf = (nativeId: string) =>
  assetUid({ vendor: 'prisma-cloud', product: 'prisma-compute', tenant: TENANT, nativeId })
/** As true of the tenant that these tests observe for. */
function truthOf(simulator: Simulator) {
  const { assets, findings } = simulator.truth()
  const ofTenant = <T extends object>(told: T) => ({ ...told, tenant: TENANT })
  return { assets: assets.map(ofTenant), findings: findings.map(ofTenant) }
}

describe('Compute, from the API to the observation', () => {
  it.each(STREAMS)('%s says what is true, now and some steps later', async (stream) => {
    const simulator = await runSimulator({ machines: 90, seed: 3 })
    for (let round = 0; round < 2; round += 1) {
      const { assets, findings } = truthOf(simulator)
      const observations = await observed(simulator, stream)
      const expected = assetTruthFor(assets, stream, TENANT)
      expect(expected.length).toBeGreaterThan(2)
      expect(assetsSaid(observations.flatMap((o) => o.assets))).toEqual(expected)
      expect(saidOf(observations.flatMap((o) => o.findings))).toEqual(
        truthFor(findings, stream, TENANT),
      )
      simulator.evolve(5)
    }
  })

  it('shows an image in the registry and where it runs as one asset', async () => {
    const simulator = await runSimulator({ machines: 60 })
    const running = await observed(simulator, 'compute.images')
    const stored = await observed(simulator, 'compute.registry')
    const byUid = (observations: readonly Observation[]) =>
      new Map(observations.map((o) => [o.assets[0]?.asset_uid, o]))
    const inRegistry = byUid(stored)
    const both = [...byUid(running)].flatMap(([id, o]) => {
      const other = inRegistry.get(id)
      return other === undefined ? [] : [[o, other] as const]
    })
    expect(both.length).toBeGreaterThan(2)
    for (const [a, b] of both) {
      expect(a.assets[0]?.entity_uid).toBe(b.assets[0]?.entity_uid)
      expect(a.findings.map((f) => f.finding_uid)).toEqual(b.findings.map((f) => f.finding_uid))
    }
  })

  it('gives a discovered machine the entity of its host, but an asset of its own', async () => {
    const simulator = await runSimulator({ machines: 60 })
    const hosts = (await observed(simulator, 'compute.hosts')).flatMap((o) => o.assets)
    const found = (await observed(simulator, 'compute.cloud-vms')).flatMap((o) => o.assets)
    const entities = new Set(hosts.filter((a) => a.cloud !== null).map((a) => a.entity_uid))
    const shared = found.filter((a) => entities.has(a.entity_uid))
    expect(shared.length).toBe(entities.size)
    expect(found.length).toBeGreaterThan(shared.length)
    const ids = new Set(hosts.map((a) => a.asset_uid))
    expect(found.filter((a) => ids.has(a.asset_uid))).toEqual([])
  })
})
