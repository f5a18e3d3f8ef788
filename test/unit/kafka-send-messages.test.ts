// What becomes of a batch when leaders move between two attempts, without any broker.
import { describe, expect, it } from 'vitest'
import { sendMessagesWith, type CreateSendMessages } from '../../runtime/kafka/send-messages.ts'

type Parts = Parameters<CreateSendMessages>[0]
type Sent = { broker: string; partition: number; firstSequence: number }
/** Answers a request to a broker for partitions, or refuses it. */
type Serve = (broker: string, partitions: readonly number[]) => Promise<void>

const ATTEMPTS_MAX = 5
const notLeader = () =>
  Object.assign(new Error('not the leader'), { name: 'KafkaJSProtocolError', retriable: true })

/** A cluster in kafkajs' words: `leaders` by partition, taken over at every refresh. */
function clusterOf(leaders: string[], serve: Serve) {
  const sent: Sent[] = []
  const sequences = new Map<number, number>()
  let known = [...leaders]
  const broker = (nodeId: string) => ({
    nodeId,
    async produce(request: Record<string, unknown>) {
      const [data] = request['topicData'] as { partitions: Sent[] }[]
      const partitions = data?.partitions ?? []
      sent.push(
        ...partitions.map(({ partition, firstSequence }) => ({
          broker: nodeId,
          partition,
          firstSequence,
        })),
      )
      await serve(
        nodeId,
        partitions.map(({ partition }) => partition),
      )
      return partitions.map(({ partition }) => ({ partition, errorCode: 0 }))
    },
  })
  const brokers = new Map(['a', 'b', 'c'].map((id) => [id, broker(id)]))
  const parts = {
    cluster: {
      addMultipleTargetTopics: async () => {},
      refreshMetadataIfNecessary: async () => {},
      refreshMetadata: async () => void (known = [...leaders]),
      findTopicPartitionMetadata: () => known,
      findLeaderForPartitions: (_: string, partitions: readonly string[]) => {
        const byLeader: Record<string, number[]> = {}
        for (const p of partitions.map(Number)) (byLeader[known[p] ?? ''] ??= []).push(p)
        return byLeader
      },
      findBroker: async ({ nodeId }: { nodeId: string }) => brokers.get(nodeId),
      removeBroker: () => {},
      isConnected: () => true,
      connect: async () => {},
    },
    eosManager: {
      isTransactional: () => false,
      getProducerId: () => '1',
      getProducerEpoch: () => 0,
      getSequence: (_: string, partition: number) => sequences.get(partition) ?? 0,
      updateSequence: (_: string, partition: number, by: number) =>
        void sequences.set(partition, (sequences.get(partition) ?? 0) + by),
      acquireBrokerLock: async () => {},
      releaseBrokerLock: () => {},
    },
    partitioner: () => 0,
    retrier: async (attempt: Parameters<Parts['retrier']>[0]) => {
      for (let tries = 1; ; tries += 1) {
        try {
          return await attempt((error) => {
            throw error
          })
        } catch (error) {
          if (tries === ATTEMPTS_MAX) throw error
        }
      }
    },
  }
  const send = sendMessagesWith({
    groupPerPartition: ({ messages }) => Object.fromEntries(messages.map((m, p) => [p, [m]])),
    linesOf: (answer) => answer as unknown[],
  })(parts as unknown as Parts)
  const topicMessages = [{ topic: 't', messages: leaders.map((_, p) => `to ${p}`) }]
  return { sent, send: () => send({ acks: -1, topicMessages }) }
}

describe('sendMessagesWith', () => {
  it('sends a partition to a new leader that has answered for another one already', async () => {
    const leaders = ['a', 'b']
    const { sent, send } = clusterOf(leaders, async (broker) => {
      if (broker !== 'a') return
      leaders[0] = 'b'
      throw notLeader()
    })
    expect(await send()).toHaveLength(2)
    expect(sent.filter(({ broker }) => broker === 'b')).toEqual([
      { broker: 'b', partition: 1, firstSequence: 0 },
      { broker: 'b', partition: 0, firstSequence: 0 },
    ])
  })

  it('sends nothing again that was acknowledged before its leader moved', async () => {
    const leaders = ['a', 'b']
    const { sent, send } = clusterOf(leaders, async (broker) => {
      if (broker !== 'a') return
      leaders.fill('c')
      throw notLeader()
    })
    expect(await send()).toHaveLength(2)
    expect(sent.filter(({ partition }) => partition === 1)).toHaveLength(1)
  })

  it('begins no attempt while a request of the one before is under way', async () => {
    const leaders = ['a', 'b']
    const slow = Promise.withResolvers<void>()
    let refusals = 0
    const { sent, send } = clusterOf(leaders, async (broker) => {
      if (broker === 'b') return slow.promise
      refusals += 1
      if (refusals > 1) return
      // Long after the refusal was seen.
      setImmediate(() => setImmediate(slow.resolve))
      throw notLeader()
    })
    expect(await send()).toHaveLength(2)
    expect(sent.filter(({ partition }) => partition === 1)).toHaveLength(1)
  })

  it('takes the same numbers for what it sends again', async () => {
    let refusals = 0
    const { sent, send } = clusterOf(['a'], async () => {
      refusals += 1
      if (refusals < 3) throw notLeader()
    })
    await send()
    expect(sent.map(({ firstSequence }) => firstSequence)).toEqual([0, 0, 0])
  })

  it('throws when the metadata lack a partition', async () => {
    const { send } = clusterOf(['a', ''], async () => {})
    await expect(send()).rejects.toThrow()
  })
})
