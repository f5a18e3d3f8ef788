// Prisma Cloud Compute images of virtual machines (AMIs): what machines are started from.
import type { AssetState } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { unmappedOf } from '../unmapped.ts'
import { KNOWN_OF_SCANS, computeAsset, observeScan, placeOf, scanFacts } from './compute-asset.ts'
import { scanResultDrift } from './compute-drift.ts'
import { type ComputeScan, scanSchema } from './compute-scan.ts'

export const computeVms: Transformer = {
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  stream: 'compute.vms',
  rank: 0,
  transform: (raw) =>
    observeScan(raw, { schema: scanSchema, driftOf: scanResultDrift, assetOf: vmImageOf }),
}

/** A resource of the account, not a machine: the same image may run many times or never. */
function vmImageOf(image: ComputeScan, facts: RawFacts): AssetState {
  const { cloudMetadata: metadata } = image
  const imageId = metadata.vmImageID ?? metadata.image
  const place = placeOf(metadata)
  return computeAsset(
    facts,
    `vm|${image._id}`,
    {},
    {
      ...scanFacts(image, facts.fetchedAtMs),
      kind: 'CLOUD_RESOURCE',
      native_type: image.type ?? 'vm',
      name: metadata.name ?? image.hostname ?? imageId ?? image._id,
      cloud: place && { ...place, image_id: imageId, resource_type: 'vm-image' },
      unmapped: unmappedOf(image, KNOWN_OF_SCANS),
    },
  )
}
