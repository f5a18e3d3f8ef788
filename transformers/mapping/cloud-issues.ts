// Where the fields of cloud.issues come from: what a policy made of a weakness.
import { rowTable } from './finding-rows.ts'
import { type StreamMapping, from, like } from './stream-mapping.ts'

const OWN: Readonly<Record<string, string>> = {
  'finding.asset_id': 'asset_ids',
  'finding.asset_name': 'asset_names',
  'finding.asset_type': 'asset_types',
  'finding.name': 'name',
  'finding.description_template': 'description',
  'finding.first_observed': 'observation_time _insert_time',
  'finding.last_observed': 'last_update_timestamp last_modified',
  'vulnerability.cve_id': 'xdm.vulnerability.cve_id name description',
  'vulnerability.severity': 'xdm.vulnerability.severity severity',
  'cloud.provider': 'asset_providers',
  'cloud.account_id': 'asset_accounts',
  'cloud.region': 'asset_regions',
  'vulnerability.status': 'status.progress status',
  'vulnerability.cortex_vulnerability_risk_score':
    'xdm.vulnerability.cortex_vulnerability_risk_score cortex_vulnerability_risk_score',
  file_path: 'file_path',
  remediation: 'remediation',
}
const STATE = 'is_excluded is_excepted status.progress status'

export const cloudIssuesMapping: StreamMapping = {
  stream: 'cloud.issues',
  product: 'cortex-cloud',
  call: 'POST /public_api/v1/issue/search',
  unit: 'an issue on one of its assets',
  lifted: ['normalized_fields'],
  each: null,
  deciding: { id: 'required, and in no field' },
  tables: {
    finding: {
      ...rowTable((name) => OWN[name] ?? `xdm.${name}`),
      vuln_id: from(
        'xdm.vulnerability.cve_id name description',
        'without the first every CVE named in the others',
      ),
      status: from(STATE, 'SUPPRESSED, RESOLVED, else OPEN'),
      resolution: from(STATE, 'SUPPRESSED_BY_VENDOR, VENDOR_CLOSED, NONE'),
      resolved_at: like(
        'status',
        'the first there is, of resolved ones',
        'resolution_time last_update_timestamp last_modified',
      ),
    },
  },
  nothing: {},
}
