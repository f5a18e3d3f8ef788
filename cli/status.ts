// The status lines of `exposure start`: a line per stream, per store, per open condition.
import { TOPICS, type TopicName, VENDORS, type VendorId, rawTopic } from '../contracts/topics.ts'
import type { Admin } from '../runtime/kafka/admin.ts'
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
  const lines = metrics.entries().flatMap(([key, c]) => {
    const [name = '', stream = ''] = key.split('|')
    const connection = config.connections.find((candidate) => candidate.name === name)
    if (connection === undefined) return []
    const state = c.state === 'running' ? 'running' : (c.verdict ?? 'waiting')
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
  const lines = open.slice(0, CONDITIONS_MAX).map((condition) => {
    const where = [condition.connection_id, condition.stream ?? condition.sink_id]
    const place = where.filter((name) => name !== null && name !== undefined).join(' ')
    return `open: ${condition.error_type} ${place || condition.stage}: ${condition.message}`
  })
  const more = open.length - lines.length
  return more === 0 ? lines : [...lines, `open: ${more} more in exposure.connector-errors`]
}

const vendorOf = (connection: Connection): VendorId => connection.type
const partitionCount = (topics: Iterable<TopicName>) =>
  [...topics].reduce((sum, topic) => sum + TOPICS[topic].partitions, 0)

async function totalLag(admin: Admin, group: string, topics: readonly string[]): Promise<number> {
  const partitions = await admin.lag(group, topics)
  return Number(partitions.reduce((sum, partition) => sum + partition.lag, 0n))
}
