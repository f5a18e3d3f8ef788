// `exposure connections remove NAME --keep|--close`: the end of a connection, in one transaction.
import { randomUUID } from 'node:crypto'
import type { Order } from '../contracts/envelope.ts'
import { connectorOf } from '../producers/sources.ts'
import { forgetRecords, loadProgress, type Progress } from '../runtime/checkpoint.ts'
import { registrySettings } from '../runtime/config.ts'
import { type Definition, forgetConnection } from '../runtime/connections.ts'
import { changeConnections } from '../runtime/connections-change.ts'
import { openRegistry } from '../runtime/registry.ts'
import { transactionalIdOf } from '../runtime/run-names.ts'
import { UsageError, parse, stopSignal } from './command.ts'
import { loadConfig } from './config.ts'
import { type Access, oneName, openAccess, setPauseOf } from './connections.ts'
import { answersToCome, orderRecords } from './orders.ts'

const REGISTRY_TIMEOUT_MS = 30_000
const ANSWER_TIMEOUT_MS = 10 * 60_000

export async function removeConnection(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(
    args,
    { config: { type: 'string' }, keep: { type: 'boolean' }, close: { type: 'boolean' } },
    1,
  )
  const name = oneName(positionals, 'connections remove')
  const keep = values.keep === true
  if (keep === (values.close === true)) {
    throw new UsageError('connections remove takes --keep or --close')
  }
  const config = loadConfig(values.config)
  const registry = openRegistry({
    ...registrySettings(config.registry),
    timeoutMs: REGISTRY_TIMEOUT_MS,
  })
  const codecs = await registry.lookup(config.kafka.prefix)
  const access = openAccess(config)
  const signal = stopSignal()
  try {
    const answered = await answersToCome({ ...access, codecs })
    const orderId = await order(access, name, keep)
    console.error(`exposure: ${name} is removed; waiting until its entities are seen to`)
    const answers = await answered('REMOVED', orderId, ANSWER_TIMEOUT_MS, signal)
    const closed = answers.reduce((sum, { tally }) => sum + (tally?.closed ?? 0), 0)
    console.log(
      keep
        ? `${name} is removed; what it showed stays as it is and is forgotten here`
        : `${name} is removed; ${closed} assets and findings were closed`,
    )
    if (config.connections.some((connection) => connection.name === name)) {
      console.log(`it still stands in exposure.yaml and would come back at the next start`)
    }
    return 0
  } finally {
    await access.close()
  }
}

/** Resolves with the id of the order that is written. */
async function order(access: Access, name: string, keep: boolean): Promise<string> {
  const { prefix, readToEnd } = access
  // First this: a poll that opens its stream after the fence below sees it and stops by itself.
  const definition = await setPauseOf(access, name, true)
  const saved = await loadProgress(prefix, readToEnd)
  await fenceStreams(access, definition, saved)
  const orderId = randomUUID()
  await changeConnections(access, async (known) => {
    const progress = await loadProgress(prefix, readToEnd)
    const remove: Order = {
      control: 'remove',
      orderId,
      connection: name,
      vendor: definition.vendor,
      tenant: tenantOf(definition, progress),
      orderedAtMs: orderedAtMs(name, progress),
      keep,
    }
    return [
      ...forgetConnection(prefix, name, known),
      ...forgetRecords(prefix, name, progress),
      ...orderRecords(prefix, remove),
    ]
  })
  return orderId
}

/** From now on nothing that polls the connection can commit what it has under way. */
async function fenceStreams(
  { prefix, openSession }: Access,
  { name, vendor }: Definition,
  { checkpoints }: Progress,
): Promise<void> {
  const own = [...checkpoints.keys()].filter((key) => key.startsWith(`${name}|`))
  const streams = new Set([
    ...connectorOf(vendor).sources.map(({ stream }) => stream),
    // Of a stream that another version read.
    ...own.map((key) => key.slice(name.length + 1)),
  ])
  for (const stream of streams) {
    const session = await openSession(transactionalIdOf(prefix, name, stream))
    await session.close()
  }
}

const ofConnection = (name: string, { checkpoints }: Progress) =>
  [...checkpoints].flatMap(([key, checkpoint]) => (key.startsWith(`${name}|`) ? [checkpoint] : []))

function tenantOf({ name, settings, host }: Definition, progress: Progress): string {
  const [first] = ofConnection(name, progress)
  return first?.tenant ?? (typeof settings['tenant'] === 'string' ? settings['tenant'] : host)
}

/** Later than all that its streams have seen, as a run of theirs would be. */
const orderedAtMs = (name: string, progress: Progress): number =>
  Math.max(
    Date.now(),
    ...ofConnection(name, progress).map(
      ({ startedAtMs, newestFetchedAtMs }) => Math.max(startedAtMs, newestFetchedAtMs ?? 0) + 1,
    ),
  )
