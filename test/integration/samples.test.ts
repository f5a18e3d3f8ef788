// Recorded answers through the whole path: what is in them, and nothing else, reaches the store.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Asset } from '../../contracts/asset.ts'
import { controlOf } from '../../contracts/envelope.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { TopicName } from '../../contracts/topics.ts'
import { startSimulator } from '../../simulator/simulator.ts'
import { type Product, startProduct } from '../support/product.ts'
import { samplePath, samplesPresent } from '../support/samples.ts'

const COMPUTE = 'prisma-cloud/compute/'
const MANJARO = 'servo-vmware71'
const WINDOWS = 'EC2AMAZ-Burr'
const NODE = 'ip-10-0-1-105.eu-west-3.compute.internal'

/** The one element of the array that begins after `head` and ends before `tail`, as it stands. */
function onlyElement(path: string, head = '', tail = ']'): string {
  const text = readFileSync(samplePath(path), 'utf8')
  const from = text.indexOf('{', head === '' ? 0 : text.indexOf(head))
  const end = tail === ']' ? text.lastIndexOf(tail) : text.indexOf(tail, from)
  return text.slice(from, end).trimEnd()
}

/** The elements of the samples, byte for byte, by the unit they become. */
const elements = () => ({
  manjaro: onlyElement(`${COMPUTE}hosts.recorded-23.01.735.json`),
  windows: onlyElement(`${COMPUTE}hosts.windows-no-vulnerabilities-key.json`),
  endpoint: onlyElement('cortex/xdr.get_endpoint.reply.json', '"endpoints"', '\n  ]'),
  asset: onlyElement('cortex/constructed/rows.json', '"assets_live_wire"', '\n ]'),
  finding: onlyElement('cortex/constructed/rows.json', '"findings"', '\n ]'),
})

/** A file per listing, gone when the test ends. */
function filesOf(listings: Readonly<Record<string, readonly string[]>>): Record<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'exposure-samples-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const files: Record<string, string> = {}
  for (const [stream, rows] of Object.entries(listings)) {
    const file = join(folder, `${stream}.json`)
    writeFileSync(file, `[${rows.join(',\n')}]`)
    files[stream] = file
  }
  return files
}

/** No machines: whatever there is comes from these listings. */
const estateOf = (listings: Readonly<Record<string, readonly string[]>>) => ({
  seed: 7,
  machines: 0,
  files: filesOf(listings),
})

async function rawBodies(product: Product, topic: TopicName): Promise<string[]> {
  const records = await product.records(topic)
  const data = records.filter(({ headers }) => controlOf(headers) === null)
  return data.map(({ value }) => value?.toString() ?? '').toSorted((a, b) => (a < b ? -1 : 1))
}

const sorted = (...texts: string[]): string[] => texts.toSorted((a, b) => (a < b ? -1 : 1))

const one = <T>(items: readonly T[]): T => {
  const [first] = items
  if (first === undefined || items.length > 1) throw new Error(`${items.length} in place of one`)
  return first
}

async function assetNamed(product: Product, name: string): Promise<Asset> {
  const asset = one((await product.events<Asset>('assets')).filter((event) => event.name === name))
  const sql = 'select state, first_seen, last_seen from exposure.asset where name = $1'
  type Row = { state: Asset; first_seen: Date; last_seen: Date }
  const row = one(await product.query<Row>(sql, [name]))
  // The store holds the very event of the topic.
  expect(row.state.meta.event_id).toBe(asset.meta.event_id)
  expect(row.first_seen.getTime()).toBe(asset.first_seen)
  expect(row.last_seen.getTime()).toBe(asset.last_seen)
  return asset
}

describe.skipIf(!samplesPresent)('recorded answers through the whole path', () => {
  it('arrive as they are, in raw records, events and rows', { timeout: 120_000 }, async () => {
    const of = elements()
    const simulator = estateOf({
      'compute.hosts': [of.manjaro, of.windows],
      'xdr.endpoints': [of.endpoint],
      'cloud.assets': [of.asset],
      'cloud.findings': [of.finding],
    })
    const product = await startProduct({ simulator, connections: ['prisma', 'alpha'] })
    const ended = await product.once()
    expect({ code: ended.code, said: ended.stderr }).toEqual({ code: 0, said: '' })

    expect(await rawBodies(product, 'rawPrismaCloud')).toEqual(sorted(of.manjaro, of.windows))
    expect(await rawBodies(product, 'rawCortex')).toEqual(sorted(of.endpoint, of.asset, of.finding))
    expect(await product.records('dlq')).toEqual([])
    await expectManjaro(product)
    await expectWindows(product)
    await expectEndpoint(product)
    await expectNode(product)

    const again = await product.once()
    expect(again.code).toBe(0)
    const events = Object.values(again.summary?.streams ?? {}).map((stream) => stream.events)
    expect(events).toEqual([0, 0, 0, 0])
  })

  it('resolve nothing where a host no longer tells its findings', async () => {
    const { windows } = elements()
    const weakness = '"vulnerabilities": [{ "cve": "CVE-2026-0001", "severity": "high" }]'
    const before = windows.replace('{', `{ ${weakness},`)
    const product = await startProduct({
      simulator: estateOf({ 'compute.hosts': [before] }),
      connections: ['prisma'],
    })
    expect((await product.once()).code).toBe(0)
    await product.simulator.stop()
    const later = await startSimulator({
      ...estateOf({ 'compute.hosts': [windows] }),
      prismaPort: Number(new URL(product.simulator.prisma.url).port),
    })
    onTestFinished(() => later.stop())
    expect((await product.once()).code).toBe(0)
    expect(await rawBodies(product, 'rawPrismaCloud')).toEqual(sorted(before, windows))
    const events = await product.events<Finding>('findings')
    expect(events.map(({ meta, status }) => [meta.change_type, status])).toEqual([
      ['CREATED', 'OPEN'],
    ])
    const rows = await product.query('select vuln_id, status from exposure.finding')
    expect(rows).toEqual([{ vuln_id: 'CVE-2026-0001', status: 'OPEN' }])
  })
})

async function expectManjaro(product: Product): Promise<void> {
  const host = await assetNamed(product, MANJARO)
  expect(host).toMatchObject({
    kind: 'HOST',
    os: { family: 'LINUX', name: 'Manjaro Linux', version: '21.3.6' },
    // The account is "Non-onboarded cloud accounts", and no provider is named.
    cloud: null,
    network_interfaces: [{ name: 'ens32', mac: null, ips: ['192.168.0.110'] }],
    private_ips: ['192.168.0.110'],
    agent: { type: 'prisma-defender', version: '23.01.735' },
    last_seen: Date.UTC(2023, 0, 3, 14, 53, 4, 6),
    // Its first scan is the year 1: the first sight is ours.
    first_seen: host.meta.observed_at,
    meta: { change_type: 'CREATED', backfill: true, source: { native_id: `host|${MANJARO}` } },
  })
  const findings = await product.query<{
    vuln_id: string
    severity: string
    versions: string[]
    fixes: string[]
  }>(
    `select vuln_id, severity, state->'package'->'versions' as versions,
            state->'fix'->'versions' as fixes
     from exposure.finding where asset_uid = $1 and status = 'OPEN' and entity_uid = $2`,
    [host.asset_uid, host.entity_uid],
  )
  expect(findings).toHaveLength(17)
  expect(new Set(findings.map((row) => row.vuln_id)).size).toBe(17)
  expect(findings.filter((row) => row.severity === 'HIGH')).toHaveLength(12)
  expect(findings.filter((row) => row.severity === 'MEDIUM')).toHaveLength(5)
  expect(findings.filter((row) => row.vuln_id === 'CVE-2022-30632')).toEqual([
    {
      vuln_id: 'CVE-2022-30632',
      severity: 'HIGH',
      versions: ['1.18.3'],
      fixes: ['1.17.12', '1.18.4'],
    },
  ])
  const events = (await product.events<Finding>('findings')).filter(
    (event) => event.asset_uid === host.asset_uid,
  )
  expect(events.map((event) => event.vuln_id).toSorted()).toEqual(
    findings.map((row) => row.vuln_id).toSorted(),
  )
  const go = one(events.filter((event) => event.vuln_id === 'CVE-2022-30632'))
  expect(go).toMatchObject({
    status: 'OPEN',
    cvss_score: 7.5,
    package: { name: 'go', versions: ['1.18.3'] },
    fix: { available: true, versions: ['1.17.12', '1.18.4'] },
    published_at: Date.UTC(2022, 7, 10, 20, 15),
    meta: { change_type: 'CREATED' },
  })
}

async function expectWindows(product: Product): Promise<void> {
  const host = await assetNamed(product, WINDOWS)
  expect(host).toMatchObject({
    cloud: { provider: 'aws', region: 'eu-west-1', image_id: 'ami-08eeb5a90cf59a66a' },
    os: { family: 'WINDOWS', name: 'Windows Server 2019' },
    finding_counts: { critical: 22, high: 527, medium: 210, low: 2, total: 761 },
    first_seen: host.meta.observed_at,
    last_seen: Date.UTC(2022, 6, 19, 17, 18, 46, 156),
  })
  const sql = 'select finding_uid from exposure.finding where asset_uid = $1'
  expect(await product.query(sql, [host.asset_uid])).toEqual([])
}

async function expectEndpoint(product: Product): Promise<void> {
  expect(await assetNamed(product, 'ip-3.3.3.3')).toMatchObject({
    native_type: 'AGENT_TYPE_SERVER',
    os: { family: 'LINUX' },
    cloud: null,
    public_ips: ['3.3.3.3'],
    private_ips: [],
    agent: { type: 'cortex-xdr', id: '1111', version: '7.0.0.1915', status: 'CONNECTED' },
    business_units: [],
    owners: ['ec2-user'],
    status: 'ACTIVE',
    first_seen: 1_575_795_969_644,
    last_seen: 1_575_875_404_040,
  })
}

async function expectNode(product: Product): Promise<void> {
  const machine = await assetNamed(product, NODE)
  expect(machine).toMatchObject({
    cloud: { provider: 'aws', account_id: '976369349992', region: 'eu-west-3' },
    private_ips: ['10.0.1.105'],
    first_seen: 1_747_834_085_000,
  })
  const rows = await product.query<{ first_seen: Date; state: Finding }>(
    'select first_seen, state from exposure.finding where asset_uid = $1',
    [machine.asset_uid],
  )
  const { first_seen, state } = one(rows)
  expect(state).toMatchObject({
    entity_uid: machine.entity_uid,
    vuln_id: 'CVE-2021-41617',
    severity: 'HIGH',
    cvss_score: 7,
    epss: { score: 0.00074 },
    package: { name: 'openssh-server', type: 'deb', versions: ['1:8.2p1-4ubuntu0.2'] },
    fix: { available: true, versions: ['1:8.2p1-4ubuntu0.3'] },
    internet_exposed: true,
    meta: { source: { native_id: 'f-000000000001', stream: 'cloud.findings' } },
  })
  // `first_observed` is null: the day of publication stands in.
  expect(first_seen.toISOString()).toBe('2021-09-26T19:15:00.000Z')
  const event = one(
    (await product.events<Finding>('findings')).filter((f) => f.asset_uid === machine.asset_uid),
  )
  expect(event.meta.event_id).toBe(state.meta.event_id)
  expect(event.last_seen).toBe(1_748_399_709_000)
}
