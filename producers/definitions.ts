// Connections of every vendor as exposure.yaml has them, and as exposure.connections keeps them.
import { z } from 'zod'
import { PipelineError } from '../contracts/errors.ts'
import type { VendorId } from '../contracts/topics.ts'
import type { ConnectionConfig } from '../runtime/connection-config.ts'
import { type Definition, definitionChanges } from '../runtime/connections.ts'
import { changeConnections } from '../runtime/connections-change.ts'
import { openSession } from '../runtime/kafka/session.ts'
import type { Pipeline } from '../runtime/pipeline.ts'
import { CONNECTIONS, CONNECTORS, type Connectors, connectorOf } from './sources.ts'

/** A connection of any vendor of ours, by its `type`. */
export const connectionSettings = z.discriminatedUnion('type', CONNECTIONS)

/** What exposure.yaml says of one connection; `type` is its vendor. */
export type ConnectionSettings = ConnectionConfig & { readonly type: VendorId }

/** The vendors that are read: how to reach each, and what its connections may say. */
export type Vendors = {
  readonly connectors: Connectors
  readonly settings: z.ZodType<ConnectionSettings>
}
export const LISTED: Vendors = { connectors: CONNECTORS, settings: connectionSettings }

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
export function definitionOf(
  connection: ConnectionSettings,
  { connectors, settings }: Vendors = LISTED,
): Definition {
  const encoded = JSON.stringify(z.encode(settings, connection))
  return {
    v: 1,
    name: connection.name,
    vendor: connection.type,
    host: connectorOf(connection.type, connectors).apiHost(connection),
    paused: false,
    settings: JSON.parse(encoded) as Definition['settings'],
  }
}

/** @throws PipelineError CONFIGURATION when another version wrote it in a form of its own */
export function settingsOf(
  { name, settings }: Definition,
  vendors: Vendors = LISTED,
): ConnectionSettings {
  const parsed = vendors.settings.safeParse(settings)
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
  vendors: Vendors = LISTED,
): Promise<number> => {
  const wanted = connections.map((connection) => definitionOf(connection, vendors))
  return changeConnections(accessOf(pipeline), async (known) =>
    definitionChanges(pipeline.prefix, wanted, known),
  )
}
