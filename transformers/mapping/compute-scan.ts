// Where the fields of Compute's scan results come from: what hosts, images and functions share.
import { type FieldTable, REST, always, below, from, like } from './stream-mapping.ts'

const WORST = 'worst severity that is open'
const SYSTEM = 'osDistro distro'
const REACHABLE =
  'true by "Reachable from the internet" or "Internet exposed"; that it is missing says nothing'

/** What a scan says of any asset. */
export const SCAN_ASSET: FieldTable = {
  'os.family': from(SYSTEM, 'by the words in them'),
  'os.name': from(`${SYSTEM} osDistroRelease`, '`distro` first; of Windows `osDistroRelease`'),
  'os.version': from(`osDistroVersion ${SYSTEM}`, 'of Windows else the build in `distro`'),
  'os.architecture': from('isARM64', 'arm64 when true'),
  internet_exposed: from('riskFactors', REACHABLE),
  'criticality.level': from('vulnerabilityDistribution', WORST),
  'criticality.score': from('vulnerabilityRiskScore'),
  'criticality.raw': from('vulnerabilityRiskScore'),
  risk_factors: from('riskFactors', 'their names'),
  business_units: from('collections'),
  tags: from('labels externalLabels cloudMetadata.labels'),
  status: always('ACTIVE'),
  first_seen: from('firstScanTime', 'else ours'),
  last_seen: from('scanTime', 'else fetch time'),
  vendor_created_at: from('creationTime'),
  finding_counts: from('vulnerabilityDistribution vulnerabilitiesCount'),
  unmapped: REST,
}

/** Provider, account and region. */
export const SCAN_PLACE: FieldTable = {
  'cloud.provider': from('cloudMetadata.provider'),
  'cloud.account_id': from('cloudMetadata.accountID', 'not "Non-onboarded cloud accounts"'),
  'cloud.region': from('cloudMetadata.region'),
}

export const SCAN_EACH = 'vulnerabilities[]'
const v = (paths: string): string => below(SCAN_EACH, paths)
const own = (paths: string, rule: string | null = null) => from(v(paths), rule)

/** Where the package of a weakness is looked up. */
export const SCAN_DECIDING = {
  'packages[].pkgs[].name': 'find the package of a weakness',
  'packages[].pkgs[].version': 'find the package of a weakness',
  'applications[].name': 'find the application of a weakness',
  'applications[].version': 'find the application of a weakness',
  [v('packageVersion')]: 'find the package of a weakness',
} as const

/** What its findings repeat of an asset. */
const REPEATED = `name kind hostnames private_ips public_ips cloud.provider cloud.account_id
  cloud.region cloud.resource_id image.digest`

/** One element of `vulnerabilities`, on the asset of this table. */
export const scanFinding = (asset: FieldTable): FieldTable => ({
  ...SCAN_FINDING,
  asset: like(
    REPEATED.split(/\s+/)
      .filter((field) => asset[field] !== undefined)
      .map((field) => `asset:${field}`)
      .join(' '),
    'name, kind, first name and address, place and image of the asset',
  ),
})

const SCAN_FINDING: FieldTable = {
  finding_uid: like(
    'asset_uid kind vuln_id package.type package.name locator.path',
    'of asset, kind, weakness, package; of the path for what no package manager of the system owns',
  ),
  asset_uid: like('asset:asset_uid', "the asset's"),
  kind: own('cve type', 'VULNERABILITY; without a CVE MALWARE, SECRET by the type'),
  vuln_id: own('cve title', 'the first there is, upper-cased'),
  vuln_id_scheme: like('vuln_id', 'cve, ghsa, else vendor'),
  title: like('vuln_id package.name', 'the title, else built', v('title')),
  description: own('description', '4,096 characters'),
  status: always('OPEN'),
  resolution: always('NONE'),
  vendor_status: own('status'),
  severity: own('severity cvss', 'an unknown word: by the score'),
  severity_id: like('severity', 'of the severity'),
  severity_raw: own('severity'),
  cvss_score: own('cvss'),
  'cvss.version': own('vecStr', 'of the vector'),
  'cvss.vector': own('vecStr'),
  'cvss.base_score': own('cvss'),
  known_exploited: own('exploits exploit', '`cisa-kev` among the sources; null where none is told'),
  'exploit.available': own('exploits exploit riskFactors', 'also by "Exploit exists…"'),
  'exploit.maturity': own('exploits exploit riskFactors', 'in the wild, else POC'),
  'exploit.sources': own('exploits[].source exploit'),
  'exploit.urls': own('exploits[].link'),
  'package.name': own('packageName'),
  'package.versions': own('packageVersion', 'of several rows the union'),
  'package.type': from(
    `${v('packageType packageName type')} packages[].pkgsType applications ${SYSTEM}`,
    'see the rules',
  ),
  'package.purl': from('packages[].pkgs[].purl', 'without version'),
  'package.paths': from('packages[].pkgs[].path applications[].path'),
  'package.source_package': own('packageName binaryPkgs', 'where `binaryPkgs` says it is one'),
  'package.in_use': own('riskFactors', 'true by "Package in use"'),
  'package.license': from('packages[].pkgs[].license'),
  'fix.available': own('status riskFactors', '"fixed in …", or "Has fix"'),
  'fix.versions': own('status', '"fixed in A, B"'),
  'fix.fixed_at': own('fixDate', 'epoch seconds, 0 = unknown'),
  'fix.text': own('status'),
  'fix.url': own('fixLink'),
  'locator.path': like('package.type', 'not of packages of the system', v('path')),
  'locator.layer': own('functionLayer'),
  risk_factors: own('riskFactors', 'their names'),
  references: own('link'),
  internet_exposed: own('riskFactors', REACHABLE),
  published_at: own('published', 'epoch seconds, 0 = unknown'),
  first_seen: like(
    'asset:first_seen',
    'where not before the first scan; else our first sighting',
    v('discovered'),
  ),
  last_seen: like('asset:last_seen', 'of the asset'),
  due_at: like('asset:last_seen', 'so many whole days after the scan', v('gracePeriodDays')),
  unmapped: REST,
}
