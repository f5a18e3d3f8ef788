// Compute hosts: recorded answers read by eye, and every rule of the mapping on made-up records.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { assetUid } from '../../contracts/identity.ts'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { FETCHED_MS, TENANT, observe, observeBytes } from '../support/transform.ts'

const STREAM = 'compute.hosts'
const FOLDER = 'prisma-cloud/compute/'

type Json = Record<string, unknown>
const sampleHost = (name: string): Json => {
  const [host] = sampleJson(FOLDER + name) as Json[]
  if (!host) throw new Error(`no host in ${name}`)
  return host
}
const vulnerability = (more: Json = {}): Json => ({
  cve: 'CVE-2026-0001',
  severity: 'high',
  cvss: 7.5,
  vecStr: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H',
  status: 'fixed in 3.0.2',
  packageName: 'openssl',
  packageVersion: '3.0.1',
  ...more,
})
const hostWith = (...vulnerabilities: Json[]): Json => ({
  _id: 'web-1',
  distro: 'Ubuntu 24.04.1 LTS',
  vulnerabilities,
})
const findingOf = (more: Json, host: Json = {}) => {
  const [finding] = observe(STREAM, { ...hostWith(vulnerability(more)), ...host }).findings
  if (!finding) throw new Error('no finding')
  return finding
}
const assetOf = (host: Json) => {
  const [asset] = observe(STREAM, { _id: 'web-1', ...host }).assets
  if (!asset) throw new Error('no asset')
  return asset
}
function refusal(unit: unknown): PipelineError {
  try {
    observeBytes(STREAM, Buffer.isBuffer(unit) ? unit : Buffer.from(JSON.stringify(unit)))
  } catch (error) {
    if (error instanceof PipelineError) return error
    throw error
  }
  throw new Error('it was not refused')
}

describe.skipIf(!samplesPresent)('a recorded Linux host outside the cloud', () => {
  const host = samplesPresent ? sampleHost('hosts.recorded-23.01.735.json') : {}

  it('becomes one asset with its system, interface and counts', () => {
    const { assets } = observe(STREAM, host)
    expect(assets).toHaveLength(1)
    expect(assets[0]).toMatchObject({
      asset_uid: assetUid({
        vendor: 'prisma-cloud',
        product: 'prisma-compute',
        tenant: TENANT,
        nativeId: 'host|servo-vmware71',
      }),
      kind: 'HOST',
      native_type: 'host',
      name: 'servo-vmware71',
      hostnames: ['servo-vmware71'],
      cloud: null,
      network_interfaces: [{ name: 'ens32', mac: null, ips: ['192.168.0.110'], subnet: null }],
      private_ips: ['192.168.0.110'],
      public_ips: [],
      os: { family: 'LINUX', name: 'Manjaro Linux', version: '21.3.6' },
      agent: { type: 'prisma-defender', version: '23.01.735' },
      criticality: { level: 'HIGH', score: 120500, raw: '120500' },
      finding_counts: { critical: 0, high: 12, medium: 5, low: 0, total: 17 },
      business_units: ['All'],
      tags: { osDistro: 'manjaro', osVersion: '21.3.6' },
      status: 'ACTIVE',
      first_seen: null,
      vendor_created_at: null,
      last_seen: Date.UTC(2023, 0, 3, 14, 53, 4, 6),
      internet_exposed: null,
    })
    expect(assets[0]?.correlation_keys.filter((key) => key.strong)).toEqual([])
    expect(assets[0]?.risk_factors).toContain('DoS - High')
  })

  it('shows its 17 weaknesses as findings', () => {
    const { findings, findingsKnown } = observe(STREAM, host)
    expect(findingsKnown).toBe(true)
    expect(findings).toHaveLength(17)
    const severities = findings.map((finding) => finding.severity)
    expect(severities.filter((severity) => severity === 'HIGH')).toHaveLength(12)
    expect(severities.filter((severity) => severity === 'MEDIUM')).toHaveLength(5)
    expect(findings.find((finding) => finding.vuln_id === 'CVE-2022-30632')).toMatchObject({
      kind: 'VULNERABILITY',
      vuln_id_scheme: 'cve',
      entity_uid: null,
      status: 'OPEN',
      resolution: 'NONE',
      severity: 'HIGH',
      severity_id: 4,
      cvss_score: 7.5,
      cvss: [{ version: '3.1', vector: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H' }],
      // The list of packages does not know Go itself; the list of applications does.
      package: {
        name: 'go',
        versions: ['1.18.3'],
        type: 'app',
        paths: [
          '/usr/bin/containerd',
          '/usr/bin/containerd-shim-runc-v2',
          '/usr/bin/docker-proxy',
          '/usr/bin/dockerd',
        ],
      },
      fix: { available: true, versions: ['1.17.12', '1.18.4'], fixed_at: 1660162500000 },
      vendor_status: 'fixed in 1.18.4, 1.17.12',
      known_exploited: null,
      exploit: { available: false, maturity: 'NONE' },
      references: ['https://nvd.nist.gov/vuln/detail/CVE-2022-30632'],
      published_at: 1660162500000,
      // `discovered` is the day of publication and the host's first scan is unknown.
      first_seen: FETCHED_MS,
      last_seen: Date.UTC(2023, 0, 3, 14, 53, 4, 6),
      asset: { name: 'servo-vmware71', kind: 'HOST', ip: '192.168.0.110', cloud_provider: null },
    })
  })
})

describe.skipIf(!samplesPresent)('a recorded Windows host without the key vulnerabilities', () => {
  const name = 'hosts.windows-no-vulnerabilities-key.json'
  const host = samplesPresent ? sampleHost(name) : {}

  it('tells its place in the cloud and counts, but no findings', () => {
    const observation = observe(STREAM, host)
    expect(observation.findings).toEqual([])
    expect(observation.findingsKnown).toBe(false)
    expect(observation.assets[0]).toMatchObject({
      kind: 'VIRTUAL_MACHINE',
      name: 'EC2AMAZ-Burr',
      hostnames: ['ec2amaz-burr'],
      cloud: {
        provider: 'aws',
        region: 'eu-west-1',
        account_id: 'testid1',
        image_id: 'ami-08eeb5a90cf59a66a',
      },
      os: { family: 'WINDOWS', name: 'Windows Server 2019', version: '10.0.17763.1757' },
      network_interfaces: [],
      criticality: { level: 'CRITICAL' },
      finding_counts: { critical: 22, high: 527, medium: 210, low: 2, total: 761 },
    })
    // The recorded instance id was replaced by a word, which is no provider's id.
    expect(observation.assets[0]?.correlation_keys.some((key) => key.strong)).toBe(false)
  })
})

describe.skipIf(!samplesPresent)('a recorded record of nulls', () => {
  it('is a host that tells nothing', () => {
    const sample = sampleJson(`${FOLDER}hosts_info.nulls.json`)
    const host = (Array.isArray(sample) ? sample[0] : sample) as Json
    const observation = observe(STREAM, { ...host, _id: 'web-1' })
    expect(observation.findingsKnown).toBe(false)
    expect(observation.assets[0]).toMatchObject({ first_seen: null, cloud: null })
  })
})

describe('what a host tells of its findings', () => {
  it.each([
    ['an absent list', {}, false],
    ['null', { vulnerabilities: null }, false],
    ['an empty list', { vulnerabilities: [] }, true],
    ['an empty list and a count of 0', { vulnerabilities: [], vulnerabilitiesCount: 0 }, true],
    ['an empty list beside a count', { vulnerabilities: [], vulnerabilitiesCount: 3 }, false],
    ['a list of a failed scan', { vulnerabilities: [vulnerability()], err: 'timed out' }, false],
  ])('%s', (_what, host, known) => {
    expect(observe(STREAM, { _id: 'web-1', ...host }).findingsKnown).toBe(known)
  })

  it('shows what a failed scan did find', () => {
    const host = { ...hostWith(vulnerability()), err: 'timed out' }
    expect(observe(STREAM, host).findings).toHaveLength(1)
  })
})

describe('values in disguise', () => {
  it('takes a score of 0 without a vector for not scored', () => {
    const finding = findingOf({ cvss: 0, vecStr: '', severity: '' })
    expect(finding).toMatchObject({ cvss_score: null, cvss: [], severity: 'UNKNOWN' })
  })

  it('titles a row without a CVE by its title', () => {
    const finding = findingOf({ cve: '', title: 'Weak  sshd\nsettings', type: 'host_malware' })
    expect(finding).toMatchObject({
      vuln_id: 'WEAK SSHD SETTINGS',
      vuln_id_scheme: 'vendor',
      kind: 'MALWARE',
      title: 'Weak sshd settings',
    })
  })

  it('takes a missing risk factor for unknown, not for unreachable', () => {
    expect(assetOf({ riskFactors: { 'Has fix': {} } }).internet_exposed).toBeNull()
    const riskFactors = { 'Reachable from the internet': {} }
    expect(assetOf({ riskFactors }).internet_exposed).toBe(true)
  })

  it('keeps the cloud of a host whose account is not onboarded', () => {
    const accountID = 'Non-onboarded cloud accounts'
    expect(assetOf({ cloudMetadata: { accountID } }).cloud).toBeNull()
    expect(assetOf({ cloudMetadata: { accountID, provider: 'aws' } }).cloud).toMatchObject({
      provider: 'aws',
      account_id: null,
    })
  })

  it('knows an Azure machine by its vmID, not by its name', () => {
    const vmID = '2F1C7A4E-0B1D-4E7A-9C55-0A1B2C3D4E5F'
    const cloudMetadata = { provider: 'azure', vmID, resourceID: 'web-vm', accountID: 's' }
    expect(assetOf({ cloudMetadata }).correlation_keys[0]).toEqual({
      type: 'cloud_instance_id',
      value: `azure:${vmID.toLowerCase()}`,
      strong: true,
    })
  })

  it('has no agent on a host that was scanned without one', () => {
    expect(assetOf({ agentless: true }).agent).toBeNull()
    expect(assetOf({}).agent).toBeNull()
  })

  it('drops loopback interfaces and joins addresses of one device', () => {
    const hostDevices = [
      { name: 'lo', ip: '127.0.0.1' },
      { name: 'eth0', ip: 'fe80::1' },
      { name: 'eth0', ip: '10.0.0.8' },
      { name: 'eth0', ip: '10.0.0.7' },
    ]
    expect(assetOf({ hostDevices }).network_interfaces).toEqual([
      { name: 'eth0', mac: null, ips: ['10.0.0.7', '10.0.0.8'], subnet: null },
    ])
  })

  it('gathers labels of every form as tags', () => {
    const host = {
      labels: ['env:prod', 'alone'],
      externalLabels: [{ key: 'team', value: 'web' }],
      cloudMetadata: { provider: 'aws', labels: [{ key: '__proto__', value: 'x' }] },
    }
    expect(assetOf(host).tags).toEqual({
      ___proto__: 'x',
      alone: '',
      env: 'prod',
      team: 'web',
    })
  })
})

describe('bad input', () => {
  it.each([
    ['no JSON', Buffer.from('<html>')],
    ['cut JSON', Buffer.from('{"_id":"web-1"')],
    ['nothing', Buffer.alloc(0)],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
  ])('refuses %s as an invalid response', (_what, body) => {
    const error = refusal(body)
    expect(error).toMatchObject({ failure: 'INVALID_RESPONSE', stage: 'NORMALIZE' })
    expect(error.message).not.toContain('html')
  })

  it.each([[null], [[]], [5], ['text'], [{}], [{ _id: '' }], [{ _id: 'N/A' }], [{ _id: {} }]])(
    'refuses %j as a violation',
    (unit) => {
      const error = refusal(unit)
      expect(error).toMatchObject({ failure: 'SCHEMA_VIOLATION', stage: 'NORMALIZE' })
      expect(error.details.violations).toHaveLength(1)
    },
  )

  it('refuses a host with a weakness that has neither CVE nor title, and names it', () => {
    const error = refusal(hostWith(vulnerability(), vulnerability({ cve: '' })))
    expect(error.failure).toBe('SCHEMA_VIOLATION')
    expect(error.details.violations).toEqual(['vulnerabilities.1: has neither cve nor title'])
  })

  it('refuses a weakness that is no object and a list that is none', () => {
    expect(refusal({ _id: 'a', vulnerabilities: [5] }).details.violations?.[0]).toContain(
      'vulnerabilities.0',
    )
    expect(refusal({ _id: 'a', vulnerabilities: 'none' }).details.violations?.[0]).toContain(
      'vulnerabilities',
    )
  })

  it('cuts a description of 1 MB and strips what stores refuse', () => {
    const finding = findingOf({
      description: `a\0b\ud800${'x'.repeat(1_048_576)}`,
      packageName: 'open\0ssl',
      severity: 'hi\udc00gh',
    })
    expect(finding.description).toHaveLength(4_096)
    expect(finding.description?.startsWith('abx')).toBe(true)
    expect(finding.package?.name).toBe('openssl')
    expect(finding.severity).toBe('HIGH')
  })

  it('survives the prototype, lost digits and impossible years', () => {
    const body = Buffer.from(`{"_id":"web-1","__proto__":{"polluted":true},"labels":["__proto__:x"],
      "riskFactors":{"__proto__":{}},"vulnerabilityRiskScore":123456789012345678901234567890,
      "vulnerabilitiesCount":1e400,"scanTime":"9999-12-31T00:00:00Z","creationTime":"0000-00-00",
      "vulnerabilities":[{"cve":"CVE-2026-0001","published":18446744073709551615,"fixDate":-1}]}`)
    const { assets, findings } = observeBytes(STREAM, body)
    expect(assets[0]).toMatchObject({ last_seen: FETCHED_MS, vendor_created_at: null })
    expect(assets[0]?.tags).toEqual({ ___proto__: 'x' })
    expect(findings[0]).toMatchObject({ published_at: null, last_seen: FETCHED_MS })
    expect(({} as Json)['polluted']).toBeUndefined()
  })
})
