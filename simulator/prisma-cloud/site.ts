// Prisma Cloud: CSPM and Compute behind one address, as one access key sees them.
import type { Endpoint, Site } from '../site.ts'
import { createBucket, createWindow } from '../stats.ts'
import type { World } from '../world.ts'
import { nothingThere, redlock, statusAnswer } from './answers.ts'
import { VERSIONS, computeEndpoints } from './compute.ts'
import { CSPM_BEHAVIOUR, type CspmBehaviour } from './cspm-behaviour.ts'
import { cspmListings } from './cspm-listings.ts'
import { type AccessKey, cspmEndpoints } from './cspm.ts'
import { createTokens } from './tokens.ts'

export type PrismaOptions = {
  readonly world: World
  readonly key: AccessKey
  readonly prismaId: string
  readonly tokenTtlMs: number
  readonly hostRowsMax: number
  readonly rateLimits: boolean
  readonly cspm: Partial<CspmBehaviour>
}

const PREFIX = '/us-sim-1'
/** Compute: 30 requests in 30 s to each listing. */
const LISTINGS_MAX = 30
const LISTINGS_WINDOW_MS = 30_000
/** CSPM declares no limit for its searches; a token bucket of the size of its other ones. */
const SEARCHES_PER_SECOND = 2
const SEARCHES_BURST = 10

/** The site of one Prisma Cloud tenant. */
export function createPrismaSite(options: PrismaOptions): Site {
  const { world, key, prismaId } = options
  const tokens = createTokens(`signs ${key.secretKey}`, key.accessKeyId, options.tokenTtlMs)
  const cspm = cspmEndpoints({
    listings: cspmListings(world, { ...CSPM_BEHAVIOUR, ...options.cspm }),
    key,
    prismaId,
    prefix: PREFIX,
    tokens,
    admit: options.rateLimits ? createBucket(SEARCHES_PER_SECOND, SEARCHES_BURST) : () => true,
  })
  const compute = computeEndpoints({
    world,
    key,
    tokens,
    pageRowsMax: options.hostRowsMax,
    newLimit: () =>
      options.rateLimits ? createWindow(LISTINGS_MAX, LISTINGS_WINDOW_MS) : () => true,
  })
  const unknown = (side: 'cspm' | 'compute'): Endpoint => ({
    name: 'unknown',
    shows: new Set(),
    answer: () => (side === 'cspm' ? redlock(404, 'not_found') : nothingThere()),
  })
  return {
    vendor: 'prisma-cloud',
    tenant: prismaId,
    find: (method, path) => {
      if (!path.startsWith(`${PREFIX}/`)) {
        return cspm.get(`${method} ${path}`) ?? unknown('cspm')
      }
      const [, , api, version, ...rest] = path.split('/')
      if (api !== 'api' || version === undefined || !VERSIONS.has(version)) {
        return unknown('compute')
      }
      return compute.get(`${method} ${rest.join('/')}`) ?? unknown('compute')
    },
    statusAnswer: (answer, endpoint) =>
      statusAnswer(answer, endpoint.name.startsWith('compute') ? 'compute' : 'cspm'),
    expireTokens: () => tokens.expireAll(),
  }
}
