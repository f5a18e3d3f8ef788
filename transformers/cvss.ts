// CVSS assessments as vendors give them: the version from the vector, the score never recomputed.
import type { Cvss } from '../contracts/finding.ts'
import { numberOf, textOf } from './text.ts'

const VERSIONED = /^CVSS:(\d\.\d)\//i
/** Preferred first. */
const VERSIONS = ['4.0', '3.1', '3.0', '2.0', 'unknown']

export type CvssFields = { readonly cvss: Cvss[]; readonly cvss_score: number | null }

/**
 * One assessment per pair that has a score within 0..10. A score of 0 without a vector is how
 * vendors write "not scored". `cvss_score` is that of the preferred assessment.
 */
export function cvssOf(given: readonly { score: unknown; vector: unknown }[]): CvssFields {
  const cvss: Cvss[] = []
  for (const pair of given) {
    const score = numberOf(pair.score)
    const vector = textOf(pair.vector)
    if (score === null || score < 0 || score > 10 || (score === 0 && vector === null)) continue
    const version = versionOf(vector)
    cvss.push({ version, vector, base_score: score, severity: null, source: null })
  }
  cvss.sort((a, b) => rank(a.version) - rank(b.version) || b.base_score - a.base_score)
  return { cvss, cvss_score: cvss[0]?.base_score ?? null }
}

/** Vendors' own version fields say `3.x`; the vector's prefix is exact, and only 2.0 has none. */
function versionOf(vector: string | null): string {
  if (vector === null) return 'unknown'
  const version = VERSIONED.exec(vector)?.[1]
  if (version !== undefined) return VERSIONS.includes(version) ? version : 'unknown'
  return /^\(?AV:[LAN]\/AC:[HML]\/Au:/i.test(vector) ? '2.0' : 'unknown'
}

const rank = (version: string): number => VERSIONS.indexOf(version)
