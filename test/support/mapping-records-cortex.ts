// Made-up records of Cortex with what the simulator does not show.

type Json = Readonly<Record<string, unknown>>

const PUBLIC_NAME = 'ec2-203-0-113-7.eu-west-1.compute.amazonaws.com'
const SHA = `sha256:${'5d'.repeat(32)}`
const INSTANCE = 'i-0123456789abcdef0'
const T1 = 1_748_399_700_000
const T2 = 1_748_399_800_000
const T3 = 1_748_399_900_000

const endpoints: readonly Json[] = [
  { endpoint_id: 'e-1', endpoint_name: PUBLIC_NAME, ip: ['203.0.113.7'], endpointTags: 'web' },
  { endpoint_id: 'e-1', alias: 'web', ipv6: ['fd00::1', '2001:db8::1'], public_ip: '10.0.0.9' },
  { endpoint_id: 'e-1', endpoint_status: 'UNINSTALLED', last_seen: T1 },
]

const inHost = (more: Json, cve: Json | null, explainer: Json = {}): Json => ({
  incident: { incident_id: '7', hosts: ['web-1:asset-1'], ...more },
  extra: {
    reply: {
      incident: {
        xpanse_risk_explainer: {
          cves: cve === null ? [] : [{ cveId: 'CVE-2026-1', ...cve }],
          ...explainer,
        },
      },
    },
  },
})
const RESOLVED = { status: 'resolved_true_positive', modification_time: T2 }
const incidents: readonly Json[] = [
  inHost({ manual_severity: 'low', severity: 'high' }, null, {
    riskFactors: [{ attributeName: 'Critical System' }],
  }),
  inHost({ ...RESOLVED, resolved_timestamp: T1 }, null),
  inHost(RESOLVED, null),
  inHost({}, { reportedExploitInTheWild: true }),
]

const exposures: readonly Json[] = [
  {
    asm_ids: ['x-1'],
    asset_type: 'CERTIFICATE',
    name: 'shop.example.com',
    domain: ['example.com'],
  },
  { asm_ids: ['x-1'], type: 'CERTIFICATE', name: 'shop.example.com' },
  {
    asm_ids: ['x-1'],
    domain: ['web.example.com'],
    cloud_provider: 'AWS',
    cloud_resource_type: 'instance',
    ips: ['10.0.0.7'],
    ipv6s: ['fd00::1', '2001:db8::1'],
    tags: ['a:b'],
    has_active_external_services: true,
  },
  { asm_ids: ['x-1'], ip_address: ['10.0.0.8'] },
  { asm_ids: ['x-1'], recent_ips: ['10.0.0.9', '203.0.113.9'] },
  { asm_ids: ['x-1'], last_sampled_ip: '10.0.0.10' },
  { asm_ids: ['x-1'], last_sampled_ip: '203.0.113.10' },
]

const seen = (inferredCve: Json, more: Json = {}): Json => ({
  inferredCve: { cveId: 'CVE-2026-0001', ...inferredCve },
  ...more,
})
const service = (more: Json, observed: readonly Json[]): Json => ({
  service: { service_id: 's-1', ...more },
  details: { details: { inferredCvesObserved: observed } },
})
const services: readonly Json[] = [
  service({ is_active: 'Inactive', tags: ['a:b'], ip_address: ['10.0.0.7'] }, [
    seen({ cveId: 'CVE-2026-0009' }, { activityStatus: 'Inactive', note: 'kept' }),
    seen({ cvssScoreV3: 7, cvssScoreV2: 5, cveSeverityV3: 'HIGH', cveSeverityV2: 'MEDIUM' }),
    seen({ cvssScoreV3: 7, cvssScoreV2: 5, cveSeverityV2: 'MEDIUM' }),
    seen({ cvssScoreV3: 7, cveSeverityV3: 'HIGH' }),
  ]),
  service({ ipv6_address: ['fd00::1', '2001:db8::1'] }, []),
]

const asset = (more: Json): Json => ({
  'xdm.asset.id': 'c-1',
  ...Object.fromEntries(Object.entries(more).map(([name, value]) => [`xdm.${name}`, value])),
})
const VM = { 'asset.type.category': 'VM Instance', 'asset.provider': 'AWS' }
const assets: readonly Json[] = [
  asset({ 'asset.name': PUBLIC_NAME, 'asset.external_fqdn': ['a.example.com'] }),
  asset({ 'host.fqdn': ['b.example.com'], 'host.ipv6_addresses': ['fd00::1', '2001:db8::1'] }),
  asset({ 'asset.type.class': 'External Surface', 'asset.tags': { env: 'prod' } }),
  asset({ 'asset.provider': 'AWS', 'cloud.vpc_id': 'vpc-1' }),
  asset({ 'asset.strong_id': '10.0.0.7' }),
  asset({ 'asset.strong_id': '203.0.113.7' }),
  asset({ ...VM, 'asset.external_provider_id': INSTANCE }),
  asset({ 'asset.type.category': 'Container Image', 'asset.strong_id': SHA }),
]

/** What rows of weaknesses and issues have alike, without `xdm.`. */
const WEAKNESSES: readonly Json[] = [
  {
    'vulnerability.cvss_score': 7.5,
    'vulnerability.cvss_vector': 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N',
    'vulnerability.epss_score': 0.5,
    'vulnerability.exploitable': true,
    'vulnerability.has_a_fix': true,
    'vulnerability.fix_versions': ['2'],
    'vulnerability.fix_date': T1,
    'vulnerability.publish_date': T1,
    'vulnerability.status': 'affected',
    'vulnerability.cve_vendor_link': 'https://example.com/cve',
    'vulnerability.cve_risk_factors': ['Exploited in the wild'],
    'vulnerability.cortex_vulnerability_risk_score': 41,
    'software_package.id': 'openssl',
    'software_package.version': '1',
    'software_package.type': 'os',
    'software_package.layer_id': 'layer-1',
    'host.os_distribution': 'ubuntu',
    'host.ipv4_addresses': ['10.0.0.7'],
    'network.internet_exposed': true,
    'cloud.provider': 'AWS',
    'cloud.account_id': '123456789012',
    'cloud.region': 'eu-west-1',
  },
  { 'vulnerability.exploit_level': 'POC' },
  { 'vulnerability.exploitable': false },
  { 'vulnerability.cve_risk_factors': ['Exploited in the wild'] },
  { 'vulnerability.has_a_fix': true },
  { 'vulnerability.fix_versions': ['2'] },
  { 'software_package.id': 'pkg:npm/left-pad@1' },
  { 'software_package.purl': 'pkg:npm/left-pad@1', 'software_package.type': 'os' },
]
const named = (fields: Json): Json =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [`xdm.${name}`, value]))
const finding = (more: Json): Json => ({
  'xdm.finding.id': 'f-1',
  'xdm.finding.asset_id': 'asset-1',
  'xdm.vulnerability.cve_id': 'CVE-2026-0001',
  ...more,
})
/** A row of `uvm_findings`. */
const flat = (more: Json): Json => ({
  asset_id: 'asset-1',
  vulnerability_id: 'CVE-2026-0001',
  affected_software: 'openssl',
  ...more,
})
const findings: readonly Json[] = [
  ...WEAKNESSES.map((fields) => finding(named(fields))),
  finding({ cortex_vulnerability_risk_score: 7 }),
  flat({ affected_software: 'pkg:npm/left-pad@1' }),
  flat({ package_type: 'os', os_distribution: 'ubuntu', file_path: ['/usr/bin/openssl'] }),
  flat({ package_type: 'python', fix_available: true, remediation: 'Upgrade openssl' }),
]

const issue = (more: Json): Json => ({
  id: 7,
  asset_ids: ['asset-1'],
  'xdm.vulnerability.cve_id': 'CVE-2026-0001',
  ...more,
})
const issues: readonly Json[] = [
  ...WEAKNESSES.map((fields) => issue(named(fields))),
  issue({ 'xdm.vulnerability.cve_id': null, description: 'CVE-2026-0002 on web-1' }),
  issue({ 'xdm.vulnerability.cve_id': null, name: 'CVE-2026-0002 on web-1' }),
  issue({ 'xdm.vulnerability.severity': 'high', severity: 'low' }),
  issue({ severity: 'low', cortex_vulnerability_risk_score: 7 }),
  issue({
    _insert_time: T1,
    file_path: '/opt/app',
    remediation: 'Upgrade',
    ...named({ 'vulnerability.has_a_fix': true, 'software_package.id': 'a' }),
  }),
  issue({ is_excluded: true }),
  issue({ is_excepted: true }),
  issue({ 'status.progress': 'Resolved', resolution_time: T3, last_update_timestamp: T2 }),
  issue({ status: 'Resolved', last_update_timestamp: T2 }),
  issue({ status: 'Resolved', last_modified: T1 }),
]

const entries: readonly Json[] = [
  { vulnerability_id: 'CVE-2026-0001', cvss_score: 7.5, cvss_version: '3.1' },
]

/** By stream. */
export const CORTEX_RECORDS: Readonly<Record<string, readonly Json[]>> = {
  'xdr.endpoints': endpoints,
  'xdr.incidents': incidents,
  'xpanse.assets': exposures,
  'xpanse.services': services,
  'cloud.assets': assets,
  'cloud.findings': findings,
  'cloud.issues': issues,
  'cloud.vulnerabilities': entries,
}
