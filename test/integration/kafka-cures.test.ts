// The two cures of kafkajs: what they cure is seen to happen without them, in a process of its own.
import { describe, expect, it, onTestFinished } from 'vitest'
import { runConsumer } from '../../runtime/kafka/consumer.ts'
import { startChild } from '../support/kafka-processes.ts'
import type { PlainRead, PlainReadResult } from '../support/kafka-plain-read.ts'
import { openStranger, type Stranger } from '../support/kafka-transactions.ts'
import { openWorld, randomName, testLog, type World } from '../support/kafka-world.ts'
import { waitFor } from '../support/stack.ts'

const FETCHES_MAX = 300

async function plainRead(world: World, topic: string, cures: 'on' | 'off') {
  const job: PlainRead = {
    brokers: world.settings.brokers,
    groupId: `${world.settings.prefix}plain-${randomName()}`,
    topic,
    until: (await world.reader.endOffset(topic, 0)).toString(),
    fetchesMax: FETCHES_MAX,
  }
  const child = startChild('kafka-plain-read.ts', {
    EXPOSURE_TEST_READ: JSON.stringify(job),
    EXPOSURE_KAFKA_CURES: cures,
  })
  const ended = await child.ended
  expect({ ...ended, stderr: child.stderr() }).toMatchObject({ code: 0 })
  return JSON.parse(child.stdout()) as PlainReadResult
}

/** Keys that our consumer hands out up to the end of the log. */
async function consumedKeys(world: World, topic: string): Promise<string[]> {
  const end = await world.reader.endOffset(topic, 0)
  const keys: string[] = []
  let position = 0n
  const consumer = await runConsumer({
    settings: world.settings,
    groupId: `${world.settings.prefix}ours-${randomName()}`,
    topics: [topic],
    log: testLog,
    onBatch: async ({ records, nextOffset }) => {
      keys.push(...records.map(({ key }) => key))
      position = nextOffset
    },
  })
  onTestFinished(() => consumer.stop())
  await waitFor(() => position >= end, { what: 'the consumer reaches the end' })
  return keys
}

describe('aborted transactions that overlap', () => {
  it('stay hidden from our consumer, and leak without the cure', async () => {
    const world = await openWorld()
    const topic = await world.topic('overlap', 1)
    const [a, b] = await Promise.all([openStranger(world, 'a'), openStranger(world, 'b')])
    // Both begin, then end the other way round: the broker lists them in order of completion.
    const first = await a.begin()
    await first.send(topic, 'aborted-a1')
    const second = await b.begin()
    await second.send(topic, 'aborted-b1')
    await first.send(topic, 'aborted-a2')
    await second.abort()
    await first.send(topic, 'aborted-a3')
    await first.abort()
    const good = await a.begin()
    await good.send(topic, 'committed')
    await good.commit()

    expect(await consumedKeys(world, topic)).toEqual(['committed'])
    const cured = await plainRead(world, topic, 'on')
    expect(cured.keys).toEqual(['committed'])
    const stock = await plainRead(world, topic, 'off')
    expect(stock.keys).toContain('committed')
    expect(stock.keys.filter((key) => key.startsWith('aborted'))).not.toEqual([])
    const ours = await world.readAll(topic)
    expect(ours.records.map(({ key }) => key)).toEqual(['committed'])
  })
})

/** Compaction takes everything it may at once; nearly every append begins a new segment. */
const COMPACT_NOW = {
  'cleanup.policy': 'compact',
  'segment.ms': '1000',
  'min.cleanable.dirty.ratio': '0.0001',
  'delete.retention.ms': '0',
  'min.compaction.lag.ms': '0',
  'max.compaction.lag.ms': '1',
}
/** Compaction takes nothing more, so that what it has left stays while it is looked at. */
const WEEK_MS = String(7 * 86_400_000)
const COMPACT_NEVER = {
  ...COMPACT_NOW,
  'min.compaction.lag.ms': WEEK_MS,
  'max.compaction.lag.ms': WEEK_MS,
}
const ABORTS_MAX = 15
const COMPACTION_TIMEOUT_MS = 8_000

async function transact(stranger: Stranger, topic: string, key: string, end: 'commit' | 'abort') {
  const transaction = await stranger.begin()
  await transaction.send(topic, key)
  await transaction[end]()
}

/** Aborts until the data of one transaction is an empty batch at the end of its segment. */
async function leaveEmptyBatch(world: World, topic: string, stranger: Stranger): Promise<void> {
  for (let aborts = 1; aborts <= ABORTS_MAX; aborts++) {
    const from = await world.reader.endOffset(topic, 0)
    await transact(stranger, topic, 'aborted', 'abort')
    const hollow = async (): Promise<boolean> => {
      const { emptyBatches } = await world.reader.readToEnd(topic, 0, () => {}, { from })
      return emptyBatches > 0
    }
    const what = `compaction empties the batch at ${from}`
    try {
      await waitFor(hollow, { timeoutMs: COMPACTION_TIMEOUT_MS, what })
      return
    } catch (error) {
      // Its marker came within the same millisecond and shares its segment: once more.
      if (aborts === ABORTS_MAX) throw error
    }
  }
}

describe('an empty batch that compaction leaves', { timeout: 180_000 }, () => {
  it('is passed by our consumer, and holds a stock one for ever', async () => {
    const world = await openWorld()
    const topic = await world.topic('hollow', 1, COMPACT_NOW)
    const [p, q] = await Promise.all([openStranger(world, 'p'), openStranger(world, 'q')])
    await transact(p, topic, 'before', 'commit')
    await leaveEmptyBatch(world, topic, p)
    await world.topic('hollow', 1, COMPACT_NEVER)
    await transact(q, topic, 'behind', 'commit')

    expect(await consumedKeys(world, topic)).toEqual(['before', 'behind'])
    const cured = await plainRead(world, topic, 'on')
    expect(cured.keys).toEqual(['before', 'behind'])
    expect(cured.fetches).toBeLessThan(FETCHES_MAX)
    const stock = await plainRead(world, topic, 'off')
    expect(stock).toEqual({ keys: ['before'], fetches: FETCHES_MAX })
    const ours = await world.readAll(topic)
    expect(ours.records.map(({ key }) => key)).toEqual(['before', 'behind'])
  })
})
