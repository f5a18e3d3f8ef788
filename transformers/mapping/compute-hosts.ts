// Where the fields of compute.hosts come from.
import { SCAN_ASSET, SCAN_DECIDING, SCAN_EACH, scanFinding, SCAN_PLACE } from './compute-scan.ts'
import { type FieldTable, type StreamMapping, from, like } from './stream-mapping.ts'

const ASSET: FieldTable = {
  ...SCAN_ASSET,
  ...SCAN_PLACE,
  asset_uid: from('type _id', '`<type>|<_id>`'),
  entity_uid: like('correlation_keys asset_uid', 'first strong key, else the asset itself'),
  kind: like('cloud.provider', 'VIRTUAL_MACHINE with a provider, else HOST'),
  native_type: from('type'),
  name: from('hostname _id', 'the first there is'),
  hostnames: from('hostname _id', 'the first there is'),
  fqdns: like('hostnames', 'those with a domain'),
  public_dns_names: like('fqdns', "under a cloud's public suffix"),
  'cloud.resource_id': from('cloudMetadata.resourceURL'),
  'cloud.instance_id': from('cloudMetadata.vmID cloudMetadata.resourceID', 'the first there is'),
  'cloud.image_id': from('cloudMetadata.vmImageID cloudMetadata.image', 'the first there is'),
  'network_interfaces.name': from('hostDevices[].name'),
  'network_interfaces.ips': from('hostDevices[].ip'),
  private_ips: from('hostDevices[].ip'),
  public_ips: from('hostDevices[].ip'),
  'agent.type': from(
    'agentless csa',
    'a Defender where the first is false and the second not true',
  ),
  'agent.version': from('scanVersion'),
  'agent.last_seen': from('scanTime'),
  correlation_keys: like(
    `cloud.provider cloud.account_id cloud.instance_id cloud.resource_id hostnames fqdns
     private_ips public_ips`,
    'see the rules',
  ),
}

export const computeHostsMapping: StreamMapping = {
  stream: 'compute.hosts',
  product: 'prisma-compute',
  call: 'GET /api/v<version>/hosts',
  unit: 'a host with its weaknesses',
  lifted: [],
  each: SCAN_EACH,
  deciding: SCAN_DECIDING,
  tables: {
    asset: ASSET,
    finding: scanFinding(ASSET),
  },
  nothing: {},
}
