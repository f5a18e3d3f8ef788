// The list of transformers: what this product can read.
import type { Transformer } from '../contracts/ports.ts'
import { cloudAssets } from './cortex/cloud-assets.ts'
import { cloudFindings } from './cortex/cloud-findings.ts'
import { xdrEndpoints } from './cortex/xdr-endpoints.ts'
import { computeHosts } from './prisma-cloud/compute-hosts.ts'

/** One per stream, found by vendor and stream of a raw record. */
export const TRANSFORMERS: readonly Transformer[] = [
  computeHosts,
  xdrEndpoints,
  cloudAssets,
  cloudFindings,
]
