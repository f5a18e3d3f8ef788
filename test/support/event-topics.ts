// The event topics of one test: made, registered, written to, and the dead letters read back.
import { onTestFinished } from 'vitest'
import { partitionOf } from '../../contracts/placement.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import { TOPICS, topicName } from '../../contracts/topics.ts'
import {
  AVRO_TOPICS,
  type AvroTopic,
  type AvroTopics,
  type Codecs,
  type EventOf,
} from '../../runtime/codecs.ts'
import { type Admin, openAdmin } from '../../runtime/kafka/admin.ts'
import { openLogReader } from '../../runtime/kafka/log-reader.ts'
import { openPublisher } from '../../runtime/kafka/publisher.ts'
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import { createLogger } from '../../runtime/log.ts'
import { openRegistry } from '../../runtime/registry.ts'
import { randomPrefix, stack } from './stack.ts'

const REGISTRY_TIMEOUT_MS = 20_000
const log = createLogger('test')
const NAMES = [...AVRO_TOPICS, 'dlq'] as const

export type EventTopics = {
  readonly settings: KafkaSettings
  readonly codecs: Codecs
  readonly admin: Admin
  /** Publishes a value under `key`; null is a tombstone, bytes go as they are. */
  put<T extends AvroTopic>(
    topic: T,
    key: string,
    value: EventOf<AvroTopics[T]> | Buffer | null,
  ): Promise<void>
  /** As `put`, of many in one request. */
  putAll<T extends AvroTopic>(
    topic: T,
    key: string,
    values: readonly (EventOf<AvroTopics[T]> | Buffer | null)[],
  ): Promise<void>
  /** All dead letters so far. */
  deadLetters(): Promise<KafkaRecord[]>
}

/** Topics under a prefix of the test's own, deleted after it. */
export async function eventTopics(): Promise<EventTopics> {
  const prefix = randomPrefix()
  const { brokers, registryUrl } = stack()
  const settings = { brokers, prefix, replicationFactor: 1, ssl: false, sasl: null }
  const admin = await openAdmin(settings, log)
  onTestFinished(async () => {
    await admin.deleteTopics(NAMES.map((name) => topicName(prefix, name)))
    await admin.close()
  })
  await admin.applyTopics(NAMES.map((name) => TOPICS[name]))
  const registry = openRegistry({ url: registryUrl, timeoutMs: REGISTRY_TIMEOUT_MS })
  await registry.apply(prefix)
  const codecs = await registry.lookup(prefix)
  const publisher = openPublisher(settings, log)
  onTestFinished(() => publisher.close())
  const reader = openLogReader(settings, log)
  onTestFinished(() => reader.close())
  const putAll: EventTopics['putAll'] = (topic, key, values) => {
    const partition = partitionOf(key, TOPICS[topic].partitions)
    const headers = { 'x-product': 'prisma-compute' }
    const records = values.map((value) => {
      const bytes = value === null || Buffer.isBuffer(value) ? value : codecs.encode(topic, value)
      return { topic: topicName(prefix, topic), partition, key, value: bytes, headers }
    })
    return publisher.send(records)
  }
  return {
    settings,
    codecs,
    admin,
    put: (topic, key, value) => putAll(topic, key, [value]),
    putAll,
    async deadLetters() {
      const letters: KafkaRecord[] = []
      for (let partition = 0; partition < TOPICS.dlq.partitions; partition++) {
        await reader.readToEnd(topicName(prefix, 'dlq'), partition, (record) => {
          letters.push({
            ...record,
            value: record.value === null ? null : Buffer.from(record.value),
          })
        })
      }
      return letters
    },
  }
}
