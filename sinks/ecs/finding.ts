// ECS document of a finding: the fields of `vulnerability`, `package`, `host`, `cloud`, `resource`.
import type { Finding } from '../../contracts/finding.ts'
import { isIpAddress } from '../addresses.ts'
import { isMachine } from '../machines.ts'
import { productNames } from '../products.ts'
import { said, textOrNull } from '../said.ts'
import { type EcsDocument, dateOf, envelopeOf, frameOf, severityName } from './document.ts'

/** Words of `vulnerability.status`, an addition to ECS; suppressed is open with a tag. */
const STATUSES: Readonly<Record<Finding['status'], string>> = {
  UNKNOWN: 'unknown',
  OPEN: 'open',
  REOPENED: 'reopened',
  RESOLVED: 'fixed',
  SUPPRESSED: 'open',
}
const ENUMERATIONS: ReadonlyMap<string, string> = new Map([
  ['cve', 'CVE'],
  ['ghsa', 'GHSA'],
])

/** ECS event of a finding, the whole state. Pure. */
export function ecsOfFinding(finding: Finding): EcsDocument {
  const { meta, asset } = finding
  return said({
    ...frameOf(meta, { kind: 'state', category: 'vulnerability' }, finding.severity_id),
    message: finding.title,
    tags: finding.status === 'SUPPRESSED' ? ['suppressed'] : [],
    vulnerability: vulnerabilityOf(finding),
    package: packageOf(finding),
    host: isMachine(asset.kind)
      ? {
          id: finding.asset_uid,
          name: asset.name,
          hostname: asset.hostname,
          ip: asset.ip !== null && isIpAddress(asset.ip) ? [asset.ip] : [],
        }
      : null,
    cloud: {
      provider: textOrNull(asset.cloud_provider),
      account: { id: asset.cloud_account_id },
      region: asset.cloud_region,
    },
    container: {
      image: { hash: { all: asset.image_digest === null ? [] : [asset.image_digest] } },
    },
    resource: {
      id: textOrNull(asset.cloud_resource_id) ?? finding.asset_uid,
      name: asset.name,
      type: asset.kind,
    },
    exposure: restOf(finding),
  })
}

function vulnerabilityOf(finding: Finding) {
  const [first] = finding.cvss
  return {
    id: finding.vuln_id,
    enumeration: ENUMERATIONS.get(finding.vuln_id_scheme),
    classification: first === undefined ? null : 'CVSS',
    score: { base: first?.base_score ?? finding.cvss_score, version: first?.version },
    severity: severityName(finding.severity),
    status: STATUSES[finding.status],
    description: finding.description,
    reference: finding.references[0],
    scanner: { vendor: productNames(finding.meta.source).vendor },
    category: [finding.kind],
  }
}

function packageOf({ package: affected, fix, locator }: Finding) {
  if (affected === null) return null
  return {
    name: affected.name,
    version: affected.versions.length === 0 ? null : affected.versions.join(', '),
    path: locator?.path ?? affected.paths[0],
    type: affected.type,
    license: affected.license,
    fixed_version: fix === null || fix.versions.length === 0 ? null : fix.versions.join(', '),
  }
}

/** What ECS has no field for, or only one where there are several. */
const restOf = (finding: Finding) => ({
  ...envelopeOf(finding.meta),
  finding_uid: finding.finding_uid,
  asset_uid: finding.asset_uid,
  entity_uid: finding.entity_uid,
  correlation_uid: finding.correlation_uid,
  asset_ip: finding.asset.ip,
  vuln_id_scheme: finding.vuln_id_scheme,
  aliases: finding.aliases,
  cwes: finding.cwes,
  status: finding.status,
  resolution: finding.resolution,
  vendor_status: finding.vendor_status,
  severity: finding.severity,
  severity_raw: finding.severity_raw,
  cvss_score: finding.cvss_score,
  cvss: finding.cvss,
  epss: epssOf(finding),
  known_exploited: finding.known_exploited,
  kev_due_at: dateOf(finding.kev_due_at),
  exploit: finding.exploit,
  package: finding.package,
  fix: finding.fix === null ? null : { ...finding.fix, fixed_at: dateOf(finding.fix.fixed_at) },
  locator: finding.locator,
  risk_factors: finding.risk_factors,
  references: finding.references,
  internet_exposed: finding.internet_exposed,
  risk_score: finding.risk_score,
  published_at: dateOf(finding.published_at),
  first_seen: dateOf(finding.first_seen),
  last_seen: dateOf(finding.last_seen),
  resolved_at: dateOf(finding.resolved_at),
  due_at: dateOf(finding.due_at),
  reopen_count: finding.reopen_count,
  vendor_fields: finding.unmapped,
})

const epssOf = ({ epss }: Finding) =>
  epss === null ? null : { ...epss, as_of: dateOf(epss.as_of) }
