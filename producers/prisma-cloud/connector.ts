// Prisma Cloud as the producers see it: its connector with all streams, and the connection test.
import type { CheckAnswer } from '../../contracts/ports.ts'
import {
  type ProbedSource,
  type VendorConnector,
  checkSources,
  checkStep,
} from '../../runtime/connector.ts'
import { type PrismaCloudClient, cspmMissing, createPrismaCloudClient } from './client.ts'
import { computeCloudVms } from './compute-cloud-vms.ts'
import { computeContainers } from './compute-containers.ts'
import { computeHosts } from './compute-hosts.ts'
import { computeImages } from './compute-images.ts'
import type { ComputeSource } from './compute-listing.ts'
import { computeRegistry } from './compute-registry.ts'
import { computeServerless } from './compute-serverless.ts'
import { computeVms } from './compute-vms.ts'
import { type PrismaCloudConnection, mainUrlOf } from './config.ts'
import { cspmConfig } from './cspm-config.ts'
import { cspmInventory } from './cspm-inventory.ts'
import { isEnabled } from './cspm-source.ts'
import { cspmVulnerabilities } from './cspm-vulnerabilities.ts'

const COMPUTE_SOURCES: readonly ComputeSource[] = [
  computeHosts,
  computeImages,
  computeRegistry,
  computeVms,
  computeServerless,
  computeContainers,
  computeCloudVms,
]
const CSPM_SOURCES: readonly ProbedSource<PrismaCloudClient, unknown>[] = [
  cspmConfig,
  cspmInventory,
  cspmVulnerabilities,
]

export const prismaCloudConnector: VendorConnector<PrismaCloudConnection, PrismaCloudClient> = {
  vendor: 'prisma-cloud',
  sources: [...COMPUTE_SOURCES, ...CSPM_SOURCES],
  apiHost: (config) => new URL(mainUrlOf(config)).host,
  connect: createPrismaCloudClient,
  resolveTenant: async ({ config, session }) =>
    config.tenant ?? (await session.prismaId()) ?? new URL(mainUrlOf(config)).host,
  check,
  close: (client) => client.close(),
}

async function check(client: PrismaCloudClient): Promise<CheckAnswer[]> {
  const answers = [await checkStep('log in', () => client.session.headers())]
  if (answers[0]?.error !== null) return answers
  answers.push(...(await checkCspm(client)))
  answers.push(...(await checkCompute(client)))
  return answers
}

async function checkCspm(client: PrismaCloudClient): Promise<CheckAnswer[]> {
  if (cspmMissing(client) !== null) return []
  return checkSources(
    client,
    CSPM_SOURCES.filter(({ stream }) => isEnabled(client, stream)),
  )
}

async function checkCompute(client: PrismaCloudClient): Promise<CheckAnswer[]> {
  const wanted = COMPUTE_SOURCES.filter(({ stream }) => isEnabled(client, stream))
  if (wanted.length === 0) return []
  const answers = [await checkStep('find the Compute console', () => client.compute())]
  if (answers[0]?.error !== null) return answers
  return [...answers, ...(await checkSources(client, wanted))]
}
