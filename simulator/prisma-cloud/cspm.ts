// CSPM endpoints: login, extension of a token, health, and where Compute lives.
import { z } from 'zod'
import { type Answer, json, text } from '../delivery.ts'
import { withoutField } from '../rows.ts'
import type { Call, Endpoint } from '../site.ts'
import { limited, redlock } from './answers.ts'
import type { Tokens } from './tokens.ts'

export type AccessKey = { readonly accessKeyId: string; readonly secretKey: string }
export type CspmOptions = {
  /** By route; they need a token. */
  readonly listings: ReadonlyMap<string, Endpoint>
  readonly key: AccessKey
  readonly prismaId: string
  /** Path before Compute's API, e.g. `/us-sim-1`. */
  readonly prefix: string
  readonly tokens: Tokens
  /** Asked once per request of a listing; false answers 429. */
  readonly admit: (nowMs: number) => boolean
}

const login = z.looseObject({ username: z.string(), password: z.string() })
const NO_FAULTS: ReadonlySet<never> = new Set<never>()

/** CSPM's endpoints by `METHOD path`. */
export function cspmEndpoints(options: CspmOptions): Map<string, Endpoint> {
  const { tokens } = options
  const customerNames = [
    { customerName: 'Simulated Company', prismaId: options.prismaId, tosAccepted: true },
  ]
  const withToken = (call: Call, answer: () => Answer): Answer =>
    tokens.valid('cspm', headerText(call, 'x-redlock-auth'), call.nowMs)
      ? answer()
      : redlock(401, 'token_expired')
  const endpoint = (name: string, answer: (call: Call) => Answer): Endpoint => ({
    name,
    shows: NO_FAULTS,
    answer,
  })
  const listings = [...options.listings].map(([route, listing]): [string, Endpoint] => {
    const admitted = (call: Call) =>
      options.admit(call.nowMs) ? listing.answer(call) : limited('cspm', {})
    return [route, { ...listing, answer: (call) => withToken(call, () => admitted(call)) }]
  })
  return new Map<string, Endpoint>([
    ...listings,
    [
      'POST /login',
      endpoint('cspm.login', (call) => {
        const given = login.safeParse(parsed(call.body))
        if (!given.success) return redlock(400, 'bad_request')
        const { username, password } = given.data
        const known = username === options.key.accessKeyId && password === options.key.secretKey
        if (!known) return redlock(401, 'invalid_credentials')
        const token = tokens.issue('cspm', call.nowMs)
        return json(200, { message: 'login_successful', token, customerNames })
      }),
    ],
    [
      'GET /auth_token/extend',
      endpoint('cspm.extend', (call) =>
        withToken(call, () => {
          const token = tokens.issue('cspm', call.nowMs)
          const roles = [{ name: 'Simulated Reader' }]
          return json(200, { message: 'login_successful', token, customerNames, roles })
        }),
      ),
    ],
    ['GET /check', endpoint('cspm.check', () => text(200, ''))],
    [
      'GET /meta_info',
      {
        name: 'cspm.meta-info',
        shows: new Set(['drop-field'] as const),
        answer: (call) => withToken(call, () => metaInfo(call, options.prefix)),
      },
    ],
  ])
}

function metaInfo(call: Call, prefix: string): Answer {
  const value = {
    licenseType: 'enterprise',
    marketplace: 'Simulated Marketplace',
    startTs: 1_700_000_000_000,
    endTs: 1_900_000_000_000,
    // The address the client itself used, so that it also works through a published port or behind
    // a server that ends TLS.
    twistlockUrl: `${schemeOf(call)}://${call.headers.host ?? '127.0.0.1'}${prefix}`,
  }
  const { fault } = call
  return json(200, fault?.kind === 'drop-field' ? withoutField(value, fault.field) : value)
}

/** The body as JSON; null when it is none. */
export function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

const schemeOf = (call: Call): string =>
  headerText(call, 'x-forwarded-proto') === 'https' ? 'https' : 'http'

/** One header's text. */
export function headerText(call: Call, name: string): string | undefined {
  const value = call.headers[name]
  return Array.isArray(value) ? value[0] : value
}
