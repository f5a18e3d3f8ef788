// Where the fields of cloud.findings come from: dataset `findings`, or `uvm_findings`.
import { rowTable } from './finding-rows.ts'
import type { StreamMapping } from './stream-mapping.ts'

/** The column of `uvm_findings` where it has another name. */
const FLAT: Readonly<Record<string, string>> = {
  'finding.asset_id': 'asset_id',
  'finding.asset_name': 'asset_name',
  'finding.asset_type': 'asset_type',
  'finding.first_observed': 'first_observed',
  'finding.last_observed': 'last_observed',
  'vulnerability.cve_id': 'vulnerability_id',
  'vulnerability.cvss_score': 'cvss_score',
  'vulnerability.severity': 'cvss_severity',
  'vulnerability.epss_score': 'epss_score',
  'vulnerability.exploitable': 'exploitable',
  'vulnerability.exploit_level': 'exploit_level',
  'vulnerability.has_a_fix': 'fix_available',
  'vulnerability.fix_versions': 'fix_versions',
  'vulnerability.publish_date': 'cve_publish_date',
  'vulnerability.cve_risk_factors': 'cve_risk_factors',
  'vulnerability.cortex_vulnerability_risk_score': 'cortex_vulnerability_risk_score',
  'software_package.id': 'affected_software',
  'software_package.version': 'package_version',
  'software_package.purl': 'package_purl',
  'software_package.type': 'package_type',
  'host.os_distribution': 'os_distribution',
}
/** Columns that only `uvm_findings` has. */
const FLAT_ALONE: ReadonlySet<string> = new Set(['file_path', 'remediation'])

const namesOf = (name: string): string => {
  if (FLAT_ALONE.has(name)) return name
  const flat = FLAT[name]
  return flat === undefined ? `xdm.${name}` : `xdm.${name} ${flat}`
}

export const cloudFindingsMapping: StreamMapping = {
  stream: 'cloud.findings',
  product: 'cortex-cloud',
  call: 'XQL, dataset findings, or uvm_findings where the tenant has that',
  unit: 'a row: one weakness of one package on one asset',
  lifted: ['xdm.finding.normalized_fields'],
  each: null,
  deciding: {
    'xdm.finding.id': 'required, and in no field',
    'xdm.finding.is_active': 'false shows nothing',
  },
  tables: { finding: rowTable(namesOf) },
  nothing: {},
}
