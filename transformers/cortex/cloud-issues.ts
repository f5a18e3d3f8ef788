// Cortex issues: what a policy made of a weakness, on one asset or several. A unit is one of them.
import { z } from 'zod'
import type { FindingState } from '../../contracts/finding.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import { PipelineError } from '../../contracts/errors.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { defineRecord, each } from '../drift.ts'
import { textOf, textsOf } from '../text.ts'
import { timeOf } from '../times.ts'
import { fieldNames } from '../unmapped.ts'
import { anything, maybeFlag, maybeText, readRecord, requiredId } from '../vendor-json.ts'
import { withInnerFields } from './fields.ts'
import {
  type FindingRow,
  ROW_FIELDS,
  SEVERITY_WORDS,
  findingOf,
  findingRow,
} from './finding-rows.ts'

/**
 * One element of `reply.DATA` of `POST /public_api/v1/issue/search` as tenants send it (made up):
 *
 *     { "id": 1160696, "external_id": "abc", "name": "CVE-2026-0001 on web-1",
 *       "description": "…", "owner": "CWP", "domain": "Posture", "category": "VULNERABILITY",
 *       "severity": "HIGH", "detection.method": "VULNERABILITY_POLICY",
 *       "_insert_time": 1748399709000, "observation_time": 1748399700000,
 *       "last_update_timestamp": 1748399709500, "status.progress": "New",
 *       "status.resolution_reason": null, "resolution_time": null, "findings": ["f-1"],
 *       "asset_ids": ["7a3b…"], "asset_names": ["web-1"], "asset_types": ["EC2 Instance"],
 *       "asset_providers": ["AWS"], "asset_regions": ["eu-west-1"], "asset_accounts": ["…"],
 *       "is_excluded": false, "normalized_fields": { "xdm.vulnerability.cve_id": "CVE-2026-0001",
 *         "xdm.vulnerability.cvss_vector": "CVSS:3.1/…", "xdm.software_package.purl": "pkg:…" } }
 *
 * The specification has `status`, `last_modified`, `detection_method`, `finding_ids` instead, and
 * `_insert_time` as an ISO text. The normalized fields are those of dataset `findings`.
 */
const issueSchema = z.looseObject({
  id: requiredId,
  ...findingRow.omit({ 'xdm.finding.asset_id': true, 'xdm.vulnerability.cve_id': true }).shape,
  'xdm.vulnerability.cve_id': anything.transform(textsOf),
  name: maybeText,
  description: anything,
  severity: anything,
  'status.progress': maybeText,
  status: maybeText,
  resolution_time: anything,
  last_update_timestamp: anything,
  last_modified: anything,
  observation_time: anything,
  _insert_time: anything,
  asset_ids: anything,
  asset_names: anything,
  asset_types: anything,
  asset_providers: anything,
  asset_accounts: anything,
  asset_regions: anything,
  is_excluded: maybeFlag,
  is_excepted: maybeFlag,
})
type Issue = z.output<typeof issueSchema>
const prepare = withInnerFields('normalized_fields')

/** Mapped below, or moved whenever somebody works on the issue. */
const KNOWN: ReadonlySet<string> = new Set([
  ...ROW_FIELDS,
  ...fieldNames(`
    name description severity category status.progress status resolution_time
    last_update_timestamp last_modified observation_time _insert_time asset_ids asset_names
    asset_types asset_providers asset_accounts asset_regions is_excluded is_excepted id
  `),
])

const driftOf = defineRecord({
  fields: {
    ...each('number|string', 'id _insert_time observation_time resolution_time'),
    ...each('number|string', 'last_update_timestamp last_modified'),
    ...each(
      'string|array',
      `external_id name description owner domain category severity type detection.method
       detection_method detection.rule_id detection_rule_id status.progress status
       status.resolution_reason status.resolution_comment assigned_to assigned_to_pretty
       remediation extended_description impact action_status findings finding_ids asset_ids
       asset_names asset_classes asset_categories asset_types asset_providers asset_regions
       asset_accounts asset_external_provider_ids asset_cloud_account_names asset_group_ids
       case_ids tags mitre_tactics mitre_techniques exception_ids
       xdm.vulnerability.cve_id xdm.vulnerability.severity xdm.vulnerability.cvss_vector
       xdm.vulnerability.fix_versions xdm.vulnerability.cve_risk_factors
       xdm.software_package.id xdm.software_package.version xdm.software_package.purl
       xdm.software_package.type xdm.software_package.package_manager
       xdm.host.os_distribution`,
    ),
    ...each('number|string', 'xdm.vulnerability.cvss_score xdm.vulnerability.epss_score'),
    ...each('boolean|string', 'is_excluded is_excepted is_starred'),
    ...each('any', 'normalized_fields custom_fields'),
  },
  values: { category: ['VULNERABILITY'], severity: SEVERITY_WORDS },
})

export const cloudIssues: Transformer = {
  vendor: 'cortex',
  product: 'cortex-cloud',
  stream: 'cloud.issues',
  // Where a finding is listed by itself, that tells more.
  rank: 1,
  transform(raw) {
    const { record, drift } = readRecord(raw, { schema: issueSchema, driftOf, prepare })
    return { assets: [], findings: findingsOf(record, raw.facts), findingsKnown: true, drift }
  },
}

/** One per CVE, on the asset for which this unit stands. */
function findingsOf(issue: Issue, facts: RawFacts): FindingState[] {
  const assets: unknown[] = listOf(issue.asset_ids)
  if (assets.length === 0) return []
  const given = issue['xdm.vulnerability.cve_id']
  const cves = given.length > 0 ? given : named(issue)
  if (cves.length === 0) {
    const violations = ['normalized_fields.xdm.vulnerability.cve_id: is missing']
    throw new PipelineError('SCHEMA_VIOLATION', 'NORMALIZE', 'an issue names no weakness', {
      violations,
    })
  }
  const place = Math.max(0, assets.indexOf(facts.assetNativeId))
  // A unit is named after its asset; one that is not is read for the first.
  const assetId = textOf(assets[place]) ?? facts.assetNativeId
  return cves.map((cve) => ({
    ...findingOf(rowOf(issue, cve, assetId, place), facts, KNOWN),
    ...stateOf(issue, facts.fetchedAtMs),
  }))
}

const listOf = (value: unknown): unknown[] =>
  Array.isArray(value) ? value : value === null ? [] : [value]

/** Where the tenant does not send normalized fields, the issue's own words name the CVE. */
const named = ({ name, description }: Issue): string[] =>
  textsOf(`${name ?? ''} ${textOf(description) ?? ''}`.match(/\bCVE-\d{4}-\d{4,19}\b/gi) ?? [])

function rowOf(issue: Issue, cve: string, assetId: string, place: number): FindingRow {
  const at = (list: unknown) => textOf(listOf(list)[place] ?? listOf(list)[0])
  return {
    ...issue,
    'xdm.finding.asset_id': assetId,
    // Names stand in the order of ids; a single one stands for all.
    'xdm.finding.asset_name': at(issue.asset_names),
    'xdm.finding.asset_type': at(issue.asset_types),
    'xdm.finding.name': issue.name,
    'xdm.finding.description_template': issue.description,
    'xdm.finding.first_observed': issue.observation_time ?? issue._insert_time,
    'xdm.finding.last_observed': issue.last_update_timestamp ?? issue.last_modified,
    'xdm.vulnerability.cve_id': cve,
    'xdm.vulnerability.severity': issue['xdm.vulnerability.severity'] ?? issue.severity,
    'xdm.cloud.provider': at(issue.asset_providers),
    'xdm.cloud.account_id': at(issue.asset_accounts),
    'xdm.cloud.region': at(issue.asset_regions),
  }
}

/** New and In Progress are open. */
function stateOf(issue: Issue, nowMs: number) {
  const vendor_status = issue['status.progress'] ?? issue.status
  if (issue.is_excluded === true || issue.is_excepted === true) {
    return { vendor_status, status: 'SUPPRESSED', resolution: 'SUPPRESSED_BY_VENDOR' } as const
  }
  if (!/resolved|closed/i.test(vendor_status ?? '')) return { vendor_status }
  const resolved = issue.resolution_time ?? issue.last_update_timestamp ?? issue.last_modified
  return {
    vendor_status,
    status: 'RESOLVED',
    resolution: 'VENDOR_CLOSED',
    resolved_at: timeOf(resolved, 'milliseconds', nowMs),
  } as const
}
