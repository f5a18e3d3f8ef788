// A proxy before a simulated vendor that keeps what was asked and what was answered, unzipped.
import { type IncomingHttpHeaders, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { request } from 'undici'
import { onTestFinished } from 'vitest'

const TIMEOUT_MS = 60_000

export type Exchange = {
  readonly method: string
  /** Without query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly status: number
  readonly contentType: string
  /** Without any layer of gzip. */
  readonly answer: Buffer
}

export type Recording = { readonly url: string; readonly exchanges: readonly Exchange[] }

/** Stops with the test. The host the client asked for is passed on, so that links lead here. */
export async function recordingProxy(target: string): Promise<Recording> {
  const exchanges: Exchange[] = []
  const server = createServer((asked, response) => {
    const pieces: Buffer[] = []
    asked.on('data', (piece: Buffer) => pieces.push(piece))
    asked.on('end', () => {
      void forward(target, asked.method ?? 'GET', asked.url ?? '/', asked.headers, pieces).then(
        ({ exchange, headers }) => {
          exchanges.push(exchange)
          response.writeHead(exchange.status, headers)
          response.end(exchange.wire)
        },
        () => response.destroy(),
      )
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, exchanges }
}

async function forward(
  target: string,
  method: string,
  url: string,
  headers: IncomingHttpHeaders,
  pieces: readonly Buffer[],
) {
  const body = Buffer.concat(pieces)
  const { connection: _connection, 'accept-encoding': _encoding, ...passed } = headers
  const answer = await request(`${target}${url}`, {
    method: method as 'GET' | 'POST',
    headers: passed,
    body: body.length === 0 ? null : body,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  const wire = Buffer.from(await answer.body.arrayBuffer())
  const { pathname, searchParams } = new URL(url, 'http://proxy')
  const { 'content-length': _length, 'transfer-encoding': _transfer, ...rest } = answer.headers
  const exchange = {
    method,
    path: pathname,
    query: searchParams,
    headers,
    body: body.toString(),
    status: answer.statusCode,
    contentType: String(answer.headers['content-type'] ?? ''),
    answer: unzipped(wire),
    wire,
  }
  return { exchange, headers: rest }
}

const isGzip = (bytes: Buffer): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b
const unzipped = (bytes: Buffer): Buffer => (isGzip(bytes) ? unzipped(gunzipSync(bytes)) : bytes)
