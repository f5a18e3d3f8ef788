// Compaction as hard as the broker can: what it may take from a compacted topic, it takes at once.
import { TOPICS, type TopicName, type TopicSpec } from '../../contracts/topics.ts'
import { openAdmin } from '../../runtime/kafka/admin.ts'
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import { createLogger } from '../../runtime/log.ts'

/**
 * Segments of a second, cleaned as soon as anything in them is dirty. Tombstones stay for longer
 * than a restore takes, as Kafka wants it: a reader that is slower than `delete.retention.ms` may
 * miss one on any cluster.
 */
export const COMPACT_HARD: Readonly<Record<string, string>> = {
  'segment.ms': '1000',
  'min.cleanable.dirty.ratio': '0.01',
  'min.compaction.lag.ms': '0',
  'max.compaction.lag.ms': '1000',
  'delete.retention.ms': '10000',
  'file.delete.delay.ms': '1000',
}

/** Topics whose whole history is compared, by a reader that follows them. */
export const FOLLOWED = ['assets', 'findings'] as const satisfies readonly TopicName[]
/** How long their records stay at least: far longer than who follows them is ever behind. */
export const FOLLOWED_LAG_MS = 6_000

const isFollowed = (name: TopicName): boolean => FOLLOWED.some((followed) => followed === name)

/**
 * Turns hard compaction on for every compacted topic of a prefix. `exposure topics apply` gives the
 * event topics their week back, so call it after that. Events of a compacted topic do not stay:
 * only the last one of each key can be counted upon, and on those that are followed all for
 * `followedLagMs`.
 * @throws PipelineError when Kafka cannot be reached
 */
export async function compactHard(settings: KafkaSettings, followedLagMs: number): Promise<void> {
  const lag = {
    'min.compaction.lag.ms': String(followedLagMs),
    'max.compaction.lag.ms': String(followedLagMs),
  }
  const specs = (Object.keys(TOPICS) as TopicName[])
    .filter((name) => TOPICS[name].config['cleanup.policy']?.includes('compact'))
    .map((name): TopicSpec => {
      const { config, ...spec } = TOPICS[name]
      const hard = { ...config, ...COMPACT_HARD, ...(isFollowed(name) ? lag : {}) }
      return { ...spec, config: hard }
    })
  const admin = await openAdmin(settings, createLogger('compaction'))
  try {
    await admin.applyTopics(specs)
  } finally {
    await admin.close()
  }
}
