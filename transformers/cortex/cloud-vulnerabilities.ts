// The CVE dictionary of Cortex Cloud: what is known of a weakness, apart from any asset.
import { z } from 'zod'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { Cvss, Exploit } from '../../contracts/finding.ts'
import { uid } from '../../contracts/identity.ts'
import type { Transformer } from '../../contracts/ports.ts'
import type { VulnerabilityState } from '../../contracts/vulnerability.ts'
import { defineRecord, each } from '../drift.ts'
import { weaknessOf } from '../findings.ts'
import { withoutFloatNoise } from '../floats.ts'
import { severityOf } from '../severity.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import {
  anything,
  maybeFlag,
  maybeNumber,
  maybeText,
  readRecord,
  requiredId,
  textList,
} from '../vendor-json.ts'

/**
 * One element of `reply.vulnerabilities` of `POST /public_api/uvem/v1/get_vulnerabilities` (made
 * up):
 *
 *     { "vulnerability_id": "CVE-2026-0001", "cvss_score": 6.199999809265137,
 *       "cvss_severity": "medium", "cvss_version": "3.x", "cvss_score_source": "NVD",
 *       "cvss_severity_source": "NVD", "epss_score": 0.00052, "cisa_kev": false,
 *       "first_published": 1742515200000, "last_modified": 0, "package_names": ["openssl"],
 *       "vendors": ["ubuntu"], "distribution_and_releases": ["ubuntu:jammy"],
 *       "reported_exploited_by": ["Threat Actors"], "attack_vector": "Network" }
 *
 * Scores are 32 bits wide; a score of 0, a time of 0 and an empty text mean that nobody knows.
 * @see https://docs-cortex.paloaltonetworks.com/r/Cortex-XSIAM-REST-API/Get-list-of-vulnerabilities
 */
const entrySchema = z.looseObject({
  vulnerability_id: requiredId,
  cvss_score: maybeNumber,
  cvss_severity: anything,
  cvss_version: maybeText,
  cvss_score_source: maybeText,
  epss_score: maybeNumber,
  cisa_kev: maybeFlag,
  first_published: anything,
  last_modified: anything,
  package_names: textList,
  vendors: textList,
  distribution_and_releases: textList,
  reported_exploited_by: textList,
})
type Entry = z.output<typeof entrySchema>

/** Mapped below; who scored it and the attack vector are kept beside. */
const KNOWN = fieldNames(`
  vulnerability_id cvss_score cvss_severity cvss_version epss_score cisa_kev first_published
  last_modified package_names vendors distribution_and_releases reported_exploited_by
`)

const driftOf = defineRecord({
  fields: {
    ...each(
      'string',
      `vulnerability_id cvss_severity cvss_version cvss_score_source cvss_severity_source
       attack_vector`,
    ),
    ...each('number', 'cvss_score epss_score first_published last_modified'),
    ...each('array', 'package_names vendors distribution_and_releases reported_exploited_by'),
    cisa_kev: 'boolean',
  },
  values: {
    cvss_severity: ['critical', 'high', 'medium', 'low', 'unimportant', 'none', 'informational'],
    cvss_version: ['2.0', '3.0', '3.1', '3.x', '4.0', '4.x'],
  },
})

export const cloudVulnerabilities: Transformer = {
  vendor: 'cortex',
  product: 'cortex-cloud',
  stream: 'cloud.vulnerabilities',
  rank: 0,
  transform(raw) {
    const { record, drift } = readRecord(raw, { schema: entrySchema, driftOf })
    const vulnerabilities = [stateOf(record, raw.facts)]
    return { assets: [], findings: [], findingsKnown: true, vulnerabilities, drift }
  },
}

function stateOf(entry: Entry, { vendor, product, fetchedAtMs }: RawFacts): VulnerabilityState {
  const { vuln_id } = weaknessOf(entry.vulnerability_id)
  const cvss = cvssOf(entry)
  const cvss_score = cvss[0]?.base_score ?? null
  return {
    vulnerability_uid: uid('vln_', [vendor, product, vuln_id]),
    vuln_id,
    title: null,
    description: null,
    ...severityOf(entry.cvss_severity, cvss_score),
    cvss_score,
    cvss,
    epss: epssOf(entry.epss_score),
    known_exploited: entry.cisa_kev,
    exploit: exploitOf(entry),
    packages: entry.package_names,
    vendors: entry.vendors,
    distributions: entry.distribution_and_releases,
    references: [],
    published_at: timeOf(entry.first_published, 'milliseconds', fetchedAtMs),
    modified_at: timeOf(entry.last_modified, 'milliseconds', fetchedAtMs),
    status: 'LISTED',
    first_seen: null,
    last_seen: fetchedAtMs,
    unmapped: unmappedOf(entry, KNOWN),
  }
}

const EXACT_VERSIONS: ReadonlySet<string> = new Set(['2.0', '3.0', '3.1', '4.0'])

/** `3.x` does not say which; a score of 0 is how the dictionary says that there is none. */
function cvssOf({ cvss_score, cvss_version, cvss_score_source }: Entry): Cvss[] {
  if (cvss_score === null || cvss_score <= 0 || cvss_score > 10) return []
  const version = EXACT_VERSIONS.has(cvss_version ?? '') ? (cvss_version ?? '') : 'unknown'
  const source = cvss_score_source?.toLowerCase() === 'nvd' ? 'nvd' : null
  const base_score = withoutFloatNoise(cvss_score)
  return [{ version, vector: null, base_score, severity: null, source }]
}

/** A probability; anything outside 0..1 is none. */
const epssOf = (score: number | null): VulnerabilityState['epss'] =>
  score === null || score < 0 || score > 1
    ? null
    : { score: withoutFloatNoise(score), percentile: null, as_of: null }

/** That nobody reported it does not say that there is no exploit. */
function exploitOf({ cisa_kev, reported_exploited_by: sources }: Entry): Exploit | null {
  if (cisa_kev !== true && sources.length === 0) return null
  return { available: true, maturity: 'IN_THE_WILD', sources, urls: [] }
}
