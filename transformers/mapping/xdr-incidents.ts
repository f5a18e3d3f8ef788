// Where the fields of xdr.incidents come from: tenants without issues.
import { type StreamMapping, REST, always, below, from, like } from './stream-mapping.ts'

const EXPLAINER = 'extra.reply.incident.xpanse_risk_explainer'
const cve = (paths: string): string => below(`${EXPLAINER}.cves[]`, paths)
const EXPLOIT = cve('exploitMaturity reportedExploitInTheWild')
const STATUS = 'incident.status'
const SEVERITY = 'incident.manual_severity incident.severity'

export const xdrIncidentsMapping: StreamMapping = {
  stream: 'xdr.incidents',
  product: 'cortex-xdr',
  call: 'POST /public_api/v1/incidents/get_incidents',
  unit: 'an incident on one host; of the attack surface with its details (`extra`)',
  lifted: [],
  each: `${EXPLAINER}.cves[]`,
  deciding: {
    [cve('cveId')]: 'with one the incident is a weakness, else an exposure',
    'incident.hosts': 'without a host it is on no asset',
  },
  tables: {
    finding: {
      finding_uid: like(
        'asset_uid kind vuln_id',
        'of asset, kind and weakness; no package is told',
      ),
      asset_uid: from('incident.hosts', 'the agent, else the name'),
      asset: from('incident.hosts'),
      kind: from(cve('cveId'), 'VULNERABILITY with a CVE, else EXPOSURE'),
      vuln_id: from(`${cve('cveId')} incident.incident_id`, 'else `INCIDENT-<id>`'),
      vuln_id_scheme: like('vuln_id', 'cve, ghsa, else vendor'),
      title: like('vuln_id asset', 'of an exposure the description', 'incident.description'),
      status: from(STATUS, 'RESOLVED where it begins like that, else OPEN'),
      resolution: like('status', 'VENDOR_CLOSED, NONE'),
      vendor_status: from(STATUS),
      severity: from(
        `${cve('cvssScore')} ${SEVERITY}`,
        'of a weakness by its score, of an exposure the first there is',
      ),
      severity_id: like('severity', 'of the severity'),
      severity_raw: from(SEVERITY, 'of an exposure'),
      cvss_score: from(cve('cvssScore')),
      'cvss.version': always('unknown: there is no vector'),
      'cvss.base_score': from(cve('cvssScore')),
      'epss.score': from(cve('epssScore')),
      'exploit.available': from(EXPLOIT),
      'exploit.maturity': from(EXPLOIT),
      risk_factors: from(
        `${cve('matchType confidence')} ${EXPLAINER}.riskFactors[].attributeName`,
        'of a weakness, of an exposure',
      ),
      references: from('incident.xdr_url'),
      internet_exposed: always('true of a weakness: it was found from outside'),
      risk_score: from(
        `extra.reply.incident.xpanse_risk_score incident.aggregated_score
         incident.rule_based_score`,
        'the first there is',
      ),
      first_seen: from('incident.creation_time incident.modification_time', 'the first there is'),
      last_seen: from('incident.modification_time', 'else fetch time'),
      resolved_at: like(
        'status',
        'the first there is, of resolved ones',
        'incident.resolved_timestamp incident.modification_time',
      ),
      unmapped: REST,
    },
  },
  nothing: {},
}
