// A company's proxy for a test: CONNECT with basic authentication, and names that only it knows.
import { type IncomingMessage, createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { onTestFinished } from 'vitest'
import type { KeyPair } from './tls.ts'

export type ProxyOptions = {
  readonly username: string
  readonly password: string
  /** Ports on this machine by the `host:port` that clients ask for. */
  readonly routes: Readonly<Record<string, number>>
  /** Clients speak TLS with the proxy itself. Default: plain HTTP. */
  readonly tls?: KeyPair
  /** Takes CONNECT and says nothing, ever. Default false. */
  readonly silent?: boolean
  /** Tunnels that are broken after so many bytes from the vendor, one number each, first first. */
  readonly breakAfterBytes?: readonly number[]
}

export type TestProxy = {
  readonly port: number
  /** What was asked for, in order. */
  readonly targets: readonly string[]
}

/** Stops with the test. */
export async function runProxy(options: ProxyOptions): Promise<TestProxy> {
  const targets: string[] = []
  const sockets = new Set<Duplex>()
  const server = options.tls ? createTlsServer({ ...options.tls }) : createServer()
  server.on('connect', (asked: IncomingMessage, socket: Duplex, head: Buffer) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    targets.push(asked.url ?? '')
    if (options.silent === true) return
    const port = options.routes[asked.url ?? '']
    if (!isAllowed(asked, options)) refuse(socket, '407 Proxy Authentication Required')
    else if (port === undefined) refuse(socket, '502 Bad Gateway')
    else tunnel(socket, head, port, options.breakAfterBytes?.[targets.length - 1] ?? Infinity)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  })
  return { port: (server.address() as AddressInfo).port, targets }
}

function isAllowed({ headers }: IncomingMessage, { username, password }: ProxyOptions): boolean {
  const wanted = Buffer.from(`${username}:${password}`).toString('base64')
  return headers['proxy-authorization'] === `Basic ${wanted}`
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nproxy-authenticate: Basic realm="test"\r\n\r\n`)
}

function tunnel(socket: Duplex, head: Buffer, port: number, bytesMax: number): void {
  const target = connect(port, '127.0.0.1', () => {
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    target.write(head)
    socket.pipe(target)
    target.pipe(socket)
  })
  let bytes = 0
  target.on('data', (piece: Buffer) => {
    bytes += piece.length
    if (bytes > bytesMax) socket.destroy()
  })
  target.on('error', () => socket.destroy())
  socket.on('close', () => target.destroy())
}
