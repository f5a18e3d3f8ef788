// Who is in a consumer group now, and which partitions each member has.
import type { Logger } from '../log.ts'
import { createKafka, instanceOf } from './client.ts'
import { kafkaError } from './errors.ts'
import { AssignerProtocol } from './kafkajs.ts'
import type { KafkaSettings } from './types.ts'
import { within } from './waiting.ts'

const CLOSE_TIMEOUT_MS = 5_000

export type GroupMember = {
  readonly memberId: string
  /** Address that the broker sees. */
  readonly host: string
  /** By topic, prefix included. */
  readonly partitions: ReadonlyMap<string, readonly number[]>
}

/** Empty for a group that is not there. @throws PipelineError when Kafka cannot be reached */
export async function groupMembers(
  settings: KafkaSettings,
  groupId: string,
  log: Logger,
): Promise<GroupMember[]> {
  const admin = instanceOf(createKafka(settings, 'exposure-members', log)).admin()
  try {
    await admin.connect()
    const { groups } = await admin.describeGroups([groupId])
    return groups.flatMap(({ members }) =>
      members.map(({ memberId, clientHost, memberAssignment }) => {
        const decoded = AssignerProtocol.MemberAssignment.decode(memberAssignment)
        const partitions = new Map(Object.entries(decoded?.assignment ?? {}))
        return { memberId, host: clientHost.replace(/^\//, ''), partitions }
      }),
    )
  } catch (error) {
    throw kafkaError(error, 'CONFIG', settings.brokers)
  } finally {
    await within('closing an admin client', CLOSE_TIMEOUT_MS, admin.disconnect()).catch(
      (error: unknown) => log.debug({ err: error }, 'an admin client did not close'),
    )
  }
}
