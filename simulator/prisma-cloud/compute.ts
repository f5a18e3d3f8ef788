// Compute endpoints under /<tenant>/api/<version>: login, version and the listings.
import { z } from 'zod'
import { type Answer, json } from '../delivery.ts'
import type { Call, Endpoint } from '../site.ts'
import type { World } from '../world.ts'
import { computeError } from './answers.ts'
import { COMPUTE_LISTINGS, type ComputeListing, listingPage } from './compute-listings.ts'
import { type AccessKey, headerText, parsed } from './cspm.ts'
import type { Tokens } from './tokens.ts'

export type ComputeOptions = {
  readonly world: World
  readonly key: AccessKey
  readonly tokens: Tokens
  /** Rows of one page; a larger `limit` is cut to it. */
  readonly pageRowsMax: number
  /** The limit of one listing: each has its own. False answers 429. */
  readonly newLimit: () => (nowMs: number) => boolean
}

/** Versions in the path that the console knows. */
export const VERSIONS: ReadonlySet<string> = new Set(['v1', 'v34.04'])
const CONSOLE_VERSION = '34.04.145'
const login = z.looseObject({
  username: z.string().optional(),
  password: z.string().optional(),
  token: z.string().optional(),
})

/** Compute's endpoints by `METHOD name`. */
export function computeEndpoints(options: ComputeOptions): Map<string, Endpoint> {
  const none: ReadonlySet<never> = new Set<never>()
  const withToken = (call: Call, answer: () => Answer): Answer =>
    authorized(options, call) ? answer() : computeError(401, 'invalid credentials')
  const issue = (call: Call) => json(200, { token: options.tokens.issue('compute', call.nowMs) })
  return new Map<string, Endpoint>([
    [
      'POST authenticate',
      {
        name: 'compute.authenticate',
        shows: none,
        answer: (call) =>
          knows(options, call) ? issue(call) : computeError(401, 'invalid credentials'),
      },
    ],
    [
      'GET authenticate/renew',
      {
        name: 'compute.renew',
        shows: none,
        answer: (call) => withToken(call, () => issue(call)),
      },
    ],
    [
      'GET version',
      {
        name: 'compute.version',
        shows: none,
        answer: (call) => withToken(call, () => json(200, CONSOLE_VERSION)),
      },
    ],
    ...Object.entries(COMPUTE_LISTINGS).map(
      ([path, listing]) => [`GET ${path}`, listingEndpoint(listing, options)] as const,
    ),
  ])
}

function knows({ key, tokens }: ComputeOptions, call: Call): boolean {
  const given = login.safeParse(parsed(call.body))
  if (!given.success) return false
  const { username, password, token } = given.data
  if (token !== undefined) return tokens.valid('cspm', token, call.nowMs)
  return username === key.accessKeyId && password === key.secretKey
}

function listingEndpoint(listing: ComputeListing, options: ComputeOptions): Endpoint {
  const { world, pageRowsMax } = options
  const admit = options.newLimit()
  return {
    name: listing.stream,
    shows: new Set(['empty', 'missing-rows', 'drop-field'] as const),
    answer: (call) =>
      authorized(options, call)
        ? listingPage(listing, { world, pageRowsMax, admit }, call)
        : computeError(401, 'invalid credentials'),
  }
}

/** Compute's own token, the key as user and password, or CSPM's token in CSPM's header. */
function authorized({ tokens, key }: ComputeOptions, call: Call): boolean {
  const [scheme, credentials] = (headerText(call, 'authorization') ?? '').split(' ')
  if (scheme === 'Bearer') return tokens.valid('compute', credentials, call.nowMs)
  if (scheme === 'Basic') {
    const given = Buffer.from(credentials ?? '', 'base64').toString('utf8')
    return given === `${key.accessKeyId}:${key.secretKey}`
  }
  return tokens.valid('cspm', headerText(call, 'x-redlock-auth'), call.nowMs)
}
