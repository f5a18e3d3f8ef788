// The status lines of `exposure start`: a line per stream, per store, per open condition.
import { TOPICS, type TopicName, VENDORS, type VendorId, rawTopic } from '../contracts/topics.ts'
import type { ReadToEnd } from '../runtime/checkpoint.ts'
import { type KnownConnection, isPaused, loadConnections } from '../runtime/connections.ts'
import type { Admin } from '../runtime/kafka/admin.ts'
import type { StreamCounters } from '../runtime/metrics.ts'
import type { Pipeline } from '../runtime/pipeline.ts'
import { sinkGroup, sinkTopics } from '../runtime/run-sink.ts'
import { createSinks } from '../sinks/sinks.ts'
import { transformerGroup } from '../transformers/main.ts'
import type { Connection, ExposureConfig } from './config.ts'

const CONDITIONS_MAX = 20

/** The lines to print now. `lag` counts offsets, transaction markers included. */
export async function statusLines(
  pipeline: Pipeline,
  config: Pick<ExposureConfig, 'connections' | 'sinks'>,
  admin: Admin,
): Promise<string[]> {
  const { prefix, metrics } = pipeline
  const rawLag = new Map<VendorId, number>()
  for (const vendor of VENDORS) {
    const topics = [prefix + rawTopic(vendor).name]
    rawLag.set(vendor, await totalLag(admin, transformerGroup(prefix, vendor), topics))
  }
  const reads: ReadToEnd = (...asked) => pipeline.reader.readToEnd(...asked)
  const defined = new Map((await loadConnections(prefix, reads)).map((one) => [one.name, one]))
  const lines = metrics.entries().flatMap(([key, c]) => {
    const [name = '', stream = ''] = key.split('|')
    const connection = config.connections.find((candidate) => candidate.name === name)
    const known = defined.get(name)
    // Removed while it was polled: what was counted of it is nobody's any more.
    if (connection === undefined || known === undefined) return []
    const state = isAtRest(known) ? 'paused' : stateOf(c)
    const lag = rawLag.get(vendorOf(connection)) ?? 0
    return [
      `${name} ${stream}: ${state}, pages ${c.pages}, units ${c.units}, ` +
        `events ${c.events}, errors ${c.errors}, lag ${lag}`,
    ]
  })
  const groupOf = (name: string) => sinkGroup(prefix, name)
  const context = { groupOf, kafka: pipeline.settings, log: pipeline.log }
  for (const { sink } of createSinks(config.sinks, context)) {
    const topics = sinkTopics(prefix, sink)
    const lag = await totalLag(admin, groupOf(sink.name), [...topics.keys()])
    lines.push(`sink ${sink.name}: lag ${lag} over ${partitionCount(topics.values())} partitions`)
  }
  return [...lines, ...conditionLines(pipeline)]
}

/** What is broken now, so that nobody has to ask a topic for it. */
function conditionLines({ reporter }: Pipeline): string[] {
  const open = reporter.open()
  const lines = open.slice(0, CONDITIONS_MAX).flatMap((condition) => {
    const where = [condition.connection_id, condition.stream ?? condition.sink_id]
    const place = where.filter((name) => name !== null && name !== undefined).join(' ')
    const what = `${condition.error_type} ${place || condition.stage}: ${condition.message}`
    return [`open: ${what}`, `  next step: ${condition.remediation}`]
  })
  const more = open.length - CONDITIONS_MAX
  return more <= 0 ? lines : [...lines, `open: ${more} more in exposure.connector-errors`]
}

const isAtRest = ({ definition }: KnownConnection): boolean =>
  definition !== null && isPaused(definition)
const stateOf = ({ state, verdict }: StreamCounters): string =>
  state === 'running' ? 'running' : (verdict ?? 'waiting')
const vendorOf = (connection: Connection): VendorId => connection.type
const partitionCount = (topics: Iterable<TopicName>) =>
  [...topics].reduce((sum, topic) => sum + TOPICS[topic].partitions, 0)

async function totalLag(admin: Admin, group: string, topics: readonly string[]): Promise<number> {
  const partitions = await admin.lag(group, topics)
  return Number(partitions.reduce((sum, partition) => sum + partition.lag, 0n))
}
