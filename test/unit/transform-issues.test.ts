// Issues, incidents, Host Insights and flat rows as findings, against samples and made-up records.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import { assetUid } from '../../contracts/identity.ts'
import type { Observation } from '../../contracts/ports.ts'
import { mergedFinding } from '../../transformers/lifecycle/merge.ts'
import { samplePath, sampleJson, samplesPresent } from '../support/samples.ts'
import { FETCHED_MS, TENANT, expectValid, transformerOf } from '../support/transform.ts'

type Json = Record<string, unknown>
const first = <T>(items: readonly T[]): T => {
  const [item] = items
  if (item === undefined) throw new Error('nothing there')
  return item
}
/** As observe, for the asset that the unit stands for. */
function observe(stream: string, assetNativeId: string, unit: unknown): Observation {
  const transformer = transformerOf(stream)
  const facts: RawFacts = {
    connection: 'prod',
    vendor: transformer.vendor,
    product: transformer.product,
    tenant: TENANT,
    stream,
    unit: 'unit-1',
    assetNativeId,
    runId: 'run-1',
    fetchedAtMs: FETCHED_MS,
    endpoint: '/listing',
    page: 1,
    contentType: 'application/json',
    columns: null,
    tooLargeBytes: null,
  }
  const observation = transformer.transform({ facts, body: Buffer.from(JSON.stringify(unit)) })
  expectValid(observation)
  return observation
}
const constructed = (name: string): Json[] =>
  (sampleJson('cortex/constructed/rows.json') as Record<string, Json[]>)[name] ?? []
const liveIssue = (): Json =>
  first((constructed('issues_live_wire') as unknown as { reply: { DATA: Json[] } }).reply.DATA)
const ASSET = '7a3bb3d59221661117a7bcb9522b92e4132044c35caf544cc1d01b99415d3761'
const uidIn = (product: string, nativeId: string) =>
  assetUid({ vendor: 'cortex', product, tenant: TENANT, nativeId })

describe('a row of uvm_findings', () => {
  it.skipIf(!samplesPresent)('is the finding that dataset findings has', () => {
    const flat = first(
      observe('cloud.findings', ASSET, first(constructed('uvm_findings'))).findings,
    )
    const nested = first(observe('cloud.findings', ASSET, first(constructed('findings'))).findings)
    expect(flat.finding_uid).toBe(nested.finding_uid)
    expect(flat).toMatchObject({
      asset_uid: uidIn('cortex-cloud', ASSET),
      vuln_id: 'CVE-2021-41617',
      title: 'CVE-2021-41617 in openssh-server',
      severity: 'HIGH',
      severity_raw: 'SEV_060_HIGH',
      cvss_score: 7,
      epss: { score: 0.00074 },
      known_exploited: false,
      exploit: { available: false, maturity: 'NONE' },
      package: {
        name: 'openssh-server',
        versions: ['1:8.2p1-4ubuntu0.2'],
        type: 'deb',
        purl: 'pkg:deb/ubuntu/openssh-server',
        paths: [],
      },
      fix: {
        available: true,
        versions: ['1:8.2p1-4ubuntu0.3'],
        text: 'Upgrade openssh-server',
      },
      risk_factors: ['Has fix', 'Remote execution'],
      risk_score: 41,
      published_at: 1632683700000,
      first_seen: 1747834085000,
      last_seen: 1748399709000,
    })
  })

  it.each([
    ['SEV_030_INFO', 'INFORMATIONAL'],
    ['SEV_040_LOW', 'LOW'],
    ['SEV_050_MEDIUM', 'MEDIUM'],
    ['SEV_060_HIGH', 'HIGH'],
    ['SEV_070_CRITICAL', 'CRITICAL'],
    ['SEV_010_INFO', 'INFORMATIONAL'],
    ['SEV_020_LOW', 'LOW'],
    ['SEV_030_MEDIUM', 'MEDIUM'],
    ['SEV_040_HIGH', 'HIGH'],
    ['SEV_050_CRITICAL', 'CRITICAL'],
  ])('with %s is %s', (cvss_severity, severity) => {
    const row = { asset_id: 'a', vulnerability_id: 'CVE-2026-0001', cvss_severity }
    const { findings, drift } = observe('cloud.findings', 'a', row)
    expect(first(findings).severity).toBe(severity)
    expect(drift).toEqual([])
  })

  it('keeps the id of its finding over paths, which it tells', () => {
    const at = (file_path: string | null) =>
      first(
        observe('cloud.findings', 'a', {
          asset_id: 'a',
          vulnerability_id: 'CVE-2026-0001',
          affected_software: 'minimist',
          package_type: 'npm',
          file_path,
        }).findings,
      )
    expect(at('/opt/a').finding_uid).toBe(at(null).finding_uid)
    expect(at('/opt/a').package?.paths).toEqual(['/opt/a'])
  })
})

describe('an issue', () => {
  const issue = (more: Json = {}): Json => ({
    id: 7,
    category: 'VULNERABILITY',
    severity: 'HIGH',
    asset_ids: ['a'],
    normalized_fields: { 'xdm.vulnerability.cve_id': 'CVE-2026-0001' },
    ...more,
  })
  const findingOf = (more: Json = {}, asset = 'a') =>
    first(observe('cloud.issues', asset, issue(more)).findings)

  it.skipIf(!samplesPresent)('is the finding of the weakness that it was raised for', () => {
    const { assets, findings, drift } = observe('cloud.issues', ASSET, liveIssue())
    const listed = first(observe('cloud.findings', ASSET, first(constructed('findings'))).findings)
    expect([assets, drift]).toEqual([[], []])
    expect(first(findings)).toMatchObject({
      finding_uid: listed.finding_uid,
      asset_uid: listed.asset_uid,
      asset: {
        name: 'ip-10-0-1-105.eu-west-3.compute.internal',
        kind: 'VIRTUAL_MACHINE',
        cloud_provider: 'aws',
        cloud_account_id: '976369349992',
        cloud_region: 'eu-west-3',
      },
      title: 'CVE-2021-41617 on ip-10-0-1-105',
      status: 'OPEN',
      resolution: 'NONE',
      vendor_status: 'New',
      severity: 'HIGH',
      cvss: [{ version: '3.1', vector: 'CVSS:3.1/AV:L/AC:H/PR:L/UI:N/S:U/C:H/I:H/A:H' }],
      package: { name: 'openssh-server', versions: ['1:8.2p1-4ubuntu0.2'], type: 'deb' },
      fix: { available: true, versions: ['1:8.2p1-4ubuntu0.3'] },
      first_seen: 1748399700000,
      last_seen: 1748399709500,
      unmapped: { 'detection.rule_id': '"RULE-1"', case_ids: '[101]' },
    })
  })

  it.skipIf(!samplesPresent)('as specified needs no field that only tenants send', () => {
    const examples = sampleJson('cortex/spec-examples.json') as Record<string, Json>
    const search = examples['POST /public_api/v1/issue/search'] as {
      response_examples: { reply: { issues: Json[] } }
    }
    const given = first(search.response_examples.reply.issues)
    const unit = { ...given, category: 'VULNERABILITY', name: 'CVE-2024-0001 in my-data-bucket' }
    const { findings, drift } = observe('cloud.issues', 'a8d24e796ef264a33e6e84c707ff2f67', unit)
    expect(drift).toEqual([])
    expect(first(findings)).toMatchObject({
      vuln_id: 'CVE-2024-0001',
      vendor_status: 'New',
      status: 'OPEN',
      severity: 'HIGH',
      asset: { name: 'my-data-bucket', cloud_region: 'us-east-1' },
      first_seen: 1705312200000,
      last_seen: 1705315800000,
    })
  })

  it.each([
    [{ 'status.progress': 'New' }, 'OPEN', 'NONE', null],
    [{ 'status.progress': 'In Progress' }, 'OPEN', 'NONE', null],
    [{ status: 'Under Investigation' }, 'OPEN', 'NONE', null],
    [
      { 'status.progress': 'Resolved', resolution_time: 1748399000000 },
      'RESOLVED',
      'VENDOR_CLOSED',
      1748399000000,
    ],
    [
      { status: 'resolved_other', last_modified: 1748398000000 },
      'RESOLVED',
      'VENDOR_CLOSED',
      1748398000000,
    ],
    [{ is_excluded: true, status: 'Resolved' }, 'SUPPRESSED', 'SUPPRESSED_BY_VENDOR', null],
    [{ is_excepted: 'true', status: 'New' }, 'SUPPRESSED', 'SUPPRESSED_BY_VENDOR', null],
  ])('with %j is %s, %s', (more, status, resolution, resolved_at) => {
    expect(findingOf(more)).toMatchObject({ status, resolution, resolved_at })
  })

  it('on several assets is a finding on the one for which the unit stands, named like it', () => {
    const more = { asset_ids: ['a', 'b'], asset_names: ['web-1', 'web-2'], asset_types: ['Other'] }
    const [one, two] = [findingOf(more, 'a'), findingOf(more, 'b')]
    expect([one.asset_uid, two.asset_uid]).toEqual(
      ['a', 'b'].map((id) => uidIn('cortex-cloud', id)),
    )
    expect([one.asset.name, two.asset.name]).toEqual(['web-1', 'web-2'])
  })

  it('with several CVEs is a finding each; without an asset none', () => {
    const cves = { 'xdm.vulnerability.cve_id': ['CVE-2026-0001', 'CVE-2026-0002'] }
    const { findings } = observe('cloud.issues', 'a', issue({ normalized_fields: cves }))
    expect(findings.map((f) => f.vuln_id)).toEqual(['CVE-2026-0001', 'CVE-2026-0002'])
    expect(observe('cloud.issues', 'issue|7', issue({ asset_ids: [] })).findings).toEqual([])
  })

  it('that is resolved closes no finding for which another is open', () => {
    const [old] = observe('cloud.issues', 'a', issue({ id: 1, status: 'Resolved' })).findings
    const [open] = observe('cloud.issues', 'a', issue({ id: 2, status: 'New' })).findings
    if (old === undefined || open === undefined) throw new Error('nothing there')
    const unit = (n: number, state: typeof open) => ({
      unit: `c|cloud.issues|${n}`,
      rank: 1,
      state,
    })
    const over = { closed: false, closedAtMs: null, firstSeenMs: null, reopenCount: 0 }
    const state = mergedFinding([unit(1, old), unit(2, open)], {
      ...over,
      entityUid: null,
      epssScore: null,
    })
    expect(state).toMatchObject({ status: 'OPEN', resolution: 'NONE', resolved_at: null })
  })

  it('that names no weakness at all goes to the dead letters', () => {
    try {
      findingOf({ normalized_fields: {}, name: 'Something' })
    } catch (error) {
      expect(error).toBeInstanceOf(PipelineError)
      expect(error).toMatchObject({ failure: 'SCHEMA_VIOLATION', stage: 'NORMALIZE' })
      return
    }
    throw new Error('it was not refused')
  })
})

describe('an endpoint of Host Insights', () => {
  it.skipIf(!samplesPresent)('has a finding per CVE, known to the dictionary or not', () => {
    const endpoint = first(constructed('va_endpoints'))
    const id = String(endpoint['endpoint_id'])
    const unit = { endpoint, cves: constructed('va_cves') }
    const { findings, drift } = observe('xdr.findings', id, unit)
    expect(drift).toEqual([])
    expect(findings.map((f) => [f.vuln_id, f.severity, f.cvss_score])).toEqual([
      ['CVE-2021-44228', 'CRITICAL', 10],
      ['CVE-2021-45046', 'UNKNOWN', null],
    ])
    expect(first(findings)).toMatchObject({
      asset_uid: uidIn('cortex-xdr', id),
      asset: { name: 'web-01', hostname: 'web-01' },
      title: 'CVE-2021-44228 on web-01',
      description: 'Apache Log4j2 JNDI features ...',
      status: 'OPEN',
      package: null,
      published_at: 1639094400000,
      unmapped: { affected_products: '["log4j 2.14.1"]', exploitability_score: '3.9' },
    })
  })

  it('keeps what the tenant has excluded, as suppressed', () => {
    const cves = [{ name: 'CVE-2020-0001', severity: 'MEDIUM', is_excluded: 'YES' }]
    const unit = { endpoint: { endpoint_id: 'e', cves: 'CVE-2020-0001' }, cves }
    expect(first(observe('xdr.findings', 'e', unit).findings)).toMatchObject({
      status: 'SUPPRESSED',
      resolution: 'SUPPRESSED_BY_VENDOR',
      severity: 'MEDIUM',
    })
  })
})

describe('an incident', () => {
  const incidents = (): Json[] =>
    readFileSync(samplePath('cortex/xdr.incidents.ndjson'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Json)
  const on = (host: string, unit: Json) => observe('xdr.incidents', host, unit)

  it.skipIf(!samplesPresent)('without a CVE is one exposure of its host', () => {
    const [open, , resolved] = incidents().map((incident) => ({ incident, extra: null }))
    const agent = '7a7370f8934c4e60b1e7dc5d0c8b0477'
    const { findings, drift } = on(agent, open ?? {})
    expect(drift).toEqual([])
    expect(findings).toHaveLength(1)
    expect(first(findings)).toMatchObject({
      asset_uid: uidIn('cortex-xdr', agent),
      asset: { name: 'computer1', hostname: 'computer1' },
      kind: 'EXPOSURE',
      vuln_id: 'INCIDENT-891',
      vuln_id_scheme: 'vendor',
      status: 'OPEN',
      vendor_status: 'new',
      severity: 'LOW',
      risk_score: 5,
      first_seen: 1691884712575,
      last_seen: 1691971288775,
      references: ['https://test.xdr.eu.paloaltonetworks.com/incident-view?caseId=891'],
    })
    const closed = first(on('08d160e65afe470c911b128042080bf1', resolved ?? {}).findings)
    expect(closed).toMatchObject({
      status: 'RESOLVED',
      resolution: 'VENDOR_CLOSED',
      vendor_status: 'resolved_false_positive',
      resolved_at: 1688391281417,
      severity: 'HIGH',
    })
  })

  it.skipIf(!samplesPresent)('of the attack surface is a weakness for each CVE it names', () => {
    const file = 'cortex/xpanse.get_incident_extra_data.incident-only.json'
    const extra = sampleJson(file) as { reply: { incident: Json } }
    const { findings, drift } = on('host|1.1.1.1', { incident: extra.reply.incident, extra })
    expect(drift).toEqual([])
    expect(findings.map((f) => f.vuln_id)).toEqual([
      'CVE-2021-26855',
      'CVE-2021-34473',
      'CVE-2021-34523',
    ])
    expect(first(findings)).toMatchObject({
      asset_uid: uidIn('cortex-xdr', 'host|1.1.1.1'),
      asset: { name: '1.1.1.1', hostname: null, ip: '1.1.1.1' },
      kind: 'VULNERABILITY',
      vuln_id_scheme: 'cve',
      title: 'CVE-2021-26855 on 1.1.1.1',
      severity: 'CRITICAL',
      cvss_score: 9.8,
      epss: { score: 0.97499 },
      exploit: { available: true, maturity: 'IN_THE_WILD' },
      risk_factors: ['Confidence: High', 'ExactVersionMatch'],
      risk_score: 825,
      internet_exposed: true,
      status: 'OPEN',
      vendor_status: 'under_investigation',
    })
  })

  it('in a status that no document has is resolved when it begins like it', () => {
    const unit = (status: string) => ({
      incident: { incident_id: 3, status, hosts: ['h:e'], modification_time: 1748399000000 },
      extra: null,
    })
    const statusOf = (status: string) => first(on('e', unit(status)).findings).status
    expect(statusOf('resolved_brand_new')).toBe('RESOLVED')
    expect(statusOf('RESOLVED_OTHER')).toBe('RESOLVED')
    expect(statusOf('unresolved')).toBe('OPEN')
  })

  it('without a host is on no asset', () => {
    const unit = { incident: { incident_id: '3', hosts: null }, extra: null }
    expect(on('incident|3', unit)).toMatchObject({ findings: [], findingsKnown: true })
  })
})
