// Where the fields of cspm.inventory come from.
import { type StreamMapping, REST, always, below, from, like } from './stream-mapping.ts'

const d = (paths: string): string => below('uai.data.asset', paths)
const DETAILS = 'only with details (`enrichment.budget`)'

export const cspmInventoryMapping: StreamMapping = {
  stream: 'cspm.inventory',
  product: 'prisma-cspm',
  call: 'POST /v2/resource/scan_info',
  unit: 'a resource (`item`), perhaps with its details (`uai`, POST /uai/v1/asset)',
  lifted: ['item'],
  each: null,
  deciding: {},
  tables: {
    asset: {
      asset_uid: from('unifiedAssetId'),
      entity_uid: like('correlation_keys asset_uid', 'first strong key, else the asset itself'),
      kind: from('assetType', 'by the words in it, else CLOUD_RESOURCE'),
      native_type: from('assetType'),
      name: from('name id unifiedAssetId', 'the first there is'),
      hostnames: from('name assetType', 'of machines, where it can be one'),
      fqdns: like('hostnames', 'those with a domain'),
      public_dns_names: like('fqdns', "under a cloud's public suffix"),
      'cloud.provider': from('cloudType', 'not `other`'),
      'cloud.account_id': from('accountId'),
      'cloud.account_name': from('accountName'),
      'cloud.region': from('regionId'),
      'cloud.resource_id': from('id rrn', "in the cloud's form where there is one"),
      'cloud.instance_id': from('id assetType', 'of machines'),
      'cloud.service': from(d('serviceName'), DETAILS),
      'cloud.resource_type': from('assetType'),
      'cloud.vpc_id': from(d('vpcId'), DETAILS),
      private_ips: from(d('ipAddresses'), DETAILS),
      public_ips: from(d('ipAddresses'), DETAILS),
      internet_exposed: from(d('trueInternetExposure'), DETAILS),
      'criticality.level': from(
        `alertStatus ${d('riskGrade')}`,
        'worst severity with an open alert, else the grade of the details',
      ),
      'criticality.raw': from(`alertStatus ${d('riskGrade')}`),
      business_units: from(d('accountGroup'), DETAILS),
      tags: from(d('tags'), DETAILS),
      correlation_keys: like(
        `cloud.provider cloud.account_id cloud.instance_id cloud.resource_id hostnames fqdns
         private_ips public_ips`,
        'see the rules',
      ),
      status: always('ACTIVE'),
      last_seen: always('fetch time'),
      vendor_created_at: from(d('createdTs'), DETAILS),
      finding_counts: from('vulnerabilityStatus'),
      unmapped: REST,
    },
  },
  nothing: {
    'network interfaces': 'see cspm.config',
    'operating system details': 'see cspm.config',
    'CVE findings': 'see cspm.vulnerabilities',
  },
}
