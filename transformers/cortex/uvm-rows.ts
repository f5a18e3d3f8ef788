// Rows of dataset `uvm_findings` in the names of `findings`: the same grain in flat columns.
import { isObject } from '../text.ts'

/**
 * One row (made up):
 *
 *     { "asset_id": "7a3b…", "asset_name": "web-1", "asset_category": "VM Instance",
 *       "asset_type": "EC2_INSTANCE", "vulnerability_id": "CVE-2026-0001", "cvss_score": 7.0,
 *       "cvss_severity": "SEV_060_HIGH", "affected_software": "openssl",
 *       "package_version": "3.0.1", "package_type": "os",
 *       "package_purl": "pkg:deb/ubuntu/openssl@3.0.1", "os_distribution": "ubuntu",
 *       "file_path": null, "first_observed": 1747834085000, "last_observed": 1748399709000,
 *       "cve_publish_date": 1632683700000, "fix_available": true, "fix_versions": ["3.0.2"],
 *       "remediation": "Upgrade openssl", "cortex_vulnerability_risk_score": 41,
 *       "exploitable": false, "epss_score": 0.0007, "cve_risk_factors": ["Has fix"],
 *       "exploit_level": "NONE" }
 */
const NAMES: Readonly<Record<string, string>> = {
  asset_id: 'xdm.finding.asset_id',
  asset_name: 'xdm.finding.asset_name',
  asset_type: 'xdm.finding.asset_type',
  first_observed: 'xdm.finding.first_observed',
  last_observed: 'xdm.finding.last_observed',
  vulnerability_id: 'xdm.vulnerability.cve_id',
  cvss_score: 'xdm.vulnerability.cvss_score',
  cvss_severity: 'xdm.vulnerability.severity',
  epss_score: 'xdm.vulnerability.epss_score',
  exploitable: 'xdm.vulnerability.exploitable',
  exploit_level: 'xdm.vulnerability.exploit_level',
  fix_available: 'xdm.vulnerability.has_a_fix',
  fix_versions: 'xdm.vulnerability.fix_versions',
  cve_publish_date: 'xdm.vulnerability.publish_date',
  cve_risk_factors: 'xdm.vulnerability.cve_risk_factors',
  affected_software: 'xdm.software_package.id',
  package_version: 'xdm.software_package.version',
  package_purl: 'xdm.software_package.purl',
  package_type: 'xdm.software_package.type',
  os_distribution: 'xdm.host.os_distribution',
}

/** Columns without another name keep theirs. */
export const withUvmNames = (row: unknown): unknown =>
  isObject(row)
    ? Object.fromEntries(Object.entries(row).map(([name, value]) => [NAMES[name] ?? name, value]))
    : row
