// Where the fields of compute.images and compute.registry come from: one asset in both.
import { SCAN_ASSET, SCAN_DECIDING, SCAN_EACH, scanFinding, SCAN_PLACE } from './compute-scan.ts'
import { type FieldTable, type StreamMapping, always, from, like } from './stream-mapping.ts'

const NO_MACHINE = 'an image is no machine'

const ASSET: FieldTable = {
  ...SCAN_ASSET,
  ...SCAN_PLACE,
  asset_uid: from('_id', '`image|<_id>`'),
  entity_uid: like('correlation_keys asset_uid', 'first strong key, else the asset itself'),
  kind: always('CONTAINER_IMAGE'),
  native_type: from('type'),
  name: from('repoTag.registry repoTag.repo repoTag.tag _id', 'as one reference, else `_id`'),
  'image.digest': from(
    'repoTag.digest repoDigests repoTag.registry repoTag.repo',
    'that of the name shown, else the first in sorted order',
  ),
  'image.image_id': from('id _id', 'the first with the form of one'),
  'image.registry': from('repoTag.registry'),
  'image.repository': from('repoTag.repo'),
  'image.tags': from('repoTag.tag tags[].tag'),
  tags: from(
    'labels externalLabels cloudMetadata.labels clusters namespaces hosts',
    'of `hosts` cluster and namespaces',
  ),
  correlation_keys: like('image.digest image.image_id', 'see the rules'),
}

export const computeImagesMapping: StreamMapping = {
  stream: 'compute.images',
  product: 'prisma-compute',
  call: 'GET /api/v<version>/images',
  unit: 'an image that runs somewhere, with its weaknesses',
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

export const computeRegistryMapping: StreamMapping = {
  ...computeImagesMapping,
  stream: 'compute.registry',
  call: 'GET /api/v<version>/registry',
  unit: 'an image in a registry, with its weaknesses',
}
