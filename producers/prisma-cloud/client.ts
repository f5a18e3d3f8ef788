// The client of one Prisma Cloud tenant: CSPM, and Compute where CSPM says it is.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import { transportSettings } from '../../runtime/connection-config.ts'
import type { ConnectContext } from '../../runtime/connector.ts'
import { resolveSecret } from '../../runtime/environment.ts'
import { redactor } from '../../runtime/http-errors.ts'
import { type Limiter, limiterFor } from '../../runtime/http-limiter.ts'
import { DEFAULT_RETRY } from '../../runtime/http-retry.ts'
import { type HttpClient, type HttpOptions, createHttpClient } from '../../runtime/http.ts'
import { type Session, createSession } from './auth.ts'
import type { PrismaCloudConnection } from './config.ts'
import { classify } from './errors.ts'

export type PrismaCloudClient = {
  readonly config: PrismaCloudConnection
  readonly session: Session
  readonly cspm: HttpClient
  /** @throws PipelineError NOT_LICENSED when the tenant has no Compute */
  compute(): Promise<HttpClient>
  /** The limit of one Compute listing: each has its own. */
  computeLimiter(listing: string): Limiter
  close(): Promise<void>
}

/** CSPM limits per user; nothing is declared for these calls, so little and slowly. */
const CSPM_LIMIT = { concurrentMax: 2, gapMs: 100, window: null }
const COMPUTE_CONCURRENT_MAX = 2
const COMPUTE_WINDOW_MS = 30_000
const CONNECTIONS_MAX = 4

/** `{"twistlockUrl":"https://us-east1.cloud.twistlock.com/12345", ...}`; absent without Compute. */
const metaInfo = z.looseObject({ twistlockUrl: z.string().nullish().catch(null) })

/** @throws PipelineError CONFIGURATION when the proxy's secrets or caFile cannot be read */
export function createPrismaCloudClient(
  config: PrismaCloudConnection,
  context: ConnectContext,
): PrismaCloudClient {
  const secretsUsed: string[] = []
  const redact = redactor(() => [...secretsUsed, ...session.secrets()])
  const common = {
    ...transportSettings(config),
    connection: config.name,
    connectionsMax: CONNECTIONS_MAX,
    authenticate: () => session.headers(),
    onUnauthorized: (used) => session.renew(used),
    classify,
    redact,
    requestIdHeaders: ['x-redlock-request-id', 'trace-id'],
    retry: { ...DEFAULT_RETRY, ...context.retry },
    nowMs: context.nowMs,
    onFault: context.onFault,
    onSuccess: context.onSuccess,
    signal: context.signal,
  } satisfies Partial<HttpOptions>
  const host = new URL(config.url).host
  const cspm = createHttpClient({
    ...common,
    baseUrl: config.url,
    limiter: limiterFor(`${host}|cspm`, CSPM_LIMIT),
  })
  const session = createSession(
    async () => {
      // Read anew at every login: a secret that was changed after a 401 counts at once.
      const username = resolveSecret(config.accessKeyId)
      const password = resolveSecret(config.secretKey)
      secretsUsed.splice(0, secretsUsed.length, username, password)
      const answer = await cspm.json('POST', '/login', {
        body: { username, password },
        anonymous: true,
        stage: 'AUTH',
        // A limit of its own: calls that wait for this login hold turns of the other.
        limiter: limiterFor(`${host}|login`, CSPM_LIMIT),
      })
      return answer.value
    },
    context.nowMs,
    redact,
  )

  const limiterOf = (listing: string) => computeLimiter(host, listing, config)
  const compute = onceFound(async () => {
    const baseUrl = config.computeUrl ?? (await computeUrlOf(cspm, config.url))
    return createHttpClient({ ...common, baseUrl, limiter: limiterOf('other') })
  })
  return {
    config,
    session,
    cspm,
    computeLimiter: limiterOf,
    compute: compute.get,
    close: async () => {
      await cspm.close()
      await compute.close()
    },
  }
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
