// What every Cortex listing of weaknesses says in the end: one row, one weakness of one package on
// one asset, which it only names.
import { z } from 'zod'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { AffectedPackage, AssetRef, Exploit, FindingState } from '../../contracts/finding.ts'
import { assetUid } from '../../contracts/identity.ts'
import { providerOf } from '../cloud.ts'
import { cvssOf } from '../cvss.ts'
import { findingUidOf } from '../finding-uid.ts'
import { NEW_FINDING, linksOf, weaknessOf } from '../findings.ts'
import { addressesOf } from '../ip.ts'
import { namesOf } from '../names.ts'
import { packageTypeOf, purlOf } from '../packages.ts'
import { severityOf } from '../severity.ts'
import {
  DESCRIPTION_CHARACTERS_MAX,
  cutText,
  fullTextOf,
  lineOf,
  numberOf,
  sortedTexts,
  textsOf,
} from '../text.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import {
  anything,
  maybeFlag,
  maybeNumber,
  maybeText,
  requiredId,
  textList,
} from '../vendor-json.ts'
import { kindOfWords } from './fields.ts'

/**
 * A row in the names of dataset `findings`, with its normalized fields lifted; other listings are
 * brought into these names. Lists may be a text; times are milliseconds or ISO.
 * @see https://docs-cortex.paloaltonetworks.com/r/Cortex-XSIAM/Cortex-XSIAM-XQL-Schema-Guide
 */
export const findingRow = z.looseObject({
  'xdm.finding.asset_id': requiredId,
  'xdm.finding.asset_name': maybeText,
  'xdm.finding.asset_type': maybeText,
  'xdm.finding.name': maybeText,
  'xdm.finding.description_template': anything,
  'xdm.finding.is_active': maybeFlag,
  'xdm.finding.first_observed': anything,
  'xdm.finding.last_observed': anything,
  'xdm.vulnerability.cve_id': requiredId,
  'xdm.vulnerability.severity': anything,
  'xdm.vulnerability.cvss_score': anything,
  'xdm.vulnerability.cvss_vector': anything,
  'xdm.vulnerability.epss_score': maybeNumber,
  'xdm.vulnerability.exploitable': maybeFlag,
  'xdm.vulnerability.exploit_level': maybeText,
  'xdm.vulnerability.has_a_fix': maybeFlag,
  'xdm.vulnerability.fix_versions': anything,
  'xdm.vulnerability.fix_date': anything,
  'xdm.vulnerability.publish_date': anything,
  'xdm.vulnerability.status': maybeText,
  'xdm.vulnerability.cve_vendor_link': maybeText,
  'xdm.vulnerability.cve_risk_factors': anything,
  'xdm.vulnerability.cortex_vulnerability_risk_score': anything,
  cortex_vulnerability_risk_score: anything,
  'xdm.software_package.id': maybeText,
  'xdm.software_package.version': textList,
  'xdm.software_package.purl': maybeText,
  'xdm.software_package.type': maybeText,
  'xdm.software_package.layer_id': maybeText,
  'xdm.host.os_distribution': maybeText,
  'xdm.host.ipv4_addresses': textList,
  'xdm.network.internet_exposed': maybeFlag,
  'xdm.cloud.provider': maybeText,
  'xdm.cloud.account_id': maybeText,
  'xdm.cloud.region': maybeText,
  // Columns of other listings that dataset `findings` does not have.
  file_path: textList,
  remediation: maybeText,
})
export type FindingRow = z.output<typeof findingRow>

/** Mapped below, and the constant that the query filters by. */
export const ROW_FIELDS = fieldNames(`
  xdm.finding.asset_id xdm.finding.asset_name xdm.finding.asset_type xdm.finding.name
  xdm.finding.description_template xdm.finding.is_active xdm.finding.first_observed
  xdm.finding.last_observed xdm.finding.category xdm.vulnerability.cve_id
  xdm.vulnerability.severity xdm.vulnerability.cvss_score xdm.vulnerability.cvss_vector
  xdm.vulnerability.epss_score xdm.vulnerability.exploitable xdm.vulnerability.exploit_level
  xdm.vulnerability.has_a_fix xdm.vulnerability.fix_versions xdm.vulnerability.fix_date
  xdm.vulnerability.publish_date xdm.vulnerability.status xdm.vulnerability.cve_vendor_link
  xdm.vulnerability.cve_risk_factors xdm.vulnerability.cortex_vulnerability_risk_score
  cortex_vulnerability_risk_score xdm.software_package.id xdm.software_package.version
  xdm.software_package.purl xdm.software_package.type xdm.software_package.layer_id
  xdm.host.ipv4_addresses xdm.network.internet_exposed xdm.cloud.provider xdm.cloud.account_id
  xdm.cloud.region file_path remediation
`)

/** Palo Alto's words, and the two scales in which it numbers them. */
export const SEVERITY_WORDS: readonly string[] = `
  critical high medium med low unimportant informational info none
  SEV_010_INFO SEV_020_LOW SEV_030_MEDIUM SEV_040_HIGH SEV_050_CRITICAL
  SEV_030_INFO SEV_040_LOW SEV_050_MEDIUM SEV_060_HIGH SEV_070_CRITICAL`
  .trim()
  .split(/\s+/)

/** `known`: fields that are not to be told as unmapped. */
export function findingOf(
  row: FindingRow,
  facts: RawFacts,
  known: ReadonlySet<string> = ROW_FIELDS,
): FindingState {
  const nowMs = facts.fetchedAtMs
  const asset_uid = assetUid({ ...facts, nativeId: row['xdm.finding.asset_id'] })
  const weakness = weaknessOf(row['xdm.vulnerability.cve_id'])
  const scores = cvssOf([
    { score: row['xdm.vulnerability.cvss_score'], vector: row['xdm.vulnerability.cvss_vector'] },
  ])
  const kind = 'VULNERABILITY' as const
  const affected = packageOf(row)
  const layer = row['xdm.software_package.layer_id']
  const locator =
    layer === null ? null : { protocol: null, port: null, service_id: null, path: null, layer }
  const published = timeOf(row['xdm.vulnerability.publish_date'], 'milliseconds', nowMs)
  const first = timeOf(row['xdm.finding.first_observed'], 'milliseconds', nowMs)
  const last = timeOf(row['xdm.finding.last_observed'], 'milliseconds', nowMs)
  const description = fullTextOf(row['xdm.finding.description_template'])
  return {
    ...NEW_FINDING,
    ...weakness,
    ...scores,
    ...severityOf(row['xdm.vulnerability.severity'], scores.cvss_score),
    ...exploitOf(row),
    finding_uid: findingUidOf({ asset_uid, kind, ...weakness, package: affected, locator }),
    asset_uid,
    asset: assetRefOfRow(row),
    kind,
    aliases: [],
    cwes: [],
    title: lineOf(
      row['xdm.finding.name'] ?? `${weakness.vuln_id}${affected ? ` in ${affected.name}` : ''}`,
    ),
    description: description && cutText(description, DESCRIPTION_CHARACTERS_MAX),
    vendor_status: row['xdm.vulnerability.status'],
    epss: epssOf(row['xdm.vulnerability.epss_score']),
    package: affected,
    fix: fixOf(row, nowMs),
    locator,
    risk_factors: textsOf(row['xdm.vulnerability.cve_risk_factors']),
    references: linksOf([row['xdm.vulnerability.cve_vendor_link']]),
    internet_exposed: row['xdm.network.internet_exposed'],
    risk_score: numberOf(
      row['xdm.vulnerability.cortex_vulnerability_risk_score'] ??
        row.cortex_vulnerability_risk_score,
    ),
    published_at: published,
    first_seen: first ?? published ?? last ?? nowMs,
    last_seen: last ?? nowMs,
    due_at: null,
    unmapped: unmappedOf(row, known),
  }
}

/** The row names its asset; the asset itself comes from cloud.assets. */
function assetRefOfRow(row: FindingRow): AssetRef {
  const addresses = addressesOf(row['xdm.host.ipv4_addresses'])
  const provider = providerOf(row['xdm.cloud.provider'])
  return {
    name: row['xdm.finding.asset_name'] ?? row['xdm.finding.asset_id'],
    kind: kindOfWords([row['xdm.finding.asset_type']], provider !== null),
    hostname: namesOf([row['xdm.finding.asset_name']]).hostnames[0] ?? null,
    ip: addresses.private[0] ?? addresses.public[0] ?? null,
    cloud_provider: provider,
    cloud_account_id: row['xdm.cloud.account_id'],
    cloud_region: row['xdm.cloud.region'],
    cloud_resource_id: null,
    image_digest: null,
  }
}

/** The URL's type is the exact one; Cortex's own word for packages of every system is `os`. */
function packageOf(row: FindingRow): AffectedPackage | null {
  const id = row['xdm.software_package.id']
  const purl = purlOf(row['xdm.software_package.purl']) ?? purlOf(id)
  const name = (purlOf(id) === null ? id : null) ?? purl?.name ?? null
  if (name === null) return null
  const distro = row['xdm.host.os_distribution']
  return {
    name,
    versions: row['xdm.software_package.version'],
    type:
      packageTypeOf(purl?.type ?? null, distro) ??
      packageTypeOf(row['xdm.software_package.type'], distro),
    purl: purl?.bare ?? null,
    cpe: null,
    paths: row.file_path,
    source_package: null,
    in_use: null,
    license: null,
  }
}

function fixOf(row: FindingRow, nowMs: number): FindingState['fix'] {
  const given = row['xdm.vulnerability.fix_versions']
  const versions = sortedTexts(
    textsOf(given)
      .flatMap((text) => text.split(','))
      .map((version) => version.trim())
      .filter((version) => version !== ''),
  )
  const available = row['xdm.vulnerability.has_a_fix'] ?? (versions.length > 0 ? true : null)
  if (available === null) return null
  const fixed_at = timeOf(row['xdm.vulnerability.fix_date'], 'milliseconds', nowMs)
  return { available, versions, fixed_at, text: row.remediation, url: null }
}

/** Cortex says "Exploited in the wild" where a weakness is in CISA's catalogue. */
function exploitOf(row: FindingRow): Pick<FindingState, 'known_exploited' | 'exploit'> {
  const factors = row['xdm.vulnerability.cve_risk_factors']
  const exploitable = row['xdm.vulnerability.exploitable']
  const level = row['xdm.vulnerability.exploit_level']
  const inTheWild = textsOf(factors).some((factor) => /exploited in the wild/i.test(factor))
  const known_exploited = inTheWild || (Array.isArray(factors) ? false : null)
  if (exploitable === null && level === null && !inTheWild) {
    return { known_exploited, exploit: null }
  }
  const maturity = inTheWild ? 'IN_THE_WILD' : maturityOf(level, exploitable)
  const available = exploitable === true || !['NONE', 'UNKNOWN'].includes(maturity)
  return { known_exploited, exploit: { available, maturity, sources: [], urls: [] } }
}

function maturityOf(level: string | null, exploitable: boolean | null): Exploit['maturity'] {
  const word = level?.toLowerCase() ?? ''
  if (/wild/.test(word)) return 'IN_THE_WILD'
  if (/weapon/.test(word)) return 'WEAPONIZED'
  if (/poc|proof/.test(word)) return 'POC'
  return exploitable === false || word === 'none' ? 'NONE' : 'UNKNOWN'
}

/** A probability; anything outside 0..1 is none. */
const epssOf = (score: number | null): FindingState['epss'] =>
  score === null || score < 0 || score > 1 ? null : { score, percentile: null, as_of: null }
