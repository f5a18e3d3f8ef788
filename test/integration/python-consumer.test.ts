// A stranger's view: librdkafka and fastavro read what we wrote, knowing only broker and registry.
import { beforeAll, describe, expect, it } from 'vitest'
import { partitionOf } from '../../contracts/placement.ts'
import { TOPICS, topicName } from '../../contracts/topics.ts'
import { openSession } from '../../runtime/kafka/session.ts'
import { createKafka } from '../../runtime/kafka/client.ts'
import { findingEvent } from '../support/events.ts'
import { eventTopics } from '../support/event-topics.ts'
import { testLog } from '../support/postgres.ts'
import { python, runPython } from '../support/python.ts'
import { stack } from '../support/stack.ts'

const READ_TIMEOUT_MS = 55_000
type Line = {
  key: string
  partition: number
  headers: Record<string, string>
  value: unknown
}

beforeAll(async () => void (await python()))

describe('a consumer in Python', () => {
  it('reads every committed finding, field for field, from the partition of its key', async () => {
    const topics = await eventTopics()
    const { settings, codecs } = topics
    const topic = topicName(settings.prefix, 'findings')
    const events = Array.from({ length: 40 }, (_, i) =>
      findingEvent(`fnd_${i}`, 1_767_225_600_000 + i, {
        title: i % 2 === 0 ? `ünï 😀 ${i}` : `plain ${i}`,
        cvss_score: i % 3 === 0 ? null : 0.1 * i,
        package: i % 4 === 0 ? null : findingEvent('x').package,
        epss: i % 5 === 0 ? { score: 0.25, percentile: null, as_of: 1_767_225_600_001 } : null,
        unmapped: { 'k "x"': '{"a":1}', ...(i % 7 === 0 ? { other: '' } : {}) },
      }),
    )
    const client = createKafka(settings, 'python-test', testLog)
    const session = await openSession(client, {
      transactionalId: `${settings.prefix}python`,
      transactionTimeoutMs: 30_000,
    })
    const outputs = events.map((event) => ({
      topic,
      partition: partitionOf(event.finding_uid, TOPICS.findings.partitions),
      key: event.finding_uid,
      value: codecs.encode('findings', event),
      headers: { 'x-change-type': event.meta.change_type },
    }))
    await session.commit({ outputs })
    await session.close()
    await topics.put('findings', 'fnd_gone', null)

    const { brokers, registryUrl } = stack()
    const args = [brokers.join(','), registryUrl, `${topic}=avro`]
    const lines = await runPython('read_topics.py', args, READ_TIMEOUT_MS)
    const read = lines.map((line) => {
      const { key, partition, headers, value } = JSON.parse(line) as Line
      return { key, partition, headers, value }
    })
    const byKey = new Map(read.map((line) => [line.key, line]))
    expect(read).toHaveLength(events.length + 1)
    expect(byKey.get('fnd_gone')?.value).toBeNull()
    for (const event of events) {
      expect(byKey.get(event.finding_uid)).toEqual({
        key: event.finding_uid,
        partition: partitionOf(event.finding_uid, TOPICS.findings.partitions),
        headers: { 'x-change-type': 'CREATED' },
        value: event,
      })
    }
  })
})
