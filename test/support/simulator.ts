// Starts simulators for tests and speaks to them plainly, so that tests see the very bytes.
import { createHash, randomBytes } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { request } from 'undici'
import { onTestFinished } from 'vitest'
import {
  type CortexAccess,
  type Simulator,
  type SimulatorOptions,
  startSimulator,
} from '../../simulator/simulator.ts'

const REQUEST_TIMEOUT_MS = 20_000
const PAGES_MAX = 500

/** A simulator that stops with the test; 20 machines of seed 1, no rate limits, unless said so. */
export async function runSimulator(options: Partial<SimulatorOptions> = {}): Promise<Simulator> {
  const simulator = await startSimulator({ seed: 1, machines: 20, rateLimits: false, ...options })
  onTestFinished(() => simulator.stop())
  return simulator
}

export type Reply = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** As they came over the wire: gzip is not undone. */
  readonly bytes: Buffer
  readonly text: string
}
type Asking = {
  readonly method?: 'GET' | 'POST' | 'DELETE'
  readonly headers?: Record<string, string>
  readonly body?: string
}

/** One request. @throws the client's own error when the connection breaks */
export async function ask(url: string, asking: Asking = {}): Promise<Reply> {
  const { statusCode, headers, body } = await request(url, {
    method: asking.method ?? 'GET',
    headers: asking.headers ?? {},
    body: asking.body ?? null,
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  })
  const bytes = Buffer.from(await body.arrayBuffer())
  return { status: statusCode, headers, bytes, text: bytes.toString('utf8') }
}

/** Logs in with the simulator's key. */
export async function logIn({ prisma }: Simulator): Promise<string> {
  const body = JSON.stringify({ username: prisma.accessKeyId, password: prisma.secretKey })
  const reply = await ask(`${prisma.url}/login`, { method: 'POST', body })
  return (JSON.parse(reply.text) as { token: string }).token
}

/** GET of Compute's hosts with CSPM's token. */
export const askHosts = (
  { prisma }: Simulator,
  token: string,
  query: string,
  headers: Record<string, string> = {},
): Promise<Reply> =>
  ask(`${prisma.url}/us-sim-1/api/v1/hosts?${query}`, {
    headers: { 'x-redlock-auth': token, ...headers },
  })

/** All hosts, page by page until `null`. */
export async function listHosts(simulator: Simulator): Promise<Record<string, unknown>[]> {
  const token = await logIn(simulator)
  const hosts: Record<string, unknown>[] = []
  for (let page = 0; page < PAGES_MAX; page++) {
    const query = `limit=50&offset=${hosts.length}&normalizedSeverity=true`
    const rows = JSON.parse((await askHosts(simulator, token, query)).text) as typeof hosts | null
    if (rows === null) return hosts
    hosts.push(...rows)
  }
  throw new Error(`more than ${PAGES_MAX} pages of hosts`)
}

export type KeyUse = { readonly nonce?: string; readonly timestampMs?: number }

/** The headers of `access`'s key, in its level's form. */
export function cortexHeaders(access: CortexAccess, use: KeyUse = {}): Record<string, string> {
  const id = { 'x-xdr-auth-id': String(access.apiKeyId), 'content-type': 'application/json' }
  if (access.securityLevel === 'standard') return { ...id, authorization: access.apiKey }
  const nonce = use.nonce ?? randomBytes(32).toString('hex')
  const timestamp = String(use.timestampMs ?? Date.now())
  const hash = createHash('sha256').update(`${access.apiKey}${nonce}${timestamp}`).digest('hex')
  return { ...id, authorization: hash, 'x-xdr-nonce': nonce, 'x-xdr-timestamp': timestamp }
}

/** POST of `data` as `request_data` to `/public_api/v1/<call>`. */
export const askCortex = (
  access: CortexAccess,
  call: string,
  data: unknown = {},
  headers: Record<string, string> = {},
): Promise<Reply> =>
  ask(`${access.url}/public_api/v1/${call}`, {
    method: 'POST',
    headers: { ...cortexHeaders(access), ...headers },
    body: JSON.stringify({ request_data: data }),
  })

type Rows = Record<string, unknown>[]

/** All XDR endpoints of a tenant. */
export async function listEndpoints(access: CortexAccess): Promise<Rows> {
  const sort = { field: 'endpoint_id', keyword: 'ASC' }
  return listWindows(100, async (search_from, search_to) => {
    const window = { search_from, search_to, sort }
    const reply = await askCortex(access, 'endpoints/get_endpoint', window)
    return (JSON.parse(reply.text) as { reply: { endpoints: Rows } }).reply.endpoints
  })
}

/** All assets of a tenant's inventory, with addresses and system. */
export async function listAssets(access: CortexAccess): Promise<Rows> {
  const rest = {
    sort: [{ FIELD: 'xdm.asset.id', ORDER: 'ASC' }],
    on_demand_fields: ['xdm.host.ipv4_addresses', 'xdm.host.os_family'],
  }
  return listWindows(1_000, async (search_from, search_to) => {
    const reply = await askCortex(access, 'assets', { search_from, search_to, ...rest })
    return (JSON.parse(reply.text) as { reply: { data: Rows } }).reply.data
  })
}

async function listWindows(
  span: number,
  page: (from: number, to: number) => Promise<Rows>,
): Promise<Rows> {
  const rows: Rows = []
  for (let n = 0; n < PAGES_MAX; n++) {
    const found = await page(n * span, (n + 1) * span)
    rows.push(...found)
    if (found.length < span) return rows
  }
  throw new Error(`more than ${PAGES_MAX} pages`)
}

export type XqlResult = {
  readonly status: string
  readonly number_of_results: number
  readonly results: { readonly data?: Rows; readonly stream_id?: string }
}

/** The id of a new query. */
export async function startXql(access: CortexAccess, query: string): Promise<string> {
  const reply = await askCortex(access, 'xql/start_xql_query', { query })
  return (JSON.parse(reply.text) as { reply: string }).reply
}

/** The result of a query, waiting for it. */
export async function xqlResult(
  access: CortexAccess,
  query_id: string,
  limit?: number,
): Promise<XqlResult> {
  const data = { query_id, pending_flag: false, ...(limit === undefined ? {} : { limit }) }
  const reply = await askCortex(access, 'xql/get_query_results', data)
  return (JSON.parse(reply.text) as { reply: XqlResult }).reply
}

/** All open weaknesses of a tenant, from the result or its stream. */
export async function listFindings(access: CortexAccess): Promise<Rows> {
  const query =
    'dataset = findings | filter xdm.finding.category = "VULNERABILITY" ' +
    'and xdm.finding.is_active = true | sort asc xdm.finding.id'
  const { results } = await xqlResult(access, await startXql(access, query), 1_000_000)
  if (results.data !== undefined) return results.data
  const data = { stream_id: results.stream_id, is_gzip_compressed: true }
  const { bytes } = await askCortex(access, 'xql/get_query_results_stream', data)
  const lines = gunzipSync(bytes).toString('utf8').trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}
