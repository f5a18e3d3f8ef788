// Connections of every vendor as exposure.yaml has them, and as exposure.connections keeps them.
import { z } from 'zod'
import { PipelineError } from '../contracts/errors.ts'
import { type Definition, definitionChanges } from '../runtime/connections.ts'
import { changeConnections } from '../runtime/connections-change.ts'
import { openSession } from '../runtime/kafka/session.ts'
import type { Pipeline } from '../runtime/pipeline.ts'
import { cortexConnection } from './cortex/config.ts'
import { prismaCloudConnection } from './prisma-cloud/config.ts'
import { CONNECTORS } from './sources.ts'

/** A connection of any vendor, by its `type`. */
export const connectionSettings = z.discriminatedUnion('type', [
  prismaCloudConnection,
  cortexConnection,
])
export type ConnectionSettings = z.infer<typeof connectionSettings>

/**
 * A chunk is in memory before its transaction opens, so that this only has to cover the sending.
 */
const TRANSACTION_TIMEOUT_MS = 30_000

/** How producers, and commands that act for them, write and read. */
export const accessOf = ({
  prefix,
  producers,
  reader,
}: Pick<Pipeline, 'prefix' | 'producers' | 'reader'>) => ({
  prefix,
  openSession: (transactionalId: string) =>
    openSession(producers, { transactionalId, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS }),
  readToEnd: (...[topic, partition, onRecord]: Parameters<typeof reader.readToEnd>) =>
    reader.readToEnd(topic, partition, onRecord),
})

/** As the topic keeps it: secrets as references, durations as text, defaults filled in. */
export function definitionOf(connection: ConnectionSettings): Definition {
  const encoded = JSON.stringify(z.encode(connectionSettings, connection))
  const host =
    connection.type === 'cortex'
      ? CONNECTORS.cortex.apiHost(connection)
      : CONNECTORS['prisma-cloud'].apiHost(connection)
  return {
    v: 1,
    name: connection.name,
    vendor: connection.type,
    host,
    paused: false,
    settings: JSON.parse(encoded) as Definition['settings'],
  }
}

/** @throws PipelineError CONFIGURATION when another version wrote it in a form of its own */
export function settingsOf({ name, settings }: Definition): ConnectionSettings {
  const parsed = connectionSettings.safeParse(settings)
  if (parsed.success) return parsed.data
  throw unreadableError(name, parsed.error)
}

export const unreadableError = (name: string, cause?: unknown): PipelineError =>
  new PipelineError(
    'CONFIGURATION',
    'CONFIG',
    `the definition of ${name} was written by another version of exposure-stream`,
    { cause, remediation: 'Run `exposure connections apply` with the version that polls.' },
  )

/** Makes the topic say what `connections` say; resolves with the number of records written. */
export const writeDefinitions = (
  pipeline: Pipeline,
  connections: readonly ConnectionSettings[],
): Promise<number> => {
  const wanted = connections.map(definitionOf)
  return changeConnections(accessOf(pipeline), async (known) =>
    definitionChanges(pipeline.prefix, wanted, known),
  )
}
