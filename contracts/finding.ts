// exposure.v1.Finding: the whole state of one finding on one asset. Topic exposure.findings.
import type { z } from 'zod'
import { assetKind, eventMeta, severity } from './event-meta.ts'
import {
  bool,
  double,
  enumeration,
  int,
  list,
  optional,
  record,
  text,
  textMap,
  timestampMs,
  withDefault,
} from './schema-dsl.ts'

const assetRef = record(
  'AssetRef',
  'Asset summary as known when the finding was emitted; not part of its hash.',
  {
    name: [text(), 'Name.'],
    kind: [withDefault(assetKind, 'UNKNOWN'), 'Kind.'],
    hostname: [optional(text()), 'First hostname.'],
    ip: [optional(text()), 'Preferred address.'],
    cloud_provider: [optional(text()), 'Provider.'],
    cloud_account_id: [optional(text()), 'Account.'],
    cloud_region: [optional(text()), 'Region.'],
    cloud_resource_id: [optional(text()), 'Resource id.'],
    image_digest: [optional(text()), 'Image digest.'],
  },
)

const findingKind = enumeration('FindingKind', 'Kind of finding.', [
  'UNKNOWN',
  'VULNERABILITY',
  'EXPOSURE',
  'MISCONFIGURATION',
  'MALWARE',
  'SECRET',
])

const findingStatus = enumeration('FindingStatus', 'Superset of ECS vulnerability.status.', [
  'UNKNOWN',
  'OPEN',
  'REOPENED',
  'RESOLVED',
  'SUPPRESSED',
])

const resolution = enumeration('Resolution', 'Why it is not open.', [
  'UNKNOWN',
  'NONE',
  'ABSENT_FROM_SNAPSHOT',
  'VENDOR_CLOSED',
  'ASSET_GONE',
  'SUPPRESSED_BY_VENDOR',
  'EXPIRED',
])

export const cvss = record('Cvss', 'One CVSS assessment.', {
  version: [text(), '2.0 | 3.0 | 3.1 | 4.0 | unknown.'],
  vector: [optional(text()), 'Vector string verbatim.'],
  base_score: [double(), 'Base score.'],
  severity: [optional(text()), 'Band.'],
  source: [optional(text()), 'nvd | vendor | distro.'],
})

export const epss = record('Epss', 'EPSS.', {
  score: [double(), 'Probability 0..1.'],
  percentile: [optional(double()), '0..1.'],
  as_of: [optional(timestampMs()), 'Model date.'],
})

const exploitMaturity = enumeration('ExploitMaturity', 'Highest maturity.', [
  'UNKNOWN',
  'NONE',
  'POC',
  'WEAPONIZED',
  'IN_THE_WILD',
])

export const exploit = record('Exploit', 'Exploit information.', {
  available: [bool(), 'Exploit or PoC exists.'],
  maturity: [withDefault(exploitMaturity, 'UNKNOWN'), 'Maturity.'],
  sources: [list(text()), 'exploit-db, cisa-kev…'],
  urls: [list(text()), 'Links.'],
})

export const affectedPackage = record('Package', 'Affected package.', {
  name: [text(), 'Name.'],
  versions: [list(text()), 'Installed versions, sorted.'],
  type: [
    optional(text()),
    'deb | rpm | apk | maven | npm | pypi | gem | go | nuget | binary | app | os.',
  ],
  purl: [optional(text()), 'Package URL without version.'],
  cpe: [optional(text()), 'CPE 2.3.'],
  paths: [list(text()), 'File paths.'],
  source_package: [optional(text()), 'Source package.'],
  in_use: [optional(bool()), 'Loaded at run time.'],
  license: [optional(text()), 'License.'],
})

const fix = record('Fix', 'Remediation.', {
  available: [bool(), 'Fix exists.'],
  versions: [list(text()), 'Fixed versions.'],
  fixed_at: [optional(timestampMs()), 'Fix publication.'],
  text: [optional(text()), 'Vendor fix status verbatim.'],
  url: [optional(text()), 'Link.'],
})

const locator = record('Locator', 'Where on the asset.', {
  protocol: [optional(text()), 'tcp | udp.'],
  port: [optional(int()), 'Port.'],
  service_id: [optional(text()), 'Vendor service id.'],
  path: [optional(text()), 'File path.'],
  layer: [optional(text()), 'Image layer.'],
})

export const finding = record(
  'Finding',
  'State of one finding on one asset. Key = finding_uid. A null value is the tombstone.',
  {
    meta: [eventMeta, 'Envelope.'],
    finding_uid: [
      text(),
      'Deterministic id of (asset_uid, kind, vuln_id, package type, package name, locator).',
    ],
    asset_uid: [text(), 'Asset as this source sees it.'],
    entity_uid: [
      optional(text()),
      'entity_uid of the asset as known when emitted; null while the asset is unknown.',
    ],
    asset: [assetRef, 'Asset summary.'],
    kind: [withDefault(findingKind, 'UNKNOWN'), 'Kind.'],
    vuln_id: [text(), 'CVE-…, GHSA-…, PRISMA-… or rule id; upper-cased.'],
    vuln_id_scheme: [withDefault(text(), 'vendor'), 'cve | ghsa | vendor | rule.'],
    aliases: [list(text()), 'Other ids of the same weakness.'],
    cwes: [list(text()), 'CWE-…'],
    title: [text(), 'One line.'],
    description: [optional(text()), 'At most 4096 characters.'],
    status: [withDefault(findingStatus, 'UNKNOWN'), 'Lifecycle.'],
    resolution: [withDefault(resolution, 'UNKNOWN'), 'Resolution reason.'],
    vendor_status: [optional(text()), 'Vendor status verbatim.'],
    severity: [withDefault(severity, 'UNKNOWN'), 'Normalised.'],
    severity_id: [withDefault(int(), 0), 'OCSF severity_id.'],
    severity_raw: [withDefault(text(), ''), 'Verbatim.'],
    cvss_score: [optional(double()), 'Base score of the preferred entry.'],
    cvss: [list(cvss), 'Preferred first: 4.0, 3.1, 3.0, 2.0.'],
    epss: [optional(epss), 'EPSS.'],
    known_exploited: [optional(bool()), 'In CISA KEV according to the source; null = not stated.'],
    kev_due_at: [optional(timestampMs()), 'KEV due date.'],
    exploit: [optional(exploit), 'Exploit.'],
    package: [optional(affectedPackage), 'Affected package.'],
    fix: [optional(fix), 'Fix.'],
    locator: [optional(locator), 'Locator.'],
    risk_factors: [list(text()), 'Vendor risk factors verbatim.'],
    references: [list(text()), 'URLs.'],
    internet_exposed: [optional(bool()), 'Asset exposure as the finding states it.'],
    risk_score: [optional(double()), 'Vendor risk score.'],
    published_at: [optional(timestampMs()), 'Publication of the vulnerability.'],
    first_seen: [timestampMs(), 'First detected.'],
    last_seen: [timestampMs(), 'Last detected.'],
    resolved_at: [optional(timestampMs()), 'When it stopped being open.'],
    due_at: [optional(timestampMs()), 'Grace period end.'],
    reopen_count: [withDefault(int(), 0), 'Times it came back.'],
    unmapped: [textMap(), 'Vendor fields without a home.'],
    correlation_uid: [
      optional(text()),
      'uid("cor_", [entity_uid, vuln_id, package.name or ""]): equal where two vendors see one weakness on one machine; null while entity_uid is.',
    ],
  },
)

export type Finding = z.infer<typeof finding>
/** What a transformer says of a finding; the lifecycle adds `meta`. */
export type FindingState = Omit<Finding, 'meta'>
export type AssetRef = z.infer<typeof assetRef>
export type Cvss = z.infer<typeof cvss>
export type Exploit = z.infer<typeof exploit>
export type AffectedPackage = z.infer<typeof affectedPackage>
export type Fix = z.infer<typeof fix>
export type Locator = z.infer<typeof locator>
