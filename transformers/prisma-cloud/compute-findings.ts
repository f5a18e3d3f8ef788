// Vulnerabilities of a Compute scan result as findings of its asset.
import type { AssetState } from '../../contracts/asset.ts'
import type { AffectedPackage, Exploit, FindingState, Fix } from '../../contracts/finding.ts'
import { cvssOf } from '../cvss.ts'
import { findingUidOf } from '../finding-uid.ts'
import { NEW_FINDING, assetRefOf, linksOf, mergeFindings, weaknessOf } from '../findings.ts'
import { isOsPackage } from '../packages.ts'
import { severityOf } from '../severity.ts'
import {
  DESCRIPTION_CHARACTERS_MAX,
  cutText,
  fullTextOf,
  lineOf,
  sortedTexts,
  textOf,
} from '../text.ts'
import { dueAfterDays, timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import type { ComputeScan, ComputeVulnerability } from './compute-scan.ts'
import { riskFactorsOf } from './compute-scan.ts'
import { type PackageFacts, packageLookupOf } from './compute-packages.ts'

/** Mapped below, or no fact of the finding: rule numbers, layers, flags of the scanner. */
const KNOWN = fieldNames(`
  cve title description text type severity cvss vecStr status packageName packageVersion
  packageType binaryPkgs path functionLayer published fixDate fixLink discovered gracePeriodDays
  link riskFactors exploit exploits id layerTime twistlock cri applicableRules
`)

/**
 * One finding per weakness and package, sorted by id. `observedAtMs` is when the unit was fetched.
 */
export function findingsOf(
  scan: ComputeScan,
  asset: AssetState,
  observedAtMs: number,
): FindingState[] {
  const lookup = packageLookupOf(scan)
  const asset_ref = assetRefOf(asset)
  const shared = { asset: asset_ref, asset_uid: asset.asset_uid, last_seen: asset.last_seen }
  return mergeFindings(
    (scan.vulnerabilities ?? []).map((vulnerability) => ({
      ...shared,
      ...findingOf(vulnerability, asset, lookup(vulnerability), observedAtMs),
    })),
  )
}

function findingOf(
  v: ComputeVulnerability,
  asset: AssetState,
  facts: PackageFacts,
  nowMs: number,
): Omit<FindingState, 'asset' | 'asset_uid' | 'last_seen'> {
  const weakness = weaknessOf(v.cve ?? v.title ?? '')
  const scores = cvssOf([{ score: v.cvss, vector: v.vecStr }])
  const riskFactors = riskFactorsOf(v.riskFactors)
  const kind = kindOf(v)
  const affected = packageOf(v, facts, riskFactors)
  const locator = locatorOf(v, affected?.type ?? null)
  const identity = { asset_uid: asset.asset_uid, kind, ...weakness, package: affected, locator }
  const description = fullTextOf(v.description)
  return {
    ...NEW_FINDING,
    ...weakness,
    ...scores,
    ...severityOf(v.severity, scores.cvss_score),
    ...exploitOf(v, riskFactors),
    finding_uid: findingUidOf(identity),
    kind,
    aliases: [],
    cwes: [],
    title: lineOf(v.title ?? `${weakness.vuln_id}${affected ? ` in ${affected.name}` : ''}`),
    description: description && cutText(description, DESCRIPTION_CHARACTERS_MAX),
    vendor_status: v.status,
    epss: null,
    package: affected,
    fix: fixOf(v, riskFactors, nowMs),
    locator,
    risk_factors: riskFactors,
    references: linksOf([v.link]),
    internet_exposed: isReachable(riskFactors),
    risk_score: null,
    published_at: timeOf(v.published, 'seconds', nowMs),
    first_seen: firstSeenOf(timeOf(v.discovered, 'milliseconds', nowMs), asset.first_seen, nowMs),
    due_at: dueAfterDays(asset.last_seen, v.gracePeriodDays),
    unmapped: unmappedOf(v, KNOWN),
  }
}

/** Rows without a CVE come from other scanners, which the type names. */
function kindOf(v: ComputeVulnerability): FindingState['kind'] {
  if (v.cve !== null) return 'VULNERABILITY'
  if (v.type?.endsWith('_malware')) return 'MALWARE'
  return v.type?.endsWith('_secret') ? 'SECRET' : 'VULNERABILITY'
}

/**
 * `discovered` is often the date of the CVE, not of the sighting. It counts only when it is not
 * before the asset was first seen; else our own first sighting does, which the lifecycle keeps.
 */
function firstSeenOf(
  discovered: number | null,
  assetFirstSeen: number | null,
  nowMs: number,
): number {
  const plausible = discovered !== null && assetFirstSeen !== null && discovered >= assetFirstSeen
  return plausible ? Math.min(discovered, nowMs) : nowMs
}

function packageOf(
  v: ComputeVulnerability,
  facts: PackageFacts,
  riskFactors: readonly string[],
): AffectedPackage | null {
  if (v.packageName === null) return null
  return {
    name: v.packageName,
    versions: v.packageVersion === null ? [] : [v.packageVersion],
    ...facts,
    cpe: null,
    // With binaryPkgs the name is that of the source from which these binary packages are built.
    source_package: v.binaryPkgs.length > 0 ? v.packageName : null,
    in_use: riskFactors.some((name) => /package in use/i.test(name)) ? true : null,
  }
}

/** Hosts name the place only where a scanner gives the row its own path. */
function locatorOf(v: ComputeVulnerability, packageType: string | null): FindingState['locator'] {
  const path = isOsPackage(packageType) ? null : v.path
  if (path === null && v.functionLayer === null) return null
  return { protocol: null, port: null, service_id: null, path, layer: v.functionLayer }
}

/** Fixed versions exist only inside `status`: `fixed in 1.18.4, 1.17.12`, one per release line. */
function fixOf(v: ComputeVulnerability, riskFactors: readonly string[], nowMs: number): Fix | null {
  const fixedAt = timeOf(v.fixDate, 'seconds', nowMs)
  const list = /^fixed in\s+(.+)$/i.exec(v.status ?? '')?.[1] ?? ''
  const versions = sortedTexts(
    list
      .split(',')
      .map((version) => version.trim())
      .filter((version) => version !== ''),
  )
  const hasFix = riskFactors.some((name) => name.toLowerCase() === 'has fix')
  if (v.status === null && fixedAt === null && !hasFix && v.fixLink === null) return null
  return {
    available: versions.length > 0 || hasFix,
    versions,
    fixed_at: fixedAt,
    text: v.status,
    url: linksOf([v.fixLink])[0] ?? null,
  }
}

/** `exploit` is one source as text, `exploits` the list of newer consoles; both may be missing. */
function exploitOf(
  v: ComputeVulnerability,
  riskFactors: readonly string[],
): Pick<FindingState, 'known_exploited' | 'exploit'> {
  const single = textOf(v.exploit)?.toLowerCase() ?? null
  const listed = v.exploits ?? []
  const sources = sortedTexts(
    [single, ...listed.map((e) => e.source?.toLowerCase() ?? null)].filter((s) => s !== null),
  )
  const kinds = new Set(listed.map((e) => e.kind?.toLowerCase() ?? null))
  const factors = riskFactors.filter((name) => /exploit/i.test(name)).join(' ')
  const inKev = sources.includes('cisa-kev')
  const known_exploited = inKev || (v.exploits === null ? null : false)
  const available = sources.length > 0 || listed.length > 0 || factors !== ''
  if (!available && v.exploits === null && typeof v.exploit !== 'string') {
    return { known_exploited, exploit: null }
  }
  const inTheWild = inKev || kinds.has('in-the-wild') || /in the wild/i.test(factors)
  const exploit: Exploit = {
    available,
    maturity: maturityOf(available, inTheWild),
    sources,
    urls: linksOf(listed.map((e) => e.link)),
  }
  return { known_exploited, exploit }
}

/** Everything short of "in the wild" is what the console calls a proof of concept. */
function maturityOf(available: boolean, inTheWild: boolean): Exploit['maturity'] {
  if (!available) return 'NONE'
  return inTheWild ? 'IN_THE_WILD' : 'POC'
}

/** True, or null: that the factor is missing does not say that the host cannot be reached. */
export const isReachable = (riskFactors: readonly string[]): boolean | null =>
  riskFactors.some((name) => /reachable from the internet|internet exposed/i.test(name))
    ? true
    : null
