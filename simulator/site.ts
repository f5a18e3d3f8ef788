// One vendor's API on a loopback port: reads requests, applies faults, sends answers.
import { once } from 'node:events'
import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
  createServer,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type { VendorId } from '../contracts/topics.ts'
import { type Answer, deliver, text } from './delivery.ts'
import type { FaultControl, FaultKind, SetFault, StatusAnswer } from './faults.ts'
import type { SiteCounter } from './stats.ts'

export type Call = {
  readonly method: string
  /** Without query; a trailing slash is gone. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly nowMs: number
  readonly fault: SetFault | null
}

export type Endpoint = {
  /** E.g. `compute.hosts`; faults and counts go by it. */
  readonly name: string
  /** Special faults it can show. */
  readonly shows: ReadonlySet<FaultKind>
  readonly answer: (call: Call) => Answer
}

export type Site = {
  readonly vendor: VendorId
  readonly tenant: string
  /** Total: an unknown path has an endpoint too, named `unknown`. */
  find(method: string, path: string): Endpoint
  /** How this vendor words a status. */
  statusAnswer(answer: StatusAnswer, endpoint: Endpoint): Answer
  expireTokens(): void
}

export type SiteOptions = {
  /** 0 chooses a free one. */
  readonly port: number
  readonly faults: FaultControl
  readonly counter: SiteCounter
  readonly clock: () => number
}

export type RunningSite = { readonly url: string; readonly stop: () => Promise<void> }

const BODY_BYTES_MAX = 1024 * 1024
/** Gateways before such APIs take no longer ones. */
const URL_CHARACTERS_MAX = 8_000
const REQUEST_TIMEOUT_MS = 60_000

/** Listens on 127.0.0.1. @throws Error of node:net when the port is taken */
export async function startSite(site: Site, options: SiteOptions): Promise<RunningSite> {
  const stopped = new AbortController()
  const memory = createMemory()
  const running = await listen(options.port, (request, response) =>
    serve(site, options, memory, stopped.signal, request, response),
  )
  return {
    url: running.url,
    stop: () => {
      stopped.abort()
      return running.stop()
    },
  }
}

type Memory = ReturnType<typeof createMemory>

/** The last answer of each endpoint, for `repeat-page`. */
function createMemory() {
  const last = new Map<string, Answer>()
  return {
    shown: (endpoint: string, answer: Answer, fault: SetFault | null): Answer => {
      const before = last.get(endpoint)
      if (fault?.kind === 'repeat-page' && before !== undefined) return before
      // A body in blocks can be sent only once.
      if (answer.status === 200 && Buffer.isBuffer(answer.body)) last.set(endpoint, answer)
      return answer
    },
  }
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** An HTTP server on 127.0.0.1; `stop` breaks the connections still open. */
export async function listen(port: number, handle: Handler): Promise<RunningSite> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    handle(request, response).catch((error: unknown) => {
      // Only a fault of the simulator itself comes here; the client must not wait for ever.
      response.destroy(error instanceof Error ? error : new Error(String(error)))
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${address.port}`,
    stop: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function serve(
  site: Site,
  options: SiteOptions,
  memory: Memory,
  stopped: AbortSignal,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(`http://simulator${request.url ?? '/'}`)
  const method = request.method ?? 'GET'
  const path = url.pathname.length > 1 ? url.pathname.replace(/\/$/, '') : url.pathname
  const endpoint = site.find(method, path)
  const done = options.counter.begin(endpoint.name)
  let status = 0
  try {
    const body = await readBody(request)
    const { vendor, tenant } = site
    const target = { vendor, tenant, endpoint: endpoint.name, path, shows: endpoint.shows }
    const fault = options.faults.take(target)
    if (fault?.kind === 'slow') await pause(fault.delayMs, request, stopped)
    if (fault?.kind === 'expire-token') site.expireTokens()
    const { headers } = request
    const query = url.searchParams
    const call = { method, path, query, headers, body, nowMs: options.clock(), fault }
    const isTooLong = (request.url ?? '').length > URL_CHARACTERS_MAX
    const made = isTooLong
      ? site.statusAnswer('uri-too-long', endpoint)
      : answerOf(site, endpoint, call)
    const answer = memory.shown(endpoint.name, made, fault)
    status = answer.status
    await deliver(response, answer, fault, headers['accept-encoding'] ?? '')
  } finally {
    done(status)
  }
}

function answerOf(
  site: Site,
  endpoint: Endpoint,
  call: Omit<Call, 'body'> & { body: Buffer | null },
) {
  const { fault, body } = call
  if (body === null) return text(413, 'too large')
  if (fault?.kind === 'status') return site.statusAnswer(fault.answer, endpoint)
  if (fault?.kind === 'not-json') {
    return { status: 200, headers: JSON_TYPE, body: Buffer.from('upstream said nothing useful') }
  }
  return endpoint.answer({ ...call, body })
}
const JSON_TYPE = { 'content-type': 'application/json' }

/** Ends early when the client goes or the simulator stops. */
async function pause(ms: number, request: IncomingMessage, stopped: AbortSignal): Promise<void> {
  const gone = new AbortController()
  const leave = () => gone.abort()
  request.socket.once('close', leave)
  try {
    await wait(ms, undefined, { signal: AbortSignal.any([gone.signal, stopped]) })
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'AbortError') throw error
  } finally {
    request.socket.off('close', leave)
  }
}

/** The body, or null above 1 MiB. */
export async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk)
  }
  return bytes > BODY_BYTES_MAX ? null : Buffer.concat(chunks)
}
