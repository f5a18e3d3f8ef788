// A real HTTP server on loopback for one test, stopped with it.
import {
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  createServer,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

export type Received = {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
  readonly atMs: number
}

export type TestServer = {
  readonly url: string
  readonly server: Server
  readonly received: Received[]
}

/** `answer` gets the request, its number from 1, and its body. */
export async function serve(
  answer: (request: Received, response: ServerResponse, number: number) => void | Promise<void>,
): Promise<TestServer> {
  const received: Received[] = []
  const answered: RequestListener = (request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      const body = Buffer.concat(pieces).toString()
      const call = { method, url, headers, body, atMs: performance.now() }
      received.push(call)
      void answer(call, response, received.length)
    })
  }
  return { ...(await listenOn(answered)), received }
}

/** Any listener on loopback, stopped with the test. */
export async function listenOn(
  answer: RequestListener,
): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer(answer)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, server }
}

/** Answers with JSON. */
export function reply(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(value))
}
