// The truth equals what a naive full listing shows; seeds decide everything; steps change it.
import { describe, expect, it } from 'vitest'
import { withoutField } from '../../simulator/rows.ts'
import type { Simulator } from '../../simulator/simulator.ts'
import type { TrueFinding, Truth } from '../../simulator/truth.ts'
import {
  askCortex,
  askHosts,
  listAssets,
  listEndpoints,
  listFindings,
  listHosts,
  logIn,
  runSimulator,
} from '../support/simulator.ts'

type Row = Record<string, unknown>
type Finding = Omit<TrueFinding, 'fixVersions'> & { fixVersions: readonly string[] }

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const isPrivate = (ip: string): boolean => ip.startsWith('10.')
const sorted = <T>(list: readonly T[]): T[] =>
  list.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))

const minus = (a: ReadonlySet<string>, b: ReadonlySet<string>): Set<string> =>
  new Set([...a].filter((x) => !b.has(x)))

/** Read from the records alone, by other code than the simulator's. */
const SEVERITIES: Record<string, number> = { low: 2, medium: 3, high: 4, critical: 5 }
const TYPES: Record<string, string> = {
  windows: 'os',
  nodejs: 'npm',
  python: 'pypi',
  jar: 'maven',
  go: 'go',
  gem: 'gem',
}
const SYSTEM_TYPES: Record<string, string> = {
  ubuntu: 'deb',
  debian: 'deb',
  redhat: 'rpm',
  amzn: 'rpm',
  alpine: 'apk',
}
const bandOf = (cvss: number): number => (cvss >= 9 ? 5 : cvss >= 7 ? 4 : cvss >= 4 ? 3 : 2)

function merged(findings: Finding[]): Finding[] {
  const byKey = new Map<string, Finding>()
  for (const finding of findings) {
    const key = JSON.stringify([finding.assetNativeId, finding.vulnId, finding.packageName])
    const met = byKey.get(key)
    const versions = [...(met?.versions ?? []), ...finding.versions].toSorted()
    byKey.set(key, { ...finding, versions })
  }
  return [...byKey.values()]
}

function hostFindings(host: Row, tenant: string): Finding[] {
  return (host['vulnerabilities'] as Row[]).map((v) => ({
    product: 'prisma-compute',
    tenant,
    stream: 'compute.hosts',
    assetNativeId: `host|${text(host['_id'])}`,
    vulnId: text(v['cve']),
    packageType: TYPES[text(v['packageType'])] ?? SYSTEM_TYPES[text(host['osDistro'])] ?? '?',
    packageName: text(v['packageName']),
    versions: [text(v['packageVersion'])],
    severityId: SEVERITIES[text(v['severity'])] ?? 0,
    fixVersions: text(v['status']).startsWith('fixed in ')
      ? text(v['status']).slice('fixed in '.length).split(', ').toSorted()
      : [],
    cvss: v['cvss'] === 0 && v['vecStr'] === '' ? null : Number(v['cvss']),
  }))
}

function hostAsset(host: Row, tenant: string) {
  const cloud = host['cloudMetadata'] as Row
  const provider = text(cloud['provider'])
  const account = text(cloud['accountID'])
  const ids: Record<string, string> = {
    aws: `aws:${text(cloud['resourceID'])}`,
    azure: `azure:${text(cloud['vmID'])}`,
    gcp: `gcp:${account}:${text(cloud['resourceID'])}`,
  }
  return {
    product: 'prisma-compute',
    tenant,
    stream: 'compute.hosts',
    nativeId: `host|${text(host['_id'])}`,
    name: text(host['hostname']),
    entity: entityOf(ids[provider]),
    provider: provider || null,
    region: text(cloud['region']) || null,
    accountId: provider === '' ? null : account,
    osFamily: host['osDistro'] === 'windows' ? 'WINDOWS' : 'LINUX',
    privateIps: ((host['hostDevices'] ?? []) as { ip: string }[]).map((d) => d.ip),
    publicIps: [],
  }
}

const entityOf = (id: string | undefined) =>
  id === undefined ? { type: null, value: null } : { type: 'cloud_instance_id', value: id }

function cloudIdOf(provider: string, account: string, id: string): string | undefined {
  if (!['aws', 'azure', 'gcp'].includes(provider)) return undefined
  return provider === 'gcp' ? `gcp:${account}:${id}` : `${provider}:${id.toLowerCase()}`
}

function endpointAsset(row: Row, tenant: string) {
  const provider = text(row['cloud_provider']).toLowerCase()
  const account = text(row['cloud_provider_account_id'])
  const id = cloudIdOf(provider, account, text(row['cloud_instance_id']))
  return {
    product: 'cortex-xdr',
    tenant,
    stream: 'xdr.endpoints',
    nativeId: text(row['endpoint_id']),
    name: text(row['endpoint_name']),
    entity:
      id === undefined
        ? { type: 'agent_id', value: `cortex:${text(row['endpoint_id'])}` }
        : entityOf(id),
    provider: provider || null,
    region: text(row['cloud_region']) || null,
    accountId: account || null,
    osFamily: row['os_type'] === 'AGENT_OS_WINDOWS' ? 'WINDOWS' : 'LINUX',
    privateIps: row['ip'],
    publicIps: [row['public_ip']],
  }
}

function inventoryAsset(row: Row, tenant: string) {
  const provider = text(row['xdm.asset.provider']).toLowerCase()
  const realm = text(row['xdm.asset.realm'])
  const cloud = provider !== 'on_prem'
  const addresses = row['xdm.host.ipv4_addresses'] as string[]
  return {
    product: 'cortex-cloud',
    tenant,
    stream: 'cloud.assets',
    nativeId: text(row['xdm.asset.id']),
    name: text(row['xdm.asset.name']),
    entity: entityOf(cloudIdOf(provider, realm, text(row['xdm.asset.strong_id']))),
    provider: cloud ? provider : null,
    region: text(row['xdm.asset.cloud.region']) || null,
    accountId: cloud ? realm : null,
    osFamily: text(row['xdm.host.os_family']).toUpperCase(),
    privateIps: addresses.filter(isPrivate),
    publicIps: addresses.filter((ip) => !isPrivate(ip)),
  }
}

function rowFinding(row: Row, tenant: string): Finding {
  const given = row['xdm.finding.normalized_fields']
  const facts = (typeof given === 'string' ? JSON.parse(given) : given) as Row
  const purl = text(facts['xdm.software_package.purl'])
  const type = purl === '' ? 'os' : (/^pkg:(\w+)\//.exec(purl)?.[1] ?? '?')
  const cvss = facts['xdm.vulnerability.cvss_score'] as number | null
  const word = facts['xdm.vulnerability.severity']
  return {
    product: 'cortex-cloud',
    tenant,
    stream: 'cloud.findings',
    assetNativeId: text(row['xdm.finding.asset_id']),
    vulnId: text(facts['xdm.vulnerability.cve_id']),
    packageType: type === 'golang' ? 'go' : type,
    packageName: text(facts['xdm.software_package.id']),
    versions: [text(facts['xdm.software_package.version'])],
    severityId: word === null ? bandOf(cvss ?? 0) : (SEVERITIES[text(word).toLowerCase()] ?? 0),
    fixVersions: (facts['xdm.vulnerability.fix_versions'] as string[]).toSorted(),
    cvss,
  }
}

/** What a full listing of everything shows. */
async function listed(simulator: Simulator) {
  const hosts = await listHosts(simulator)
  const prisma = simulator.prisma.prismaId
  const assets: unknown[] = hosts.map((host) => hostAsset(host, prisma))
  const findings = merged(hosts.flatMap((host) => hostFindings(host, prisma)))
  for (const access of simulator.cortex) {
    const { tenant } = access
    assets.push(...(await listEndpoints(access)).map((row) => endpointAsset(row, tenant)))
    assets.push(...(await listAssets(access)).map((row) => inventoryAsset(row, tenant)))
    findings.push(...merged((await listFindings(access)).map((row) => rowFinding(row, tenant))))
  }
  return { assets: sorted(assets), findings: sorted(findings) }
}
/** The streams listed here; every other stream has a test of its own. */
const STREAMS = new Set<string>([
  'compute.hosts',
  'xdr.endpoints',
  'cloud.assets',
  'cloud.findings',
])
const ofStreams = (truth: Truth) => ({
  assets: truth.assets.filter((a) => STREAMS.has(a.stream)),
  findings: truth.findings.filter((f) => STREAMS.has(f.stream)),
})
const ordered = (truth: Truth) => ({
  assets: sorted(ofStreams(truth).assets),
  findings: sorted(ofStreams(truth).findings.map((f) => withoutField(f, 'alsoIn'))),
})

describe('truth', () => {
  it.each([5, 160])('equals a naive full listing of %i machines, step after step', async (n) => {
    const simulator = await runSimulator({ machines: n, seed: 11 })
    for (let step = 0; step < 4; step++) {
      expect(await listed(simulator)).toEqual(ordered(simulator.truth()))
      simulator.evolve()
    }
  })

  it('gives one machine one identity at both vendors, and shares weaknesses', async () => {
    const { truth } = await runSimulator({ machines: 100 })
    const { assets, findings } = ofStreams(truth())
    const productsOf = new Map<string, Set<string>>()
    for (const { entity, product } of assets) {
      if (entity.type !== 'cloud_instance_id') continue
      productsOf.set(entity.value, (productsOf.get(entity.value) ?? new Set()).add(product))
    }
    const sizes = [...productsOf.values()].map((products) => products.size)
    expect(sizes.filter((size) => size === 3).length).toBeGreaterThan(20)
    const names = new Map(assets.map((a) => [a.nativeId, a.name]))
    const keysOf = (product: string) =>
      findings
        .filter((f) => f.product === product)
        .map((f) => `${names.get(f.assetNativeId)}/${f.vulnId}/${f.packageType}/${f.packageName}`)
    const compute = new Set(keysOf('prisma-compute'))
    expect(keysOf('cortex-cloud').some((key) => compute.has(key))).toBe(true)
    expect(keysOf('cortex-cloud').some((key) => !compute.has(key))).toBe(true)
  })

  it('holds every case in five machines, and two tenants that share nothing', async () => {
    const { truth, cortex } = await runSimulator({ machines: 5 })
    const { assets } = ofStreams(truth())
    expect(new Set(assets.map((a) => a.provider))).toEqual(new Set(['aws', 'azure', 'gcp', null]))
    expect(new Set(assets.map((a) => a.entity.type))).toEqual(
      new Set(['cloud_instance_id', 'agent_id', null]),
    )
    const [first, second] = cortex.map(({ tenant }) =>
      assets.filter((a) => a.tenant === tenant).map((a) => a.name),
    )
    expect(first?.length).toBeGreaterThan(0)
    expect(second?.length).toBeGreaterThan(0)
    expect(first?.filter((name) => second?.includes(name))).toEqual([])
  })

  it('is there for no machine at all and for ten thousand', async () => {
    expect((await runSimulator({ machines: 0 })).truth().assets).toEqual([])
    const many = (await runSimulator({ machines: 10_000 })).truth()
    expect(many.assets.filter((a) => a.stream === 'compute.hosts')).toHaveLength(8_000)
    const keys = many.findings.map((f) =>
      [f.product, f.assetNativeId, f.vulnId, f.packageName].join('/'),
    )
    expect(new Set(keys).size).toBe(keys.length)
  })
})

describe('seeds', () => {
  const bytesOf = async (seed: number, steps: number): Promise<string[]> => {
    const simulator = await runSimulator({ seed })
    if (steps > 0) simulator.evolve(steps)
    const query = 'dataset = findings'
    const started = await askCortex(simulator.cortex[1], 'xql/start_xql_query', { query })
    const query_id = JSON.parse(started.text).reply
    const result = { query_id, pending_flag: false }
    return [
      (await askHosts(simulator, await logIn(simulator), 'limit=50')).text,
      (await askCortex(simulator.cortex[0], 'endpoints/get_endpoint')).text,
      (await askCortex(simulator.cortex[1], 'assets')).text,
      (await askCortex(simulator.cortex[1], 'xql/get_query_results', result)).text,
      JSON.stringify(simulator.truth()),
    ]
  }

  it('give the same bytes again, also after the same steps', async () => {
    expect(await bytesOf(3, 0)).toEqual(await bytesOf(3, 0))
    expect(await bytesOf(3, 7)).toEqual(await bytesOf(3, 7))
  })

  it('give other bytes when they or the steps differ', async () => {
    const [base, seed, step] = [await bytesOf(3, 0), await bytesOf(4, 0), await bytesOf(3, 1)]
    for (const [i, bytes] of base.entries()) {
      expect(seed[i]).not.toBe(bytes)
      expect(step[i]).not.toBe(bytes)
    }
  })
})

describe('evolution', () => {
  it('lets machines come and go, and weaknesses be fixed, return and appear', async () => {
    const simulator = await runSimulator({ machines: 200 })
    const keysOf = ({ findings }: Truth) =>
      new Set(findings.map((f) => `${f.assetNativeId}/${f.vulnId}/${f.packageName}`))
    const namesOf = ({ assets }: Truth) => new Set(assets.map((a) => a.name))
    const first = simulator.truth()
    expect(simulator.evolve()).toBe(1)
    const second = simulator.truth()
    expect(simulator.evolve(5)).toBe(6)
    const third = simulator.truth()
    const fixed = minus(keysOf(first), keysOf(second))
    expect(fixed.size).toBeGreaterThan(0)
    expect(minus(keysOf(second), keysOf(first)).size).toBeGreaterThan(0)
    expect(minus(fixed, minus(fixed, keysOf(third))).size).toBeGreaterThan(0)
    expect(minus(namesOf(first), namesOf(second)).size).toBeGreaterThan(0)
    expect(minus(namesOf(second), namesOf(first)).size).toBeGreaterThan(0)
  })

  it('fixes something in every step even where there are five machines', async () => {
    const simulator = await runSimulator({ machines: 5, seed: 2 })
    for (let step = 0; step < 5; step++) {
      const before = new Set(simulator.truth().findings.map((f) => JSON.stringify(f)))
      simulator.evolve()
      const after = new Set(simulator.truth().findings.map((f) => JSON.stringify(f)))
      expect(minus(before, after).size).toBeGreaterThan(0)
    }
  })

  it('moves EPSS and last_seen, which are noise', async () => {
    const simulator = await runSimulator()
    const [tenant] = simulator.cortex
    const noise = async () => {
      const rows = await listFindings(tenant)
      const facts = rows.map((row) => row['xdm.finding.normalized_fields'] as Row)
      const seen = (await listEndpoints(tenant)).map((row) => row['last_seen'])
      return { epss: facts.map((f) => f['xdm.vulnerability.epss_score']), seen }
    }
    const before = await noise()
    simulator.evolve()
    const after = await noise()
    expect(after.epss).not.toEqual(before.epss)
    expect(after.seen).not.toEqual(before.seen)
  })
})
