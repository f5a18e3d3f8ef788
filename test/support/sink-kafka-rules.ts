// What every store must do while the product runs it: between its topics and the store.
import { expect, it } from 'vitest'
import { sinkGroup } from '../../runtime/run-sink.ts'
import { type EventTopics, eventTopics } from './event-topics.ts'
import { runningSink } from './running-sink.ts'
import type { Told } from './sink-history.ts'
import { RULES_TIMEOUT_MS, type Suite } from './sink-suite.ts'
import type { SinkWorld } from './sink-worlds/sink-world.ts'
import { waitFor } from './stack.ts'

const run = (world: SinkWorld, topics: EventTopics) =>
  runningSink(
    topics,
    world.sink((name) => sinkGroup(topics.settings.prefix, name)),
  )

/** As tests. */
export function kafkaRules({ world, subject, expectHeld }: Suite): void {
  const { told, gone, topic } = subject
  const put = (topics: EventTopics, { key, value }: Told) => topics.put(topic, key, value as never)

  it(
    'dead-letters poison, and goes on behind it',
    async () => {
      const topics = world().topics ?? (await eventTopics())
      await topics.put(topic, 'f1', Buffer.from([0, 0, 0, 0, 9, 255]))
      await put(topics, told('f1', 1))
      const running = await run(world(), topics)
      await running.settled()
      await expectHeld([told('f1', 1)])
      expect(running.raised.map(({ failure }) => failure)).toEqual(['SERIALIZATION'])
      expect(await topics.deadLetters()).toHaveLength(1)
    },
    RULES_TIMEOUT_MS,
  )

  it(
    'loses nothing while the store is away, and dead-letters nothing for it',
    async () => {
      const topics = world().topics ?? (await eventTopics())
      const running = await run(world(), topics)
      await put(topics, told('f1', 1))
      await running.settled()
      await expectHeld([told('f1', 1)])
      await world().goAway()
      await put(topics, told('f2', 1))
      await put(topics, gone('f1', 2))
      await waitFor(() => running.raised.length > 0, { what: 'told that the store is away' })
      await world().comeBack()
      await running.settled()
      await expectHeld([told('f1', 1), told('f2', 1), gone('f1', 2)])
      expect(new Set(running.raised.map(({ failure }) => failure))).toEqual(
        new Set(['SINK_UNAVAILABLE']),
      )
      expect(await topics.deadLetters()).toEqual([])
    },
    RULES_TIMEOUT_MS,
  )
}
