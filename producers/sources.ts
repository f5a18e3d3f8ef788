// Every vendor's connector and settings, one line each.
import { PipelineError } from '../contracts/errors.ts'
import type { ListedVendor, VendorId } from '../contracts/topics.ts'
import type { VendorConnector } from '../runtime/connector.ts'
import { cortexConnection } from './cortex/config.ts'
import { cortexConnector } from './cortex/connector.ts'
import { prismaCloudConnection } from './prisma-cloud/config.ts'
import { prismaCloudConnector } from './prisma-cloud/connector.ts'

/** By vendor, which is the `type` of its connections. */
export type Connectors = Readonly<Record<VendorId, VendorConnector>>

export const CONNECTORS = {
  'prisma-cloud': prismaCloudConnector,
  cortex: cortexConnector,
} as const satisfies Record<ListedVendor, VendorConnector>

/** A connection in exposure.yaml, told by its `type`. */
export const CONNECTIONS = [prismaCloudConnection, cortexConnection] as const

/** @throws PipelineError INTERNAL for a vendor that is not among them */
export function connectorOf(
  vendor: VendorId,
  connectors: Connectors = CONNECTORS,
): VendorConnector {
  const connector = connectors[vendor]
  if (connector !== undefined) return connector
  throw new PipelineError('INTERNAL', 'CONFIG', `no connector of ${vendor} is listed`)
}
