// Sends one batch of messages to every partition exactly as often as it takes: not less, not more.

// The shapes below are those of kafkajs 2.2.4's own sources, which have no types.
type Broker = {
  readonly nodeId: string | number
  produce(request: Record<string, unknown>): Promise<unknown>
}
type Cluster = {
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
  refreshMetadataIfNecessary(): Promise<void>
  refreshMetadata(): Promise<void>
  findTopicPartitionMetadata(topic: string): readonly unknown[]
  findLeaderForPartitions(topic: string, partitions: readonly string[]): Record<string, number[]>
  findBroker(input: { nodeId: string }): Promise<Broker>
  removeBroker(input: { host: string | undefined; port: number | undefined }): void
  isConnected(): boolean
  connect(): Promise<void>
}
type PartitionData = { partition: number; messages: readonly unknown[]; firstSequence?: number }
type TopicData = { readonly topic: string; readonly partitions: PartitionData[] }
type EosManager = {
  isTransactional(): boolean
  getTransactionalId(): string
  getProducerId(): string
  getProducerEpoch(): number
  getSequence(topic: string, partition: number): number
  updateSequence(topic: string, partition: number, increment: number): void
  addPartitionsToTransaction(topics: readonly TopicData[]): Promise<void>
  acquireBrokerLock(broker: Broker): Promise<void>
  releaseBrokerLock(broker: Broker): void
}
type Attempt = (bail: (error: unknown) => void) => Promise<unknown[] | undefined>
type Parts = {
  readonly cluster: Cluster
  readonly eosManager: EosManager
  readonly partitioner: (input: unknown) => number
  readonly retrier: (attempt: Attempt) => Promise<unknown[] | undefined>
}
type Input = {
  readonly acks: number
  readonly timeout?: number
  readonly compression?: number
  readonly topicMessages: readonly {
    readonly topic: string
    readonly messages: readonly unknown[]
  }[]
}
export type CreateSendMessages = (parts: Parts) => (input: Input) => Promise<unknown[] | undefined>

/** What of kafkajs the replacement uses. */
export type SendTools = {
  readonly groupPerPartition: (input: {
    topic: string
    partitionMetadata: readonly unknown[]
    messages: readonly unknown[]
    partitioner: (input: unknown) => number
  }) => Record<number, unknown[]>
  /** One line per partition of a produce request's answer. */
  readonly linesOf: (answer: unknown) => unknown[]
}

/** Of one batch, by topic and partition: what no broker has acknowledged yet. */
type Unsent = Map<string, Map<number, readonly unknown[]>>

/**
 * The stock one notes what was acknowledged by broker, not by partition, and begins anew while
 * requests of the attempt before are still under way. When leaders move between two attempts, a
 * partition whose new leader has answered already is never sent, although the promise resolves; one
 * that was acknowledged is sent again to its new leader under new sequence numbers, so that the
 * broker takes it for other records. Here a partition is done when it is acknowledged, an attempt
 * ends when all of its requests have, and what failed is sent again under the same numbers.
 */
export function sendMessagesWith(tools: SendTools): CreateSendMessages {
  return (parts) => async (input) => {
    const { cluster, retrier } = parts
    const topics = input.topicMessages.map(({ topic }) => topic)
    const answers: unknown[] = []
    let unsent: Unsent | undefined
    return retrier(async (bail) => {
      await cluster.addMultipleTargetTopics(topics)
      try {
        await cluster.refreshMetadataIfNecessary()
        // Once: a partitioner may choose another partition the second time.
        unsent ??= groupAll(parts, tools, input)
        const requests = await requestsOf(cluster, unsent)
        const left = unsent
        const settled = await Promise.allSettled(
          [...requests].map(async ([broker, data]) => {
            const answer = await produce(parts, input, broker, data)
            // Who asks for no acknowledgement gets no answer.
            if (input.acks !== 0) answers.push(...tools.linesOf(answer))
            for (const { topic, partitions } of data) {
              for (const { partition } of partitions) left.get(topic)?.delete(partition)
            }
          }),
        )
        const errors = settled.flatMap((one) =>
          one.status === 'rejected' ? [one.reason as unknown] : [],
        )
        if (errors.length === 0) return whenAllSent(left, answers)
        forgetClosed(cluster, errors)
        // One that cannot be cured by trying again decides.
        throw errors.find((error) => !isRetriable(error)) ?? errors[0]
      } catch (error) {
        await recover(cluster, error, bail)
        return undefined
      }
    })
  }
}

function groupAll(parts: Parts, tools: SendTools, input: Input): Unsent {
  const unsent: Unsent = new Map()
  for (const { topic, messages } of input.topicMessages) {
    const partitionMetadata = parts.cluster.findTopicPartitionMetadata(topic)
    if (partitionMetadata.length === 0) {
      throw notLoaded(topic)
    }
    const { partitioner } = parts
    const groups = tools.groupPerPartition({ topic, partitionMetadata, messages, partitioner })
    const known = unsent.get(topic) ?? new Map<number, readonly unknown[]>()
    for (const [partition, group] of Object.entries(groups)) {
      const before = known.get(Number(partition)) ?? []
      known.set(Number(partition), [...before, ...group])
    }
    unsent.set(topic, known)
  }
  return unsent
}

/** By kafkajs' name for it, after which the next attempt has newer metadata. */
const notLoaded = (topic: string): Error =>
  Object.assign(new Error(`not all is known of ${topic} yet`), { name: 'KafkaJSMetadataNotLoaded' })

/** @throws Error when the metadata lacked a partition, which then was sent to nobody */
function whenAllSent(unsent: Unsent, answers: unknown[]): unknown[] {
  for (const [topic, groups] of unsent) if (groups.size > 0) throw notLoaded(topic)
  return answers
}

/** What is to be sent to each broker, by the leaders of now. */
async function requestsOf(cluster: Cluster, unsent: Unsent): Promise<Map<Broker, TopicData[]>> {
  const requests = new Map<Broker, TopicData[]>()
  for (const [topic, groups] of unsent) {
    const leaders = cluster.findLeaderForPartitions(topic, [...groups.keys()].map(String))
    for (const [nodeId, numbers] of Object.entries(leaders)) {
      const broker = await cluster.findBroker({ nodeId })
      const partitions = numbers.map((number) => {
        const partition = Number(number)
        return { partition, messages: groups.get(partition) ?? [] }
      })
      requests.set(broker, [...(requests.get(broker) ?? []), { topic, partitions }])
    }
  }
  return requests
}

/** One request, as the stock one makes it: numbers are taken back when it fails. */
async function produce(
  { eosManager }: Parts,
  { acks, timeout, compression }: Input,
  broker: Broker,
  topicData: TopicData[],
): Promise<unknown> {
  const count = (sign: 1 | -1): void => {
    for (const { topic, partitions } of topicData) {
      for (const { partition, messages } of partitions) {
        eosManager.updateSequence(topic, partition, sign * messages.length)
      }
    }
  }
  await eosManager.acquireBrokerLock(broker)
  try {
    const transactional = eosManager.isTransactional()
    if (transactional) await eosManager.addPartitionsToTransaction(topicData)
    for (const { topic, partitions } of topicData) {
      for (const entry of partitions) {
        entry.firstSequence = eosManager.getSequence(topic, entry.partition)
      }
    }
    count(1)
    try {
      return await broker.produce({
        transactionalId: transactional ? eosManager.getTransactionalId() : undefined,
        producerId: eosManager.getProducerId(),
        producerEpoch: eosManager.getProducerEpoch(),
        acks,
        timeout,
        compression,
        topicData,
      })
    } catch (error) {
      count(-1)
      throw error
    }
  } finally {
    eosManager.releaseBrokerLock(broker)
  }
}

type Fault = {
  readonly name?: string
  readonly retriable?: boolean
  readonly host?: string
  readonly port?: number
}
const faultOf = (error: unknown): Fault =>
  typeof error === 'object' && error !== null ? (error as Fault) : {}

const LOST = ['KafkaJSMetadataNotLoaded', 'KafkaJSConnectionError', 'KafkaJSConnectionClosedError']
const isRetriable = (error: unknown): boolean => {
  const { name = '', retriable } = faultOf(error)
  return retriable === true || LOST.includes(name)
}

function forgetClosed(cluster: Cluster, errors: readonly unknown[]): void {
  for (const error of errors) {
    const { name, host, port } = faultOf(error)
    if (name === 'KafkaJSConnectionClosedError') cluster.removeBroker({ host, port })
  }
}

/** Gets ready for the next attempt, or calls it off. @throws the error when there shall be one */
async function recover(
  cluster: Cluster,
  error: unknown,
  bail: (error: unknown) => void,
): Promise<void> {
  if (!cluster.isConnected()) {
    await cluster.connect()
    await cluster.refreshMetadata()
    throw error
  }
  if (isRetriable(error)) {
    await cluster.refreshMetadata()
    throw error
  }
  bail(error)
}
