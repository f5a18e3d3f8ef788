// A store that stands behind its group: what only waited in memory is gone, a backup was restored.
import type { OpenSink } from '../contracts/ports.ts'
import { openAdmin } from './kafka/admin.ts'
import type { KafkaSettings } from './kafka/types.ts'
import type { Logger } from './log.ts'

/** Batches wait for it: who asks for longer has its partitions compared at their first batch. */
const ASKING_MS_MAX = 10_000

export type Place = { readonly topic: string; readonly partition: number }

export type BehindOptions = {
  readonly settings: KafkaSettings
  readonly groupId: string
  readonly store: OpenSink
  /** Those of this member. */
  readonly partitions: readonly Place[]
  /** True: a store that has nothing is not behind, for the group began later than the log. */
  readonly startsLater: boolean
  readonly seek: (topic: string, partition: number, offset: bigint) => void
  readonly log: Logger
}

/**
 * Reads on from where the store stands, also where nothing new comes: the first batch of a
 * partition is compared too, but a partition that is quiet has none. Never throws.
 */
export async function seekBehind(options: BehindOptions): Promise<void> {
  const { settings, store, log } = options
  // Such a store stands where its group does, in one transaction.
  if (store.commitsOffsets === true) return
  try {
    const admin = await openAdmin(settings, log)
    try {
      await seekEach(options, (groupId, topic) => admin.committedOffsets(groupId, topic))
    } finally {
      await admin.close()
    }
  } catch (error) {
    log.debug({ err: error }, 'the store is compared at the first batch of each partition')
  }
}

type Committed = (groupId: string, topic: string) => Promise<Map<number, bigint | null>>

async function seekEach(options: BehindOptions, committedOf: Committed): Promise<void> {
  const { groupId, store, partitions, startsLater, seek, log } = options
  const untilMs = Date.now() + ASKING_MS_MAX
  for (const [topic, places] of Map.groupBy(partitions, (place) => place.topic)) {
    const committed = await committedOf(groupId, topic)
    for (const { partition } of places) {
      const offset = committed.get(partition) ?? null
      // Without one it is read from its beginning anyway.
      if (offset === null || Date.now() > untilMs) continue
      const stored = await store.storedOffset(topic, partition)
      if (stored === null) return
      if (stored >= offset || (stored === 0n && startsLater)) continue
      log.debug({ topic, partition, stored, offset }, 'the store is behind: reading back')
      seek(topic, partition, stored)
    }
  }
}
