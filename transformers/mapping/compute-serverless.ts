// Where the fields of compute.serverless come from.
import { SCAN_ASSET, SCAN_DECIDING, SCAN_EACH, scanFinding } from './compute-scan.ts'
import { type FieldTable, type StreamMapping, always, from, like } from './stream-mapping.ts'

const NO_MACHINE = 'a function has none of its own'

const ASSET: FieldTable = {
  ...SCAN_ASSET,
  asset_uid: from('_id', '`function|<_id>`'),
  entity_uid: like('correlation_keys asset_uid', 'first strong key, else the asset itself'),
  kind: always('SERVERLESS_FUNCTION'),
  native_type: from('type'),
  name: from('name _id', 'the first there is'),
  'cloud.provider': from('provider cloudMetadata.provider', 'the first there is'),
  'cloud.account_id': from('accountID cloudMetadata.accountID', 'the first there is'),
  'cloud.region': from('region cloudMetadata.region', 'the first there is'),
  'cloud.resource_id': from(
    'cloudMetadata.resourceURL _id',
    "the first in the provider's form, without version",
  ),
  tags: from('labels externalLabels cloudMetadata.labels functionTags'),
  correlation_keys: like('cloud.resource_id', 'see the rules'),
}

export const computeServerlessMapping: StreamMapping = {
  stream: 'compute.serverless',
  product: 'prisma-compute',
  call: 'GET /api/v<version>/serverless',
  unit: 'a function with its weaknesses',
  lifted: [],
  each: SCAN_EACH,
  deciding: SCAN_DECIDING,
  tables: {
    asset: ASSET,
    finding: scanFinding(ASSET),
  },
  nothing: {
    'network interfaces': NO_MACHINE,
    'IP address': NO_MACHINE,
    'public DNS name': NO_MACHINE,
  },
}
