// Cortex Cloud findings: one row is one weakness of one package on one asset, which it only names.
import { z } from 'zod'
import type { Transformer } from '../../contracts/ports.ts'
import { defineRecord, each } from '../drift.ts'
import { readRecord, requiredId } from '../vendor-json.ts'
import { withInnerFields } from './fields.ts'
import { SEVERITY_WORDS, findingOf, findingRow } from './finding-rows.ts'
import { withUvmNames } from './uvm-rows.ts'

/**
 * One row of the XQL query on `dataset = findings`; keys are literal (values made up):
 *
 *     { "xdm.finding.id": "f-1", "xdm.finding.asset_id": "7a3b…",
 *       "xdm.finding.asset_name": "web-1", "xdm.finding.asset_type": "EC2 Instance",
 *       "xdm.finding.name": "CVE-… found in openssl",
 *       "xdm.finding.description_template": "…", "xdm.finding.is_active": true,
 *       "xdm.finding.first_observed": null, "xdm.finding.last_observed": 1748399709000,
 *       "xdm.finding.normalized_fields": { "xdm.vulnerability.cve_id": "CVE-2026-0001",
 *         "xdm.vulnerability.severity": "High", "xdm.vulnerability.cvss_score": 7.0,
 *         "xdm.vulnerability.epss_score": 0.0007, "xdm.vulnerability.exploitable": false,
 *         "xdm.vulnerability.has_a_fix": true, "xdm.vulnerability.fix_versions": ["3.0.2"],
 *         "xdm.vulnerability.publish_date": "2026-01-01T00:00:00Z",
 *         "xdm.vulnerability.cve_vendor_link": "https://…",
 *         "xdm.vulnerability.cve_risk_factors": [],
 *         "xdm.software_package.id": "openssl", "xdm.software_package.version": "3.0.1",
 *         "xdm.software_package.purl": "pkg:deb/ubuntu/openssl@3.0.1",
 *         "xdm.software_package.type": "os", "xdm.host.os_distribution": "ubuntu",
 *         "xdm.network.internet_exposed": true } }
 *
 * `normalized_fields` may be JSON text; lists may be a text; times are milliseconds or ISO. Tenants
 * without this dataset have `uvm_findings`, see uvm-rows.ts.
 * @see https://docs-cortex.paloaltonetworks.com/r/Cortex-XSIAM/Cortex-XSIAM-XQL-Schema-Guide
 */
const findingSchema = z.looseObject({ 'xdm.finding.id': requiredId, ...findingRow.shape })
const prepare = withInnerFields('xdm.finding.normalized_fields')

/** Keys are literal. Lists may be one text, numbers may be written as text. */
const driftOf = defineRecord({
  fields: {
    ...each(
      'string|array',
      `xdm.finding.id xdm.finding.asset_id xdm.finding.asset_name xdm.finding.asset_type
       xdm.finding.name xdm.finding.description_template xdm.finding.category xdm.finding.owner
       xdm.vulnerability.cve_id xdm.vulnerability.severity xdm.vulnerability.cvss_vector
       xdm.vulnerability.exploit_level xdm.vulnerability.fix_versions xdm.vulnerability.status
       xdm.vulnerability.cve_vendor_link xdm.vulnerability.cve_risk_factors
       xdm.software_package.id xdm.software_package.version xdm.software_package.purl
       xdm.software_package.type xdm.software_package.layer_id xdm.host.os_distribution
       xdm.host.os_release xdm.host.os_family xdm.host.ipv4_addresses xdm.cloud.provider
       xdm.cloud.account_id xdm.cloud.region asset_category file_path remediation`,
    ),
    ...each(
      'number|string',
      `xdm.finding.first_observed xdm.finding.last_observed xdm.vulnerability.cvss_score
       xdm.vulnerability.epss_score xdm.vulnerability.fix_date xdm.vulnerability.publish_date
       xdm.vulnerability.cortex_vulnerability_risk_score cortex_vulnerability_risk_score`,
    ),
    ...each(
      'boolean|string',
      `xdm.finding.is_active xdm.vulnerability.exploitable xdm.vulnerability.has_a_fix
       xdm.network.internet_exposed`,
    ),
    // As JSON text it may be too long, or none.
    'xdm.finding.normalized_fields': 'any',
  },
  values: {
    'xdm.finding.category': ['VULNERABILITY'],
    'xdm.vulnerability.severity': SEVERITY_WORDS,
  },
})

export const cloudFindings: Transformer = {
  vendor: 'cortex',
  product: 'cortex-cloud',
  stream: 'cloud.findings',
  rank: 0,
  transform(raw) {
    const isFlat = raw.body.includes('"vulnerability_id"')
    const { record: row, drift } = isFlat
      ? readRecord(raw, { schema: findingRow, driftOf, prepare: withUvmNames })
      : readRecord(raw, { schema: findingSchema, driftOf, prepare })
    // A row that is no longer active shows nothing: what it showed before is closed.
    const isActive = row['xdm.finding.is_active'] !== false
    const findings = isActive ? [findingOf(row, raw.facts)] : []
    return { assets: [], findings, findingsKnown: true, drift }
  },
}
