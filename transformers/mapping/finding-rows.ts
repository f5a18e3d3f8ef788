// Where the fields of a Cortex row of weaknesses come from, by the names of each listing.
import { type FieldSource, type FieldTable, REST, always, from, like } from './stream-mapping.ts'

/** The names of a listing for one of dataset `findings`, divided by white space. */
export type RowNames = (name: string) => string

/** What is asked for by `names` of the columns of dataset `findings`, without `xdm.`. */
export function rowTable(names: RowNames): FieldTable {
  const row = (columns: string, rule: string | null = null): FieldSource =>
    from(pathsIn(columns), rule)
  const pathsIn = (columns: string): string => columns.trim().split(/\s+/).map(names).join(' ')
  const exploit = 'vulnerability.exploitable vulnerability.exploit_level'
  const factors = 'vulnerability.cve_risk_factors'
  const fix = 'vulnerability.has_a_fix vulnerability.fix_versions'
  return {
    finding_uid: like(
      'asset_uid vuln_id package.type package.name',
      'of asset, weakness and package; the version is not in it',
    ),
    asset_uid: row('finding.asset_id'),
    asset: row(
      `finding.asset_name finding.asset_id finding.asset_type host.ipv4_addresses cloud.provider
       cloud.account_id cloud.region`,
    ),
    kind: always('VULNERABILITY'),
    vuln_id: row('vulnerability.cve_id', 'upper-cased'),
    vuln_id_scheme: like('vuln_id', 'cve, ghsa, else vendor'),
    title: like('vuln_id package.name', 'else built', pathsIn('finding.name')),
    description: row('finding.description_template', '4,096 characters'),
    status: always('OPEN'),
    resolution: always('NONE'),
    vendor_status: row('vulnerability.status'),
    severity: row('vulnerability.severity vulnerability.cvss_score', 'an unknown word: by score'),
    severity_id: like('severity', 'of the severity'),
    severity_raw: row('vulnerability.severity'),
    cvss_score: row('vulnerability.cvss_score'),
    'cvss.version': row('vulnerability.cvss_vector', 'of the vector'),
    'cvss.vector': row('vulnerability.cvss_vector'),
    'cvss.base_score': row('vulnerability.cvss_score'),
    'epss.score': row('vulnerability.epss_score'),
    known_exploited: row(factors, '"Exploited in the wild"; null without that list'),
    'exploit.available': row(`${exploit} ${factors}`),
    'exploit.maturity': row(`${exploit} ${factors}`),
    'package.name': row('software_package.id software_package.purl', 'else that in the URL'),
    'package.versions': row('software_package.version', 'of several rows the union'),
    'package.type': row(
      'software_package.purl software_package.id software_package.type host.os_distribution',
      "the URL's type, else the word",
    ),
    'package.purl': row('software_package.purl software_package.id', 'without version'),
    'package.paths': row('file_path'),
    'fix.available': row(fix),
    'fix.versions': row('vulnerability.fix_versions'),
    'fix.fixed_at': row('vulnerability.fix_date'),
    'fix.text': row('remediation'),
    'locator.layer': row('software_package.layer_id'),
    risk_factors: row(factors),
    references: row('vulnerability.cve_vendor_link'),
    internet_exposed: row('network.internet_exposed'),
    risk_score: row('vulnerability.cortex_vulnerability_risk_score'),
    published_at: row('vulnerability.publish_date'),
    first_seen: row(
      'finding.first_observed vulnerability.publish_date finding.last_observed',
      'the first there is, else fetch time',
    ),
    last_seen: row('finding.last_observed', 'else fetch time'),
    unmapped: REST,
  }
}
