// The plain consumer of sinks, on the real broker: offsets, redelivery, seeking, empty batches.
import { describe, expect, it, onTestFinished } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { runConsumer, type ConsumerOptions } from '../../runtime/kafka/consumer.ts'
import { openPublisher } from '../../runtime/kafka/publisher.ts'
import { openStranger } from '../support/kafka-transactions.ts'
import { openWorld, outRecord, randomName, testLog, type World } from '../support/kafka-world.ts'
import { waitFor } from '../support/stack.ts'

type Start = Partial<ConsumerOptions> & Pick<ConsumerOptions, 'onBatch' | 'topics'>

async function start(world: World, options: Start) {
  const consumer = await runConsumer({
    settings: world.settings,
    groupId: `${world.settings.prefix}${randomName()}`,
    log: testLog,
    sessionTimeoutMs: 6_000,
    ...options,
  })
  onTestFinished(() => consumer.stop())
  return consumer
}

async function publish(world: World, topic: string, keys: readonly string[]): Promise<void> {
  const publisher = openPublisher(world.settings, testLog)
  await publisher.send(keys.map((key) => outRecord(topic, 0, key, `value of ${key}`)))
  await publisher.close()
}

describe('runConsumer', () => {
  it('commits behind what is done and goes on from there when started again', async () => {
    const world = await openWorld()
    const topic = await world.topic('in', 2)
    const groupId = `${world.settings.prefix}group`
    await publish(world, topic, ['a', 'b'])
    const first: string[] = []
    const assigned: unknown[] = []
    const one = await start(world, {
      groupId,
      topics: [topic],
      onAssigned: (partitions) => void assigned.push(...partitions),
      onBatch: async ({ records }) => {
        first.push(...records.map(({ key, value }) => `${key}=${value?.toString()}`))
      },
    })
    const committed = async (next: bigint) => {
      const offsets = await world.admin.committedOffsets(groupId, topic)
      return offsets.get(0) === next
    }
    await waitFor(() => committed(2n), { what: 'two records are committed' })
    await one.stop()
    expect(first).toEqual(['a=value of a', 'b=value of b'])
    expect(assigned).toEqual([
      { topic, partition: 0 },
      { topic, partition: 1 },
    ])
    await publish(world, topic, ['c'])
    const second: string[] = []
    await start(world, {
      groupId,
      topics: [topic],
      onBatch: async ({ records }) => void second.push(...records.map(({ key }) => key)),
    })
    await waitFor(() => committed(3n), { what: 'the third is committed' })
    expect(second).toEqual(['c'])
  })

  it('delivers again after any throw, a TypeError too, and commits nothing before', async () => {
    const world = await openWorld()
    const topic = await world.topic('in', 1)
    const groupId = `${world.settings.prefix}group`
    await publish(world, topic, ['a'])
    const attempts: string[] = []
    const troubles: string[] = []
    let done = false
    await start(world, {
      groupId,
      topics: [topic],
      onTrouble: (error) => troubles.push(error.failure),
      onBatch: async ({ records }) => {
        attempts.push(records.map(({ key }) => key).join())
        expect((await world.admin.committedOffsets(groupId, topic)).get(0)).toBeNull()
        if (attempts.length === 1) throw new TypeError('a fault of the handler')
        if (attempts.length === 2) throw new Error('another one')
        done = true
      },
    })
    await waitFor(() => done, { what: 'the third attempt' })
    expect(attempts).toEqual(['a', 'a', 'a'])
    expect(troubles).toEqual(['INTERNAL'])
    const lag = async () => (await world.admin.lag(groupId, [topic])).every((p) => p.lag === 0n)
    await waitFor(lag, { what: 'lag is 0' })
  })

  it('tries a batch again in place while the store is down, and stays in the group', async () => {
    const world = await openWorld()
    const topic = await world.topic('in', 1)
    await publish(world, topic, ['a'])
    let attempts = 0
    let joins = 0
    const troubles: string[] = []
    await start(world, {
      topics: [topic],
      onAssigned: () => void (joins += 1),
      onTrouble: (error) => troubles.push(error.failure),
      onBatch: async () => {
        attempts += 1
        if (attempts < 4) throw new PipelineError('SINK_UNAVAILABLE', 'SINK', 'the store is down')
      },
    })
    await waitFor(() => attempts === 4, { what: 'the fourth attempt' })
    expect(joins).toBe(1)
    expect(troubles).toEqual(['SINK_UNAVAILABLE'])
  })

  it('reads again from where the handler seeks to, without committing the batch', async () => {
    const world = await openWorld()
    const topic = await world.topic('in', 1)
    await publish(world, topic, ['a', 'b', 'c'])
    const batches: string[] = []
    await start(world, {
      topics: [topic],
      onBatch: async ({ records, firstOffset }, control) => {
        batches.push(records.map(({ key }) => key).join(''))
        if (batches.length === 1) control.seek(topic, 0, firstOffset + 1n)
      },
    })
    await waitFor(() => batches.length === 2, { what: 'the batch after the seek' })
    expect(batches).toEqual(['abc', 'bc'])
  })

  it('shows batches of nothing but markers, so that offsets and lag move on', async () => {
    const world = await openWorld()
    const topic = await world.topic('in', 1)
    const groupId = `${world.settings.prefix}group`
    const stranger = await openStranger(world, 'stranger')
    const seen: { keys: string[]; next: bigint }[] = []
    await start(world, {
      groupId,
      topics: [topic],
      onBatch: async ({ records, nextOffset }) => {
        seen.push({ keys: records.map(({ key }) => key), next: nextOffset })
      },
    })
    const transaction = await stranger.begin()
    await transaction.send(topic, 'aborted')
    await transaction.abort()
    const end = 2n
    await waitFor(() => seen.some(({ next }) => next === end), { what: 'the marker is passed' })
    expect(seen.flatMap(({ keys }) => keys)).toEqual([])
    const lag = async () => (await world.admin.lag(groupId, [topic]))[0]?.lag === 0n
    await waitFor(lag, { what: 'lag is 0' })
  })

  it('tells once that Kafka is not there, and stops all the same', async () => {
    const world = await openWorld()
    const troubles: string[] = []
    const consumer = await start(world, {
      settings: { ...world.settings, brokers: ['127.0.0.1:1'] },
      topics: ['nowhere'],
      onBatch: async () => {},
      onTrouble: (error) => troubles.push(`${error.failure} ${error.message}`),
    })
    await waitFor(() => troubles.length === 1, { what: 'trouble is told', timeoutMs: 50_000 })
    await consumer.stop()
    expect(troubles).toHaveLength(1)
    expect(troubles[0]).toContain('TEMPORARY_FAILURE Kafka does not answer at 127.0.0.1:1')
  })
})
