// exposure.v1.Asset: the whole state of one asset as one source sees it. Topic exposure.assets.
import type { z } from 'zod'
import { assetKind, eventMeta, severity } from './event-meta.ts'
import {
  bool,
  double,
  enumeration,
  int,
  list,
  optional,
  record,
  text,
  textMap,
  timestampMs,
  withDefault,
} from './schema-dsl.ts'

const cloud = record('Cloud', 'Cloud placement.', {
  provider: [text(), 'aws | azure | gcp | oci | alibaba | ibm | other.'],
  account_id: [optional(text()), 'Account / subscription / project id.'],
  account_name: [optional(text()), 'Display name.'],
  region: [optional(text()), 'Provider region id.'],
  zone: [optional(text()), 'Availability zone.'],
  resource_id: [
    optional(text()),
    'ARN / Azure resource id (lower-cased) / GCP full resource name.',
  ],
  instance_id: [optional(text()), 'VM id: i-…, Azure vmId, GCP numeric id.'],
  service: [optional(text()), 'Cloud service.'],
  resource_type: [optional(text()), 'Cloud resource type.'],
  vpc_id: [optional(text()), 'VPC / VNet.'],
  image_id: [optional(text()), 'Machine image.'],
})

const networkInterface = record('NetworkInterface', 'One interface.', {
  name: [optional(text()), 'Name.'],
  mac: [optional(text()), 'Lower-case colon form.'],
  ips: [list(text()), 'Addresses, canonical text form.'],
  subnet: [optional(text()), 'CIDR or subnet id.'],
})

const osFamily = enumeration('OsFamily', 'Family.', [
  'UNKNOWN',
  'WINDOWS',
  'LINUX',
  'MACOS',
  'ANDROID',
  'IOS',
  'OTHER',
])

const os = record('Os', 'Operating system.', {
  family: [withDefault(osFamily, 'UNKNOWN'), 'Family.'],
  name: [optional(text()), 'Distribution or product name.'],
  version: [optional(text()), 'Version.'],
  kernel: [optional(text()), 'Kernel release.'],
  architecture: [optional(text()), 'CPU architecture.'],
  cpe: [optional(text()), 'CPE 2.3 name.'],
})

const imageRef = record('ImageRef', 'Container image identity.', {
  digest: [optional(text()), 'sha256:…'],
  image_id: [optional(text()), 'Config digest.'],
  registry: [optional(text()), 'Registry.'],
  repository: [optional(text()), 'Repository.'],
  tags: [list(text()), 'Tags.'],
})

const agentRef = record('AgentRef', 'Installed agent.', {
  type: [text(), 'cortex-xdr | prisma-defender.'],
  id: [optional(text()), 'Agent id.'],
  version: [optional(text()), 'Version.'],
  status: [optional(text()), 'Vendor status verbatim.'],
  last_seen: [optional(timestampMs()), 'Last contact.'],
})

const exposedService = record('ExposedService', 'Internet-facing service.', {
  protocol: [optional(text()), 'tcp | udp.'],
  port: [optional(int()), 'Port.'],
  name: [optional(text()), 'Service name.'],
  service_id: [optional(text()), 'Vendor id.'],
})

const criticality = record('Criticality', 'Vendor criticality.', {
  level: [withDefault(severity, 'UNKNOWN'), 'Normalised.'],
  score: [optional(double()), 'Vendor score.'],
  raw: [text(), 'Verbatim.'],
})

const correlationKey = record('CorrelationKey', 'Typed identity key.', {
  type: [
    text(),
    'cloud_resource_id | cloud_instance_id | agent_id | image_digest | serial | fqdn | hostname | mac | public_ip | private_ip | cert_sha256.',
  ],
  value: [text(), 'Canonical value.'],
  strong: [bool(), 'True when unique by construction.'],
})

const assetStatus = enumeration('AssetStatus', 'Lifecycle.', [
  'UNKNOWN',
  'ACTIVE',
  'INACTIVE',
  'GONE',
])

const severityCounts = record('SeverityCounts', 'Vendor-reported open findings.', {
  critical: [withDefault(int(), 0), 'Critical.'],
  high: [withDefault(int(), 0), 'High.'],
  medium: [withDefault(int(), 0), 'Medium.'],
  low: [withDefault(int(), 0), 'Low.'],
  total: [withDefault(int(), 0), 'Total.'],
})

export const asset = record(
  'Asset',
  'State of one asset as one source sees it. Key = asset_uid. A null value is the tombstone.',
  {
    meta: [eventMeta, 'Envelope.'],
    asset_uid: [text(), 'Deterministic id of (vendor, product, tenant, native_id).'],
    entity_uid: [
      text(),
      'Cross-source id computed from the strongest correlation key; equal for two sources that share it.',
    ],
    kind: [withDefault(assetKind, 'UNKNOWN'), 'Normalised kind.'],
    native_type: [withDefault(text(), ''), 'Vendor resource / asset type verbatim.'],
    name: [text(), 'Display name.'],
    hostnames: [list(text()), 'Lower-cased hostnames.'],
    fqdns: [list(text()), 'Lower-cased, no trailing dot.'],
    public_dns_names: [list(text()), 'Public DNS names.'],
    cloud: [optional(cloud), 'Cloud placement.'],
    network_interfaces: [list(networkInterface), 'Interfaces.'],
    private_ips: [list(text()), 'Distinct private addresses.'],
    public_ips: [list(text()), 'Distinct public addresses.'],
    os: [optional(os), 'Operating system.'],
    image: [optional(imageRef), 'Container image.'],
    agent: [optional(agentRef), 'Agent.'],
    internet_exposed: [optional(bool()), 'null = the source does not say.'],
    exposed_services: [list(exposedService), 'Internet-facing services.'],
    criticality: [optional(criticality), 'Vendor criticality data.'],
    risk_factors: [list(text()), 'Vendor risk factors, verbatim.'],
    business_units: [list(text()), 'Business units / account groups.'],
    owners: [list(text()), 'Owners.'],
    tags: [textMap(), 'Cloud tags and vendor labels.'],
    correlation_keys: [list(correlationKey), 'Identity keys, strongest first.'],
    status: [withDefault(assetStatus, 'UNKNOWN'), 'Lifecycle.'],
    first_seen: [optional(timestampMs()), 'First seen by the vendor, else by us.'],
    last_seen: [timestampMs(), 'Last seen by the vendor, else observed_at.'],
    gone_at: [optional(timestampMs()), 'When it was last seen to be gone; null while it is there.'],
    reopen_count: [withDefault(int(), 0), 'Times it came back.'],
    vendor_created_at: [optional(timestampMs()), 'Creation time in the cloud.'],
    finding_counts: [optional(severityCounts), 'Counts as the vendor reports them.'],
    unmapped: [textMap(), 'Vendor fields without a home, JSON-encoded values.'],
  },
)

export type Asset = z.infer<typeof asset>
/** What a transformer says of an asset; the lifecycle adds `meta`. */
export type AssetState = Omit<Asset, 'meta'>
export type Cloud = z.infer<typeof cloud>
export type NetworkInterface = z.infer<typeof networkInterface>
export type Os = z.infer<typeof os>
export type OsFamily = z.infer<typeof osFamily>
export type Criticality = z.infer<typeof criticality>
export type CorrelationKey = z.infer<typeof correlationKey>
export type AssetStatus = z.infer<typeof assetStatus>
