// One stack per data folder: a lock that vanishes with its holder, however that ends.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { realpathSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startFault } from './server.ts'

const TRIES_MAX = 3
const ANSWER_TIMEOUT_MS = 2_000

/**
 * Locks a data folder for this process, and says how to release it.
 * @throws PipelineError CONFIGURATION when another process holds it
 */
export async function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  const path = socketPath(dataDir)
  for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
    const server = await listen(path)
    if (server !== null) return () => release(server)
    if (path.startsWith('\0') || (await answers(path))) break
    // A socket file whose holder was killed; an abstract socket is never left behind.
    rmSync(path, { force: true })
  }
  throw startFault(
    `Another process runs a stack in ${dataDir}: stop it first, or choose another data folder.`,
  )
}

function socketPath(dataDir: string): string {
  // By its hash: a socket's path may have only about a hundred characters.
  const hash = createHash('sha256').update(realpathSync(dataDir)).digest('hex').slice(0, 24)
  return process.platform === 'linux'
    ? `\0exposure-stack-${hash}`
    : join(tmpdir(), `exposure-stack-${hash}.sock`)
}

function listen(path: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(null) : reject(error),
    )
    server.listen(path, () => resolve(server))
    server.unref()
  })
}

function answers(path: string): Promise<boolean> {
  const socket = createConnection(path)
  return new Promise<boolean>((resolve) => {
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => resolve(true))
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
  }).finally(() => socket.destroy())
}

async function release(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  await closed
}
