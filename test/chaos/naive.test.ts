// What a plain use of kafkajs loses or doubles, and ours does not: C2, C3, C4 and C6 of its traps.
// C1 needs three brokers (brokers.test.ts); C5 and C5b stand in integration/kafka-cures.test.ts.
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createKafka } from '../../runtime/kafka/client.ts'
import { openCluster } from '../../runtime/kafka/cluster.ts'
import { openSession, type Session } from '../../runtime/kafka/session.ts'
import { openWorld, outRecord, testLog, type World } from '../support/kafka-world.ts'
import { stack, waitFor } from '../support/stack.ts'
import { readBy } from './counted.ts'
import { openKafkaProxy, type KafkaProxy, type Rule } from './kafka-proxy.ts'
import { API } from './kafka-wire.ts'
import { messages, naiveProducer, type NaiveProducer } from './naive.ts'

const TRANSACTION_TIMEOUT_MS = 10_000
/** Transactions in a row, of which one meets markers that are still on their way. */
const TRANSACTIONS_MAX = 100
const MANY_PARTITIONS = 40
const SEND_RETRIES = 30

async function proxyOf(world: World, rule: Rule): Promise<KafkaProxy> {
  const proxy = await openKafkaProxy(world.settings.brokers, rule)
  onTestFinished(async () => {
    await proxy.close()
    expect(proxy.faults).toEqual([])
  })
  return proxy
}

async function naive(
  brokers: readonly string[],
  id: string,
  retries?: number,
): Promise<NaiveProducer> {
  const producer = await naiveProducer(brokers, id, retries)
  onTestFinished(() => producer.disconnect())
  return producer
}

/** A broker that has just started makes its topic of transactions first: not what is shown here. */
beforeAll(async () => {
  const producer = await naiveProducer(stack().brokers, 'coordinator')
  const begun = async () => {
    await (await producer.transaction()).abort()
    return true
  }
  await waitFor(begun, { what: 'a coordinator of transactions' })
  await producer.disconnect()
})

async function session(world: World, brokers: readonly string[], id: string): Promise<Session> {
  const client = createKafka({ ...world.settings, brokers }, 'chaos', testLog)
  const opened = await openSession(client, {
    transactionalId: world.settings.prefix + id,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
  })
  onTestFinished(() => opened.close())
  return opened
}

const keysOf = async (world: World, topic: string): Promise<string[]> =>
  (await readBy(world.settings.brokers, topic)).map(({ key }) => key)

async function committed(world: World, groupId: string, topic: string): Promise<bigint | null> {
  const cluster = openCluster(world.client)
  try {
    return await cluster.committedOffset(groupId, topic, 0)
  } finally {
    await cluster.close()
  }
}

const failed = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => false,
    () => true,
  )

/** Every answer to a produce request is lost, for as long as `on` is true. */
const loseProduceAnswers = (lost: { on: boolean }): Rule => {
  return ({ apiKey }) => (apiKey === API.produce && lost.on ? 'cut-after' : 'pass')
}

describe('a produce request whose answer is lost (C2)', () => {
  it('costs a reused transactional producer the records of its next transaction', async () => {
    const world = await openWorld()
    const topic = await world.topic('reused', 1)
    const lost = { on: true }
    const proxy = await proxyOf(world, loseProduceAnswers(lost))
    // Enough that the markers of the abort are written before the second send gives up.
    const id = `${world.settings.prefix}naive`
    const producer = await naive(proxy.brokers, id, SEND_RETRIES)
    const first = await producer.transaction()
    expect(await failed(first.send({ topic, messages: messages(['a', 'b']) }))).toBe(true)
    await first.abort()
    lost.on = false
    const second = await producer.transaction()
    const [answer] = await second.send({ topic, messages: messages(['x', 'y']) })
    await second.commit()

    expect(answer).toMatchObject({ errorCode: 0 })
    expect(await keysOf(world, topic)).toEqual([])
  })

  it('costs a session of ours nothing: it is dead, and the next one begins anew', async () => {
    const world = await openWorld()
    const topic = await world.topic('anew', 1)
    const lost = { on: true }
    const proxy = await proxyOf(world, loseProduceAnswers(lost))
    const first = await session(world, proxy.brokers, 'ours')
    const outputs = ['a', 'b'].map((key) => outRecord(topic, 0, key))
    expect(await failed(first.commit({ outputs }))).toBe(true)
    lost.on = false
    expect(first.alive).toBe(false)
    const second = await session(world, proxy.brokers, 'ours')
    await second.commit({ outputs: ['x', 'y'].map((key) => outRecord(topic, 0, key)) })

    expect(await keysOf(world, topic)).toEqual(['x', 'y'])
  })
})

/** The answer to the first commit is lost; the broker has carried it out. */
const loseFirstCommit: Rule = ({ apiKey, nth }) =>
  apiKey === API.endTxn && nth === 1 ? 'cut-after' : 'pass'

describe('a commit whose answer is lost (C3)', () => {
  it('is written twice by who does it again after the error', async () => {
    const world = await openWorld()
    const topic = await world.topic('twice', 1)
    const proxy = await proxyOf(world, loseFirstCommit)
    const attempt = async (retries?: number): Promise<void> => {
      const producer = await naive(proxy.brokers, `${world.settings.prefix}naive`, retries)
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: messages(['a']) })
      await transaction.commit()
    }
    expect(await failed(attempt())).toBe(true)
    // The markers of the commit may still be on their way.
    await attempt(SEND_RETRIES)

    expect(await keysOf(world, topic)).toEqual(['a', 'a'])
  })

  it('leaves a bare producer that can neither abort nor begin', async () => {
    const world = await openWorld()
    const topic = await world.topic('bricked', 1)
    const proxy = await proxyOf(world, loseFirstCommit)
    const producer = await naive(proxy.brokers, `${world.settings.prefix}naive`)
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: messages(['a']) })
    expect(await failed(transaction.commit())).toBe(true)
    expect(await failed(transaction.abort())).toBe(true)
    expect(await failed(producer.transaction())).toBe(true)
  })

  it('is seen in the committed offset once a new session of ours is open', async () => {
    const world = await openWorld()
    const topic = await world.topic('once', 1)
    const groupId = `${world.settings.prefix}group`
    const proxy = await proxyOf(world, loseFirstCommit)
    const offsets = { groupId, topic, partition: 0, next: 1n }
    const attempt = async (): Promise<void> => {
      const opened = await session(world, proxy.brokers, 'ours')
      // The order of ours: fence, then ask what has been done.
      if ((await committed(world, groupId, topic)) === offsets.next) return
      await opened.commit({ outputs: [outRecord(topic, 0, 'a')], offsets })
    }
    expect(await failed(attempt())).toBe(true)
    await attempt()

    expect(await keysOf(world, topic)).toEqual(['a'])
  })
})

describe('an owner that wakes up after its work has gone to another (C4)', () => {
  it('writes it a second time where each owner has an id of its own', async () => {
    const world = await openWorld()
    const topic = await world.topic('zombie', 1)
    const groupId = `${world.settings.prefix}group`
    const begin = async (id: string) => {
      const producer = await naive(world.settings.brokers, world.settings.prefix + id, SEND_RETRIES)
      const transaction = await producer.transaction()
      expect(await committed(world, groupId, topic)).toBe(null)
      await transaction.send({ topic, messages: messages(['a']) })
      const partitions = [{ partition: 0, offset: '1' }]
      await transaction.sendOffsets({ consumerGroupId: groupId, topics: [{ topic, partitions }] })
      return transaction
    }
    const zombie = await begin('instance-1')
    const heir = await begin('instance-2')
    await heir.commit()
    await zombie.commit()

    expect(await keysOf(world, topic)).toEqual(['a', 'a'])
  })

  it('is refused where the partition has the id, fenced before offsets are read', async () => {
    const world = await openWorld()
    const topic = await world.topic('fenced', 1)
    const groupId = `${world.settings.prefix}group`
    const asleep = Promise.withResolvers<void>()
    const proxy = await proxyOf(world, ({ apiKey }) =>
      apiKey === API.endTxn ? { hold: asleep.promise } : 'pass',
    )
    const work = {
      outputs: [outRecord(topic, 0, 'a')],
      offsets: { groupId, topic, partition: 0, next: 1n },
    }
    const zombie = await session(world, proxy.brokers, 'partition-0')
    const late = failed(zombie.commit(work))
    await waitFor(() => proxy.done.get('hold') === 1, { what: 'the commit is on its way' })
    const heir = await session(world, world.settings.brokers, 'partition-0')
    expect(await committed(world, groupId, topic)).toBe(null)
    await heir.commit(work)
    asleep.resolve()

    expect(await late).toBe(true)
    expect(zombie.alive).toBe(false)
    expect(await keysOf(world, topic)).toEqual(['a'])
  })
})

describe('markers that are still on their way (C6)', () => {
  it('fail the offsets of a bare producer, and no commit of ours', async () => {
    const world = await openWorld()
    const topic = await world.topic('busy', MANY_PARTITIONS)
    const groupId = `${world.settings.prefix}group`
    const offset = { topic, partitions: [{ partition: 0, offset: '1' }] }
    // Enough to send over many partitions just made; the offsets are not tried again at all.
    const id = `${world.settings.prefix}naive`
    const producer = await naive(world.settings.brokers, id, SEND_RETRIES)
    const all = Array.from({ length: MANY_PARTITIONS }, (_, p) => messages(['a'], p)).flat()
    const meet = async (): Promise<unknown> => {
      for (let i = 0; i < TRANSACTIONS_MAX; i += 1) {
        const wide = await producer.transaction()
        await wide.send({ topic, messages: all })
        await wide.commit()
        const narrow = await producer.transaction()
        try {
          await narrow.sendOffsets({ consumerGroupId: groupId, topics: [offset] })
        } catch (error) {
          await narrow.abort()
          return error
        }
        await narrow.commit()
      }
      return null
    }
    expect(await meet()).toMatchObject({ type: 'CONCURRENT_TRANSACTIONS' })

    const ours = await session(world, world.settings.brokers, 'ours')
    const outputs = all.map(({ partition }) => outRecord(topic, partition, 'b'))
    for (let i = 0; i < TRANSACTIONS_MAX / 10; i += 1) {
      await ours.commit({ outputs })
      await ours.commit({
        outputs: [],
        offsets: { groupId, topic, partition: 0, next: BigInt(i + 1) },
      })
    }
    // Its markers, too, may still be on their way.
    const done = async () =>
      (await committed(world, groupId, topic)) === BigInt(TRANSACTIONS_MAX / 10)
    expect(await waitFor(done, { what: 'the last offset is seen' })).toBe(true)
  })
})
