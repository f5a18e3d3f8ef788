// The stage of producers: polls every configured connection, each in its own loop.
import type { z } from 'zod'
import { openSession } from '../runtime/kafka/session.ts'
import type { Pipeline } from '../runtime/pipeline.ts'
import {
  type ConnectionOptions,
  type TurnOutcome,
  runConnection,
} from '../runtime/run-connection.ts'
import type { cortexConnection } from './cortex/config.ts'
import type { prismaCloudConnection } from './prisma-cloud/config.ts'
import { CONNECTORS } from './sources.ts'

export type ConnectionSettings =
  | z.infer<typeof prismaCloudConnection>
  | z.infer<typeof cortexConnection>

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
    connection.type === 'cortex'
      ? runConnection(connection, CONNECTORS.cortex, shared)
      : runConnection(connection, CONNECTORS['prisma-cloud'], shared),
  )
  return (await Promise.all(loops)).flat()
}
