// What the Xpanse listings share: words for nothing, business units, addresses, providers, scores.
import type { Criticality } from '../../contracts/asset.ts'
import { providerOf } from '../cloud.ts'
import { scoreText, withoutFloatNoise } from '../floats.ts'
import { severityOf } from '../severity.ts'
import { LIST_ITEMS_MAX, isObject, numberOf, sortedTexts, textOf, textsOf } from '../text.ts'

/** Business units come as lists in lists. */
const NESTING_MAX = 3
const SCORE_MAX = 10
/** Words of the scanner for the clouds it recognises; `Other` is an address of nobody it knows. */
const DETECTED: ReadonlyMap<string, string> = new Map([
  ['amazonwebservices', 'aws'],
  ['microsoftazure', 'azure'],
  ['googlecloud', 'gcp'],
  ['googlecloudplatform', 'gcp'],
  ['oraclecloud', 'oci'],
  ['oraclecloudinfrastructure', 'oci'],
  ['ibmcloud', 'ibm'],
])

/** The row without the text `null`, which Xpanse writes where it means null. */
export const withoutNullWords = (row: unknown): unknown =>
  isObject(row)
    ? Object.fromEntries(
        Object.entries(row).map(([key, value]) => [key, isNullWord(value) ? null : value]),
      )
    : row

const isNullWord = (value: unknown): boolean =>
  typeof value === 'string' && value.trim().toLowerCase() === 'null'

/** Names out of texts, objects with a `name`, and lists of either; sorted and distinct. */
export const businessUnitsOf = (value: unknown): string[] =>
  sortedTexts(namesIn(value, 0).filter((name) => name !== null))

function namesIn(value: unknown, depth: number): (string | null)[] {
  if (Array.isArray(value)) {
    if (depth >= NESTING_MAX) return []
    return value.slice(0, LIST_ITEMS_MAX).flatMap((item) => namesIn(item, depth + 1))
  }
  return [textOf(isObject(value) ? value['name'] : value)]
}

/** Addresses as texts, one text, or objects with an `ip`. */
export const addressTexts = (value: unknown): string[] =>
  textsOf((Array.isArray(value) ? value : [value]).map((ip) => (isObject(ip) ? ip['ip'] : ip)))

/** The cloud that the tenant has onboarded, else the one that the scanner recognises. */
export function cloudProviderOf(onboarded: string | null, detected: readonly string[]) {
  const named = providerOf(onboarded)
  if (named !== null) return named
  const known = detected.map(
    (word) => DETECTED.get(word.toLowerCase().replace(/[^a-z]/g, '')) ?? providerOf(word),
  )
  return known.find((provider) => provider !== null && provider !== 'other') ?? null
}

/** The worst score of what is inferred from outside, on the scale of CVSS. */
export function criticalityOf(value: unknown): Criticality | null {
  const score = numberOf(value)
  if (score === null || score < 0) return null
  const { severity } = severityOf(null, score <= SCORE_MAX ? score : null)
  return { level: severity, score: withoutFloatNoise(score), raw: scoreText(score) }
}

/** True where at least one lists the CVEs, and none lists any. Null is no list. */
export function saysNone(
  records: readonly { readonly externally_inferred_cves: unknown }[],
): boolean {
  const counts = records.map((record) => countedOf(record.externally_inferred_cves))
  return counts.includes(0) && counts.every((count) => count === 0 || count === null)
}

/** How many there are; null where the list is missing. */
export const countedOf = (value: unknown): number | null =>
  Array.isArray(value) ? value.length : null
