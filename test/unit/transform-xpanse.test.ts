// Xpanse: exposed assets and services with their inferred weaknesses, as recorded and in variants.
import { describe, expect, it } from 'vitest'
import { assetUid } from '../../contracts/identity.ts'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { FETCHED_MS, TENANT, observe } from '../support/transform.ts'

type Json = Record<string, unknown>
const first = <T>(items: readonly T[]): T => {
  const [item] = items
  if (item === undefined) throw new Error('nothing there')
  return item
}
const xpanseUid = (nativeId: string): string =>
  assetUid({ vendor: 'cortex', product: 'cortex-xpanse', tenant: TENANT, nativeId })
const replyOf = (file: string): Record<string, Json[]> =>
  (sampleJson(`cortex/${file}`) as { reply: Record<string, Json[]> }).reply
const exposure = (more: Json = {}) =>
  first(observe('xpanse.assets', { asm_ids: ['asm-1'], ...more }).assets)
const inferred = (cve: Json = {}, more: Json = {}): Json => ({
  inferredCve: { cveId: 'CVE-2026-0001', ...cve },
  ...more,
})
const unit = (service: Json = {}, observed: unknown = []): Json => ({
  service: { service_id: 's-1', port: 443, protocol: 'TCP', ...service },
  details: { service_id: 's-1', details: { inferredCvesObserved: observed } },
})
const service = (more: Json = {}) => first(observe('xpanse.services', unit(more)).assets)
const finding = (cve: Json = {}, more: Json = {}, of: Json = {}) =>
  first(observe('xpanse.services', unit(of, [inferred(cve, more)])).findings)

describe('an exposed asset', () => {
  it.skipIf(!samplesPresent)('is read from a recorded certificate', () => {
    const [row] = replyOf('xpanse.get_assets_internet_exposure.reply.json')[
      'assets_internet_exposure'
    ] as Json[]
    const observation = observe('xpanse.assets', row)
    expect(observation).toMatchObject({ findings: [], findingsKnown: true, drift: [] })
    expect(first(observation.assets)).toMatchObject({
      asset_uid: xpanseUid('3c176460-8735-333c-b618-8262e2fb660c'),
      kind: 'CERTIFICATE',
      native_type: 'CERTIFICATE',
      name: '*.acme.com',
      hostnames: [],
      cloud: null,
      public_ips: [],
      internet_exposed: false,
      criticality: null,
      agent: null,
      business_units: ['Acme'],
      risk_factors: ['Expired', 'InsecureSignature', 'Wildcard'],
      finding_counts: { total: 0 },
      first_seen: null,
      last_seen: FETCHED_MS,
      correlation_keys: [],
      unmapped: {
        certificate_issuer: '"Thawte"',
        certificate_algorithm: '"SHA1withRSA"',
        sensor: '["XPANSE"]',
      },
    })
  })

  it.skipIf(!samplesPresent)('is read from the domains of the specification', () => {
    type Replies = { reply: { assets_internet_exposure: Json[] } }
    const examples = sampleJson('cortex/spec-examples.json') as Record<
      string,
      { response_examples: Record<string, Replies> }
    >
    const call = examples['POST /public_api/v1/assets/get_assets_internet_exposure']
    const rows = call?.response_examples['Example 1']?.reply.assets_internet_exposure ?? []
    const domain = first(observe('xpanse.assets', first(rows)).assets)
    expect(domain).toMatchObject({
      kind: 'DOMAIN',
      name: 'acme.com',
      fqdns: ['acme.com'],
      public_dns_names: ['acme.com'],
      cloud: null,
      internet_exposed: false,
      first_seen: 1642047685969,
      last_seen: 1649588579189,
      correlation_keys: [{ type: 'fqdn', value: 'acme.com', strong: false }, expect.anything()],
    })
  })

  it('is the same machine that its provider and its agent know', () => {
    const asset = exposure({
      asset_type: 'CLOUD_COMPUTE_INSTANCE',
      cloud_provider: 'AWS',
      provider_account: '976369349992',
      region: 'eu-west-3',
      cloud_id: 'arn:aws:ec2:eu-west-3:976369349992:instance/i-0d5e8c751a2249637',
      ips: ['203.0.113.7', '10.0.0.7'],
      agent_id: 'agent-1',
      operation_system: 'Ubuntu 22.04',
      has_active_externally_services: true,
      has_xdr_agent: 'yes',
    })
    expect(asset).toMatchObject({
      kind: 'VIRTUAL_MACHINE',
      cloud: {
        provider: 'aws',
        account_id: '976369349992',
        region: 'eu-west-3',
        instance_id: 'i-0d5e8c751a2249637',
        resource_id: 'arn:aws:ec2:eu-west-3:976369349992:instance/i-0d5e8c751a2249637',
      },
      public_ips: ['203.0.113.7'],
      private_ips: ['10.0.0.7'],
      os: { family: 'LINUX', name: 'Ubuntu 22.04' },
      agent: { type: 'cortex-xdr', id: 'agent-1' },
      internet_exposed: true,
    })
    expect(asset.correlation_keys.filter((key) => key.strong)).toEqual([
      { type: 'cloud_instance_id', value: 'aws:i-0d5e8c751a2249637', strong: true },
      expect.objectContaining({ type: 'cloud_resource_id' }),
      { type: 'agent_id', value: 'cortex:agent-1', strong: true },
    ])
  })

  it.each([
    ['a text', { asm_ids: 'asm-1' }],
    ['a list', { asm_ids: ['asm-1', 'asm-2'] }],
    ['another name', { asm_ids: null, asset_id: 'asm-1' }],
  ])('has its id as %s', (_, more) => {
    expect(exposure(more).asset_uid).toBe(xpanseUid('asm-1'))
  })

  it.each([
    ['texts', { business_units: ['B', 'A', 'A'] }],
    [
      'lists of lists of objects',
      { business_units: [[{ id: 'BU:1', name: 'A' }], [{ name: 'B' }]] },
    ],
    ['another name', { business_units_list: ['A', { name: 'B' }] }],
  ])('has its business units as %s', (_, more) => {
    expect(exposure(more).business_units).toEqual(['A', 'B'])
  })

  it.each([
    [{ has_active_externally_services: true }, true],
    [{ has_active_externally_services: 'no' }, false],
    [{ has_active_external_services: 'yes' }, true],
    [{ has_active_externally_services: 'unknown' }, null],
    [{ active_services: ['SshServer'] }, true],
    [{ active_services: [] }, false],
    [{ active_services: 2 }, true],
    [{}, null],
  ])('with %j is exposed: %j', (more, expected) => {
    expect(exposure(more).internet_exposed).toBe(expected)
  })

  it.each([
    ['AWS', ['Other'], 'aws'],
    [null, ['Amazon Web Services', 'Other'], 'aws'],
    [null, ['Microsoft Azure'], 'azure'],
    [null, ['Google'], 'gcp'],
    [null, ['On Prem'], null],
    [null, ['Other'], null],
    ['null', [], null],
  ])('of provider %j, detected as %j, is in %j', (cloud_provider, detected, provider) => {
    const asset = exposure({ cloud_provider, externally_detected_providers: detected })
    expect(asset.cloud?.provider ?? null).toBe(provider)
  })

  it.each([
    [9.800000190734863, 'CRITICAL', 9.8],
    ['7.8', 'HIGH', 7.8],
    [825, 'UNKNOWN', 825],
  ])('with score %j is of level %s', (asm_va_score, level, score) => {
    expect(exposure({ asm_va_score }).criticality).toMatchObject({ level, score })
  })

  it('with the text null for its score has none, and with another name for it has one', () => {
    expect(exposure({ asm_va_score: 'null' }).criticality).toBeNull()
    const live = exposure({ externally_inferred_vulnerability_score: 4.3 })
    expect(live.criticality).toEqual({ level: 'MEDIUM', score: 4.3, raw: '4.3' })
  })

  it.each([
    ['unassociated_responsive_ip', 'HOST'],
    ['ResponsiveIP', 'HOST'],
    ['ON_PREM', 'HOST'],
    ['domain', 'DOMAIN'],
    ['SOMETHING_NEW', 'UNKNOWN'],
  ])('of type %s is a %s', (type, kind) => {
    expect(exposure({ type }).kind).toBe(kind)
  })

  it('that has a word or a field nobody knows tells it, and goes on', () => {
    const { drift } = observe('xpanse.assets', { asm_ids: ['a'], asset_type: 'MOON', craters: 3 })
    expect(drift).toEqual([
      { kind: 'new-value', path: 'asset_type', detail: 'MOON' },
      { kind: 'new-field', path: 'craters', detail: 'number' },
    ])
  })

  it('without an address of its own has those that it was last seen at', () => {
    const recent = { recent_ips: [{ ip: '203.0.113.8' }], last_sampled_ip: '203.0.113.9' }
    expect(exposure(recent).public_ips).toEqual(['203.0.113.8', '203.0.113.9'])
    expect(exposure({ ...recent, ips: ['203.0.113.7'] }).public_ips).toEqual(['203.0.113.7'])
  })

  it('without an id is refused', () => {
    expect(() => observe('xpanse.assets', { asm_ids: [] })).toThrow('must have')
  })
})

describe('an external service', () => {
  it.skipIf(!samplesPresent)('is read from a recorded listing without details', () => {
    const [row] = replyOf('xpanse.get_external_services.reply.json')['external_services'] as Json[]
    const observation = observe('xpanse.services', { service: row, details: null })
    // Its own list of CVEs is there, and empty.
    expect(observation).toMatchObject({ findings: [], findingsKnown: true, drift: [] })
    expect(first(observation.assets)).toMatchObject({
      asset_uid: xpanseUid('8b8f9d0a-4acd-3d88-9042-c7d17c2b44e9'),
      kind: 'EXTERNAL_SERVICE',
      native_type: 'DnsServer',
      name: 'DNS Server at 1.1.1.1:53',
      status: 'INACTIVE',
      internet_exposed: false,
      public_ips: ['1.1.1.1'],
      exposed_services: [
        {
          protocol: 'udp',
          port: 53,
          name: 'DnsServer',
          service_id: '8b8f9d0a-4acd-3d88-9042-c7d17c2b44e9',
        },
      ],
      business_units: ['Acme'],
      criticality: null,
      first_seen: 1661308020000,
      last_seen: 1661357820000,
    })
  })

  it.skipIf(!samplesPresent)('has the weaknesses that its recorded details name', () => {
    const [details] = replyOf('xpanse.get_external_service.reply.json')['details'] as Json[]
    const { details: _, ...row } = details as Json
    const observation = observe('xpanse.services', { service: row, details })
    expect(observation).toMatchObject({ findingsKnown: true, drift: [] })
    const [asset] = observation.assets
    expect(asset).toMatchObject({
      status: 'ACTIVE',
      internet_exposed: true,
      cloud: { provider: 'aws' },
      criticality: { level: 'HIGH', score: 7.8 },
      finding_counts: { total: 11 },
      risk_factors: ['OpenSSH', 'SSHWeakMACAlgorithmsEnabled', 'SshServer'],
    })
    expect(observation.findings).toHaveLength(11)
    const found = observation.findings.find((f) => f.vuln_id === 'CVE-2020-15778')
    expect(found).toMatchObject({
      asset_uid: asset?.asset_uid,
      title: 'CVE-2020-15778 in openssh',
      status: 'OPEN',
      resolution: 'NONE',
      vendor_status: 'Active',
      severity: 'HIGH',
      severity_raw: 'HIGH',
      cvss_score: 7.8,
      cvss: [
        { version: 'unknown', base_score: 7.8, severity: 'HIGH' },
        { version: '2.0', base_score: 6.8, severity: 'MEDIUM' },
      ],
      package: {
        name: 'openssh',
        versions: ['7.6'],
        type: null,
        cpe: 'cpe:2.3:*:openbsd:openssh:7.6:*:*:*:*:*:*:*',
      },
      locator: {
        protocol: 'tcp',
        port: 22,
        service_id: '94232f8a-f001-3292-aa65-63fa9d981427',
      },
      risk_factors: ['Confidence: High', 'Match: ExactVersionMatch'],
      internet_exposed: true,
      first_seen: 1662774169000,
      last_seen: 1662967589000,
    })
  })

  it('keeps what is known of its weaknesses where the details say nothing of them', () => {
    for (const details of [
      null,
      {},
      { details: null },
      { details: { inferredCvesObserved: null } },
    ]) {
      const observation = observe('xpanse.services', { ...unit(), details })
      expect(observation).toMatchObject({ findings: [], findingsKnown: false })
    }
    expect(observe('xpanse.services', unit()).findingsKnown).toBe(true)
  })

  it('has no weakness any more where only its own list is told, and is empty', () => {
    const none = { externally_inferred_cves: [] }
    const some = { externally_inferred_cves: ['CVE-2026-0001'] }
    const observed = { inferredCvesObserved: null }
    const known = (of: Json, details: unknown) =>
      observe('xpanse.services', { ...unit(of), details }).findingsKnown
    expect(known(none, { details: observed })).toBe(true)
    expect(known(none, null)).toBe(true)
    expect(known({}, { ...none, details: observed })).toBe(true)
    expect(known(some, { details: observed })).toBe(false)
    expect(known(none, { ...some, details: observed })).toBe(false)
    expect(known({ externally_inferred_cves: null }, { details: observed })).toBe(false)
    expect(known({ externally_inferred_cves: 'null' }, { details: observed })).toBe(false)
    // What the details list counts, whatever the short list says.
    const listed = observe('xpanse.services', unit(none, [inferred()]))
    expect([listed.findings.length, listed.findingsKnown]).toEqual([1, true])
  })

  it.each([['203.0.113.9'], [['203.0.113.9']]])('has the address %j', (ip_address) => {
    expect(service({ ip_address }).public_ips).toEqual(['203.0.113.9'])
  })

  it('is known by its domains, and by no port that is none', () => {
    const asset = service({ domain: ['Shop.example.com'], port: 70_000 })
    expect(asset.public_dns_names).toEqual(['shop.example.com'])
    expect(asset.exposed_services[0]?.port).toBeNull()
  })

  it('without its id is refused', () => {
    expect(() => observe('xpanse.services', { service: {}, details: null })).toThrow('must have')
    expect(() => observe('xpanse.services', {})).toThrow('must have')
  })
})

describe('an inferred weakness', () => {
  it('is judged by version 2 where there is no version 3', () => {
    const scores = {
      cvssScoreV3: null,
      cveSeverityV3: null,
      cvssScoreV2: 4.4,
      cveSeverityV2: 'LOW',
    }
    expect(finding(scores)).toMatchObject({
      severity: 'LOW',
      cvss_score: 4.4,
      cvss: [{ version: '2.0', base_score: 4.4 }],
    })
    expect(finding({ cvssScoreV3: 9.800000190734863 })).toMatchObject({
      severity: 'CRITICAL',
      cvss_score: 9.8,
    })
    expect(finding({ cvssScoreV3: 0 })).toMatchObject({ severity: 'UNKNOWN', cvss: [] })
    // A word of version 2 is none for a score of version 3.
    const mixed = { cvssScoreV3: 9.1, cvssScoreV2: 5, cveSeverityV2: 'MEDIUM' }
    expect(finding(mixed)).toMatchObject({ severity: 'CRITICAL', severity_raw: '' })
  })

  it('that the vendor sees no more is resolved by the vendor', () => {
    expect(finding({}, { activityStatus: 'Inactive' })).toMatchObject({
      status: 'RESOLVED',
      resolution: 'VENDOR_CLOSED',
      vendor_status: 'Inactive',
    })
  })

  it('that is there and gone at once is there', () => {
    const both = [inferred({}, { activityStatus: 'Inactive' }), inferred()]
    const { findings } = observe('xpanse.services', unit({}, both))
    expect(findings.map((f) => f.status)).toEqual(['OPEN'])
  })

  it('is another one on another port, and the same one in another version', () => {
    const match = (version: string) => ({
      inferredCveMatchMetadata: { vendor: 'a b', product: 'x+y', version },
    })
    const one = finding(match('1'))
    expect(finding(match('2')).finding_uid).toBe(one.finding_uid)
    expect(finding(match('1'), {}, { port: 8443 }).finding_uid).not.toBe(one.finding_uid)
    expect(one.package?.cpe).toBe('cpe:2.3:*:a_b:x\\+y:1:*:*:*:*:*:*:*')
  })

  it('without a name is none, and without times was seen now', () => {
    const { findings } = observe('xpanse.services', unit({}, [{ inferredCve: {} }, null]))
    expect(findings).toEqual([])
    expect(finding()).toMatchObject({ first_seen: FETCHED_MS, last_seen: FETCHED_MS })
  })
})
