// The undici end of the HTTP client: pool per base URL, proxy, extra authority, timeouts, gunzip.
import { rootCertificates } from 'node:tls'
import { createGunzip } from 'node:zlib'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Dispatcher, Pool, ProxyAgent } from 'undici'
import { asProxyFault } from './http-errors.ts'

export type HttpHeaders = Readonly<Record<string, string>>

export type TransportOptions = {
  /** Scheme and host; a path in it is kept in front of every call's path. */
  readonly baseUrl: string
  readonly connectionsMax: number
  readonly proxy: {
    readonly url: string
    readonly username: string
    readonly password: string
  } | null
  /** PEM of authorities to trust besides the usual ones. */
  readonly caPem: string | null
}

export type TransportRequest = {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  readonly headers: HttpHeaders
  readonly body: string | Buffer | null
  readonly signal: AbortSignal
}

/** `body` is decompressed; it must be read to its end or closed with `return()`. */
export type TransportAnswer = {
  readonly status: number
  readonly headers: HttpHeaders
  readonly body: AsyncIterableIterator<Buffer>
}

export type Transport = {
  request(request: TransportRequest): Promise<TransportAnswer>
  close(): Promise<void>
}

const CONNECT_TIMEOUT_MS = 10_000
const KEEP_ALIVE_TIMEOUT_MS = 30_000
/** A page of 50 hosts with their CVEs may take the vendor minutes to put together. */
const HEADERS_TIMEOUT_MS = 180_000
const BODY_TIMEOUT_MS = 60_000

export function createTransport(options: TransportOptions): Transport {
  const base = new URL(options.baseUrl)
  const prefix = base.pathname.replace(/\/+$/, '')
  const dispatcher = createDispatcher(options, base.origin)
  return {
    request: async ({ method, path, headers, body, signal }) => {
      const answer = await dispatcher.request({
        origin: base.origin,
        method,
        path: prefix + path,
        headers: { ...headers, 'accept-encoding': 'gzip' },
        body,
        signal,
        headersTimeout: HEADERS_TIMEOUT_MS,
        bodyTimeout: BODY_TIMEOUT_MS,
      })
      const flat = flatHeaders(answer.headers)
      const isGzip = /^\s*(x-)?gzip\s*$/i.test(flat['content-encoding'] ?? '')
      const chunks = bytesOf(answer.body)
      return { status: answer.statusCode, headers: flat, body: isGzip ? gunzip(chunks) : chunks }
    },
    // Not close(): that would wait for answers which nobody reads any more.
    close: () => dispatcher.destroy(),
  }
}

function createDispatcher(options: TransportOptions, origin: string): Dispatcher {
  const ca = options.caPem === null ? {} : { ca: [...rootCertificates, options.caPem] }
  const common = { connections: options.connectionsMax, keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS }
  const tls = { ...ca, timeout: CONNECT_TIMEOUT_MS }
  if (options.proxy === null) return new Pool(origin, { ...common, connect: tls })
  const { url, username, password } = options.proxy
  const basic = Buffer.from(`${username}:${password}`).toString('base64')
  return new ProxyAgent({
    ...common,
    uri: url,
    ...(username === '' ? {} : { token: `Basic ${basic}` }),
    requestTls: tls,
    proxyTls: tls,
    // Also for http: what passes is then the same whatever the scheme.
    proxyTunnel: true,
    clientFactory: (proxy, given) =>
      new Pool(proxy, { ...given, headersTimeout: CONNECT_TIMEOUT_MS }).compose(named(proxy.host)),
  })
}

/** Faults on the way to the proxy say so: those who read them would look at the vendor else. */
const named =
  (proxyHost: string): Dispatcher.DispatcherComposeInterceptor =>
  (dispatch) =>
  (options, handler) =>
    // All that a CONNECT can meet.
    dispatch(options, {
      onRequestStart: (...told) => handler.onRequestStart?.(...told),
      onRequestUpgrade: (...told) => handler.onRequestUpgrade?.(...told),
      onResponseStart: (...told) => handler.onResponseStart?.(...told),
      onResponseError: (controller, error) =>
        handler.onResponseError?.(controller, asProxyFault(proxyHost, error)),
    })

function flatHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): HttpHeaders {
  const flat: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined)
      flat[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value
  }
  return flat
}

async function* bytesOf(body: Readable): AsyncGenerator<Buffer, void> {
  for await (const chunk of body) yield chunk as Buffer
}

/** Decompresses one layer of gzip. Leaving it early closes what it reads from. */
export async function* gunzip(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  const unzipped = createGunzip()
  const pumping = pipeline(Readable.from(body, { objectMode: false }), unzipped)
  // The reader below meets the same error; unhandled, this copy of it would end the process.
  pumping.catch(() => undefined)
  try {
    for await (const chunk of unzipped) yield chunk as Buffer
    await pumping
  } finally {
    unzipped.destroy()
  }
}

/** The first bytes of a body, without losing them: `complete` when there are no more. */
export async function peek(
  body: AsyncIterableIterator<Buffer>,
  bytes: number,
): Promise<{ head: Buffer; complete: boolean; body: AsyncGenerator<Buffer, void> }> {
  const pieces: Buffer[] = []
  let length = 0
  let complete = false
  while (length < bytes && !complete) {
    const next = await body.next()
    if (next.done === true) complete = true
    else {
      pieces.push(next.value)
      length += next.value.length
    }
  }
  async function* replay(): AsyncGenerator<Buffer, void> {
    try {
      yield* pieces
      if (!complete) yield* body
    } finally {
      await body.return?.()
    }
  }
  return { head: Buffer.concat(pieces), complete, body: replay() }
}

/** All of a body, or null when it has more than `bytesMax`. */
export async function readUpTo(
  body: AsyncIterable<Buffer>,
  bytesMax: number,
): Promise<Buffer | null> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of body) {
    pieces.push(piece)
    length += piece.length
    if (length > bytesMax) return null
  }
  return Buffer.concat(pieces, length)
}

const GZIP_MAGIC = Buffer.from([0x1f, 0x8b])

/** Takes off the layers of gzip there are, at most `layersMax`, told by their first bytes. */
export async function* peelGzip(
  body: AsyncIterableIterator<Buffer>,
  layersMax: number,
): AsyncGenerator<Buffer, void> {
  const seen = await peek(body, GZIP_MAGIC.length)
  const isGzip = seen.head.subarray(0, GZIP_MAGIC.length).equals(GZIP_MAGIC)
  if (isGzip && layersMax > 0) yield* peelGzip(gunzip(seen.body), layersMax - 1)
  else yield* seen.body
}
