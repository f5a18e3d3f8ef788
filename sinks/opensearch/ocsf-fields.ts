// Every field of the OCSF documents that sinks/ocsf makes, with its type in an index.
import type { Fields } from './fields.ts'

const PRODUCT: Fields = {
  vendor_name: 'keyword',
  name: 'keyword',
  uid: 'keyword',
  version: 'keyword',
}

/** What every class has. */
const EVENT: Fields = {
  class_uid: 'long',
  class_name: 'keyword',
  category_uid: 'long',
  category_name: 'keyword',
  activity_id: 'long',
  activity_name: 'keyword',
  type_uid: 'long',
  type_name: 'keyword',
  time: 'date',
  severity_id: 'long',
  severity: 'keyword',
  status_id: 'long',
  status: 'keyword',
  status_code: 'keyword',
  status_detail: 'keyword',
  message: 'text',
  metadata: {
    version: 'keyword',
    product: PRODUCT,
    profiles: 'keyword',
    uid: 'keyword',
    correlation_uid: 'keyword',
    original_event_uid: 'keyword',
    tenant_uid: 'keyword',
    log_provider: 'keyword',
    log_name: 'keyword',
    log_version: 'keyword',
    logged_time: 'date',
  },
  unmapped: 'flat',
}

const AGENT: Fields = {
  uid: 'keyword',
  name: 'keyword',
  version: 'keyword',
  type_id: 'long',
  type: 'keyword',
  vendor_name: 'keyword',
}
const DEVICE: Fields = {
  uid: 'keyword',
  uid_alt: 'keyword',
  name: 'keyword',
  type_id: 'long',
  type: 'keyword',
  hostname: 'keyword',
  ip: 'ip',
  mac: 'keyword',
  instance_uid: 'keyword',
  region: 'keyword',
  zone: 'keyword',
  vpc_uid: 'keyword',
  image: { uid: 'keyword' },
  os: {
    name: 'keyword',
    type_id: 'long',
    type: 'keyword',
    version: 'keyword',
    kernel_release: 'keyword',
    cpe_name: 'keyword',
  },
  network_interfaces: {
    name: 'keyword',
    mac: 'keyword',
    ip: 'ip',
    open_ports: { port: 'long', protocol_name: 'keyword' },
  },
  agent_list: AGENT,
  is_managed: 'boolean',
  groups: { name: 'keyword' },
  risk_level_id: 'long',
  risk_level: 'keyword',
  risk_score: 'long',
  first_seen_time: 'date',
  last_seen_time: 'date',
  created_time: 'date',
}
const RESOURCE: Fields = {
  uid: 'keyword',
  uid_alt: 'keyword',
  name: 'keyword',
  type: 'keyword',
  role_id: 'long',
  role: 'keyword',
  hostname: 'keyword',
  ip: 'ip',
  provider: 'keyword',
  region: 'keyword',
  zone: 'keyword',
  criticality: 'keyword',
  tags: { name: 'keyword', value: 'keyword' },
  agent_list: AGENT,
  created_time: 'date',
}
/** Of what is known of a place: findings and assets, not errors. */
const PLACED: Fields = {
  cloud: {
    provider: 'keyword',
    region: 'keyword',
    zone: 'keyword',
    account: { uid: 'keyword', name: 'keyword', type_id: 'long', type: 'keyword' },
  },
  device: DEVICE,
  resources: RESOURCE,
  observables: { name: 'keyword', type_id: 'long', type: 'keyword', value: 'keyword' },
}

/** Classes 5001 and 5023. */
export const OCSF_ASSET_FIELDS: Fields = {
  ...EVENT,
  ...PLACED,
  region: 'keyword',
  container: {
    uid: 'keyword',
    name: 'keyword',
    image: { uid: 'keyword', name: 'keyword', path: 'keyword', tag: 'keyword' },
  },
}

const WEAKNESSES: Fields = { uid: 'keyword' }

/** Class 2002. */
export const OCSF_FINDING_FIELDS: Fields = {
  ...EVENT,
  ...PLACED,
  finding_info: {
    uid: 'keyword',
    title: 'text',
    desc: 'text',
    types: 'keyword',
    data_sources: 'keyword',
    product: PRODUCT,
    product_uid: 'keyword',
    src_url: 'keyword',
    first_seen_time: 'date',
    last_seen_time: 'date',
    created_time: 'date',
    modified_time: 'date',
  },
  vulnerabilities: {
    cve: {
      uid: 'keyword',
      cvss: {
        version: 'keyword',
        base_score: 'float',
        overall_score: 'float',
        depth: 'keyword',
        severity: 'keyword',
        vector_string: 'keyword',
        vendor_name: 'keyword',
      },
      epss: { score: 'float', percentile: 'float', created_time: 'date' },
      related_cwes: WEAKNESSES,
      created_time: 'date',
    },
    advisory: {
      uid: 'keyword',
      title: 'text',
      related_cves: WEAKNESSES,
      related_cwes: WEAKNESSES,
      created_time: 'date',
    },
    title: 'text',
    desc: 'text',
    severity: 'keyword',
    references: 'keyword',
    related_vulnerabilities: 'keyword',
    is_exploit_available: 'boolean',
    exploit_type: 'keyword',
    exploit_ref_url: 'keyword',
    is_fix_available: 'boolean',
    affected_packages: {
      name: 'keyword',
      version: 'keyword',
      type_id: 'long',
      type: 'keyword',
      package_manager: 'keyword',
      fixed_in_version: 'keyword',
      path: 'keyword',
      purl: 'keyword',
      cpe_name: 'keyword',
      license: 'keyword',
    },
    remediation: { desc: 'text', references: 'keyword' },
    first_seen_time: 'date',
    last_seen_time: 'date',
    vendor_name: 'keyword',
  },
  enrichments: {
    name: 'keyword',
    value: 'keyword',
    type: 'keyword',
    provider: 'keyword',
    data: { known_exploited: 'boolean', due_at: 'date' },
  },
}

/** Class 6008. */
export const OCSF_ERROR_FIELDS: Fields = {
  ...EVENT,
  count: 'long',
  start_time: 'date',
  end_time: 'date',
}
