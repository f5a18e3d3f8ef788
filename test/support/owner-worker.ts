// A process that polls the connections its group deals to it: listed sources under a short session.
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { leasedSessions } from '../../runtime/connections-lease.ts'
import { ownConnections } from '../../runtime/connections-owner.ts'
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import { createLogger } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { runConnection } from '../../runtime/run-connection.ts'
import { TENANT, listOf, listSource, runOptions } from './list-source.ts'

/** What a test passes as EXPOSURE_TEST_OWNER, as JSON. */
export type OwnerJob = {
  readonly settings: KafkaSettings
  /** Stands in the endpoint of every raw record, so that it says who has published it. */
  readonly instance: string
  /** The second chunk of every run waits for this file. */
  readonly gate?: string
}
/** A line of its standard output. */
export type OwnerLine = { readonly event: 'polls' | 'ended' | 'pulls'; readonly name: string }

/** What a definition of such a connection has among its settings. */
export type ListSettings = {
  readonly chunks: number
  readonly chunkMs: number
  readonly every: number
}

const { settings, instance, gate } = JSON.parse(
  process.env['EXPOSURE_TEST_OWNER'] ?? '',
) as OwnerJob
const { options, close } = runOptions(settings)
const say = (line: OwnerLine): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

const owner = ownConnections({
  settings,
  readToEnd: options.readToEnd,
  sessionTimeoutMs: 6_000,
  onUnreadable: (name) => process.stderr.write(`cannot read ${name}\n`),
  onTrouble: (error) => process.stderr.write(`trouble: ${error.failure} ${error.message}\n`),
  onProgress: () => undefined,
  log: createLogger('owner'),
  poll: async (definition, lease, signal) => {
    const { name } = definition
    const { chunks, chunkMs, every } = definition.settings as unknown as ListSettings
    say({ event: 'polls', name })
    const source = listSource({
      chunks: listOf(...Array.from({ length: chunks }, () => 1)),
      onPull: () => say({ event: 'pulls', name }),
      before: async (index, context) => {
        await sleep(chunkMs, undefined, { signal: context.signal })
        while (index === 1 && gate !== undefined && !existsSync(gate)) {
          await sleep(50, undefined, { signal: context.signal })
        }
      },
    })
    const marked: typeof source = {
      ...source,
      async *pull(client, from, context) {
        const pull = source.pull(client, from, context)
        for (;;) {
          const next = await pull.next()
          if (next.done === true) return next.value
          yield { ...next.value, endpoint: instance }
        }
      },
    }
    const connector = {
      vendor: 'prisma-cloud' as const,
      sources: [marked],
      apiHost: () => definition.host,
      connect: () => null,
      resolveTenant: async () => TENANT,
      check: async () => [],
      close: async () => undefined,
    }
    await runConnection({ name, tenant: TENANT, every, jitter: 0 }, connector, {
      ...options,
      openSession: leasedSessions(options, definition, lease, signal),
      metrics: createMetrics(),
      once: false,
      random: () => 0,
      interruptedPauseMs: 100,
      lease,
      signal,
    })
    say({ event: 'ended', name })
  },
})
process.on('SIGTERM', () => void owner.stop())
await owner.done
await close()
