// Where the fields of compute.vms come from: images that machines are started from.
import { SCAN_ASSET, SCAN_DECIDING, SCAN_EACH, scanFinding, SCAN_PLACE } from './compute-scan.ts'
import { type FieldTable, type StreamMapping, always, from, like } from './stream-mapping.ts'

const NO_MACHINE = 'an image is no machine'

const ASSET: FieldTable = {
  ...SCAN_ASSET,
  ...SCAN_PLACE,
  asset_uid: from('_id', '`vm|<_id>`'),
  entity_uid: like('asset_uid', 'the asset itself: the same image may run many times'),
  kind: always('CLOUD_RESOURCE'),
  native_type: from('type'),
  name: from(
    'cloudMetadata.name hostname cloudMetadata.vmImageID cloudMetadata.image _id',
    'the first there is',
  ),
  'cloud.image_id': from('cloudMetadata.vmImageID cloudMetadata.image', 'the first there is'),
  'cloud.resource_type': always('vm-image'),
}

export const computeVmsMapping: StreamMapping = {
  stream: 'compute.vms',
  product: 'prisma-compute',
  call: 'GET /api/v<version>/vms',
  unit: 'an image of a virtual machine, with its weaknesses',
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
