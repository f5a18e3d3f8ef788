// The list of transformers: what this product can read.
import type { Transformer } from '../contracts/ports.ts'
import { cloudAssets } from './cortex/cloud-assets.ts'
import { cloudFindings } from './cortex/cloud-findings.ts'
import { cloudIssues } from './cortex/cloud-issues.ts'
import { cloudVulnerabilities } from './cortex/cloud-vulnerabilities.ts'
import { xdrEndpoints } from './cortex/xdr-endpoints.ts'
import { xdrFindings } from './cortex/xdr-findings.ts'
import { xdrIncidents } from './cortex/xdr-incidents.ts'
import { xpanseAssets } from './cortex/xpanse-assets.ts'
import { xpanseServices } from './cortex/xpanse-services.ts'
import { computeCloudVms } from './prisma-cloud/compute-cloud-vms.ts'
import { computeContainers } from './prisma-cloud/compute-containers.ts'
import { computeHosts } from './prisma-cloud/compute-hosts.ts'
import { computeImages } from './prisma-cloud/compute-images.ts'
import { computeRegistry } from './prisma-cloud/compute-registry.ts'
import { computeServerless } from './prisma-cloud/compute-serverless.ts'
import { computeVms } from './prisma-cloud/compute-vms.ts'
import { cspmConfig } from './prisma-cloud/cspm-config.ts'
import { cspmInventory } from './prisma-cloud/cspm-inventory.ts'
import { cspmVulnerabilities } from './prisma-cloud/cspm-vulnerabilities.ts'

/** One per stream, found by vendor and stream of a raw record. */
export const TRANSFORMERS: readonly Transformer[] = [
  computeHosts,
  computeImages,
  computeRegistry,
  computeVms,
  computeServerless,
  computeContainers,
  computeCloudVms,
  cspmConfig,
  cspmInventory,
  cspmVulnerabilities,
  xdrEndpoints,
  cloudAssets,
  cloudFindings,
  xdrFindings,
  cloudIssues,
  xdrIncidents,
  xpanseAssets,
  xpanseServices,
  cloudVulnerabilities,
]
