// The two sides of a tenant, CSPM and Compute: an HTTP client each, and how its calls authenticate.
import { transportSettings } from '../../runtime/connection-config.ts'
import type { ConnectContext } from '../../runtime/connector.ts'
import { resolveSecret } from '../../runtime/environment.ts'
import { redactor } from '../../runtime/http-errors.ts'
import type { Limiter } from '../../runtime/http-limiter.ts'
import { DEFAULT_RETRY } from '../../runtime/http-retry.ts'
import { type HttpClient, createHttpClient } from '../../runtime/http.ts'
import {
  type Session,
  bearerHeaders,
  createBasicSession,
  createSession,
  cspmHeaders,
} from './auth.ts'
import type { PrismaCloudConnection } from './config.ts'
import { classify } from './errors.ts'

const CONNECTIONS_MAX = 4

/** A client and the session that authenticates its calls. */
export type Side = { readonly http: HttpClient; readonly session: Session }

export type Sides = {
  cspm(baseUrl: string, limiter: Limiter): Side
  /** `cspm`: CSPM's session, whose token Compute takes too; null where there is none. */
  compute(baseUrl: string, limiter: Limiter, cspm: Session | null): Side
}

/**
 * `loginLimiter` is a limit of its own: calls that wait for a login hold turns of the other.
 * @throws PipelineError CONFIGURATION when the proxy's secrets or caFile cannot be read
 */
export function sidesOf(
  config: PrismaCloudConnection,
  context: ConnectContext,
  loginLimiter: Limiter,
): Sides {
  const transport = transportSettings(config)
  const sessions = new Set<Session>()
  const secretsUsed: string[] = []
  const redact = redactor(() => [...secretsUsed, ...[...sessions].flatMap((s) => s.secrets())])
  // Read anew at every use: a secret that was changed after a 401 counts at once.
  const credentials = () => {
    const username = resolveSecret(config.accessKeyId)
    const password = resolveSecret(config.secretKey)
    secretsUsed.splice(0, secretsUsed.length, username, password)
    return { username, password }
  }
  const open = (baseUrl: string, limiter: Limiter, sessionOf: (http: HttpClient) => Session) => {
    const http: HttpClient = createHttpClient({
      ...transport,
      connection: config.name,
      connectionsMax: CONNECTIONS_MAX,
      baseUrl,
      limiter,
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
    })
    const session = sessionOf(http)
    sessions.add(session)
    return { http, session }
  }
  const sessionBy = (http: HttpClient, path: string, headersOf: typeof cspmHeaders): Session => {
    const login = async () => {
      const options = { anonymous: true, stage: 'AUTH', limiter: loginLimiter } as const
      return (await http.json('POST', path, { ...options, body: credentials() })).value
    }
    return createSession({ login, headersOf, nowMs: context.nowMs, redact })
  }
  return {
    cspm: (baseUrl, limiter) =>
      open(baseUrl, limiter, (http) => sessionBy(http, '/login', cspmHeaders)),
    compute: (baseUrl, limiter, cspm) =>
      open(baseUrl, limiter, (http) => {
        if (config.compute.auth === 'basic') return createBasicSession(credentials)
        if (config.compute.auth === 'cspm-token' && cspm !== null) return cspm
        return sessionBy(http, `/api/${config.computeVersion}/authenticate`, bearerHeaders)
      }),
  }
}
