// OCSF events as JSON on a real broker: each once, whoever writes them, and in the order told.
import { describe, expect, it, onTestFinished } from 'vitest'
import type { SinkBatch } from '../../contracts/ports.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import { partitionOf } from '../../contracts/placement.ts'
import { TOPICS, topicName } from '../../contracts/topics.ts'
import { openLogReader } from '../../runtime/kafka/log-reader.ts'
import { sinkGroup } from '../../runtime/run-sink.ts'
import { kafkaJsonConfig } from '../../sinks/kafka-json/config.ts'
import { createKafkaJsonSink } from '../../sinks/kafka-json/sink.ts'
import { ocsfOf } from '../../sinks/ocsf/ocsf.ts'
import { assetEvent, errorEvent, findingEvent } from '../support/events.ts'
import { eventTopics } from '../support/event-topics.ts'
import { testLog } from '../support/kafka-scene.ts'
import { batchOf } from '../support/postgres.ts'
import { caughtUp, runningSink } from '../support/running-sink.ts'
import { toldFinding } from '../support/sink-history.ts'
import { waitFor } from '../support/stack.ts'

async function jsonWorld() {
  const topics = await eventTopics()
  const { settings, admin } = topics
  const { prefix } = settings
  const groupOf = (name: string) => sinkGroup(prefix, name)
  const reader = openLogReader(settings, testLog)
  onTestFinished(async () => {
    await reader.close()
    await admin.deleteTopics([topicName(prefix, 'ocsf')])
  })
  const sink = createKafkaJsonSink(kafkaJsonConfig.parse({}), {
    groupOf,
    kafka: settings,
    log: testLog,
  })
  return {
    topics,
    batch: (uids: readonly string[], firstOffset = 0n): SinkBatch =>
      batchOf(
        uids.map((uid) => toldFinding(uid, 1)),
        { topic: topicName(prefix, 'findings'), firstOffset },
      ),
    async open() {
      const opened = await sink.open()
      onTestFinished(() => opened.close())
      return opened
    },
    start: () => runningSink(topics, sink),
    settled: () => caughtUp(topics, sink),
    async written() {
      const records: KafkaRecord[] = []
      for (const partition of await reader.partitions(topicName(prefix, 'ocsf'))) {
        await reader.readToEnd(topicName(prefix, 'ocsf'), partition, (record) => {
          records.push({ ...record, value: Buffer.from(record.value ?? '') })
        })
      }
      return records
    },
  }
}

const uidsOf = (records: readonly KafkaRecord[]) =>
  records.map(
    ({ value }) =>
      (JSON.parse(String(value)) as { finding_info: { uid: string } }).finding_info.uid,
  )

describe('the JSON topic', () => {
  it('has the OCSF event of what OCSF has a class for, under its uid', async () => {
    const world = await jsonWorld()
    const asset = assetEvent('a1')
    const finding = findingEvent('f1')
    const error = errorEvent('e1', 'p1')
    await world.topics.put('assets', 'a1', asset)
    await world.topics.put('findings', 'f1', finding)
    await world.topics.put('findings', 'f0', null)
    await world.topics.put('connectorErrors', 'p1', error)
    const { raised } = await world.start()
    await world.settled()
    const records = await world.written()
    const byKey = new Map(records.map(({ key, value }) => [key, JSON.parse(String(value))]))
    expect(byKey).toEqual(
      new Map([
        [asset.meta.event_id, ocsfOf({ kind: 'asset', value: asset })],
        [finding.meta.event_id, ocsfOf({ kind: 'finding', value: finding })],
        ['e1', ocsfOf({ kind: 'connector-error', value: error })],
      ]),
    )
    const ofFinding = records.find(({ key }) => key === finding.meta.event_id)
    expect(ofFinding).toMatchObject({
      partition: partitionOf('f1', TOPICS.ocsf.partitions),
      headers: { 'ocsf-class': '2002', 'ocsf-version': '1.8.0' },
    })
    expect(raised).toEqual([])
    expect(await world.topics.deadLetters()).toEqual([])
  })

  it('has every event once after restarts in the middle', async () => {
    const world = await jsonWorld()
    const uids = Array.from({ length: 120 }, (_, i) => `f${i}`)
    const events = uids.map((uid) => findingEvent(uid))
    await world.topics.putAll('findings', 'same', events.slice(0, 60))
    const first = await world.start()
    await waitFor(async () => (await world.written()).length > 0, { what: 'something written' })
    await world.topics.putAll('findings', 'same', events.slice(60))
    await first.stop()
    await world.start()
    await world.settled()
    expect(uidsOf(await world.written())).toEqual(uids)
  })

  it('dead-letters an event too big for it, and has its neighbours once', async () => {
    const world = await jsonWorld()
    // Fits Avro's topic, but JSON doubles every quote.
    const big = findingEvent('big', 1, { description: '"'.repeat(900_000) })
    await world.topics.putAll('findings', 'k', [findingEvent('f1'), big, findingEvent('f2')])
    await world.start()
    await world.settled()
    expect(uidsOf(await world.written())).toEqual(['f1', 'f2'])
    const letters = await world.topics.deadLetters()
    expect(letters.map(({ headers }) => headers['x-dlq-reason'])).toEqual(['SINK_REJECTED'])
  })
})

describe('the writer of a partition', () => {
  it('goes on behind what another has committed, and writes nothing of it again', async () => {
    const world = await jsonWorld()
    const batch = world.batch(['f1', 'f2'])
    const first = await world.open()
    expect(await first.storedOffset(batch.topic, batch.partition)).toBeNull()
    expect(await first.write(batch)).toEqual([])
    expect(await first.write(batch)).toEqual([])
    const second = await world.open()
    expect(await second.storedOffset(batch.topic, batch.partition)).toBe(batch.nextOffset)
    expect(await second.write(batch)).toEqual([])
    await second.write({ ...world.batch(['f1', 'f2', 'f3']), nextOffset: 3n })
    expect(uidsOf(await world.written()).toSorted()).toEqual(['f1', 'f2', 'f3'])
  })

  it('is shut out when another has taken over, and looks anew before it writes', async () => {
    const world = await jsonWorld()
    const asleep = await world.open()
    await asleep.write(world.batch(['f1']))
    const taker = await world.open()
    await taker.storedOffset(world.batch([]).topic, 0)
    await taker.write(world.batch(['f2'], 1n))
    const late = world.batch(['f2', 'f3'], 1n)
    await expect(asleep.write(late)).rejects.toMatchObject({ failure: 'SINK_UNAVAILABLE' })
    expect(await asleep.write(late)).toEqual([])
    expect(uidsOf(await world.written()).toSorted()).toEqual(['f1', 'f2', 'f3'])
  })
})

describe('a topic of that name with other partitions', () => {
  it('is refused by name', async () => {
    const world = await jsonWorld()
    await world.topics.admin.applyTopics([{ ...TOPICS.ocsf, partitions: 2 }])
    await expect(world.open()).rejects.toMatchObject({
      failure: 'CONFIGURATION',
      message: expect.stringContaining('must have 6') as string,
    })
  })
})
