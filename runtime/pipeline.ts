// What every stage of one process shares: Kafka, registry, error reporter, counters.
import { randomUUID } from 'node:crypto'
import packageJson from '../package.json' with { type: 'json' }
import type { Codecs } from './codecs.ts'
import type { RegistrySettings } from './config.ts'
import { type ErrorReporter, createErrorReporter } from './error-reporter.ts'
import { errorTail } from './error-tail.ts'
import { type KafkaClient, createKafka } from './kafka/client.ts'
import { type LogReader, openLogReader } from './kafka/log-reader.ts'
import { openPublisher } from './kafka/publisher.ts'
import type { KafkaSettings } from './kafka/types.ts'
import type { Logger } from './log.ts'
import { type Metrics, createMetrics } from './metrics.ts'
import { openRegistry } from './registry.ts'

/** The version of this build, as events and logs name it. */
export const VERSION: string = packageJson.version
const FLUSH_TIMEOUT_MS = 5_000
const REGISTRY_TIMEOUT_MS = 30_000

export type Pipeline = {
  readonly settings: KafkaSettings
  readonly prefix: string
  /** For transactional producers: one Kafka instance for all of them. */
  readonly producers: KafkaClient
  readonly codecs: Codecs
  readonly reader: LogReader
  readonly reporter: ErrorReporter
  readonly metrics: Metrics
  readonly log: Logger
  readonly close: () => Promise<void>
}

/**
 * Connects, looks the schemas up and reads which connector errors are open.
 * @throws PipelineError when Kafka or the registry cannot be used; its message says what to do
 */
export async function openPipeline(
  settings: KafkaSettings,
  registry: RegistrySettings,
  options: { readonly disconnectedAfterMs: number; readonly log: Logger },
): Promise<Pipeline> {
  const { prefix } = settings
  const { log } = options
  const codecs = await openRegistry({ ...registry, timeoutMs: REGISTRY_TIMEOUT_MS }).lookup(prefix)
  const reader = openLogReader(settings, log)
  const publisher = openPublisher(settings, log)
  try {
    const readTail = errorTail(prefix, reader, codecs, log)
    // Conditions whose last event is not CLEARED: the process before us may have left them open.
    const open = (await readTail()).filter(({ state }) => state !== 'CLEARED')
    const reporter = createErrorReporter({
      prefix,
      version: VERSION,
      send: (records) => publisher.send(records),
      encode: (value) => codecs.encode('connectorErrors', value),
      open,
      readTail,
      disconnectedAfterMs: options.disconnectedAfterMs,
      nowMs: Date.now,
      log,
    })
    const producers = createKafka(settings, `exposure-${randomUUID().slice(0, 8)}`, log)
    const close = async () => {
      await reporter.flush(FLUSH_TIMEOUT_MS)
      await Promise.all([publisher.close(), reader.close()])
    }
    const metrics = createMetrics()
    return { settings, prefix, producers, codecs, reader, reporter, metrics, log, close }
  } catch (error) {
    await Promise.all([publisher.close(), reader.close()])
    throw error
  }
}
