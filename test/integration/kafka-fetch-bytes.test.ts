// How much a consumer gets at once: a bound on bytes in memory, whatever they were on the wire.
import { expect, it, onTestFinished } from 'vitest'
import { topicName } from '../../contracts/topics.ts'
import { FETCHED_VALUE_BYTES_MAX } from '../../runtime/kafka/cures.ts'
import { runConsumer } from '../../runtime/kafka/consumer.ts'
import { testLog } from '../support/kafka-scene.ts'
import { eventTopics } from '../support/event-topics.ts'
import { waitFor } from '../support/stack.ts'

const VALUE_BYTES = 900_000
const RECORDS = 40

it('hands over texts that compress a thousandfold in pieces, each once and in order', async () => {
  const topics = await eventTopics()
  const { settings } = topics
  const values = Array.from({ length: RECORDS }, (_, i) => {
    const value = Buffer.alloc(VALUE_BYTES, 'words ')
    value.writeUInt32BE(i)
    return value
  })
  await topics.putAll('findings', 'same-partition', values)
  const numbers: number[] = []
  const batchBytes: number[] = []
  const consumer = await runConsumer({
    settings,
    groupId: `${settings.prefix}reader`,
    topics: [topicName(settings.prefix, 'findings')],
    log: testLog,
    async onBatch({ records }) {
      batchBytes.push(records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0))
      for (const { value } of records) numbers.push(value?.readUInt32BE() ?? -1)
    },
  })
  onTestFinished(() => consumer.stop())
  await waitFor(() => numbers.length >= RECORDS, { what: 'all are handed over' })
  expect(numbers).toEqual(Array.from({ length: RECORDS }, (_, i) => i))
  expect(batchBytes.length).toBeGreaterThan(3)
  expect(Math.max(...batchBytes)).toBeLessThanOrEqual(FETCHED_VALUE_BYTES_MAX + VALUE_BYTES)
})
