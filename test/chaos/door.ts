// A door before a server: open it passes all, closed it refuses, and breaks what is under way.
import { type Server, type Socket, connect, createServer } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

export type Door = {
  /** `host:port` in place of the server's. */
  readonly address: string
  /** Connections are refused and those there are broken, until `open`. */
  close(): Promise<void>
  open(): Promise<void>
  /** For good. */
  end(): Promise<void>
}

/** Opens before `host:port`. */
export async function openDoor(host: string, port: number): Promise<Door> {
  const sockets = new Set<Socket>()
  const own = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    return socket
  }
  const serve = (client: Socket) => {
    own(client)
    const server = own(connect(port, host))
    client.pipe(server)
    server.pipe(client)
    client.on('close', () => server.destroy())
    server.on('close', () => client.destroy())
  }
  let listening: Server | null = createServer(serve)
  await listen(listening, 0)
  const { port: ownPort } = listening.address() as AddressInfo
  const close = async () => {
    const server = listening
    listening = null
    if (server === null) return
    const closed = once(server, 'close')
    server.close()
    for (const socket of sockets) socket.destroy()
    await closed
  }
  return {
    address: `127.0.0.1:${ownPort}`,
    close,
    async open() {
      if (listening !== null) return
      listening = createServer(serve)
      await listen(listening, ownPort)
    },
    end: close,
  }
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
}
