// What a pull says through its transformer, held against the simulator's truth of findings.
import { assetUid } from '../../contracts/identity.ts'
import type { FindingState } from '../../contracts/finding.ts'
import type { Unit } from '../../contracts/ports.ts'
import type { TrueFinding } from '../../simulator/truth.ts'
import { observedUnit } from './observed.ts'

export type Said = {
  readonly key: string
  readonly severityId: number
  readonly cvss: number | null
  readonly versions: readonly string[]
  readonly fixVersions: readonly string[]
}

const keyOf = (...parts: readonly (string | null)[]): string => JSON.stringify(parts)
const sorted = (list: readonly Said[]): Said[] =>
  list.toSorted((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)))
const union = (lists: readonly (readonly string[])[]): string[] =>
  [...new Set(lists.flat())].toSorted()

/** All findings of the units, one per row. */
export const findingsIn = (
  stream: string,
  tenant: string,
  units: readonly Unit[],
): FindingState[] => units.flatMap((unit) => [...observedUnit(stream, tenant, unit).findings])

/** The open ones in the terms of the truth; rows of one finding together. */
export function saidOf(findings: readonly FindingState[]): Said[] {
  const open = findings.filter((finding) => finding.status === 'OPEN')
  const groups = [...Map.groupBy(open, (finding) => finding.finding_uid).values()]
  return sorted(
    groups.flatMap((group) => {
      const [first] = group
      if (first === undefined) return []
      const { asset_uid, vuln_id, package: affected, cvss_score } = first
      return [
        {
          key: keyOf(asset_uid, vuln_id, affected?.type ?? null, affected?.name ?? ''),
          severityId: Math.max(...group.map((finding) => finding.severity_id)),
          cvss: cvss_score,
          versions: union(group.map((finding) => finding.package?.versions ?? [])),
          fixVersions: union(group.map((finding) => finding.fix?.versions ?? [])),
        },
      ]
    }),
  )
}

/** The truth's findings of one stream and tenant, those shown elsewhere first included. */
export const truthFor = (
  findings: readonly TrueFinding[],
  stream: string,
  tenant: string,
): Said[] =>
  sorted(
    findings
      .filter((f) => f.stream === stream || f.alsoIn?.some((other) => other === stream) === true)
      .filter((f) => f.tenant === tenant)
      .map((f) => ({
        key: keyOf(
          assetUid({ vendor: 'cortex', product: f.product, tenant, nativeId: f.assetNativeId }),
          f.vulnId,
          f.packageType,
          f.packageName,
        ),
        severityId: f.severityId,
        cvss: f.cvss,
        versions: f.versions,
        fixVersions: f.fixVersions.toSorted(),
      })),
  )
