// The other side of a webhook, on loopback: takes calls, and keeps its incidents by dedup key.
import { type IncomingMessage, type Server, createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { ConnectorError } from '../../contracts/connector-error.ts'

/** A call's body, in the format `json`. */
export type Call = {
  readonly action: 'trigger' | 'update' | 'resolve'
  readonly dedup_key: string
  readonly error: ConnectorError
}

export type Receiver = {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string
  /** What was taken so far, oldest first. */
  readonly calls: readonly Call[]
  /** The last of each dedup key: by the time that it tells, as calls may overtake one another. */
  incidents(): Call[]
  forget(): void
  stop(): Promise<void>
}

/** What a call says that is refused for good. */
export const REFUSED_MESSAGE = 'not this one'

/** Starts it; `stop` is for the caller. */
export async function startReceiver(): Promise<Receiver> {
  const calls: Call[] = []
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const call = JSON.parse(body) as Call
      const isRefused = call.error.message === REFUSED_MESSAGE
      if (!isRefused) calls.push(call)
      response.writeHead(isRefused ? 422 : 200).end(isRefused ? 'it says too little' : 'ok')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    incidents: () => lastOf(calls),
    forget: () => void calls.splice(0),
    stop: () => stopped(server),
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  return Buffer.concat(pieces).toString()
}

function lastOf(calls: readonly Call[]): Call[] {
  const incidents = new Map<string, Call>()
  for (const call of calls) {
    const known = incidents.get(call.dedup_key)
    if (known === undefined || known.error.last_at <= call.error.last_at) {
      incidents.set(call.dedup_key, call)
    }
  }
  return [...incidents.values()]
}

async function stopped(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
