// Stands between a Kafka client and its brokers, and lets a rule decide what becomes of a request.
import { createServer, connect, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { API, framed, FrameSplitter, WireReader, WireWriter } from './kafka-wire.ts'

/** Requests of one connection that may wait for one another; past it the connection is cut. */
const WAITING_REQUESTS_MAX = 1_000
const BROKERS_MAX = 16
const CONNECTIONS_MAX = 2_000

export type ProxiedRequest = {
  readonly apiKey: number
  readonly apiVersion: number
  readonly clientId: string
  /** How many of this API key have come, this one included. */
  readonly nth: number
  /** The broker it is meant for, `host:port`. */
  readonly broker: string
  /** Behind the header. */
  readonly body: Buffer
}

/**
 * What becomes of a request.
 * - `pass`: nothing.
 * - `cut-before`: the connection ends; the broker never sees the request.
 * - `cut-after`: the broker carries it out, and the connection ends in place of the answer.
 * - `drop-answer`: the broker carries it out, the answer is lost, the connection stays.
 * - hold: the request, and all behind it, reach the broker only when the promise resolves; even
 *   when the client has given up by then, as with a network that is slow.
 * - lateMs: the broker carries it out at once; its answer comes so many milliseconds late.
 * - answer: the proxy answers in the broker's place, which never sees the request.
 */
export type Fate =
  | 'pass'
  | 'cut-before'
  | 'cut-after'
  | 'drop-answer'
  | { readonly hold: Promise<unknown> }
  | { readonly lateMs: number }
  | { readonly answer: Buffer }

export type Rule = (request: ProxiedRequest) => Fate

export type KafkaProxy = {
  /** Where clients connect to, in place of `brokers`. */
  readonly brokers: string[]
  /** From now on. */
  setRule(rule: Rule): void
  /** How many requests had each fate but `pass`. */
  readonly done: ReadonlyMap<string, number>
  /** Connections cut because of a fault of the proxy's own; empty when all is well. */
  readonly faults: readonly string[]
  /** Cuts all connections and stops listening. */
  close(): Promise<void>
}

type Proxy = {
  rule: Rule
  readonly listeners: Map<string, Promise<Listener>>
  readonly sockets: Set<Socket>
  readonly counts: Map<number, number>
  readonly done: Map<string, number>
  readonly faults: string[]
  readonly timers: Set<NodeJS.Timeout>
  closed: boolean
}
type Listener = { readonly server: Server; readonly port: number }

/** Stands before `brokers` and before every other broker that they tell of. Speaks no TLS. */
export async function openKafkaProxy(
  brokers: readonly string[],
  rule: Rule = () => 'pass',
): Promise<KafkaProxy> {
  const proxy: Proxy = {
    rule,
    listeners: new Map(),
    sockets: new Set(),
    counts: new Map(),
    done: new Map(),
    faults: [],
    timers: new Set(),
    closed: false,
  }
  const addresses: string[] = []
  for (const broker of brokers) {
    addresses.push(`127.0.0.1:${(await listenerFor(proxy, broker)).port}`)
  }
  return {
    brokers: addresses,
    setRule(next) {
      proxy.rule = next
    },
    done: proxy.done,
    faults: proxy.faults,
    async close() {
      proxy.closed = true
      for (const timer of proxy.timers) clearTimeout(timer)
      const listeners = await Promise.all(proxy.listeners.values())
      const ended = listeners.map(({ server }) => once(server, 'close'))
      for (const { server } of listeners) server.close()
      for (const socket of proxy.sockets) socket.destroy()
      await Promise.all(ended)
    },
  }
}

function listenerFor(proxy: Proxy, broker: string): Promise<Listener> {
  const known = proxy.listeners.get(broker)
  if (known !== undefined) return known
  if (proxy.listeners.size >= BROKERS_MAX) throw new Error('too many brokers for one proxy')
  const opening = listen(proxy, broker)
  proxy.listeners.set(broker, opening)
  return opening
}

async function listen(proxy: Proxy, broker: string): Promise<Listener> {
  const server = createServer((socket) => carry(proxy, broker, socket))
  server.maxConnections = CONNECTIONS_MAX
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port to listen on')
  return { server, port: address.port }
}

type Pending = { readonly apiKey: number; readonly apiVersion: number; readonly fate: Fate }
type Connection = {
  readonly proxy: Proxy
  readonly broker: string
  readonly client: Socket
  readonly upstream: Socket
  /** By correlation id: what the client still waits for. */
  readonly pending: Map<number, Pending>
  /** Requests go one after the other, as they would over TCP. */
  line: Promise<void>
  waiting: number
}

function carry(proxy: Proxy, broker: string, client: Socket): void {
  const at = broker.lastIndexOf(':')
  const upstream = connect({ host: broker.slice(0, at), port: Number(broker.slice(at + 1)) })
  const connection: Connection = {
    proxy,
    broker,
    client,
    upstream,
    pending: new Map(),
    line: Promise.resolve(),
    waiting: 0,
  }
  for (const socket of [client, upstream]) {
    proxy.sockets.add(socket)
    socket.setNoDelay(true)
    // The end of the connection, which follows, is what counts.
    socket.on('error', () => socket.destroy())
    socket.on('close', () => proxy.sockets.delete(socket))
  }
  upstream.on('close', () => client.destroy())
  // What the client has sent reaches the broker all the same.
  client.on('close', () => void connection.line.then(() => upstream.end()))
  const requests = new FrameSplitter()
  client.on('data', (bytes) => guarded(connection, () => takeRequests(connection, requests, bytes)))
  const answers = new FrameSplitter()
  upstream.on('data', (bytes) =>
    guarded(connection, () => {
      for (const frame of answers.push(bytes)) void passAnswer(connection, frame)
    }),
  )
}

function guarded(connection: Connection, work: () => void): void {
  try {
    work()
  } catch (error) {
    fail(connection, error)
  }
}

function fail({ proxy, client, upstream }: Connection, error: unknown): void {
  if (!proxy.closed) proxy.faults.push(String(error))
  client.destroy()
  upstream.destroy()
}

function takeRequests(connection: Connection, splitter: FrameSplitter, bytes: Buffer): void {
  for (const frame of splitter.push(bytes)) {
    connection.waiting += 1
    if (connection.waiting > WAITING_REQUESTS_MAX) throw new Error('too many requests wait')
    connection.line = connection.line.then(async () => {
      connection.waiting -= 1
      try {
        await passRequest(connection, frame)
      } catch (error) {
        fail(connection, error)
      }
    })
  }
}

async function passRequest(connection: Connection, frame: Buffer): Promise<void> {
  const { proxy, broker, client, upstream } = connection
  const header = new WireReader(frame)
  const apiKey = header.int16()
  const apiVersion = header.int16()
  const correlationId = header.int32()
  const clientId = header.string() ?? ''
  const nth = (proxy.counts.get(apiKey) ?? 0) + 1
  proxy.counts.set(apiKey, nth)
  const body = header.rest()
  const fate = proxy.rule({ apiKey, apiVersion, clientId, nth, broker, body })
  note(proxy, fate)
  if (fate === 'cut-before') {
    client.destroy()
    upstream.destroy()
    return
  }
  if (typeof fate === 'object' && 'answer' in fate) {
    client.write(framed(new WireWriter().int32(correlationId).bytes(), fate.answer))
    return
  }
  if (typeof fate === 'object' && 'hold' in fate) await fate.hold
  connection.pending.set(correlationId, { apiKey, apiVersion, fate })
  if (!upstream.destroyed) upstream.write(framed(frame))
}

function note(proxy: Proxy, fate: Fate): void {
  const name = typeof fate === 'string' ? fate : (Object.keys(fate)[0] ?? '')
  if (name !== 'pass') proxy.done.set(name, (proxy.done.get(name) ?? 0) + 1)
}

async function passAnswer(connection: Connection, frame: Buffer): Promise<void> {
  const { proxy, client, upstream, pending } = connection
  try {
    const correlationId = frame.readInt32BE(0)
    const request = pending.get(correlationId)
    if (request === undefined) throw new Error('an answer without a request')
    pending.delete(correlationId)
    const { fate } = request
    if (fate === 'drop-answer') return
    if (fate === 'cut-after') {
      client.destroy()
      upstream.destroy()
      return
    }
    const answer = framed(await behindProxy(proxy, request, frame))
    const send = () => {
      if (!client.destroyed) client.write(answer)
    }
    if (typeof fate === 'object' && 'lateMs' in fate) later(proxy, fate.lateMs, send)
    else send()
  } catch (error) {
    fail(connection, error)
  }
}

function later(proxy: Proxy, ms: number, work: () => void): void {
  const timer = setTimeout(() => {
    proxy.timers.delete(timer)
    work()
  }, ms)
  proxy.timers.add(timer)
}

/** Answers that name brokers name the proxy instead: no client finds its way past it. */
async function behindProxy(proxy: Proxy, request: Pending, frame: Buffer): Promise<Buffer> {
  const { apiKey, apiVersion } = request
  const reader = new WireReader(frame)
  const out = new WireWriter().int32(reader.int32())
  if (apiKey === API.metadata) {
    if (apiVersion < 1 || apiVersion > 8) throw new Error(`metadata of version ${apiVersion}`)
    if (apiVersion >= 3) out.int32(reader.int32())
    const count = reader.int32()
    out.int32(count)
    for (let i = 0; i < count; i += 1) {
      out.int32(reader.int32())
      await redirect(proxy, reader, out)
      out.string(reader.string())
    }
    return Buffer.concat([out.bytes(), reader.rest()])
  }
  if (apiKey === API.findCoordinator) {
    if (apiVersion < 1 || apiVersion > 2) throw new Error(`coordinator of version ${apiVersion}`)
    out.int32(reader.int32()).int16(reader.int16()).string(reader.string()).int32(reader.int32())
    await redirect(proxy, reader, out)
    return out.bytes()
  }
  return frame
}

async function redirect(proxy: Proxy, reader: WireReader, out: WireWriter): Promise<void> {
  const host = reader.string() ?? ''
  const port = reader.int32()
  // A coordinator that is not known has no address.
  if (port < 0) {
    out.string(host).int32(port)
    return
  }
  const listener = await listenerFor(proxy, `${host}:${port}`)
  out.string('127.0.0.1').int32(listener.port)
}
