// Prisma Cloud Compute images that run on scanned hosts.
import type { Transformer } from '../../contracts/ports.ts'
import { observeScan } from './compute-asset.ts'
import { scanResultDrift } from './compute-drift.ts'
import { imageAssetOf, imageSchema } from './compute-image.ts'

export const computeImages: Transformer = {
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  stream: 'compute.images',
  // What runs tells more than what lies in a registry: where it is deployed.
  rank: 0,
  transform: (raw) =>
    observeScan(raw, { schema: imageSchema, driftOf: scanResultDrift, assetOf: imageAssetOf }),
}
