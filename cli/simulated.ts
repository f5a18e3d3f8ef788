// The simulator as a process of its own, and its connections as exposure.yaml would have them.
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { PipelineError } from '../contracts/errors.ts'

const READY_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 5_000
const EVERY = '1m'

/** The line the simulator prints when it listens. */
const announcement = z.looseObject({
  controlUrl: z.string(),
  prisma: z.looseObject({ url: z.string(), accessKeyId: z.string(), secretKey: z.string() }),
  cortex: z.array(
    z.looseObject({
      url: z.string(),
      apiKey: z.string(),
      apiKeyId: z.union([z.string(), z.number()]),
      securityLevel: z.enum(['standard', 'advanced']),
      tenant: z.string(),
    }),
  ),
})

export type Simulated = {
  /** As they would stand in exposure.yaml. */
  readonly connections: readonly object[]
  readonly controlUrl: string
  /** Resolves with one sentence when it ends by itself. */
  readonly exited: Promise<string>
  readonly stop: () => Promise<void>
}

/** Starts it; it ends with this process. @throws PipelineError when it does not come up */
export async function startSimulated(dataDir: string, machines: number): Promise<Simulated> {
  const main = new URL('../simulator/main.ts', import.meta.url).pathname
  const args = [main, '--machines', String(machines), '--with-parent']
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  let stopping = false
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(code === null ? String(signal) : `code ${code}`))
  })
  const lines = createInterface({ input: child.stdout })
  const line = await Promise.race([
    new Promise<string>((resolve) => lines.once('line', resolve)),
    ended.then(() => null),
    new Promise<null>((resolve) => void setTimeout(() => resolve(null), READY_TIMEOUT_MS).unref()),
  ])
  if (line === null) {
    child.kill('SIGKILL')
    throw new PipelineError('INTERNAL', 'CONFIG', 'the simulator did not start')
  }
  const said = announcement.parse(JSON.parse(line))
  const stop = async () => {
    stopping = true
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await ended
    clearTimeout(late)
  }
  const exited = new Promise<string>((resolve) => {
    void ended.then((how) => {
      if (!stopping) resolve(`the simulator has ended (${how}): what it said stands above`)
    })
  })
  return { connections: connectionsOf(said, dataDir), controlUrl: said.controlUrl, exited, stop }
}

function connectionsOf(said: z.infer<typeof announcement>, dataDir: string): object[] {
  const secret = (name: string, value: string) => secretFile(dataDir, name, value)
  const { prisma } = said
  return [
    {
      name: 'demo-prisma',
      type: 'prisma-cloud',
      url: prisma.url,
      accessKeyId: secret('prisma-access-key-id', prisma.accessKeyId),
      secretKey: secret('prisma-secret-key', prisma.secretKey),
      every: EVERY,
    },
    ...said.cortex.map((tenant, index) => ({
      name: `demo-cortex-${index + 1}`,
      type: 'cortex',
      url: tenant.url,
      // Named, because the address of a simulated tenant may change from start to start.
      tenant: tenant.tenant,
      apiKey: secret(`cortex-${index + 1}-api-key`, tenant.apiKey),
      apiKeyId: secret(`cortex-${index + 1}-api-key-id`, String(tenant.apiKeyId)),
      securityLevel: tenant.securityLevel,
      every: EVERY,
    })),
  ]
}

/** Keeps a secret in a file that only its owner reads, and returns the reference to it. */
export function secretFile(dataDir: string, name: string, value: string): string {
  const folder = join(dataDir, 'secrets')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, name)
  writeFileSync(file, value, { mode: 0o600 })
  return `file:${file}`
}
