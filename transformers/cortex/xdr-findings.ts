// Host Insights: an endpoint with the names of its CVEs, and what the dictionary says of each.
import { z } from 'zod'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { FindingState } from '../../contracts/finding.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { cvssOf } from '../cvss.ts'
import { defineRecord, each } from '../drift.ts'
import { severityOf } from '../severity.ts'
import { DESCRIPTION_CHARACTERS_MAX, cutText, fullTextOf, lineOf } from '../text.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import {
  anything,
  maybeFlag,
  maybeText,
  objects,
  readRecord,
  requiredId,
  textList,
} from '../vendor-json.ts'
import { SEVERITY_WORDS } from './finding-rows.ts'
import { hostFinding } from './vulnerability-on-host.ts'

const cveSchema = z.looseObject({
  name: maybeText,
  severity: anything,
  severity_score: anything,
  description: anything,
  publication_date: anything,
  is_excluded: maybeFlag,
})
type Cve = z.output<typeof cveSchema>

/**
 * A row of `va_endpoints` and those of `va_cves` that it names, side by side (made up):
 *
 *     { "endpoint": { "endpoint_id": "0f2c…", "endpoint_name": "web-01",
 *         "cves": ["CVE-2026-0001"], "severity": "CRITICAL", "severity_score": 10.0 },
 *       "cves": [{ "name": "CVE-2026-0001", "severity": "CRITICAL", "severity_score": 10.0,
 *         "type": "APPLICATION", "os_type": ["AGENT_OS_LINUX"], "affected_products": ["a 1.0"],
 *         "publication_date": 1639094400000, "description": "…", "is_excluded": "NO" }] }
 */
const unitSchema = z.looseObject({
  endpoint: z.looseObject({
    endpoint_id: requiredId,
    endpoint_name: maybeText,
    cves: textList,
  }),
  cves: objects(cveSchema),
})

/** Mapped below; `affected_hosts` names every other machine too. */
const KNOWN = fieldNames(
  'name severity severity_score description publication_date is_excluded affected_hosts',
)

const driftOf = defineRecord({
  fields: {
    endpoint: {
      ...each(
        'string|array',
        'endpoint_id endpoint_name cves severity ip mac mac_address platform',
      ),
      ...each('number|string', 'severity_score last_reported_timestamp _time _insert_time'),
    },
    cves: [
      {
        ...each(
          'string|array',
          'name severity type os_type affected_hosts affected_products description',
        ),
        ...each('boolean|string', 'is_excluded'),
        ...each(
          'number|string',
          `severity_score exploitability_score impact_score publication_date modification_date`,
        ),
      },
    ],
  },
  values: { 'cves[].severity': SEVERITY_WORDS, 'cves[].is_excluded': ['YES', 'NO'] },
})

export const xdrFindings: Transformer = {
  vendor: 'cortex',
  product: 'cortex-xdr',
  stream: 'xdr.findings',
  rank: 0,
  transform(raw) {
    const { record, drift } = readRecord(raw, { schema: unitSchema, driftOf })
    const { endpoint, cves } = record
    const dictionary = new Map(cves.map((cve) => [cve.name, cve]))
    const findings = endpoint.cves.map((id) =>
      findingOf(id, dictionary.get(id) ?? null, endpoint.endpoint_name, raw.facts),
    )
    return { assets: [], findings, findingsKnown: true, drift }
  },
}

/** The listing has no times of its own: what it shows is there now. */
function findingOf(
  id: string,
  cve: Cve | null,
  hostName: string | null,
  facts: RawFacts,
): FindingState {
  const nowMs = facts.fetchedAtMs
  const scores = cvssOf([{ score: cve?.severity_score ?? null, vector: null }])
  const description = fullTextOf(cve?.description ?? null)
  const excluded = { status: 'SUPPRESSED', resolution: 'SUPPRESSED_BY_VENDOR' } as const
  return {
    ...hostFinding(id, 'VULNERABILITY', hostName, facts),
    ...scores,
    ...severityOf(cve?.severity ?? null, scores.cvss_score),
    ...(cve?.is_excluded === true ? excluded : {}),
    title: lineOf(hostName === null ? id : `${id} on ${hostName}`),
    description: description && cutText(description, DESCRIPTION_CHARACTERS_MAX),
    published_at: timeOf(cve?.publication_date ?? null, 'milliseconds', nowMs),
    first_seen: nowMs,
    last_seen: nowMs,
    unmapped: cve === null ? {} : unmappedOf(cve, KNOWN),
  }
}
