// Where the fields of cloud.vulnerabilities come from: the CVE dictionary.
import { type StreamMapping, REST, always, from, like } from './stream-mapping.ts'

const REPORTED = 'cisa_kev reported_exploited_by'

export const cloudVulnerabilitiesMapping: StreamMapping = {
  stream: 'cloud.vulnerabilities',
  product: 'cortex-cloud',
  call: 'POST /public_api/uvem/v1/get_vulnerabilities',
  unit: 'a CVE',
  lifted: [],
  each: null,
  deciding: {},
  tables: {
    vulnerability: {
      vulnerability_uid: like('vuln_id', 'with vendor and product'),
      vuln_id: from('vulnerability_id', 'upper-cased'),
      severity: from('cvss_severity cvss_score', 'an unknown word: by the score'),
      severity_id: like('severity', 'of the severity'),
      severity_raw: from('cvss_severity'),
      cvss_score: from('cvss_score', '0 = unknown'),
      'cvss.version': from('cvss_version', '`3.x` does not say which: unknown'),
      'cvss.base_score': from('cvss_score'),
      'cvss.source': from('cvss_score_source', 'nvd or nothing'),
      'epss.score': from('epss_score'),
      known_exploited: from('cisa_kev'),
      'exploit.available': from(REPORTED, 'that nobody reports it says nothing'),
      'exploit.maturity': from(REPORTED, 'in the wild'),
      'exploit.sources': from('reported_exploited_by'),
      packages: from('package_names'),
      vendors: from('vendors'),
      distributions: from('distribution_and_releases'),
      published_at: from('first_published', '0 = unknown'),
      modified_at: from('last_modified', '0 = unknown'),
      status: always('LISTED'),
      last_seen: always('fetch time'),
      unmapped: REST,
    },
  },
  nothing: {},
}
