// Lets Kafka give up on processes that were killed at once, where it would wait for a session's
// end.
import { Kafka, logLevel } from '../../runtime/kafka/kafkajs.ts'

// The shapes of kafkajs' own sources; it offers no public way to send LeaveGroup for another.
type Coordinator = {
  describeGroups(input: { groupIds: string[] }): Promise<{
    groups: { members: { memberId: string }[] }[]
  }>
  leaveGroup(input: { groupId: string; memberId: string }): Promise<unknown>
}
type InnerCluster = {
  connect(): Promise<void>
  disconnect(): Promise<void>
  findGroupCoordinator(input: { groupId: string }): Promise<Coordinator>
}

/** Takes every member out of these groups; returns how many there were. */
export async function buryMembers(
  brokers: readonly string[],
  groupIds: readonly string[],
): Promise<number> {
  const cluster = innerCluster(brokers)
  let buried = 0
  await cluster.connect()
  try {
    for (const groupId of groupIds) {
      const coordinator = await cluster.findGroupCoordinator({ groupId })
      const { groups } = await coordinator.describeGroups({ groupIds: [groupId] })
      for (const { memberId } of groups[0]?.members ?? []) {
        await coordinator.leaveGroup({ groupId, memberId })
        buried += 1
      }
    }
  } finally {
    await cluster.disconnect()
  }
  return buried
}

function innerCluster(brokers: readonly string[]): InnerCluster {
  const kafka = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING })
  const symbol = Object.getOwnPropertySymbols(kafka).find(
    (s) => s.description === 'private:Kafka:createCluster',
  )
  if (symbol === undefined) throw new TypeError('kafkajs has no createCluster')
  const create = Reflect.get(kafka, symbol) as (options: object) => InnerCluster
  return Reflect.apply(create, kafka, [{ allowAutoTopicCreation: false }])
}
