// The prose of docs/ocsf.md, and the values with which fields are tried.
import type { Words } from './standard-fields.ts'

const AGENT = { 'agent.type': ['cortex-xdr', 'prisma-defender', 'other'] }

/** Values of an asset. */
export const ASSETS: Words = {
  'cloud.provider': ['aws', 'azure', 'other'],
  'network_interfaces.mac': ['00:1b:44:11:3a:b7', '00:1b:44:11:3a:b8'],
  'network_interfaces.ips': ['10.0.0.7', '10.0.0.8'],
  private_ips: ['10.0.0.7', '10.0.0.8'],
  public_ips: ['192.0.2.7', '192.0.2.8'],
  native_type: ['server', 'workstation', 'laptop'],
  'os.family': ['LINUX', 'WINDOWS', 'OTHER'],
  'exposed_services.port': [443, 8443],
  'correlation_keys.type': ['hostname', 'public_ip', 'agent_id'],
  'criticality.level': ['HIGH', 'LOW', 'CRITICAL'],
  status: ['ACTIVE', 'INACTIVE', 'GONE'],
  ...AGENT,
}
/** Values of a finding. */
export const FINDINGS: Words = {
  vuln_id: ['CVE-2026-0001', 'CVE-2026-0002'],
  vuln_id_scheme: ['cve', 'ghsa'],
  aliases: ['CVE-2026-0003', 'CVE-2026-0004'],
  'asset.ip': ['10.0.0.7', '10.0.0.8'],
  'asset.cloud_provider': ['aws', 'azure', 'other'],
  'package.type': ['deb', 'npm'],
  'exploit.maturity': ['POC', 'IN_THE_WILD', 'NONE'],
}
/** Values of a connector error. */
export const ERRORS: Words = { stage: ['FETCH', 'NORMALIZE'] }

/** Fields that a column lacks, and why. */
export const NOT_CARRIED: Readonly<Record<string, string>> = {
  severity_id: 'as `severity`, of which it is the number',
}

export const PREFACE = `# Standards: where each field is in OCSF and in ECS

Written by \`npm run mapping\`: it changes one field of an event after the other and looks what
changes in the document. A test holds the page to the code, and every field to a place.

Stores for security teams get standard documents instead of our own columns: OCSF 1.8.0 (1.7.0
where a store knows no newer), or the Elastic Common Schema 9.4.0. The mappings are pure
(\`sinks/ocsf\`, \`sinks/ecs\`); an event is the whole state of its finding or asset.
`

/** Which class an event becomes; the first row is the head. */
export const CLASSES: readonly (readonly string[])[] = [
  ['event of ours', 'OCSF class', 'ECS `event.kind`'],
  ['finding of any kind', '2002 Vulnerability Finding', '`state`'],
  ['asset HOST, VIRTUAL_MACHINE, NETWORK_DEVICE', '5001 Device Inventory Info', '`asset`'],
  ['any other asset', '5023 Cloud Resources Inventory Info', '`asset`'],
  ['connector error', '6008 Application Error', '–'],
]

/** What decides the attributes with numbers; the first row is the head. */
export const VALUES: readonly (readonly string[])[] = [
  ['OCSF attribute', 'value'],
  [
    '`activity_id` of findings',
    'CREATED, REOPENED: 1 Create; UPDATED, REFRESHED: 2 Update; RESOLVED, GONE: 3 Close; UNKNOWN: 0',
  ],
  [
    '`activity_id` of assets',
    '2 Collect, also of one that is gone: `status_detail` and `unmapped.change_type` tell it',
  ],
  [
    '`activity_id` of connector errors',
    '2 Translation Error for the stage NORMALIZE, else 1 General Error',
  ],
  [
    '`status_id` of findings',
    'OPEN, REOPENED: 1 New; SUPPRESSED: 3; RESOLVED: 4; UNKNOWN: 0; why it is closed is `status_detail`',
  ],
  ['`status_id` of connector errors', 'RAISED, ONGOING: 2 Failure; CLEARED: 1 Success; UNKNOWN: 0'],
  [
    '`severity_id`',
    '0 to 5; assets are 1 Informational, how critical they are is `device.risk_level_id` and `resources[].criticality`',
  ],
  ['`metadata.profiles`', '`cloud` where a provider is known, `host` where there is a device'],
  [
    '`time`',
    'when the connector saw it (of an error: its latest occurrence), as all times in epoch milliseconds',
  ],
]

export const LEGEND = `In the tables \`[]\` is any element of a list and \`*\` any name.
`

export const RULES = `## Rules

- A vulnerability has exactly one of \`cve\` (ids \`CVE-…\`) and \`advisory\` (all others: GHSA,
  PRISMA, rules). An advisory has no place for CVSS and EPSS: they are in \`unmapped\`, and CVEs
  among its aliases in \`advisory.related_cves\`.
- \`cvss[].overall_score\` repeats the base score and \`finding_info.product_uid\` names the
  product: Splunk's add-on reads these.
- One \`affected_packages[]\` per installed version, \`unknown\` where the vendor tells none:
  OCSF asks for one.
- CISA's catalogue is an \`enrichments[]\` of type \`kev\`, told only where the source says yes
  or no.
- Beside a number stands its name from the schema; beside 99 the source's own word.
- Nothing empty is said: no null, no empty list or object.
- What is no IP or MAC address by OCSF's pattern is not put where one is asked for; it stays in
  \`unmapped\`.
- A revision is a time in milliseconds and no 32-bit \`metadata.sequence\`: it is
  \`unmapped.revision\`. So are a risk score of a finding, which belongs to a profile for
  security controls, and other numbers beyond 32 bits.
- OCSF 1.7.0 lacks \`resources[].provider\`; nothing else differs.
- ECS: \`resource.*\`, \`package.fixed_version\` and \`vulnerability.status\` (open, fixed,
  reopened, unknown; suppressed is open with the tag \`suppressed\`) are additions that
  Elastic's own integrations use or propose. All else of ours is below \`exposure\`.
- Text goes through unchanged, also where it is hostile; the stores answer for what they cannot
  keep.
- MISCONFIGURATION, EXPOSURE, MALWARE and SECRET are 2002, too, with the kind in
  \`finding_info.types\`: one class for one topic.
`
