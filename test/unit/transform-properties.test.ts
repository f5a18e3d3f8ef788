// Whatever a vendor sends: no surprise errors, and no difference where nothing is different.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { MAPPINGS } from '../../transformers/mapping/mappings.ts'
import { TRANSFORMERS } from '../../transformers/transformers.ts'
import { expectValid, observe, observeBytes } from '../support/transform.ts'

type Json = Record<string, unknown>

const SCAN = [
  '_id type scanTime firstScanTime distro osDistro cloudMetadata labels externalLabels riskFactors',
  'vulnerabilities vulnerabilitiesCount vulnerabilityDistribution packages cve title cvss status',
  'packageName packageVersion functionLayer provider accountID region image name key value',
]
/** Names that our transformers read, so that garbage lands where it hurts. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  'compute.hosts': [
    '_id type hostname scanTime firstScanTime distro osDistro isARM64 hostDevices cloudMetadata',
    'labels externalLabels collections riskFactors vulnerabilitiesCount vulnerabilityRiskScore',
    'vulnerabilityDistribution packages applications vulnerabilities agentless err',
    'cve title severity cvss vecStr status packageName packageVersion published exploits exploit',
    'provider accountID resourceID vmID name version path pkgs pkgsType key value ip',
  ],
  'compute.images': [...SCAN, 'id repoTag tags repoDigests registry repo tag digest hosts cluster'],
  'compute.registry': [...SCAN, 'id repoTag tags repoDigests registry repo tag digest namespaces'],
  'compute.vms': [...SCAN, 'vmImageID hostname'],
  'compute.serverless': [...SCAN, 'functionTags resourceURL envvars version'],
  'compute.containers': [
    '_id scanTime collections info name image imageName imageID cluster namespace labels',
    'externalLabels cloudMetadata networkSettings network networks ports ipAddress macAddress',
    'host hostPort hostIP startTime processes key value provider accountID',
  ],
  'compute.cloud-vms': [
    '_id hostname fqdn name provider accountID region arn awsVPCID awsSubnetID imageID os osInfo',
    'distro version fullName architecture hasDefender createdAt timestamp tags key value',
  ],
  'xdr.endpoints': [
    'endpoint_id endpoint_name endpoint_status os_type ip ipv6 public_ip mac_address users domain',
    'group_name endpointTags tags first_seen last_seen cloud_provider cloud_instance_id',
  ],
  'cloud.assets': [
    'xdm.asset.id xdm.asset.strong_id xdm.asset.name xdm.asset.provider xdm.asset.realm',
    'xdm.asset.type.id xdm.asset.type.category xdm.asset.first_observed xdm.asset.group_ids',
    'xdm.asset.tags issues_breakdown xdm.host.ipv4_addresses xdm.host.mac_addresses',
    'xdm.asset.normalized_fields',
  ],
  'cloud.findings': [
    'xdm.finding.id xdm.finding.asset_id xdm.finding.asset_name xdm.finding.normalized_fields',
    'xdm.finding.first_observed xdm.vulnerability.cve_id xdm.vulnerability.severity',
    'xdm.vulnerability.cvss_score xdm.vulnerability.fix_versions xdm.software_package.purl',
    'xdm.vulnerability.cve_risk_factors xdm.vulnerability.epss_score xdm.software_package.id',
    'vulnerability_id asset_id affected_software package_version file_path cvss_severity',
  ],
  'cloud.issues': [
    'id name description severity status status.progress resolution_time last_modified asset_ids',
    'asset_names asset_types asset_providers asset_regions is_excluded normalized_fields',
    'xdm.vulnerability.cve_id xdm.vulnerability.cvss_vector xdm.software_package.purl',
  ],
  'xdr.findings': [
    'endpoint endpoint_id endpoint_name cves name severity severity_score description type',
    'publication_date is_excluded affected_products',
  ],
  'xdr.incidents': [
    'incident incident_id description severity status hosts creation_time xdr_url extra reply',
    'xpanse_risk_score xpanse_risk_explainer cves cveId cvssScore epssScore confidence',
    'exploitMaturity reportedExploitInTheWild riskFactors attributeName',
  ],
}
/** Ids that would make the record of another stream look different. */
const OWN_IDS: Readonly<Record<string, object>> = {
  'cspm.config': { assetId: 'a' },
  'cspm.inventory': { unifiedAssetId: 'a' },
  'xpanse.assets': { asm_ids: ['a'] },
  'xpanse.services': { service: { service_id: 'a' } },
  'cloud.vulnerabilities': { vulnerability_id: 'CVE-2026-0001' },
}
const SPECIALS = ['', 'N/A', '\0', '\ud800', '__proto__', '10.0.0.7', 'pkg:npm/%zz@1', '[', '::1']
const NUMBERS = [0, -1, 2 ** 53, 1e300, -0.5, 1_748_399_709_000, 7.5]

const garbage = (keys: readonly string[]) =>
  fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom<unknown>(null, true, false, ...SPECIALS, ...NUMBERS),
      fc.string({ unit: 'binary' }),
      fc.double(),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.constantFrom(...keys, '__proto__', 'other'), tie('value'), { maxKeys: 12 }),
    ),
  })).value

/** Every name in the paths that the stream's mapping reads; dotted names of Cortex also whole. */
function namesRead(stream: string): string[] {
  const tables = MAPPINGS.filter((one) => one.stream === stream).flatMap((one) =>
    Object.values(one.tables).flatMap((table) => Object.values(table)),
  )
  const paths = tables.flatMap((source) => source.from)
  return [...new Set(paths.flatMap((path) => [path, ...path.replaceAll('[]', '').split('.')]))]
}

describe.each(TRANSFORMERS)('the transformer of $stream', ({ stream }) => {
  const listed = (FIELDS[stream] ?? []).flatMap((line) => line.split(' '))
  const keys = [...new Set([...listed, ...namesRead(stream)])]

  it('throws nothing but a PipelineError, and says nothing that breaks the contract', () => {
    expect(keys.length).toBeGreaterThan(0)
    fc.assert(
      fc.property(garbage(keys), (unit) => {
        attempt(stream, Buffer.from(JSON.stringify(unit) ?? ''))
      }),
      { numRuns: 400 },
    )
  })

  // A row of a CSV has no room for garbage around an id: its columns are the ids.
  it.runIf(stream !== 'cspm.vulnerabilities')('survives garbage around the ids it needs', () => {
    const ids = {
      _id: 'a',
      endpoint_id: 'a',
      'xdm.asset.id': 'a',
      'xdm.finding.id': 'a',
      'xdm.finding.asset_id': 'a',
      'xdm.vulnerability.cve_id': 'CVE-2026-0001',
      id: 'a',
      endpoint: { endpoint_id: 'a', endpoint_name: 'b', cves: ['CVE-2026-0001', 'x'] },
      incident: { incident_id: 'a', hosts: ['b:native-1'] },
      ...OWN_IDS[stream],
    }
    let accepted = 0
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys), garbage(keys)), (unit) => {
        if (attempt(stream, Buffer.from(JSON.stringify({ ...unit, ...ids })))) accepted += 1
      }),
      { numRuns: 300 },
    )
    expect(accepted).toBeGreaterThan(30)
  })

  it('throws nothing but a PipelineError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        attempt(stream, Buffer.from(bytes))
      }),
    )
    const nested = `{"deep":${'['.repeat(50_000)}${']'.repeat(50_000)}}`
    attempt(stream, Buffer.from(nested))
  })
})

function attempt(stream: string, body: Buffer): boolean {
  try {
    expectValid(observeBytes(stream, body))
    return true
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error
    return false
  }
}

/** The same value with every list and the keys of every object in another order. */
function shuffled(value: unknown, random: () => number): unknown {
  if (Array.isArray(value)) {
    return value
      .map((item) => ({ item: shuffled(item, random), at: random() }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ item }) => item)
  }
  if (typeof value !== 'object' || value === null) return value
  const entries = shuffled(Object.keys(value), random) as string[]
  return Object.fromEntries(entries.map((key) => [key, shuffled((value as Json)[key], random)]))
}

/** A small generator of our own: fast-check then shrinks over one number. */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const HOST = {
  _id: 'web-1',
  hostname: 'web-1',
  osDistro: 'ubuntu',
  clusters: ['b', 'a'],
  labels: ['env:prod', 'env:test', 'a:1'],
  collections: ['All', 'web', 'db'],
  hostDevices: [
    { name: 'eth0', ip: '10.0.0.8' },
    { name: 'eth0', ip: '10.0.0.7' },
    { name: 'eth1', ip: '203.0.113.7' },
  ],
  riskFactors: { 'Has fix': {}, DoS: {} },
  packages: [
    {
      pkgsType: 'package',
      pkgs: [
        { name: 'openssl', version: '1', license: 'B' },
        { name: 'openssl', version: '1', license: 'A' },
      ],
    },
    { pkgsType: 'nodejs', pkgs: [{ name: 'openssl', version: '1', path: '/a' }] },
  ],
  vulnerabilities: [
    { cve: 'CVE-2026-0001', packageName: 'openssl', packageVersion: '1', severity: 'low' },
    { cve: 'CVE-2026-0001', packageName: 'openssl', packageVersion: '2', severity: 'high' },
    {
      cve: 'CVE-2026-0001',
      packageName: 'openssl',
      packageVersion: '2',
      severity: 'high',
      cvss: 9,
    },
    {
      cve: 'CVE-2026-0002',
      exploits: [
        { source: 'exploit-db', kind: 'poc' },
        { source: 'cisa-kev', kind: 'in-the-wild' },
      ],
    },
  ],
}
const ENDPOINT = {
  endpoint_id: 'a',
  ip: ['10.0.0.7', '10.0.0.8'],
  mac_address: ['00:50:56:00:00:07', '00:50:56:00:00:08'],
  users: ['b', 'a'],
  endpointTags: ['x', 'y'],
}
const ASSET = {
  'xdm.asset.id': 'a',
  'xdm.asset.group_ids': [42, 5],
  'xdm.host.ipv4_addresses': ['10.0.0.7', '203.0.113.7'],
  'xdm.asset.tags': { b: '1', a: '2' },
  other: { z: [3, 1, 2], a: {} },
}
const FINDING = {
  'xdm.finding.id': 'f',
  'xdm.finding.asset_id': 'a',
  'xdm.finding.normalized_fields': {
    'xdm.vulnerability.cve_id': 'CVE-2026-0001',
    'xdm.vulnerability.fix_versions': ['2', '1'],
    'xdm.vulnerability.cve_risk_factors': ['b', 'a'],
  },
}

describe('the order of keys and lists', () => {
  it.each([
    ['compute.hosts', HOST],
    ['xdr.endpoints', ENDPOINT],
    ['cloud.assets', ASSET],
    ['cloud.findings', FINDING],
  ])('changes nothing in what %s says', (stream, unit) => {
    const expected = observe(stream, unit)
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        expect(observe(stream, shuffled(unit, generator(seed)))).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })

  it('and noise of a scan change nothing but the times of sight', () => {
    const noisy = { ...HOST, scanID: 7, scanDuration: 9, scanBuildDate: 'x', binaries: [{ a: 1 }] }
    expect(observe('compute.hosts', noisy)).toEqual(observe('compute.hosts', HOST))
  })
})
