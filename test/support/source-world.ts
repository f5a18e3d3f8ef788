// Topics for runs of a listed source: processes that run it, and what of them is committed.
import { onTestFinished } from 'vitest'
import { type RunEnd, controlOf, parseRunEnd } from '../../contracts/envelope.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import type { Run } from '../../contracts/run.ts'
import { TOPICS, type TopicName, topicName } from '../../contracts/topics.ts'
import type { RunCheckpoint } from '../../runtime/checkpoint.ts'
import { readerType } from '../../runtime/codecs.ts'
import { openAdmin } from '../../runtime/kafka/admin.ts'
import { openLogReader } from '../../runtime/kafka/log-reader.ts'
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import { createLogger } from '../../runtime/log.ts'
import { runOptions } from './list-source.ts'
import { randomPrefix, stack } from './stack.ts'

const runType = readerType('Run')

export type SourceWorld = Awaited<ReturnType<typeof openSourceWorld>>

/** Topics of the test's own, deleted when it ends, and what is committed on them. */
export async function openSourceWorld() {
  const settings: KafkaSettings = {
    brokers: stack().brokers,
    prefix: randomPrefix(),
    replicationFactor: 1,
    ssl: false,
    sasl: null,
  }
  const log = createLogger('test')
  const admin = await openAdmin(settings, log)
  const reader = openLogReader(settings, log)
  onTestFinished(async () => {
    const names = Object.keys(TOPICS) as TopicName[]
    await admin.deleteTopics(names.map((name) => topicName(settings.prefix, name)))
    await reader.close()
    await admin.close()
  })
  await admin.applyTopics()

  const records = async (topic: TopicName): Promise<KafkaRecord[]> => {
    const all: KafkaRecord[] = []
    for (let partition = 0; partition < TOPICS[topic].partitions; partition++) {
      await reader.readToEnd(topicName(settings.prefix, topic), partition, (record) =>
        all.push({ ...record, value: record.value && Buffer.from(record.value) }),
      )
    }
    return all
  }
  const raw = () => records('rawPrismaCloud')
  return {
    settings,
    records,
    /** A process of its own as far as Kafka can tell; closed with the test. */
    process() {
      const made = runOptions(settings)
      onTestFinished(made.close)
      return made
    },
    /** Units in the raw topic, without run-ends: `run id / unit`, sorted. */
    async units(): Promise<string[]> {
      const data = (await raw()).filter((record) => controlOf(record.headers) === null)
      return data.map(({ headers }) => `${headers['x-run-id']}/${headers['x-unit']}`).toSorted()
    },
    raw,
    async ends(): Promise<{ partition: number; end: RunEnd }[]> {
      const ends = (await raw()).filter((record) => controlOf(record.headers) === 'run-end')
      return ends.map(({ partition, value }) => ({
        partition,
        end: parseRunEnd(value ?? Buffer.alloc(0)),
      }))
    },
    async checkpoint(): Promise<RunCheckpoint> {
      const last = (await records('checkpoints')).at(-1)?.value
      return JSON.parse(last?.toString() ?? 'null') as RunCheckpoint
    },
    /** The ledger: `phase verdict` in order. */
    async ledger(): Promise<string[]> {
      const lines = (await records('runs')).map(({ value }) => {
        const line: unknown = runType.fromBuffer(value ?? Buffer.alloc(0))
        return line as Run
      })
      return lines.map((line) => `${line.phase} ${line.verdict}`)
    },
  }
}
