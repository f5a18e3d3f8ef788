// Prisma Cloud Compute images in registries.
import type { Transformer } from '../../contracts/ports.ts'
import { observeScan } from './compute-asset.ts'
import { scanResultDrift } from './compute-drift.ts'
import { imageAssetOf, imageSchema } from './compute-image.ts'

export const computeRegistry: Transformer = {
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  stream: 'compute.registry',
  // After compute.images, which tells where the same image runs.
  rank: 1,
  transform: (raw) =>
    observeScan(raw, { schema: imageSchema, driftOf: scanResultDrift, assetOf: imageAssetOf }),
}
