// The fenced transactional producer: only who has opened a transactional id last can write.
import type { Producer, Transaction } from 'kafkajs'
import { PipelineError } from '../../contracts/errors.ts'
import { chosenPartition, instanceOf, METADATA_AGE_MAX_MS, type KafkaClient } from './client.ts'
import { isCoordinatorBusy, isUnreachable, kafkaError } from './errors.ts'
import { failpoint } from './failpoints.ts'
import { CompressionTypes } from './kafkajs.ts'
import { requestsOf, topicMessagesOf, writtenBy } from './outgoing.ts'
import type { OutRecord, WrittenOffsets } from './types.ts'
import { retrying, within } from './waiting.ts'

/** The markers of the transaction before may still be on their way; kafkajs would wait 300 ms. */
const RETRY = { initialRetryTime: 15, multiplier: 1.6, maxRetryTime: 1_000, retries: 20 }
/** Opening waits for an old owner's transaction to be ended by the broker. */
const OPEN_RETRY = { attemptsMax: 400, pauseMs: 50 }
const OFFSETS_RETRY = { attemptsMax: 200, pauseMs: 15 }
const OPEN_TIMEOUT_MS = 90_000
const ABORT_TIMEOUT_MS = 5_000
const CLOSE_TIMEOUT_MS = 5_000
/** Over the transaction's own timeout: by then the broker has aborted it anyway. */
const COMMIT_EXTRA_MS = 10_000

export type SessionOptions = {
  readonly transactionalId: string
  /** After this the broker aborts an open transaction, which holds up all readers until then. */
  readonly transactionTimeoutMs: number
}

/** The consumed position that goes into a transaction: the next record to read. */
export type ConsumedOffset = {
  readonly groupId: string
  readonly topic: string
  readonly partition: number
  readonly next: bigint
}

export type Work = {
  readonly outputs: readonly OutRecord[]
  /** Records that name offsets of `outputs`; asked for and sent once those are written. */
  readonly followUp?: (written: WrittenOffsets) => readonly OutRecord[]
  readonly offsets?: ConsumedOffset | readonly ConsumedOffset[]
}

export type Session = {
  readonly transactionalId: string
  /** False after any failure: what was under way may or may not have been committed. Open anew. */
  readonly alive: boolean
  /**
   * Writes it all in one transaction. Resolves, with the highest offset written per partition, when
   * the broker has answered the commit. @throws PipelineError after which the session is dead
   */
  commit(work: Work): Promise<WrittenOffsets>
  /** Bounded; never throws. An open transaction is left to the next owner's fence. */
  close(): Promise<void>
}

/**
 * Opens a session. When it resolves, every earlier owner of the id is fenced and its transaction is
 * decided: only now may a committed offset or state be read.
 * @throws PipelineError when Kafka cannot be reached or does not get ready in time
 */
export async function openSession(client: KafkaClient, options: SessionOptions): Promise<Session> {
  const { transactionalId, transactionTimeoutMs } = options
  const producer = instanceOf(client).producer({
    transactionalId,
    transactionTimeout: transactionTimeoutMs,
    allowAutoTopicCreation: false,
    createPartitioner: chosenPartition,
    metadataMaxAge: METADATA_AGE_MAX_MS,
    retry: RETRY,
  })
  try {
    await within(`opening ${transactionalId}`, OPEN_TIMEOUT_MS, fence(producer))
  } catch (error) {
    await disconnect(client, producer)
    throw kafkaError(error, 'PUBLISH', client.settings.brokers)
  }
  return makeSession(client, producer, options)
}

/** Beginning the first transaction sends InitProducerId; aborting an empty one sends nothing. */
async function fence(producer: Producer): Promise<void> {
  await producer.connect()
  await retrying(OPEN_RETRY, isCoordinatorBusy, async () => {
    const transaction = await producer.transaction()
    await transaction.abort()
  })
}

function makeSession(client: KafkaClient, producer: Producer, options: SessionOptions): Session {
  const { transactionalId, transactionTimeoutMs } = options
  let state: 'idle' | 'busy' | 'dead' = 'idle'

  async function commit(work: Work): Promise<WrittenOffsets> {
    if (state !== 'idle') {
      const text = `the session ${transactionalId} is ${state}`
      throw new PipelineError(state === 'dead' ? 'TEMPORARY_FAILURE' : 'INTERNAL', 'PUBLISH', text)
    }
    state = 'busy'
    try {
      const timeoutMs = transactionTimeoutMs + COMMIT_EXTRA_MS
      const written = await within(transactionalId, timeoutMs, transact(client, producer, work))
      state = 'idle'
      return written
    } catch (error) {
      // Whatever it was: sequence numbers may be out of step, and the commit may have happened.
      state = 'dead'
      await disconnect(client, producer)
      throw kafkaError(error, 'PUBLISH', client.settings.brokers)
    }
  }

  return {
    transactionalId,
    get alive() {
      return state !== 'dead'
    },
    commit,
    async close() {
      if (state === 'dead') return
      state = 'dead'
      await disconnect(client, producer)
    },
  }
}

async function transact(
  client: KafkaClient,
  producer: Producer,
  work: Work,
): Promise<WrittenOffsets> {
  const transaction = await producer.transaction()
  try {
    failpoint('session.begun')
    const written = new Map<string, bigint>()
    await send(transaction, work.outputs, written)
    failpoint('session.outputs-sent')
    if (work.followUp !== undefined) await send(transaction, work.followUp(written), written)
    failpoint('session.follow-up-sent')
    // After the sends: only those are retried by kafkajs while the last markers are on their way.
    for (const consumed of [work.offsets ?? []].flat()) await sendOffsets(transaction, consumed)
    failpoint('session.offsets-sent')
    await transaction.commit()
    failpoint('session.committed')
    return written
  } catch (error) {
    if (transaction.isActive()) await abort(client, transaction)
    throw error
  }
}

async function send(
  transaction: Transaction,
  records: readonly OutRecord[],
  written: Map<string, bigint>,
): Promise<void> {
  for (const request of requestsOf(records)) {
    const answers = await transaction.sendBatch({
      acks: -1,
      compression: CompressionTypes.ZSTD,
      topicMessages: topicMessagesOf(request),
    })
    for (const [key, offset] of writtenBy(request, answers)) written.set(key, offset)
  }
}

async function sendOffsets(transaction: Transaction, consumed: ConsumedOffset): Promise<void> {
  const { groupId, topic, partition, next } = consumed
  const partitions = [{ partition, offset: next.toString() }]
  // Neither is retried by kafkajs: markers still on their way, a coordinator that has just moved.
  await retrying(OFFSETS_RETRY, isCoordinatorBusy, () =>
    transaction.sendOffsets({ consumerGroupId: groupId, topics: [{ topic, partitions }] }),
  )
}

/** A courtesy to readers, who would wait for the timeout; the next owner's fence does it too. */
async function abort(client: KafkaClient, transaction: Transaction): Promise<void> {
  try {
    await within('aborting a transaction', ABORT_TIMEOUT_MS, transaction.abort())
  } catch (error) {
    client.log.debug({ err: error }, 'the transaction is left to the fence of the next owner')
  }
}

/** Ends the connections of a producer, bounded; for this folder only. */
export async function disconnect(client: KafkaClient, producer: Producer): Promise<void> {
  try {
    await within('closing a producer', CLOSE_TIMEOUT_MS, producer.disconnect())
  } catch (error) {
    const log = isUnreachable(error) ? client.log.debug : client.log.warn
    log.call(client.log, { err: error }, 'a producer did not close')
  }
}
