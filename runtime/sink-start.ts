// Where a sink begins whose consumer group has no offsets yet: decided once, in one transaction.
import { createKafka } from './kafka/client.ts'
import { openAdmin } from './kafka/admin.ts'
import { openLogReader } from './kafka/log-reader.ts'
import { type ConsumedOffset, openSession } from './kafka/session.ts'
import type { KafkaSettings } from './kafka/types.ts'
import type { Logger } from './log.ts'
import type { SinkStart } from './sink-settings.ts'

const TRANSACTION_TIMEOUT_MS = 60_000

export type StartPlace = {
  readonly settings: KafkaSettings
  readonly groupId: string
  /** Complete names, prefix included. */
  readonly topics: readonly string[]
  /** `beginning` needs nothing: that is where a group without offsets is read from. */
  readonly start: SinkStart
  /** What `now` means: when the sink was started, by however much later it is decided. */
  readonly startedAtMs: number
  readonly log: Logger
}

/**
 * Gives the group an offset in every partition, if it has none in any: two processes that begin at
 * once, or one that dies over it, leave all or nothing. @throws PipelineError when Kafka is away
 */
export async function commitStart(place: StartPlace): Promise<void> {
  const { settings, groupId, topics, start, log } = place
  if (start === 'beginning') return
  const client = createKafka(settings, `exposure-${groupId}`, log)
  const session = await openSession(client, {
    transactionalId: `${groupId}.start`,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
  })
  try {
    // Only behind the fence: whoever was about to decide has done so, or cannot any more.
    if (await hasOffsets(settings, groupId, topics, log)) return
    await session.commit({ outputs: [], offsets: await offsetsAt(place) })
  } finally {
    await session.close()
  }
}

async function hasOffsets(
  settings: KafkaSettings,
  groupId: string,
  topics: readonly string[],
  log: Logger,
): Promise<boolean> {
  const admin = await openAdmin(settings, log)
  try {
    for (const topic of topics) {
      const offsets = await admin.committedOffsets(groupId, topic)
      if ([...offsets.values()].some((offset) => offset !== null)) return true
    }
    return false
  } finally {
    await admin.close()
  }
}

async function offsetsAt(place: StartPlace): Promise<ConsumedOffset[]> {
  const { settings, groupId, topics, start, startedAtMs, log } = place
  const fromMs = start === 'now' ? startedAtMs : Date.parse(start)
  const reader = openLogReader(settings, log)
  try {
    const offsets: ConsumedOffset[] = []
    for (const topic of topics) {
      for (const partition of await reader.partitions(topic)) {
        const next = await reader.offsetAt(topic, partition, fromMs)
        offsets.push({ groupId, topic, partition, next })
      }
    }
    return offsets
  } finally {
    await reader.close()
  }
}
