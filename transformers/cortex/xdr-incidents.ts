// Incidents of older Cortex tenants: weaknesses where the vendor names CVEs, else one exposure.
import { z } from 'zod'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { Exploit, FindingState } from '../../contracts/finding.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { cvssOf } from '../cvss.ts'
import { defineRecord, each } from '../drift.ts'
import { linksOf } from '../findings.ts'
import { withoutFloatNoise } from '../floats.ts'
import { severityOf } from '../severity.ts'
import { fullTextOf, lineOf, numberOf, sortedTexts } from '../text.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import {
  anything,
  maybeFlag,
  maybeNumber,
  maybeText,
  objectOrEmpty,
  objects,
  readRecord,
  requiredId,
} from '../vendor-json.ts'
import { SEVERITY_WORDS } from './finding-rows.ts'
import { hostFinding } from './vulnerability-on-host.ts'

const cveSchema = z.looseObject({
  cveId: maybeText,
  cvssScore: maybeNumber,
  epssScore: maybeNumber,
  matchType: maybeText,
  confidence: maybeText,
  exploitMaturity: maybeText,
  reportedExploitInTheWild: maybeFlag,
})
type Cve = z.output<typeof cveSchema>

const riskSchema = objectOrEmpty(
  z.looseObject({
    cves: objects(cveSchema),
    riskFactors: objects(z.looseObject({ attributeName: maybeText })),
  }),
)

const answerSchema = objectOrEmpty(
  z.looseObject({
    reply: objectOrEmpty(
      z.looseObject({
        incident: objectOrEmpty(
          z.looseObject({ xpanse_risk_score: anything, xpanse_risk_explainer: riskSchema }),
        ),
      }),
    ),
  }),
)
/** Null where it is absent: it could not be read. */
const extraSchema = z
  .unknown()
  .optional()
  .transform((value) => (value === undefined ? null : answerSchema.parse(value)))

/**
 * An element of `reply.incidents`, and for those of the attack surface the answer of
 * `get_incident_extra_data`, side by side (made up, shortened):
 *
 *     { "incident": { "incident_id": "71", "creation_time": 1671912678672,
 *         "modification_time": 1696275576460, "status": "under_investigation",
 *         "severity": "high", "description": "'Insecure server' …", "hosts": ["web-1:0f2c…"],
 *         "incident_sources": ["ASM"], "aggregated_score": 825, "xdr_url": "https://…" },
 *       "extra": { "reply": { "incident": { "xpanse_risk_score": 825,
 *         "xpanse_risk_explainer": { "cves": [{ "cveId": "CVE-2026-0001",
 *           "cvssScore": 9.800000190734863, "matchType": "ExactVersionMatch",
 *           "confidence": "High", "exploitMaturity": "Weaponized",
 *           "reportedExploitInTheWild": true }] } } } } }
 *
 * `extra` is null where there are no details, and absent where they could not be read. Hosts are
 * `name:agent id`, with `null` for no agent. Statuses beyond the documented ones occur.
 */
const unitSchema = z.looseObject({
  incident: z.looseObject({
    incident_id: requiredId,
    description: maybeText,
    severity: anything,
    manual_severity: maybeText,
    status: maybeText,
    hosts: anything,
    creation_time: anything,
    modification_time: anything,
    resolved_timestamp: anything,
    aggregated_score: anything,
    rule_based_score: anything,
    xdr_url: maybeText,
  }),
  extra: extraSchema,
})
type Incident = z.output<typeof unitSchema>['incident']
type Details = z.output<typeof answerSchema>['reply']['incident']

/** Mapped below, moved by whoever works on the incident, or counts of its alerts. */
const KNOWN = fieldNames(`
  incident_id description severity manual_severity status hosts creation_time modification_time
  resolved_timestamp aggregated_score rule_based_score predicted_score xdr_url alert_count
  low_severity_alert_count med_severity_alert_count high_severity_alert_count
  critical_severity_alert_count user_count host_count notes assigned_user_mail
  assigned_user_pretty_name starred alerts_grouping_status wildfire_hits
`)

const driftOf = defineRecord({
  fields: {
    incident: {
      ...each(
        'string|array|number',
        `incident_id incident_name status severity description assigned_user_mail
         assigned_user_pretty_name notes resolve_comment manual_severity manual_description xdr_url
         hosts users incident_sources alerts_grouping_status mitre_tactics_ids_and_names
         mitre_techniques_ids_and_names alert_categories original_tags tags incident_domain
         creation_time modification_time detection_time resolved_timestamp alert_count
         low_severity_alert_count med_severity_alert_count high_severity_alert_count
         critical_severity_alert_count user_count host_count rule_based_score predicted_score
         manual_score aggregated_score wildfire_hits xpanse_risk_score`,
      ),
      ...each('boolean|string', 'starred starred_manually is_blocked'),
      ...each('any', 'xpanse_risk_explainer custom_fields'),
    },
    // Only the risk is read of it; all else is the incident once more, and its alerts.
    extra: 'object',
  },
  values: { 'incident.severity': SEVERITY_WORDS },
})

export const xdrIncidents: Transformer = {
  vendor: 'cortex',
  product: 'cortex-xdr',
  stream: 'xdr.incidents',
  rank: 1,
  transform(raw) {
    const { record, drift } = readRecord(raw, { schema: unitSchema, driftOf })
    const { incident, extra } = record
    // Without its details nobody knows its CVEs: those told before must not look resolved.
    if (extra === null) return { assets: [], findings: [], findingsKnown: false, drift }
    const findings = findingsOf(incident, extra.reply.incident, raw.facts)
    return { assets: [], findings, findingsKnown: true, drift }
  },
}

/** Nothing for an incident without a host: it is on no asset. */
function findingsOf(incident: Incident, details: Details, facts: RawFacts): FindingState[] {
  const given: unknown[] = Array.isArray(incident.hosts) ? incident.hosts : []
  const hosts = given.map(fullTextOf).filter((host) => host !== null)
  if (hosts.length === 0) return []
  const { assetNativeId } = facts
  const host = hosts.find((text) => text.endsWith(`:${assetNativeId}`)) ?? null
  const name = host?.slice(0, host.lastIndexOf(':')) ?? assetNativeId.replace(/^host\|/, '')
  const named = new Map(
    details.xpanse_risk_explainer.cves.flatMap((cve) => (cve.cveId ? [[cve.cveId, cve]] : [])),
  )
  const common = commonOf(incident, details, facts)
  if (named.size === 0) return [exposureOf(incident, details, name, common, facts)]
  return [...named].map(([id, cve]) => weaknessOn(id, cve, name, common, facts))
}

function commonOf(incident: Incident, details: Details, { fetchedAtMs }: RawFacts) {
  const { creation_time, modification_time, resolved_timestamp, status } = incident
  const created = timeOf(creation_time, 'milliseconds', fetchedAtMs)
  const modified = timeOf(modification_time, 'milliseconds', fetchedAtMs)
  const score = details.xpanse_risk_score ?? incident.aggregated_score ?? incident.rule_based_score
  return {
    vendor_status: status,
    risk_score: numberOf(score),
    references: linksOf([incident.xdr_url]),
    first_seen: created ?? modified ?? fetchedAtMs,
    last_seen: modified ?? fetchedAtMs,
    unmapped: unmappedOf(incident, KNOWN),
    // More statuses begin like this than are documented.
    ...(/^resolved/i.test(status ?? '')
      ? ({
          status: 'RESOLVED',
          resolution: 'VENDOR_CLOSED',
          resolved_at: timeOf(resolved_timestamp, 'milliseconds', fetchedAtMs) ?? modified,
        } as const)
      : {}),
  }
}
type Common = ReturnType<typeof commonOf>

function exposureOf(
  incident: Incident,
  details: Details,
  hostName: string,
  common: Common,
  facts: RawFacts,
): FindingState {
  const id = `INCIDENT-${incident.incident_id}`
  const factors = details.xpanse_risk_explainer.riskFactors.map((f) => f.attributeName)
  return {
    ...hostFinding(id, 'EXPOSURE', hostName, facts),
    ...common,
    ...severityOf(incident.manual_severity ?? incident.severity, null),
    cvss: [],
    cvss_score: null,
    title: lineOf(incident.description ?? id),
    risk_factors: sortedTexts(factors.filter((factor) => factor !== null)),
  }
}

/** The incident's own severity is not the weakness's. */
function weaknessOn(
  id: string,
  cve: Cve,
  hostName: string,
  common: Common,
  facts: RawFacts,
): FindingState {
  const scores = cvssOf([{ score: clean(cve.cvssScore), vector: null }])
  const epss = clean(cve.epssScore)
  const confidence = cve.confidence === null ? null : `Confidence: ${cve.confidence}`
  return {
    ...hostFinding(id, 'VULNERABILITY', hostName, facts),
    ...common,
    ...scores,
    ...severityOf(null, scores.cvss_score),
    title: lineOf(`${id} on ${hostName}`),
    epss:
      epss === null || epss < 0 || epss > 1 ? null : { score: epss, percentile: null, as_of: null },
    exploit: exploitOf(cve),
    risk_factors: sortedTexts([cve.matchType, confidence].filter((text) => text !== null)),
    internet_exposed: true,
  }
}

function exploitOf(cve: Cve): FindingState['exploit'] {
  const { exploitMaturity, reportedExploitInTheWild } = cve
  if (exploitMaturity === null && reportedExploitInTheWild === null) return null
  const maturity = reportedExploitInTheWild === true ? 'IN_THE_WILD' : maturityOf(exploitMaturity)
  const available = !['NONE', 'UNKNOWN'].includes(maturity)
  return { available, maturity, sources: [], urls: [] }
}

function maturityOf(word: string | null): Exploit['maturity'] {
  if (word === null) return 'UNKNOWN'
  if (/weapon/i.test(word)) return 'WEAPONIZED'
  if (/poc|proof/i.test(word)) return 'POC'
  return /^no|unproven/i.test(word) ? 'NONE' : 'UNKNOWN'
}

const clean = (value: number | null): number | null =>
  value === null ? null : withoutFloatNoise(value)
