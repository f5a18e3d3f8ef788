// Ports on the loopback address, the same at every start where they are still free.
import { randomInt } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { startFault } from './server.ts'

// Below the range from which systems take the ports of outgoing connections: one of those could
// otherwise take a port between our look and the server's start.
const PORT_MIN = 15_000
const PORT_MAX = 31_999
const TRIES_MAX = 200

const NAMES = ['kafka', 'controller', 'registry', 'management', 'postgres'] as const
export type Ports = Readonly<Record<(typeof NAMES)[number], number>>

/**
 * The ports of the stack in `dataDir`, kept there in `ports.json`.
 * @throws PipelineError CONFIGURATION when no free port can be found
 */
export async function choosePorts(dataDir: string): Promise<Ports> {
  const file = join(dataDir, 'ports.json')
  const kept = readPorts(file)
  const chosen: Record<string, number> = {}
  for (const name of NAMES) {
    const before = kept[name]
    const used = Object.values(chosen)
    chosen[name] =
      before !== undefined && !used.includes(before) && (await isFree(before))
        ? before
        : await freePort(used)
  }
  writeFileSync(file, `${JSON.stringify(chosen)}\n`)
  return chosen as Ports
}

function readPorts(file: string): Partial<Record<string, number>> {
  try {
    const found: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (typeof found !== 'object' || found === null) return {}
    const isPort = ([, port]: [string, unknown]) =>
      Number.isInteger(port) && Number(port) >= PORT_MIN && Number(port) <= PORT_MAX
    return Object.fromEntries(Object.entries(found).filter(isPort))
  } catch {
    // None kept yet, or cut off by a crash: any free ports will do.
    return {}
  }
}

/**
 * A port that nothing listens on now, other than those in `used`.
 * @throws PipelineError CONFIGURATION when none can be found
 */
export async function freePort(used: readonly number[]): Promise<number> {
  for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
    const port = randomInt(PORT_MIN, PORT_MAX + 1)
    if (!used.includes(port) && (await isFree(port))) return port
  }
  throw startFault(`no free port was found between ${PORT_MIN} and ${PORT_MAX} on 127.0.0.1`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () =>
      server.close(() => resolve(true)),
    )
  })
}
