// OCSF events as JSON on a Kafka topic: records and the offset after them in one transaction.
import { PipelineError } from '../../contracts/errors.ts'
import type { OpenSink, Rejection, Sink, SinkBatch } from '../../contracts/ports.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import { partitionKey } from '../../contracts/processing.ts'
import { TOPICS } from '../../contracts/topics.ts'
import { type Admin, openAdmin } from '../../runtime/kafka/admin.ts'
import { type KafkaClient, createKafka } from '../../runtime/kafka/client.ts'
import { type Session, openSession } from '../../runtime/kafka/session.ts'
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import type { Logger } from '../../runtime/log.ts'
import { auditJsonTopic } from './audit.ts'
import type { KafkaJsonConfig } from './config.ts'
import { type JsonTarget, jsonRecordOf } from './records.ts'

const TRANSACTION_TIMEOUT_MS = 60_000
/** A failure of the Kafka we write to is that of a store. */
const AWAY = 'writing JSON to Kafka'

export type KafkaJsonContext = {
  readonly groupOf: (name: string) => string
  readonly kafka: KafkaSettings
  readonly log: Logger
}

/**
 * Exactly once for readers with `read_committed`: each partition that is read has a transactional
 * id, whose fence keeps out a member that lost the partition unnoticed.
 */
export function createKafkaJsonSink(
  config: KafkaJsonConfig,
  { groupOf, kafka, log }: KafkaJsonContext,
): Sink {
  const target = { topic: kafka.prefix + config.topic, ocsfVersion: config.ocsfVersion }
  return {
    name: config.name,
    kinds: ['asset', 'finding', 'connector-error'],
    async open() {
      const admin = await asStore(openAdmin(kafka, log))
      try {
        await asStore(prepareTopic(admin, config.topic))
        const client = createKafka(kafka, `exposure-${config.name}`, log)
        return openJsonSink({ admin, client, groupId: groupOf(config.name), target })
      } catch (error) {
        await admin.close()
        throw error
      }
    },
    audit: () => auditJsonTopic(target.topic, kafka, log),
  }
}

/** @throws PipelineError CONFIGURATION when a topic of that name has other partitions */
async function prepareTopic(admin: Admin, name: string): Promise<void> {
  const { problems } = await admin.applyTopics([{ ...TOPICS.ocsf, name }])
  const [problem] = problems
  if (problem !== undefined) throw new PipelineError('CONFIGURATION', 'SINK', problem)
}

type Opened = {
  readonly admin: Admin
  readonly client: KafkaClient
  readonly groupId: string
  readonly target: JsonTarget
}

/** Who writes for one partition that is read, and up to where it is written. */
type Place = { readonly session: Session; next: bigint | null }

function openJsonSink({ admin, client, groupId, target }: Opened): OpenSink {
  const places = new Map<string, Place>()

  /** Fence, then read: behind the fence nobody else moves the offset any more. */
  const take = async (topic: string, partition: number): Promise<Place> => {
    const key = partitionKey(topic, partition)
    await places.get(key)?.session.close()
    const session = await openSession(client, {
      transactionalId: `${groupId}.${topic}.${partition}`,
      transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
    })
    const committed = await admin.committedOffsets(groupId, topic)
    const place: Place = { session, next: committed.get(partition) ?? null }
    places.set(key, place)
    return place
  }

  const write = async (batch: SinkBatch): Promise<Rejection[]> => {
    const { topic, partition, nextOffset } = batch
    const known = places.get(partitionKey(topic, partition))
    const place = known?.session.alive === true ? known : await take(topic, partition)
    const { next } = place
    if (next !== null && next >= nextOffset) return []
    const { outputs, rejections } = outputsOf(batch, next ?? 0n, target)
    // It waits for the dead letters: then the batch comes without them.
    if (rejections.length > 0) return rejections
    await place.session.commit({
      outputs,
      offsets: { groupId, topic, partition, next: nextOffset },
    })
    place.next = nextOffset
    return []
  }

  return {
    commitsOffsets: true,
    storedOffset: async (topic, partition) => (await asStore(take(topic, partition))).next,
    write: (batch) => asStore(write(batch)),
    async close() {
      await Promise.all([...places.values()].map(({ session }) => session.close()))
      places.clear()
      await admin.close()
    },
  }
}

function outputsOf(batch: SinkBatch, from: bigint, target: JsonTarget) {
  const outputs: OutRecord[] = []
  const rejections: Rejection[] = []
  for (const [index, record] of batch.records.entries()) {
    if (record.offset < from) continue
    const answer = jsonRecordOf(record, target)
    if (answer.record === undefined) rejections.push({ index, reason: answer.reason })
    else if (answer.record !== null) outputs.push(answer.record)
  }
  return { outputs, rejections }
}

/** @throws PipelineError of the stage SINK: what is temporary as SINK_UNAVAILABLE */
async function asStore<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (cause) {
    if (!(cause instanceof PipelineError)) throw cause
    const failure = cause.retriable ? 'SINK_UNAVAILABLE' : cause.failure
    throw new PipelineError(failure, 'SINK', `${AWAY}: ${cause.message}`, { cause })
  }
}
