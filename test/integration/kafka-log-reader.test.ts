// Reading a log to its end: what it leaves out, what it waits for, and how topics are applied.
import { describe, expect, it, onTestFinished } from 'vitest'
import { openAdmin } from '../../runtime/kafka/admin.ts'
import { openLogReader } from '../../runtime/kafka/log-reader.ts'
import { openPublisher } from '../../runtime/kafka/publisher.ts'
import { openSession } from '../../runtime/kafka/session.ts'
import type { KafkaRecord } from '../../runtime/kafka/types.ts'
import { type Fate, openKafkaProxy } from '../chaos/kafka-proxy.ts'
import { WireWriter } from '../chaos/kafka-wire.ts'
import { startChild } from '../support/kafka-processes.ts'
import type { PlainRead, PlainReadResult } from '../support/kafka-plain-read.ts'
import { openStranger, type OpenTransaction } from '../support/kafka-transactions.ts'
import { openWorld, outRecord, testLog, type World } from '../support/kafka-world.ts'
import { waitFor } from '../support/wait-for.ts'

const STRANGERS = 4
const STEPS = 150

/** Reproducible: a failure can be looked at again. */
function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 4_294_967_296
  }
}

/** Transactions that overlap at random, some aborted; returns the keys that were committed. */
async function overlapAtRandom(world: World, topic: string, seed: number): Promise<Set<string>> {
  const random = seeded(seed)
  const names = Array.from({ length: STRANGERS }, (_, i) => `s${i}`)
  const strangers = await Promise.all(names.map((name) => openStranger(world, name)))
  const open = new Map<number, { transaction: OpenTransaction; keys: string[] }>()
  const committed = new Set<string>()
  const end = async (i: number, commits: boolean): Promise<void> => {
    const one = open.get(i)
    open.delete(i)
    if (one === undefined) return
    await (commits ? one.transaction.commit() : one.transaction.abort())
    if (commits) for (const key of one.keys) committed.add(key)
  }
  for (let step = 0; step < STEPS; step++) {
    const i = Math.floor(random() * STRANGERS)
    const stranger = strangers[i]
    if (stranger === undefined) continue
    const one = open.get(i) ?? { transaction: await stranger.begin(), keys: [] }
    open.set(i, one)
    const dice = random()
    if (dice < 0.6) {
      // Keys come back, so that compaction has something to do.
      const key = `${i}-${step % 40}`
      await one.transaction.send(topic, key)
      one.keys.push(key)
    } else await end(i, dice < 0.8)
  }
  for (const i of open.keys()) await end(i, false)
  return committed
}

/** Connections that keep this process from ending. */
const socketsOpen = (): number =>
  process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length

describe('reads of several partitions at once', () => {
  it('share one connection, and leave none behind', async () => {
    const world = await openWorld()
    const topic = await world.topic('many', 6)
    const publisher = openPublisher(world.settings, testLog)
    const places = [0, 1, 2, 3, 4, 5]
    await publisher.send(places.map((partition) => outRecord(topic, partition, 'one')))
    await publisher.close()
    const before = socketsOpen()
    const reader = openLogReader(world.settings, testLog)
    const keys: string[] = []
    const read = (partition: number) =>
      reader.readToEnd(topic, partition, ({ key }) => keys.push(key))
    await Promise.all(places.map(read))
    await reader.close()
    expect(keys).toEqual(places.map(() => 'one'))
    await waitFor(() => socketsOpen() <= before, { what: 'all connections are ended' })
  })
})

describe('readToEnd', () => {
  it('gives what kafkajs with its cures gives, in pieces or at once', async () => {
    const world = await openWorld()
    const topic = await world.topic('log', 1, {
      'cleanup.policy': 'compact',
      'segment.ms': '500',
      'min.cleanable.dirty.ratio': '0.0001',
      'delete.retention.ms': '0',
    })
    const committed = await overlapAtRandom(world, topic, 7)
    const whole = await world.readAll(topic)
    expect(new Set(whole.records.map(({ key }) => key))).toEqual(committed)
    expect(whole.results[0]?.abortedRecords).toBeGreaterThan(0)
    const pieces: KafkaRecord[] = []
    await world.reader.readToEnd(topic, 0, (r) => void pieces.push(r), { fetchBytesMax: 500 })
    expect(latest(pieces)).toEqual(latest(whole.records))
    const job: PlainRead = {
      brokers: world.settings.brokers,
      groupId: `${world.settings.prefix}plain`,
      topic,
      until: (await world.reader.endOffset(topic, 0)).toString(),
      fetchesMax: 1_000,
    }
    const child = startChild('kafka-plain-read.ts', { EXPOSURE_TEST_READ: JSON.stringify(job) })
    await child.ended
    const plain = JSON.parse(child.stdout()) as PlainReadResult
    expect(new Set(plain.keys)).toEqual(committed)
  })

  it('goes on from where it stood, with headers, times and tombstones', async () => {
    const world = await openWorld()
    const topic = await world.topic('log', 1)
    const publisher = openPublisher(world.settings, testLog)
    const before = Date.now()
    await publisher.send([outRecord(topic, 0, 'a', 'ä', { one: '1', empty: '' })])
    const first = await world.readAll(topic)
    expect(first.records).toMatchObject([
      { topic, partition: 0, offset: 0n, key: 'a', headers: { one: '1', empty: '' } },
    ])
    expect(first.records[0]?.value?.toString()).toBe('ä')
    expect(first.records[0]?.timestampMs).toBeGreaterThanOrEqual(before - 60_000)
    expect(first.records[0]?.timestampMs).toBeLessThanOrEqual(Date.now() + 60_000)
    await publisher.send([outRecord(topic, 0, 'a', null)])
    await publisher.close()
    const later: KafkaRecord[] = []
    const from = first.results[0]?.end ?? 0n
    const { end } = await world.reader.readToEnd(topic, 0, (r) => void later.push(r), { from })
    expect(later).toMatchObject([{ offset: 1n, key: 'a', value: null }])
    expect(end).toBe(2n)
    const beyond = world.reader.readToEnd(topic, 0, () => {}, { from: 99n })
    await expect(beyond).rejects.toMatchObject({ failure: 'MISSING_DATA' })
  })

  it('waits for a stranger whose transaction hangs before our committed records', async () => {
    const world = await openWorld()
    const topic = await world.topic('log', 1)
    const hanging = await (await openStranger(world, 'stranger')).begin()
    await hanging.send(topic, 'undecided')
    const session = await openSession(world.client, {
      transactionalId: `${world.settings.prefix}ours`,
      transactionTimeoutMs: 20_000,
    })
    await session.commit({ outputs: [outRecord(topic, 0, 'ours')] })
    await session.close()
    const keys: string[] = []
    let waited = 0
    const reading = world.reader.readToEnd(topic, 0, ({ key }) => void keys.push(key), {
      // Called while waiting too: a restore must go on sending heartbeats.
      onFetch: async () => {
        waited += 1
        if (waited === 3) await hanging.abort()
      },
    })
    expect(await reading).toMatchObject({ records: 1, abortedRecords: 1 })
    expect(keys).toEqual(['ours'])
    expect(waited).toBeGreaterThanOrEqual(3)
  })

  it('fails when nothing moves, and says what it waits for', async () => {
    const world = await openWorld()
    const topic = await world.topic('log', 1)
    const hanging = await (await openStranger(world, 'stranger')).begin()
    await hanging.send(topic, 'undecided')
    const reading = world.reader.readToEnd(topic, 0, () => {}, { stallMs: 300 })
    await expect(reading).rejects.toThrow('a transaction is open at 0')
    await hanging.abort()
  })

  it('passes on what a callback throws, as it is', async () => {
    const world = await openWorld()
    const topic = await world.topic('log', 1)
    const publisher = openPublisher(world.settings, testLog)
    await publisher.send([outRecord(topic, 0, 'a')])
    await publisher.close()
    const rebalance = new Error('the group is dealt anew')
    const onFetch = (): Promise<void> => Promise.reject(rebalance)
    await expect(world.reader.readToEnd(topic, 0, () => {}, { onFetch })).rejects.toBe(rebalance)
  })
})

describe('applyTopics', () => {
  it('creates, mends settings of ours, keeps those of others, refuses other counts', async () => {
    const world = await openWorld()
    await world.topic('t', 2, { 'retention.ms': '100000', 'segment.ms': '60000' })
    const spec = { name: 't', partitions: 2, config: { 'retention.ms': '200000' }, schema: null }
    const topic = `${world.settings.prefix}t`
    expect(await world.admin.applyTopics([spec])).toEqual({
      created: [],
      altered: [topic],
      problems: [],
    })
    const both = { ...spec, config: { ...spec.config, 'segment.ms': '60000' } }
    expect(await world.admin.applyTopics([both])).toMatchObject({ altered: [] })
    const { problems } = await world.admin.applyTopics([{ ...both, partitions: 3 }])
    expect(problems).toEqual([expect.stringContaining('has 2 partitions, must have 3')])
    expect((await world.admin.endOffsets(topic)).size).toBe(2)
  })
})

const LIST_OFFSETS = 2
/** Version 3, as kafkajs asks: no throttling, one topic, one partition, nothing behind it. */
const notHosted = (): Fate => ({
  answer: Buffer.concat([
    new WireWriter().int32(0).int32(1).string('t').int32(1).int32(0).int16(UNKNOWN_TOPIC).bytes(),
    Buffer.alloc(16),
    Buffer.alloc(4),
  ]),
})
const UNKNOWN_TOPIC = 3
/** More than one call of ours tries by itself. */
const REFUSALS = 45

describe('a topic just made', () => {
  it('is waited for until its leaders answer, however busy the machine', async () => {
    const world = await openWorld()
    let asked = 0
    const proxy = await openKafkaProxy(world.settings.brokers, ({ apiKey }) => {
      if (apiKey !== LIST_OFFSETS) return 'pass'
      asked += 1
      return asked <= REFUSALS ? notHosted() : 'pass'
    })
    onTestFinished(() => proxy.close())
    const admin = await openAdmin({ ...world.settings, brokers: proxy.brokers }, testLog)
    onTestFinished(() => admin.close())
    const topic = `${world.settings.prefix}new`
    const spec = { name: 'new', partitions: 2, config: {}, schema: null }
    onTestFinished(() => world.admin.deleteTopics([topic]))
    expect(await admin.applyTopics([spec])).toMatchObject({ created: [topic], problems: [] })
    expect(asked).toBeGreaterThan(REFUSALS)
    expect(proxy.faults).toEqual([])
  })
})

/** The last value of each key, by offset: what compaction must not change. */
function latest(records: readonly KafkaRecord[]): Map<string, bigint> {
  return new Map(records.map(({ key, offset }) => [key, offset]))
}
