// Where the fields of xdr.findings come from: Host Insights.
import { type StreamMapping, REST, always, from, like } from './stream-mapping.ts'

const SCORE = 'cves[].severity_score'

export const xdrFindingsMapping: StreamMapping = {
  stream: 'xdr.findings',
  product: 'cortex-xdr',
  call: 'XQL, datasets va_endpoints and va_cves',
  unit: 'an endpoint (`endpoint`) with what the dictionary says of its CVEs (`cves`)',
  lifted: [],
  each: 'endpoint.cves',
  deciding: { 'cves[].name': 'finds the entry of a CVE' },
  tables: {
    finding: {
      finding_uid: like('asset_uid vuln_id', 'of asset and weakness; no package is told'),
      asset_uid: from('endpoint.endpoint_id'),
      asset: from('endpoint.endpoint_name endpoint.endpoint_id'),
      kind: always('VULNERABILITY'),
      vuln_id: from('endpoint.cves', 'upper-cased'),
      vuln_id_scheme: like('vuln_id', 'cve, ghsa, else vendor'),
      title: like('vuln_id', 'built', 'endpoint.endpoint_name'),
      description: from('cves[].description', '4,096 characters'),
      status: from('cves[].is_excluded', 'SUPPRESSED when true, else OPEN'),
      resolution: like('status', 'SUPPRESSED_BY_VENDOR, NONE'),
      severity: from(`cves[].severity ${SCORE}`, 'an unknown word: by the score'),
      severity_id: like('severity', 'of the severity'),
      severity_raw: from('cves[].severity'),
      cvss_score: from(SCORE),
      'cvss.version': always('unknown: there is no vector'),
      'cvss.base_score': from(SCORE),
      published_at: from('cves[].publication_date'),
      first_seen: always('fetch time'),
      last_seen: always('fetch time'),
      unmapped: REST,
    },
  },
  nothing: {},
}
