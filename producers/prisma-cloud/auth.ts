// The log-in session: one login however many calls wait, renewed before it ends or after a 401;
// and Basic authentication, which has none.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import type { HttpHeaders } from '../../runtime/http-transport.ts'

/**
 * `{"message":"login_successful","token":"<JWT>","customerNames":[{"prismaId":".."}]}`
 * @see https://pan.dev/prisma-cloud/api/cspm/app-login/ (read 2026-11)
 */
const loginAnswer = z.looseObject({
  message: z.string().nullish().catch(null),
  token: z.string().min(1).nullish().catch(null),
  customerNames: z
    .array(z.looseObject({ prismaId: z.string().nullish().catch(null) }))
    .nullish()
    .catch(null),
})

export type Session = {
  /** Headers with a valid token; logs in when there is none. @throws PipelineError stage AUTH */
  headers(): Promise<HttpHeaders>
  /** After a 401: logs in once, unless that has happened since `used` was given out. */
  renew(used: HttpHeaders): Promise<void>
  /** The tenant's id as the login tells it; null when it does not. */
  prismaId(): Promise<string | null>
  /** The tokens of now and before, to be kept out of texts. */
  secrets(): readonly string[]
}

/** Header of CSPM's token, which Compute takes too. */
export const cspmHeaders = (token: string): HttpHeaders => ({ 'x-redlock-auth': token })
/** Header of Compute's own token. */
export const bearerHeaders = (token: string): HttpHeaders => ({ authorization: `Bearer ${token}` })
const TTL_MS_DEFAULT = 600_000
/** Of the lifetime, after which a new login is made: 480 s of the usual 600. */
const RENEW_SHARE = 0.8
const SECRETS_MAX = 4

type LoggedIn = {
  readonly token: string
  readonly headers: HttpHeaders
  readonly prismaId: string | null
  readonly renewAtMs: number
}

export type SessionOptions = {
  /** Makes one call and returns the parsed body. */
  readonly login: () => Promise<unknown>
  readonly headersOf: (token: string) => HttpHeaders
  readonly nowMs: () => number
  /** Cleans what the vendor says. */
  readonly redact: (text: string) => string
}

/** Nothing is sent before the first headers are asked for. */
export function createSession({ login, headersOf, nowMs, redact }: SessionOptions): Session {
  let current: LoggedIn | null = null
  let pending: Promise<LoggedIn> | null = null
  const tokens: string[] = []

  const logIn = (): Promise<LoggedIn> => {
    // Whoever comes while one login is on its way waits for that one.
    pending ??= login()
      .then((body) => {
        const given = loggedIn(body, nowMs(), redact)
        current = { ...given, headers: headersOf(given.token) }
        tokens.unshift(current.token)
        tokens.length = Math.min(tokens.length, SECRETS_MAX)
        return current
      })
      .finally(() => {
        pending = null
      })
    return pending
  }
  const valid = (): Promise<LoggedIn> =>
    current !== null && nowMs() < current.renewAtMs ? Promise.resolve(current) : logIn()

  return {
    headers: async () => (await valid()).headers,
    renew: async (used) => {
      if (current !== null && !isSame(used, current.headers)) return
      current = null
      await logIn()
    },
    prismaId: async () => (await valid()).prismaId,
    secrets: () => tokens,
  }
}

const isSame = (a: HttpHeaders, b: HttpHeaders): boolean =>
  Object.keys(a).length === Object.keys(b).length &&
  Object.entries(a).every(([name, value]) => b[name] === value)

/** User and password with every call. `credentials` is asked anew for each. */
export function createBasicSession(
  credentials: () => { readonly username: string; readonly password: string },
): Session {
  let last = ''
  return {
    headers: () => {
      const { username, password } = credentials()
      last = Buffer.from(`${username}:${password}`).toString('base64')
      return Promise.resolve({ authorization: `Basic ${last}` })
    },
    // The next call reads the secrets again, and they may have been changed.
    renew: () => Promise.resolve(),
    prismaId: () => Promise.resolve(null),
    secrets: () => (last === '' ? [] : [last]),
  }
}

function loggedIn(
  body: unknown,
  nowMs: number,
  redact: (text: string) => string,
): Omit<LoggedIn, 'headers'> {
  const answer = loginAnswer.safeParse(body)
  const token = answer.success ? answer.data.token : null
  if (typeof token !== 'string') {
    const reason = (answer.success ? answer.data.message : null) ?? 'no reason given'
    const message = `the login gave no token: ${redact(reason).slice(0, 200)}`
    throw new PipelineError('AUTHORIZATION_FAILURE', 'AUTH', message)
  }
  const prismaId = answer.data?.customerNames?.[0]?.prismaId ?? null
  return { token, prismaId, renewAtMs: nowMs + lifetimeMs(token, nowMs) * RENEW_SHARE }
}

const jwtClaims = z.looseObject({ iat: z.number().optional(), exp: z.number() })

/** From the token's own times where it has them; by its clock, which need not be ours. */
export function lifetimeMs(token: string, nowMs: number): number {
  try {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')
    const { iat, exp } = jwtClaims.parse(JSON.parse(payload))
    const ms = exp * 1_000 - (iat === undefined ? nowMs : iat * 1_000)
    return ms > 0 ? Math.min(ms, TTL_MS_DEFAULT) : TTL_MS_DEFAULT
  } catch {
    return TTL_MS_DEFAULT
  }
}
