// What findings of all vendors share: the state of a new one, ids of weaknesses, and merging.
import type { AssetState } from '../contracts/asset.ts'
import type { AssetRef, FindingState } from '../contracts/finding.ts'
import { lineOf, sortedTexts } from './text.ts'

/** The fields that the lifecycle owns and those that no source of ours fills, as they begin. */
export const NEW_FINDING = {
  entity_uid: null,
  correlation_uid: null,
  status: 'OPEN',
  resolution: 'NONE',
  resolved_at: null,
  reopen_count: 0,
  kev_due_at: null,
} as const satisfies Partial<FindingState>

/** The id upper-cased and its scheme: cve | ghsa | vendor. */
export function weaknessOf(id: string): Pick<FindingState, 'vuln_id' | 'vuln_id_scheme'> {
  const vuln_id = lineOf(id).toUpperCase()
  if (/^CVE-\d{4}-\d{4,19}$/.test(vuln_id)) return { vuln_id, vuln_id_scheme: 'cve' }
  return { vuln_id, vuln_id_scheme: vuln_id.startsWith('GHSA-') ? 'ghsa' : 'vendor' }
}

/** The summary of an asset inside its findings. */
export const assetRefOf = (asset: AssetState): AssetRef => ({
  name: asset.name,
  kind: asset.kind,
  hostname: asset.hostnames[0] ?? null,
  ip: asset.private_ips[0] ?? asset.public_ips[0] ?? null,
  cloud_provider: asset.cloud?.provider ?? null,
  cloud_account_id: asset.cloud?.account_id ?? null,
  cloud_region: asset.cloud?.region ?? null,
  cloud_resource_id: asset.cloud?.resource_id ?? null,
  image_digest: asset.image?.digest ?? null,
})

/** http(s) links only, sorted and distinct. */
export const linksOf = (texts: readonly (string | null)[]): string[] =>
  sortedTexts(texts.filter((text) => text !== null).filter((text) => /^https?:\/\//i.test(text)))

/**
 * One finding per id, sorted by id. Of several the most severe gives the content; versions, paths,
 * fixes and links are the union. The result does not depend on the order given.
 */
export function mergeFindings(findings: readonly FindingState[]): FindingState[] {
  const groups = Map.groupBy(findings, (finding) => finding.finding_uid)
  return [...groups.values()]
    .map((group) => group.toSorted(bySeverity).reduce(union))
    .toSorted((a, b) => (a.finding_uid < b.finding_uid ? -1 : 1))
}

/** Total: equal only when the two say the same. */
function bySeverity(a: FindingState, b: FindingState): number {
  const order = b.severity_id - a.severity_id || (b.cvss_score ?? -1) - (a.cvss_score ?? -1)
  if (order !== 0) return order
  const [left, right] = [JSON.stringify(a), JSON.stringify(b)]
  if (left === right) return 0
  return left < right ? -1 : 1
}

function union(a: FindingState, b: FindingState): FindingState {
  return {
    ...a,
    package: a.package && {
      ...a.package,
      versions: sortedTexts([...a.package.versions, ...(b.package?.versions ?? [])]),
      paths: sortedTexts([...a.package.paths, ...(b.package?.paths ?? [])]),
    },
    fix:
      a.fix && b.fix
        ? {
            ...a.fix,
            available: a.fix.available || b.fix.available,
            versions: sortedTexts([...a.fix.versions, ...b.fix.versions]),
          }
        : (a.fix ?? b.fix),
    known_exploited:
      a.known_exploited || b.known_exploited || (a.known_exploited ?? b.known_exploited),
    exploit: a.exploit?.available ? a.exploit : (b.exploit ?? a.exploit),
    risk_factors: sortedTexts([...a.risk_factors, ...b.risk_factors]),
    references: sortedTexts([...a.references, ...b.references]),
    first_seen: Math.min(a.first_seen, b.first_seen),
    last_seen: Math.max(a.last_seen, b.last_seen),
  }
}
