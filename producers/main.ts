// The stage of producers: polls every configured connection, each in its own loop.
import type { VendorId } from '../contracts/topics.ts'
import type { ConnectionConfig } from '../runtime/connection-config.ts'
import { openSession } from '../runtime/kafka/session.ts'
import type { Pipeline } from '../runtime/pipeline.ts'
import {
  type ConnectionOptions,
  type TurnOutcome,
  runConnection,
} from '../runtime/run-connection.ts'
import { CONNECTORS, type Connectors, connectorOf } from './sources.ts'

/** What exposure.yaml says of one connection; `type` is its vendor. */
export type ConnectionSettings = ConnectionConfig & { readonly type: VendorId }

/**
 * A chunk is in memory before its transaction opens, so that this only has to cover the sending.
 */
const TRANSACTION_TIMEOUT_MS = 30_000

/**
 * Pulls all connections that are not paused until the signal comes, or each stream once.
 * @throws PipelineError for what only the operator can mend
 */
export async function runProducers(
  pipeline: Pipeline,
  connections: readonly ConnectionSettings[],
  options: { readonly once: boolean; readonly signal: AbortSignal },
  connectors: Connectors = CONNECTORS,
): Promise<TurnOutcome[]> {
  const { prefix, producers, reader, codecs, reporter, metrics, log } = pipeline
  const shared: ConnectionOptions = {
    prefix,
    openSession: (transactionalId) =>
      openSession(producers, { transactionalId, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS }),
    readToEnd: (topic, partition, onRecord) => reader.readToEnd(topic, partition, onRecord),
    encodeRun: (value) => codecs.encode('runs', value),
    reporter,
    metrics,
    nowMs: Date.now,
    random: Math.random,
    log,
    ...options,
  }
  const active = connections.filter((connection) => connection.paused !== true)
  const loops = active.map((connection) =>
    runConnection(connection, connectorOf(connection.type, connectors), shared),
  )
  return (await Promise.all(loops)).flat()
}
