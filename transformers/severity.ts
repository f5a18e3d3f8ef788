// One severity from every vendor's words, else from the CVSS score.
import type { Severity } from '../contracts/event-meta.ts'
import { textOf } from './text.ts'

const WORDS: ReadonlyMap<string, Severity> = new Map([
  ['critical', 'CRITICAL'],
  ['high', 'HIGH'],
  ['important', 'HIGH'],
  ['medium', 'MEDIUM'],
  ['med', 'MEDIUM'],
  ['moderate', 'MEDIUM'],
  ['low', 'LOW'],
  ['unimportant', 'LOW'],
  ['negligible', 'LOW'],
  ['unassigned', 'LOW'],
  ['not yet assigned', 'LOW'],
  ['informational', 'INFORMATIONAL'],
  ['info', 'INFORMATIONAL'],
  ['none', 'INFORMATIONAL'],
])
/** Palo Alto numbers the same words in two ways (SEV_030_INFO, SEV_010_INFO): the word counts. */
const SEV = /^sev_\d{3}_/
const IDS: Readonly<Record<Severity, number>> = {
  UNKNOWN: 0,
  INFORMATIONAL: 1,
  LOW: 2,
  MEDIUM: 3,
  HIGH: 4,
  CRITICAL: 5,
}

export type SeverityFields = {
  readonly severity: Severity
  /** OCSF severity_id, 0..5. */
  readonly severity_id: number
  /** The vendor's word. */
  readonly severity_raw: string
}

/** The severity of a vendor's word; an unknown word or none is judged by the CVSS base score. */
export function severityOf(raw: unknown, cvssScore: number | null): SeverityFields {
  const text = textOf(raw) ?? ''
  const severity = WORDS.get(text.toLowerCase().replace(SEV, '')) ?? fromCvss(cvssScore)
  return { severity, severity_id: IDS[severity], severity_raw: text }
}

function fromCvss(score: number | null): Severity {
  if (score === null) return 'UNKNOWN'
  if (score < 4) return 'LOW'
  if (score < 7) return 'MEDIUM'
  return score < 9 ? 'HIGH' : 'CRITICAL'
}
