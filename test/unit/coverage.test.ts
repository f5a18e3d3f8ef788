// What customers of the vendors' connectors were promised, product by product: filled, or why not.
import { describe, expect, it } from 'vitest'
import type { AssetState } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { Observation, Source } from '../../contracts/ports.ts'
import { cortexConnector } from '../../producers/cortex/connector.ts'
import { prismaCloudConnector } from '../../producers/prisma-cloud/connector.ts'
import type { Simulator } from '../../simulator/simulator.ts'
import { TRANSFORMERS } from '../../transformers/transformers.ts'
import { connectCortex, connectPrisma, pullAll } from '../support/connect.ts'
import { runSimulator } from '../support/simulator.ts'
import { QUICK } from '../support/sources.ts'
import { FETCHED_MS, TENANT, expectValid, observe, transformerOf } from '../support/transform.ts'

/** Whether an asset has what the property stands for. */
const PROPERTIES = {
  'cloud provider': (asset: AssetState) => asset.cloud !== null && asset.cloud.provider !== '',
  'resource type': (asset: AssetState) => asset.native_type !== '' && asset.kind !== 'UNKNOWN',
  'network interfaces': (asset: AssetState) =>
    asset.network_interfaces.some((i) => i.ips.length > 0),
  'IP address': (asset: AssetState) => asset.private_ips.length + asset.public_ips.length > 0,
  'public DNS name': (asset: AssetState) => asset.public_dns_names.length > 0,
  'operating system': (asset: AssetState) => asset.os !== null && asset.os.family !== 'UNKNOWN',
  'internet facing': (asset: AssetState) => asset.internet_exposed === true,
  criticality: (asset: AssetState) => asset.criticality !== null,
} as const
type Property = keyof typeof PROPERTIES

/** `filled`, or the reason why the vendor has nothing there. */
type Coverage = Readonly<Record<Property, 'filled' | { readonly nothing: string }>>

const ALL = {
  'cloud provider': 'filled',
  'resource type': 'filled',
  'network interfaces': 'filled',
  'IP address': 'filled',
  'public DNS name': 'filled',
  'operating system': 'filled',
  'internet facing': 'filled',
  criticality: 'filled',
} as const satisfies Coverage

/** Decided by what the vendors document; a product without a row fails. */
const TABLE: Readonly<Record<string, Coverage>> = {
  'prisma-compute': {
    ...ALL,
    'public DNS name': {
      nothing: 'hostname and the fqdn of discovered machines are names inside their network',
    },
  },
  'prisma-cspm': ALL,
  'cortex-xdr': {
    ...ALL,
    'public DNS name': {
      nothing: 'the agent tells its own name and domain, which nobody publishes',
    },
    'internet facing': { nothing: 'public_ip may be that of a gateway' },
    criticality: { nothing: 'risk scores of hosts need an add-on and a call of their own' },
  },
  'cortex-xpanse': ALL,
  'cortex-cloud': {
    ...ALL,
    'public DNS name': {
      nothing: 'the inventory has a name, which is rarely one that is published',
    },
  },
}
const PRODUCTS = [...new Set(TRANSFORMERS.map((transformer) => transformer.product))].toSorted()

/**
 * Details of CSPM's assets, internet exposure among them, are asked for within a budget. Weaknesses
 * of machines are kept also where Compute tells them.
 */
const PRISMA = {
  computeRequestsPer30s: 100_000,
  enrichment: { budget: 1_000 },
  overlap: 'keep',
}
/** Its weaknesses are also of images and of code, which only Compute or nobody lists. */
const LISTS_PART: ReadonlySet<string> = new Set(['prisma-cspm'])

/** Everything that the streams of `product` show, mapped. */
async function observed(simulator: Simulator, product: string): Promise<Observation[]> {
  const access = simulator.cortex[0]
  const prisma = connectPrisma(simulator.prisma, PRISMA, QUICK).client
  const cortex = connectCortex(access, {}, QUICK).client
  const observations: Observation[] = []
  for (const source of prismaCloudConnector.sources) {
    if (source.product === product) observations.push(...(await mapped(source, prisma)))
  }
  for (const source of cortexConnector.sources) {
    if (source.product === product) observations.push(...(await mapped(source, cortex)))
  }
  return observations
}

async function mapped<Client>(
  source: Source<Client, unknown>,
  client: Client,
): Promise<Observation[]> {
  const { vendor, product, stream } = source
  const { units, end } = await pullAll(source, client)
  expect(end.verdict).toBe('COMPLETE')
  return units.map(({ unit, assetNativeId, contentType, columns, body }) => {
    const where = { connection: 'prod', vendor, product, tenant: TENANT, stream }
    const when = { runId: 'run-1', fetchedAtMs: FETCHED_MS, endpoint: '/listing', page: 1 }
    const what = { unit, assetNativeId, contentType, columns, tooLargeBytes: null }
    const facts: RawFacts = { ...where, ...when, ...what }
    const raw = { facts, body: body ?? Buffer.alloc(0) }
    const observation = transformerOf(stream).transform(raw)
    expectValid(observation)
    return observation
  })
}

describe('what is promised to be retrieved', () => {
  it('has a row for every product that is read, and for no other', () => {
    const sources = [...prismaCloudConnector.sources, ...cortexConnector.sources]
    const read = new Set(sources.map((source) => source.product))
    expect(Object.keys(TABLE).toSorted()).toEqual([...read].toSorted())
    expect(PRODUCTS).toEqual([...read].toSorted())
  })

  it.each(PRODUCTS)('is filled from %s, where the vendor has it', async (product) => {
    const simulator = await runSimulator({ machines: 60, seed: 3 })
    const assets = (await observed(simulator, product)).flatMap((o) => o.assets)
    expect(assets.length).toBeGreaterThan(20)
    const names = Object.keys(PROPERTIES) as Property[]
    const isFilled = names.map((name) => [name, assets.some(PROPERTIES[name])] as const)
    const isPromised = names.map((name) => [name, TABLE[product]?.[name] === 'filled'] as const)
    expect(Object.fromEntries(isFilled)).toEqual(Object.fromEntries(isPromised))
  })

  it.each(PRODUCTS)('has CVE findings from %s on assets that it lists', async (product) => {
    const simulator = await runSimulator({ machines: 60, seed: 3 })
    const observations = await observed(simulator, product)
    const assets = new Set(observations.flatMap((o) => o.assets).map((a) => a.asset_uid))
    const findings = observations.flatMap((o) => o.findings)
    const cves = findings.filter((f) => f.vuln_id_scheme === 'cve')
    const placed = cves.filter((f) => assets.has(f.asset_uid))
    expect(placed.length).toBeGreaterThan(20)
    if (!LISTS_PART.has(product)) expect(placed).toEqual(cves)
  })
})

describe('a name that a cloud publishes for an address', () => {
  const PUBLISHED = 'ec2-203-0-113-9.us-east-2.compute.amazonaws.com'
  const rows: readonly (readonly [string, Record<string, unknown>])[] = [
    ['compute.hosts', { _id: PUBLISHED, hostname: PUBLISHED }],
    ['compute.cloud-vms', { _id: 'i-0abc', fqdn: PUBLISHED }],
    ['xdr.endpoints', { endpoint_id: 'e-1', endpoint_name: PUBLISHED }],
    ['cloud.assets', { 'xdm.asset.id': 'a-1', 'xdm.asset.name': PUBLISHED }],
    ['cloud.assets', { 'xdm.asset.id': 'a-1', 'xdm.host.fqdn': [PUBLISHED] }],
  ]

  it.each(rows)('is a public DNS name also in %s, %j', (stream, unit) => {
    const [asset] = observe(stream, unit).assets
    expect(asset?.public_dns_names).toEqual([PUBLISHED])
    expect(asset?.unmapped).toEqual({})
  })
})
