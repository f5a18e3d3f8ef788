// Every vendor's connector, one line each.
import { cortexConnector } from './cortex/connector.ts'
import { prismaCloudConnector } from './prisma-cloud/connector.ts'

export const CONNECTORS = {
  'prisma-cloud': prismaCloudConnector,
  cortex: cortexConnector,
} as const
