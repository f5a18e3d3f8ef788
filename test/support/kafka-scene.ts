// Topics under a prefix of their own, and the clients to write to them, read them and clean up.
import type { TopicSpec } from '../../contracts/topics.ts'
import { openAdmin, type Admin } from '../../runtime/kafka/admin.ts'
import { createKafka, type KafkaClient } from '../../runtime/kafka/client.ts'
import { openLogReader, type LogReader, type ReadResult } from '../../runtime/kafka/log-reader.ts'
import type { KafkaRecord, KafkaSettings } from '../../runtime/kafka/types.ts'
import { createLogger } from '../../runtime/log.ts'

export const testLog = createLogger('test')

export type Scene = {
  readonly settings: KafkaSettings
  readonly client: KafkaClient
  readonly admin: Admin
  readonly reader: LogReader
  /** A topic that this test alone has, or its new settings; its complete name. */
  topic(name: string, partitions: number, config?: Record<string, string>): Promise<string>
  /** Every committed record of all partitions, and what the reader met on the way. */
  readAll(topic: string): Promise<{ records: KafkaRecord[]; results: ReadResult[] }>
  /** Deletes its topics and closes its clients. */
  close(): Promise<void>
}

/** Connects. @throws PipelineError when Kafka cannot be reached */
export async function openScene(
  brokers: readonly string[],
  prefix: string,
  replicationFactor = 1,
): Promise<Scene> {
  const settings: KafkaSettings = { brokers, prefix, replicationFactor, ssl: false, sasl: null }
  const admin = await openAdmin(settings, testLog)
  const reader = openLogReader(settings, testLog)
  const made: string[] = []
  return {
    settings,
    admin,
    reader,
    client: createKafka(settings, 'test', testLog),
    async topic(name, partitions, config = {}) {
      const spec: TopicSpec = { name, partitions, config, schema: null }
      await admin.applyTopics([spec])
      made.push(settings.prefix + name)
      return settings.prefix + name
    },
    async readAll(topic) {
      const records: KafkaRecord[] = []
      const results: ReadResult[] = []
      for (const partition of await reader.partitions(topic)) {
        results.push(await reader.readToEnd(topic, partition, (r) => void records.push(r)))
      }
      return { records, results }
    },
    async close() {
      await admin.deleteTopics(made)
      await reader.close()
      await admin.close()
    },
  }
}
