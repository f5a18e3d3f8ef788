// Connects a vendor's connector for a test, with short waits, and pulls whole streams.
import { randomUUID } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { type PipelineError, violationsOf } from '../../contracts/errors.ts'
import type { Chunk, PullEnd, Source, Unit } from '../../contracts/ports.ts'
import { cortexConnector } from '../../producers/cortex/connector.ts'
import { cortexConnection } from '../../producers/cortex/config.ts'
import { prismaCloudConnector } from '../../producers/prisma-cloud/connector.ts'
import { prismaCloudConnection } from '../../producers/prisma-cloud/config.ts'
import type { ConnectContext } from '../../runtime/connector.ts'
import { createLogger } from '../../runtime/log.ts'

/** A reference to a secret that only this test knows. */
export function secret(value: string): string {
  const name = `TEST_SECRET_${randomUUID().replaceAll('-', '')}`
  process.env[name] = value
  onTestFinished(() => {
    delete process.env[name]
  })
  return `env:${name}`
}

/** What a connection is given, with waits of milliseconds. */
export function contextOf(faults: PipelineError[], more: Partial<ConnectContext> = {}) {
  return {
    nowMs: Date.now,
    log: createLogger('test'),
    onFault: (error: PipelineError) => faults.push(error),
    onSuccess: () => {},
    signal: new AbortController().signal,
    retry: { baseMs: 2, capMs: 20 },
    ...more,
  } satisfies ConnectContext
}

type Access = { readonly url: string }
type PrismaAccess = Access & { readonly accessKeyId: string; readonly secretKey: string }
type CortexAccess = Access & {
  readonly apiKey: string
  readonly apiKeyId: number
  readonly securityLevel: 'standard' | 'advanced'
}

export function connectPrisma(
  access: PrismaAccess,
  settings: Record<string, unknown> = {},
  more: Partial<ConnectContext> = {},
) {
  const faults: PipelineError[] = []
  const config = prismaCloudConnection.parse({
    name: 'prisma-test',
    type: 'prisma-cloud',
    url: access.url,
    accessKeyId: secret(access.accessKeyId),
    secretKey: secret(access.secretKey),
    cspmRequestsPer5s: 100_000,
    ...settings,
  })
  const client = prismaCloudConnector.connect(config, contextOf(faults, more))
  onTestFinished(() => prismaCloudConnector.close(client))
  return { client, faults, config }
}

export function connectCortex(
  access: CortexAccess,
  settings: Record<string, unknown> = {},
  more: Partial<ConnectContext> = {},
) {
  const faults: PipelineError[] = []
  const config = cortexConnection.parse({
    name: 'cortex-test',
    type: 'cortex',
    url: access.url,
    apiKey: secret(access.apiKey),
    apiKeyId: access.apiKeyId,
    securityLevel: access.securityLevel,
    requestsPerSecond: 1_000,
    ...settings,
  })
  const client = cortexConnector.connect(config, contextOf(faults, more))
  onTestFinished(() => cortexConnector.close(client))
  return { client, faults, config }
}

export type Pulled<Checkpoint> = {
  readonly chunks: readonly Chunk<Checkpoint>[]
  readonly units: readonly Unit[]
  readonly end: PullEnd
}

/** The whole stream, or what comes of it from a checkpoint on. */
export async function pullAll<Client, Checkpoint>(
  source: Source<Client, Checkpoint>,
  client: Client,
  from: Checkpoint | null = null,
  onChunk: (chunk: Chunk<Checkpoint>) => void | Promise<void> = () => {},
): Promise<Pulled<Checkpoint>> {
  const signal = new AbortController().signal
  const pull = source.pull(client, from, { signal, nowMs: Date.now, report: () => {} })
  const chunks: Chunk<Checkpoint>[] = []
  for (;;) {
    const next = await pull.next()
    if (next.done === true) {
      return { chunks, units: chunks.flatMap((c) => c.units), end: next.value }
    }
    chunks.push(next.value)
    await onChunk(next.value)
  }
}

/** The violations of `value`, `path: message`. */
export function problemsOf(
  schema: typeof cortexConnection | typeof prismaCloudConnection,
  value: unknown,
): string[] {
  const parsed = schema.safeParse(value)
  return parsed.success ? [] : violationsOf(parsed.error)
}
