// The producer for what stands outside transactions: connector errors and dead letters of sinks.
import type { Producer } from 'kafkajs'
import { PipelineError } from '../../contracts/errors.ts'
import type { Logger } from '../log.ts'
import { chosenPartition, createKafka, instanceOf, METADATA_AGE_MAX_MS } from './client.ts'
import type { KafkaClient } from './client.ts'
import { kafkaError } from './errors.ts'
import { CompressionTypes } from './kafkajs.ts'
import { requestsOf, topicMessagesOf, writtenBy } from './outgoing.ts'
import { disconnect } from './session.ts'
import type { KafkaSettings, OutRecord } from './types.ts'
import { within } from './waiting.ts'

const RETRY = { initialRetryTime: 100, multiplier: 2, maxRetryTime: 5_000, retries: 8 }
const SEND_TIMEOUT_MS = 60_000
/** Sends wait in line: more than this and the caller is told, instead of memory filling up. */
const WAITING_RECORDS_MAX = 10_000

export type Publisher = {
  /**
   * Resolves when every record is acknowledged by all replicas in sync, in order with other sends.
   * @throws PipelineError after which it is unknown which of these records were written
   */
  send(records: readonly OutRecord[]): Promise<void>
  /** Waits for sends under way, bounded; never throws. */
  close(): Promise<void>
}

/** An idempotent producer that connects at its first send and recovers by itself. */
export function openPublisher(settings: KafkaSettings, log: Logger): Publisher {
  const client = createKafka(settings, 'exposure-publisher', log)
  let producer: Producer | undefined
  let line: Promise<void> = Promise.resolve()
  let waiting = 0
  let closed = false

  async function deliver(records: readonly OutRecord[]): Promise<void> {
    try {
      producer ??= create(client)
      await within('publishing', SEND_TIMEOUT_MS, sendAll(producer, records))
    } catch (error) {
      // Its sequence numbers may be out of step with the broker's: never used again.
      const broken = producer
      producer = undefined
      if (broken !== undefined) await disconnect(client, broken)
      throw kafkaError(error, 'PUBLISH', settings.brokers)
    }
  }

  return {
    async send(records) {
      if (closed) throw new PipelineError('INTERNAL', 'PUBLISH', 'the publisher is closed')
      if (waiting + records.length > WAITING_RECORDS_MAX) {
        const text = `${waiting} records wait to be published already`
        throw new PipelineError('TEMPORARY_FAILURE', 'PUBLISH', text)
      }
      waiting += records.length
      const sent = line.then(() => deliver(records))
      // The next in line goes on whatever became of this one; its caller is told below.
      line = sent.catch(() => undefined)
      try {
        await sent
      } finally {
        waiting -= records.length
      }
    },
    async close() {
      closed = true
      await line
      const last = producer
      producer = undefined
      if (last !== undefined) await disconnect(client, last)
    },
  }
}

function create(client: KafkaClient): Producer {
  return instanceOf(client).producer({
    idempotent: true,
    allowAutoTopicCreation: false,
    createPartitioner: chosenPartition,
    metadataMaxAge: METADATA_AGE_MAX_MS,
    retry: RETRY,
  })
}

async function sendAll(producer: Producer, records: readonly OutRecord[]): Promise<void> {
  // Returns at once when connected.
  await producer.connect()
  for (const request of requestsOf(records)) {
    const answers = await producer.sendBatch({
      acks: -1,
      compression: CompressionTypes.ZSTD,
      topicMessages: topicMessagesOf(request),
    })
    writtenBy(request, answers)
  }
}
