// Prisma Cloud as the producers see it: its connector with all streams, and the connection test.
import { PipelineError } from '../../contracts/errors.ts'
import type { CheckAnswer } from '../../contracts/ports.ts'
import { type VendorConnector, checkStep } from '../../runtime/connector.ts'
import { type PrismaCloudClient, createPrismaCloudClient } from './client.ts'
import { computeHosts, hostsPath } from './compute-hosts.ts'
import type { PrismaCloudConnection } from './config.ts'

/** A check should answer soon. */
const CHECK_ATTEMPTS_MAX = 3

export const prismaCloudConnector: VendorConnector<PrismaCloudConnection, PrismaCloudClient> = {
  vendor: 'prisma-cloud',
  sources: [computeHosts],
  apiHost: (config) => new URL(config.url).host,
  connect: createPrismaCloudClient,
  resolveTenant: async ({ config, session }) =>
    config.tenant ?? (await session.prismaId()) ?? new URL(config.url).host,
  check,
  close: (client) => client.close(),
}

async function check(client: PrismaCloudClient): Promise<CheckAnswer[]> {
  const answers = [await checkStep('log in', () => client.session.headers())]
  if (answers[0]?.error !== null) return answers
  if (client.config.streams?.['compute.hosts']?.enabled !== false) {
    answers.push(await checkStep('find the Compute console', () => client.compute()))
    if (answers.at(-1)?.error !== null) return answers
    answers.push(await checkStep('read hosts', () => readOneHost(client)))
  }
  return answers
}

async function readOneHost(client: PrismaCloudClient): Promise<void> {
  const compute = await client.compute()
  const { value } = await compute.json('GET', hostsPath(client), {
    query: { limit: 1, offset: 0, compact: true },
    limiter: client.computeLimiter('hosts'),
    attemptsMax: CHECK_ATTEMPTS_MAX,
  })
  // Past its end, and so where nothing is to be seen, the listing is `null`.
  if (value !== null && !(Array.isArray(value) && value.length === 0)) return
  throw new PipelineError('MISSING_DATA', 'FETCH', 'this account sees no hosts')
}
