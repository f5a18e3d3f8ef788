// Three brokers: leaders that move during a send (C1 of kafkajs' traps), and the core under it.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { createKafka } from '../../runtime/kafka/client.ts'
import { openPublisher } from '../../runtime/kafka/publisher.ts'
import { openSession, type Session } from '../../runtime/kafka/session.ts'
import { findJava, usualPlaces } from '../../stack/java.ts'
import { openScene, testLog, type Scene } from '../support/kafka-scene.ts'
import { outRecord } from '../support/kafka-world.ts'
import { waitFor } from '../support/stack.ts'
import { fightOnThree } from './broker-restarts.ts'
import { attackBrokers } from './brokers-attacks.ts'
import { readBy } from './counted.ts'
import { SEED_TIMEOUT_MS, expectWhole } from './expect-report.ts'
import { openKafkaProxy } from './kafka-proxy.ts'
import { API } from './kafka-wire.ts'
import { messages, naiveKafka } from './naive.ts'
import { REPLICAS, startThreeBrokers, type ThreeBrokers } from './three-brokers.ts'

const START_TIMEOUT_MS = 180_000
const TRANSACTION_TIMEOUT_MS = 20_000
/** Longer than leaders take to move on a busy machine. */
const REQUEST_TIMEOUT_MS = 25_000
const RETRIES = 20
/** As the brokers' settings have it. */
const TRANSACTION_PARTITIONS = [0, 1, 2]
const SENT_WELL = ['after-0', 'after-1', 'before-0', 'before-1']
// Where only containers run there is no Java for brokers of our own.
const java = await findJava(usualPlaces()).catch(() => null)

type Place = { readonly scene: Scene; readonly topic: string }
/** Sends one record to either partition, in one call. */
type Send = (name: string) => Promise<unknown>

async function naiveSend(brokers: readonly string[], topic: string): Promise<Send> {
  const producer = naiveKafka(brokers, REQUEST_TIMEOUT_MS).producer({
    idempotent: true,
    createPartitioner: () => (input) => input.message.partition ?? 0,
    retry: { initialRetryTime: 20, retries: RETRIES },
  })
  await producer.connect()
  onTestFinished(() => producer.disconnect())
  return async (name) => {
    const both = [...messages([`${name}-0`], 0), ...messages([`${name}-1`], 1)]
    const answers = await producer.sendBatch({ topicMessages: [{ topic, messages: both }] })
    expect(answers.every(({ errorCode }) => errorCode === 0)).toBe(true)
  }
}

const outputs = (topic: string, name: string) =>
  [0, 1].map((partition) => outRecord(topic, partition, `${name}-${partition}`))

async function sessionSend(brokers: readonly string[], { scene, topic }: Place): Promise<Send> {
  const client = createKafka({ ...scene.settings, brokers }, 'chaos', testLog)
  const session: Session = await openSession(client, {
    transactionalId: `${scene.settings.prefix}ours`,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
  })
  onTestFinished(() => session.close())
  return (name) => session.commit({ outputs: outputs(topic, name) })
}

function publisherSend(brokers: readonly string[], { scene, topic }: Place): Send {
  const publisher = openPublisher({ ...scene.settings, brokers }, testLog)
  onTestFinished(() => publisher.close())
  return (name) => publisher.send(outputs(topic, name))
}

describe.runIf(java !== null)('three brokers', { timeout: 240_000 }, () => {
  let three: ThreeBrokers
  beforeAll(async () => {
    three = await startThreeBrokers((line) => testLog.info(line))
  }, START_TIMEOUT_MS)
  afterAll(() => three?.close(), START_TIMEOUT_MS)

  /** A topic of two partitions, led by broker 1 and broker 2. */
  async function ledByTwo(): Promise<Place> {
    const prefix = `b-${randomBytes(4).toString('hex')}.`
    const scene = await openScene(three.brokers, prefix, REPLICAS)
    onTestFinished(() => scene.close())
    const topic = await scene.topic('two', 2)
    await three.moveLeader(topic, 0, 1)
    await three.moveLeader(topic, 1, 2)
    return { scene, topic }
  }
  const keysOf = async (topic: string): Promise<string[]> =>
    (await readBy(three.brokers, topic)).map(({ key }) => key).toSorted()

  /** The leader of partition 0 goes to the one that partition 1 has; the sender does not know. */
  async function sendAfterMove({ topic }: Place, send: Send): Promise<void> {
    await send('before')
    await three.moveLeader(topic, 0, 2)
    await send('after')
  }

  describe('of which one has taken over from another unknown to the sender', () => {
    it('leave out a part of a batch that a bare producer calls sent', async () => {
      const place = await ledByTwo()
      await sendAfterMove(place, await naiveSend(three.brokers, place.topic))
      expect(await keysOf(place.topic)).toEqual(['after-1', 'before-0', 'before-1'])
    })

    it('get all of a transaction of ours', async () => {
      const place = await ledByTwo()
      await sendAfterMove(place, await sessionSend(three.brokers, place))
      expect(await keysOf(place.topic)).toEqual(SENT_WELL)
    })

    it('get all that our publisher sends', async () => {
      const place = await ledByTwo()
      await sendAfterMove(place, publisherSend(three.brokers, place))
      expect(await keysOf(place.topic)).toEqual(SENT_WELL)
    })
  })

  /** Broker 2 has acknowledged when both leaders go to broker 3, where broker 1 refuses. */
  async function moveDuringSend(
    { scene, topic }: Place,
    open: (brokers: readonly string[]) => Promise<Send>,
  ): Promise<void> {
    const proxy = await openKafkaProxy(three.brokers)
    onTestFinished(() => proxy.close())
    const send = await open(proxy.brokers)
    await send('before')
    const before = await scene.reader.endOffset(topic, 1)
    const moved = Promise.withResolvers<void>()
    proxy.setRule(({ apiKey, broker }) =>
      apiKey === API.produce && broker === three.brokers[0] ? { hold: moved.promise } : 'pass',
    )
    const sending = send('after')
    const acknowledged = async () => (await scene.reader.endOffset(topic, 1)) > before
    await waitFor(acknowledged, { what: 'partition 1 has its record' })
    await three.moveLeader(topic, 1, 3)
    await three.moveLeader(topic, 0, 3)
    moved.resolve()
    await sending
    expect(proxy.done.get('hold')).toBe(1)
    expect(proxy.faults).toEqual([])
  }

  describe('of which one takes over what another has acknowledged', () => {
    it('get it twice from a bare producer, idempotent though it is', async () => {
      const place = await ledByTwo()
      await moveDuringSend(place, (brokers) => naiveSend(brokers, place.topic))
      expect(await keysOf(place.topic)).toEqual([
        'after-0',
        'after-1',
        'after-1',
        'before-0',
        'before-1',
      ])
    })

    it('get it once from a session of ours', async () => {
      const place = await ledByTwo()
      await moveDuringSend(place, async (brokers) => {
        const send = await sessionSend(brokers, place)
        // Not on the connection that is held: what is asked of it again would wait there as well.
        for (const partition of TRANSACTION_PARTITIONS) {
          await three.moveLeader('__transaction_state', partition, 3)
        }
        return send
      })
      expect(await keysOf(place.topic)).toEqual(SENT_WELL)
    })

    it('get it once from our publisher', async () => {
      const place = await ledByTwo()
      await moveDuringSend(place, async (brokers) => publisherSend(brokers, place))
      expect(await keysOf(place.topic)).toEqual(SENT_WELL)
    })
  })

  it('carry the processor through leaders that move and one broker that dies', async () => {
    const report = await attackBrokers(three, 1, 'SHORT')
    expect(report).toMatchObject({ problems: [], eventsGot: report.eventsWanted })
    expect(report.attacks).toMatchObject({ 'broker kill': 1 })
    expect(report.attacks['leader move']).toBeGreaterThan(0)
  })

  it('carry the whole pipeline through the same', { timeout: SEED_TIMEOUT_MS }, async () => {
    const { attacks } = expectWhole(await fightOnThree(three, 1, inject('stack'), 'SHORT'))
    expect(attacks).toMatchObject({ 'broker kill': 1 })
    expect(attacks['leader move']).toBeGreaterThan(0)
  })
})
