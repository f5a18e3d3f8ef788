// Compute endpoints under /<tenant>/api/<version>: login, version and hosts.
import { z } from 'zod'
import { type Answer, json } from '../delivery.ts'
import { type Row, jsonArray, pageRows, rowOf, shownRows } from '../rows.ts'
import type { Call, Endpoint } from '../site.ts'
import type { World } from '../world.ts'
import { computeError, limited } from './answers.ts'
import { type AccessKey, headerText, parsed } from './cspm.ts'
import { type HostView, hostRecord } from './host-record.ts'
import type { Tokens } from './tokens.ts'

export type ComputeOptions = {
  readonly world: World
  readonly key: AccessKey
  readonly tokens: Tokens
  /** Rows of one page; a larger `limit` is cut to it. */
  readonly pageRowsMax: number
  /** Asked once per listing; false answers 429. */
  readonly admit: (nowMs: number) => boolean
}

/** Versions in the path that the console knows. */
export const VERSIONS: ReadonlySet<string> = new Set(['v1', 'v34.04'])
const CONSOLE_VERSION = '34.04.145'
const PAGE_ROWS_DEFAULT = 50
const login = z.looseObject({
  username: z.string().optional(),
  password: z.string().optional(),
  token: z.string().optional(),
})

/** Compute's endpoints by `METHOD name`. */
export function computeEndpoints(options: ComputeOptions): Map<string, Endpoint> {
  const none: ReadonlySet<never> = new Set<never>()
  const withToken = (call: Call, answer: () => Answer): Answer =>
    authorized(options.tokens, call) ? answer() : computeError(401, 'invalid credentials')
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
    [
      'GET hosts',
      {
        name: 'compute.hosts',
        shows: new Set(['empty', 'missing-rows', 'drop-field'] as const),
        answer: (call) => withToken(call, () => hosts(options, call)),
      },
    ],
  ])
}

function knows({ key, tokens }: ComputeOptions, call: Call): boolean {
  const given = login.safeParse(parsed(call.body))
  if (!given.success) return false
  const { username, password, token } = given.data
  if (token !== undefined) return tokens.valid('cspm', token, call.nowMs)
  return username === key.accessKeyId && password === key.secretKey
}

/** Either Compute's own token, or CSPM's in CSPM's header. */
function authorized(tokens: Tokens, call: Call): boolean {
  const [scheme, bearer] = (headerText(call, 'authorization') ?? '').split(' ')
  if (scheme === 'Bearer') return tokens.valid('compute', bearer, call.nowMs)
  return tokens.valid('cspm', headerText(call, 'x-redlock-auth'), call.nowMs)
}

function hosts(options: ComputeOptions, call: Call): Answer {
  if (!options.admit(call.nowMs)) return limited('compute', {})
  const limit = wholeNumber(call.query.get('limit'), PAGE_ROWS_DEFAULT)
  const offset = wholeNumber(call.query.get('offset'), 0)
  if (limit === null || offset === null) return computeError(400, 'invalid limit or offset')
  const view = {
    normalizedSeverity: call.query.get('normalizedSeverity') === 'true',
    compact: call.query.get('compact') === 'true',
  }
  const shown = shownRows(hostRows(options.world, view), call.fault)
  const rowsMax = limit === 0 ? PAGE_ROWS_DEFAULT : Math.min(limit, options.pageRowsMax)
  const page = pageRows(shown.rows.slice(offset, offset + rowsMax), call.fault)
  // Past the end the vendor says `null`, never `[]`; bodies end with a newline.
  const body = page.length === 0 ? Buffer.from('null') : jsonArray(page)
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'total-count': String(shown.declared) },
    body: Buffer.concat([body, Buffer.from('\n')]),
  }
}

function hostRows(world: World, view: HostView): readonly Row[] {
  const fromFile = world.files.get('compute.hosts')
  if (fromFile !== undefined) return fromFile
  return world
    .estate()
    .machines.filter((m) => m.inCompute)
    .map((m) => rowOf(m.hostname, () => hostRecord(m, view)))
}

/** Null for anything but a whole number of at least 0. */
function wholeNumber(text: string | null, absent: number): number | null {
  if (text === null) return absent
  return /^\d{1,9}$/.test(text) ? Number(text) : null
}
