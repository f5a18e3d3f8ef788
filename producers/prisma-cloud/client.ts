// The client of one Prisma Cloud tenant: CSPM, and Compute where CSPM says it is.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import type { ConnectContext } from '../../runtime/connector.ts'
import { type Limiter, limiterFor } from '../../runtime/http-limiter.ts'
import { DEFAULT_RETRY, type Sleep } from '../../runtime/http-retry.ts'
import type { HttpClient } from '../../runtime/http.ts'
import type { Session } from './auth.ts'
import { type PrismaCloudConnection, mainUrlOf } from './config.ts'
import { sidesOf } from './sides.ts'

export type PrismaCloudClient = {
  readonly config: PrismaCloudConnection
  /** CSPM's, or Compute's where there is no CSPM. */
  readonly session: Session
  /** Where the connection names no CSPM every call is a PipelineError NOT_LICENSED. */
  readonly cspm: HttpClient
  /** @throws PipelineError NOT_LICENSED when the tenant has no Compute */
  compute(): Promise<HttpClient>
  /** The limit of one Compute listing: each has its own. */
  computeLimiter(listing: string): Limiter
  readonly sleep: Sleep
  close(): Promise<void>
}

/** CSPM limits per user; nothing is declared for these calls, so little and slowly. */
const CSPM_LIMIT = { concurrentMax: 2, gapMs: 100, window: null }
const CSPM_WINDOW_MS = 5_000
const COMPUTE_CONCURRENT_MAX = 2
const COMPUTE_WINDOW_MS = 30_000

/** `{"twistlockUrl":"https://us-east1.cloud.twistlock.com/12345", ...}`; absent without Compute. */
const metaInfo = z.looseObject({ twistlockUrl: z.string().nullish().catch(null) })

/** @throws PipelineError CONFIGURATION when the proxy's secrets or caFile cannot be read */
export function createPrismaCloudClient(
  config: PrismaCloudConnection,
  context: ConnectContext,
): PrismaCloudClient {
  const { url } = config
  const { host } = new URL(mainUrlOf(config))
  const sides = sidesOf(config, context, limiterFor(`${host}|login`, CSPM_LIMIT))
  const limiterOf = (listing: string) => computeLimiter(host, listing, config)
  const main =
    url === undefined
      ? sides.compute(mainUrlOf(config), limiterOf('other'), null)
      : sides.cspm(url, limiterFor(`${host}|cspm`, cspmLimit(config)))
  const compute = onceFound(async () => {
    if (url === undefined) return main.http
    const computeUrl = config.computeUrl ?? (await computeUrlOf(main.http, url))
    return sides.compute(computeUrl, limiterOf('other'), main.session).http
  })
  return {
    config,
    session: main.session,
    cspm: url === undefined ? NO_CSPM : main.http,
    computeLimiter: limiterOf,
    sleep: context.retry?.sleep ?? DEFAULT_RETRY.sleep,
    compute: compute.get,
    close: async () => {
      await main.http.close()
      if (url !== undefined) await compute.close()
    },
  }
}

const cspmLimit = ({ cspmRequestsPer5s }: PrismaCloudConnection) => ({
  ...CSPM_LIMIT,
  gapMs: Math.min(CSPM_LIMIT.gapMs, Math.ceil(CSPM_WINDOW_MS / cspmRequestsPer5s)),
  window: { requestsMax: cspmRequestsPer5s, windowMs: CSPM_WINDOW_MS },
})

/** Why the streams of CSPM are not there; null when they are. */
export const cspmMissing = ({ config }: PrismaCloudClient): PipelineError | null =>
  config.url === undefined ? noCspm() : null

const noCspm = (): PipelineError =>
  new PipelineError('NOT_LICENSED', 'CONFIG', 'the connection names no CSPM', {
    remediation: 'Give the url of CSPM in exposure.yaml, or switch the streams cspm.* off.',
  })
const refused = (): Promise<never> => Promise.reject(noCspm())
const NO_CSPM: HttpClient = {
  json: refused,
  stream: refused,
  recover: refused,
  close: () => Promise.resolve(),
}

const computeLimiter = (host: string, listing: string, config: PrismaCloudConnection): Limiter =>
  limiterFor(`${host}|compute|${listing}`, {
    concurrentMax: COMPUTE_CONCURRENT_MAX,
    gapMs: 0,
    window: { requestsMax: config.computeRequestsPer30s, windowMs: COMPUTE_WINDOW_MS },
  })

/** Keeps what was found; a failure is not kept, so that the next caller tries again. */
function onceFound(find: () => Promise<HttpClient>) {
  let found: Promise<HttpClient> | null = null
  const get = (): Promise<HttpClient> => {
    found ??= find().catch((error: unknown) => {
      found = null
      throw error
    })
    return found
  }
  return { get, close: async () => await (await found?.catch(() => null))?.close() }
}

async function computeUrlOf(cspm: HttpClient, cspmUrl: string): Promise<string> {
  const { value } = await cspm.json('GET', '/meta_info')
  const answer = metaInfo.safeParse(value)
  const url = answer.success ? answer.data.twistlockUrl : undefined
  if (typeof url !== 'string' || url === '') {
    const message = 'the tenant names no Compute console (meta_info has no twistlockUrl)'
    throw new PipelineError('NOT_LICENSED', 'FETCH', message)
  }
  // The token goes there: never to a place less protected than where it came from.
  const isDowngrade = cspmUrl.startsWith('https:') && !url.startsWith('https:')
  if (!URL.canParse(url) || isDowngrade) {
    const message = 'the Compute address that the tenant names is no https URL'
    throw new PipelineError('INVALID_RESPONSE', 'FETCH', message)
  }
  return url.replace(/\/+$/, '')
}
