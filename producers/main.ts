// The stage of producers: polls the connections that its consumer group deals to this process.
import { PipelineError } from '../contracts/errors.ts'
import { type Definition, isPaused, loadConnections } from '../runtime/connections.ts'
import { type Lease, leasedSessions } from '../runtime/connections-lease.ts'
import { ownConnections, producerGroup } from '../runtime/connections-owner.ts'
import type { Pipeline } from '../runtime/pipeline.ts'
import { stageTrouble } from '../runtime/stage-trouble.ts'
import {
  type ConnectionOptions,
  type TurnOutcome,
  runConnection,
} from '../runtime/run-connection.ts'
import {
  type ConnectionSettings,
  type Vendors,
  LISTED,
  accessOf,
  settingsOf,
  unreadableError,
  writeDefinitions,
} from './definitions.ts'
import { connectorOf } from './sources.ts'

const SESSION_TIMEOUT_MS = 30_000

export type ProducersOptions = {
  /** True: each stream has one turn, in this process, whatever the group says. */
  readonly once: boolean
  readonly signal: AbortSignal
  /** So many percent fewer units than before close nothing by themselves. */
  readonly fusePercent: number
  /** True: connections that others have defined are left to others. */
  readonly ownOnly?: boolean
  /** So long a process that died holds up its connections; default 30 s. */
  readonly sessionTimeoutMs?: number
}

/**
 * Defines `connections`, then polls until the signal comes: those that the group deals to this
 * process, whoever has defined them; or with `once` these, each stream once.
 * @throws PipelineError for what only the operator can mend
 */
export async function runProducers(
  pipeline: Pipeline,
  connections: readonly ConnectionSettings[],
  options: ProducersOptions,
  vendors: Vendors = LISTED,
): Promise<TurnOutcome[]> {
  await writeDefinitions(pipeline, connections, vendors)
  const names = new Set(connections.map(({ name }) => name))
  if (options.once) return await pollOnce(pipeline, names, options, vendors)
  const { settings, reporter, log } = pipeline
  const scope = NO_CONNECTION
  const owner = ownConnections({
    settings,
    readToEnd: accessOf(pipeline).readToEnd,
    sessionTimeoutMs: options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS,
    isWanted: (name) => options.ownOnly !== true || names.has(name),
    poll: async (definition, lease, signal) => {
      await poll(pipeline, definition, { ...options, signal }, lease, vendors)
    },
    onUnreadable: (name) => reporter.raise(unreadableError(name), { ...scope, connection: name }),
    ...stageTrouble(reporter, scope, producerGroup(settings.prefix)),
    log,
  })
  const stop = () => void owner.stop()
  options.signal.addEventListener('abort', stop, { once: true })
  if (options.signal.aborted) stop()
  try {
    await owner.done
  } finally {
    await owner.stop()
  }
  return []
}

const NO_CONNECTION = {
  connection: null,
  vendor: null,
  product: null,
  stream: null,
  sink: null,
  runId: null,
} as const

/**
 * Without the group: its joins would only cost time, and another process that polls the connection
 * is pushed aside by the fence of each stream, which both are told of.
 */
async function pollOnce(
  pipeline: Pipeline,
  names: ReadonlySet<string>,
  options: ProducersOptions,
  vendors: Vendors,
): Promise<TurnOutcome[]> {
  const { prefix, readToEnd } = accessOf(pipeline)
  const known = await loadConnections(prefix, readToEnd)
  const active = [...names].flatMap((name) => {
    const definition = known.find((one) => one.name === name)?.definition ?? null
    return definition === null || isPaused(definition) ? [] : [definition]
  })
  const turns = active.map((definition) => poll(pipeline, definition, options, null, vendors))
  return (await Promise.all(turns)).flat()
}

async function poll(
  pipeline: Pipeline,
  definition: Definition,
  { once, signal, fusePercent }: ProducersOptions,
  lease: Lease | null,
  vendors: Vendors,
): Promise<TurnOutcome[]> {
  const { codecs, reporter, metrics, log } = pipeline
  const access = accessOf(pipeline)
  const shared: ConnectionOptions = {
    ...access,
    openSession: leasedSessions(access, definition, lease, signal),
    encodeRun: (value) => codecs.encode('runs', value),
    reporter,
    metrics,
    fusePercent,
    nowMs: Date.now,
    random: Math.random,
    log,
    once,
    signal,
    ...(lease === null ? {} : { lease }),
  }
  let connection: ConnectionSettings
  try {
    connection = settingsOf(definition, vendors)
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error
    reporter.raise(error, { ...NO_CONNECTION, connection: definition.name })
    return []
  }
  return await runConnection(connection, connectorOf(connection.type, vendors.connectors), shared)
}
