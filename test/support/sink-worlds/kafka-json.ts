// The JSON topic for the suite over all sinks: a reader folds it by the uid that its events tell.
import { onTestFinished } from 'vitest'
import type { KafkaRecord } from '../../../contracts/processing.ts'
import { topicName } from '../../../contracts/topics.ts'
import { type LogReader, openLogReader } from '../../../runtime/kafka/log-reader.ts'
import { kafkaJsonConfig } from '../../../sinks/kafka-json/config.ts'
import { createKafkaJsonSink } from '../../../sinks/kafka-json/sink.ts'
import { openKafkaProxy } from '../../chaos/kafka-proxy.ts'
import { type EventTopics, eventTopics } from '../event-topics.ts'
import { testLog } from '../kafka-scene.ts'
import { OCSF_WORDS, type OcsfDocument, heldOfOcsf, latestOf } from '../sink-ocsf.ts'
import type { SinkWorlds } from './sink-world.ts'

export const kafkaJsonWorlds: SinkWorlds = {
  refused: { title: 'half a pair: \ud800' },
  words: OCSF_WORDS,
  excused: { forgotten: 'OCSF has no word for a purge, and what a topic has told stays told' },
  async open() {
    const topics = await eventTopics()
    const { settings, admin } = topics
    const { prefix } = settings
    const topic = topicName(prefix, 'ocsf')
    const proxy = await openKafkaProxy(settings.brokers)
    const reader = openLogReader(settings, testLog)
    onTestFinished(async () => {
      await reader.close()
      await proxy.close()
      await admin.deleteTopics([topic])
    })
    const kafka = { ...settings, brokers: proxy.brokers }
    const documents = () => documentsIn(reader, topic)
    return {
      topics,
      sink: (groupOf) =>
        createKafkaJsonSink(kafkaJsonConfig.parse({}), {
          groupOf: (name) => ownGroup(prefix, groupOf(name)),
          kafka,
          log: testLog,
        }),
      held: async () => latestOf(await documents()).map(heldOfOcsf),
      seen: async () =>
        new Map(latestOf(await documents()).map((one) => [heldOfOcsf(one).uid, one])),
      goAway: async () => proxy.setRule(() => 'cut-before'),
      comeBack: async () => proxy.setRule(() => 'pass'),
      empty: () => emptied(topics, topic),
    }
  },
}

/** Groups of all tests are on one broker. */
const ownGroup = (prefix: string, group: string): string =>
  group.startsWith(prefix) ? group : prefix + group

async function documentsIn(reader: LogReader, topic: string): Promise<OcsfDocument[]> {
  const documents: OcsfDocument[] = []
  const take = ({ value }: KafkaRecord) =>
    void documents.push(JSON.parse(String(value)) as OcsfDocument)
  for (const partition of await reader.partitions(topic)) {
    await reader.readToEnd(topic, partition, take)
  }
  return documents
}

async function emptied({ admin }: EventTopics, topic: string): Promise<void> {
  await admin.deleteRecords(topic, await admin.endOffsets(topic))
}
