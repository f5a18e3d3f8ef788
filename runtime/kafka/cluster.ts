// kafkajs' inner cluster: metadata, leaders and raw requests, with its TLS and SASL.
import { createRequire } from 'node:module'
import { PipelineError } from '../../contracts/errors.ts'
import { instanceOf, METADATA_AGE_MAX_MS, type KafkaClient } from './client.ts'
import { isCoordinatorBusy, isStaleMetadata, isUnreachable } from './errors.ts'
import { decodeFetch, type FetchedPartition } from './record-batches.ts'
import { retrying } from './waiting.ts'

const READ_COMMITTED = 1
const READ_UNCOMMITTED = 0
const LATEST = -1
const EARLIEST = -2
/** A topic made a moment ago is unknown to the broker for a while. */
const RETRY = { attemptsMax: 40, pauseMs: 100 }

// The shapes of kafkajs 2.2.4's own sources (cures.ts asserts the version).
type Broker = {
  readonly connectionPool: {
    send(call: { request: unknown; response: unknown }): Promise<FetchedPartition>
  }
  listOffsets(input: unknown): Promise<{
    responses: { partitions: { partition: number; offset: string }[] }[]
  }>
}
type Coordinator = {
  offsetFetch(input: unknown): Promise<{
    responses: { partitions: { partition: number; offset: string }[] }[]
  }>
}
type InnerCluster = {
  connect(): Promise<void>
  disconnect(): Promise<void>
  addTargetTopic(topic: string): Promise<void>
  refreshMetadata(): Promise<void>
  findTopicPartitionMetadata(topic: string): { partitionId: number }[]
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Record<string, number[]>
  findGroupCoordinator(input: { groupId: string }): Promise<Coordinator>
  findBroker(input: { nodeId: string }): Promise<Broker>
}
type FetchRequest = (input: Record<string, unknown>) => unknown
const fetchV11 = createRequire(import.meta.url)(
  'kafkajs/src/protocol/requests/fetch/v11/request',
) as FetchRequest

export type Cluster = {
  /** Partitions of a topic, in order. */
  partitions(topic: string): Promise<number[]>
  /**
   * The high watermark: behind the last record written, open transactions included. kafkajs' admin
   * gives the last stable offset instead, behind which committed state can lie.
   */
  endOffset(topic: string, partition: number): Promise<number>
  /** The first offset that is still there. */
  startOffset(topic: string, partition: number): Promise<number>
  /** The first record written at or after this time; the end when there is none. */
  offsetAt(topic: string, partition: number, timeMs: number): Promise<number>
  /** Null: the group has committed nothing there. */
  committedOffset(groupId: string, topic: string, partition: number): Promise<bigint | null>
  /** One Fetch request, read_committed. Waits up to `waitMs` at the broker for records. */
  fetch(place: FetchPlace): Promise<FetchedPartition>
  /** Asks for metadata anew: whether Kafka is there, and who leads. */
  refresh(): Promise<void>
  close(): Promise<void>
}

export type FetchPlace = {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly bytesMax: number
  readonly waitMs: number
}

/** kafkajs keeps the function behind a private symbol. @throws PipelineError INTERNAL without it */
function innerCluster(client: KafkaClient): InnerCluster {
  const instance = instanceOf(client)
  const symbol = Object.getOwnPropertySymbols(instance).find(
    (s) => s.description === 'private:Kafka:createCluster',
  )
  const create: unknown = symbol === undefined ? undefined : Reflect.get(instance, symbol)
  if (typeof create !== 'function') {
    throw new PipelineError('INTERNAL', 'CONFIG', 'kafkajs has no createCluster')
  }
  return Reflect.apply(create, instance, [
    {
      metadataMaxAge: METADATA_AGE_MAX_MS,
      allowAutoTopicCreation: false,
      isolationLevel: READ_COMMITTED,
    },
  ]) as InnerCluster
}

const again = (error: unknown): boolean =>
  isStaleMetadata(error) || isUnreachable(error) || isCoordinatorBusy(error)

async function leaderOf(inner: InnerCluster, topic: string, partition: number): Promise<Broker> {
  const [nodeId] = Object.keys(inner.findLeaderForPartitions(topic, [partition]))
  if (nodeId === undefined) {
    // The type makes it a matter of stale metadata, which it is for a moment after creation.
    throw Object.assign(new Error(`${topic} has no partition ${partition}`), {
      type: 'UNKNOWN_TOPIC_OR_PARTITION',
    })
  }
  return inner.findBroker({ nodeId })
}

async function fetchOnce(inner: InnerCluster, place: FetchPlace): Promise<FetchedPartition> {
  const { topic, partition, offset, bytesMax, waitMs } = place
  const leader = await leaderOf(inner, topic, partition)
  const request = fetchV11({
    replicaId: -1,
    maxWaitTime: waitMs,
    minBytes: 1,
    maxBytes: bytesMax,
    isolationLevel: READ_COMMITTED,
    topics: [{ topic, partitions: [{ partition, fetchOffset: offset, maxBytes: bytesMax }] }],
  })
  const response = {
    decode: async (answer: Buffer) => decodeFetch(answer),
    parse: async (decoded: FetchedPartition) => decoded,
  }
  return leader.connectionPool.send({ request, response })
}

/** Connects at the first request. Every request has kafkajs' timeout and is tried RETRY times. */
export function openCluster(client: KafkaClient): Cluster {
  const inner = innerCluster(client)

  async function tryAgain<T>(topic: string, attempt: () => Promise<T>): Promise<T> {
    let first = true
    return retrying(RETRY, again, async () => {
      await inner.connect()
      await inner.addTargetTopic(topic)
      if (!first) await inner.refreshMetadata()
      first = false
      return attempt()
    })
  }

  async function offsetAt(topic: string, partition: number, timestamp: number): Promise<number> {
    return tryAgain(topic, async () => {
      const leader = await leaderOf(inner, topic, partition)
      const { responses } = await leader.listOffsets({
        isolationLevel: READ_UNCOMMITTED,
        topics: [{ topic, partitions: [{ partition, timestamp }] }],
      })
      const offset = responses[0]?.partitions[0]?.offset
      if (offset === undefined) throw new TypeError('ListOffsets answered without an offset')
      return Number(offset)
    })
  }

  return {
    partitions: (topic) =>
      tryAgain(topic, async () =>
        inner
          .findTopicPartitionMetadata(topic)
          .map(({ partitionId }) => partitionId)
          .toSorted((a, b) => a - b),
      ),
    endOffset: (topic, partition) => offsetAt(topic, partition, LATEST),
    startOffset: (topic, partition) => offsetAt(topic, partition, EARLIEST),
    async offsetAt(topic, partition, timeMs) {
      const offset = await offsetAt(topic, partition, timeMs)
      return offset < 0 ? offsetAt(topic, partition, LATEST) : offset
    },
    committedOffset: (groupId, topic, partition) =>
      tryAgain(topic, async () => {
        const coordinator = await inner.findGroupCoordinator({ groupId })
        const topics = [{ topic, partitions: [{ partition }] }]
        const { responses } = await coordinator.offsetFetch({ groupId, topics })
        const offset = BigInt(responses[0]?.partitions[0]?.offset ?? -1)
        return offset < 0n ? null : offset
      }),
    fetch: (place) => fetchOnce(inner, place),
    async refresh() {
      await inner.connect()
      await inner.refreshMetadata()
    },
    close: () => inner.disconnect(),
  }
}
