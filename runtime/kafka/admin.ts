// Topics as they should be, and where groups stand: creating, checking, offsets and lag.
import type { Admin as KafkaAdmin } from 'kafkajs'
import { TOPICS, type TopicSpec } from '../../contracts/topics.ts'
import type { Logger } from '../log.ts'
import { createKafka, instanceOf } from './client.ts'
import { openCluster, type Cluster } from './cluster.ts'
import { isStaleMetadata, kafkaError } from './errors.ts'
import { ConfigResourceTypes } from './kafkajs.ts'
import type { KafkaSettings } from './types.ts'
import { pause, within } from './waiting.ts'

const CREATE_TIMEOUT_MS = 30_000
const CLOSE_TIMEOUT_MS = 5_000
const DIAL_TIMEOUT_MS = 10_000
/** How long a topic just made may stay unknown to the broker, on a machine that is very busy. */
const READY_TIMEOUT_MS = 90_000
const READY_PAUSE_MS = 100
/** Kafka's number for "set on the topic itself". */
const SET_ON_TOPIC = 1

export type PartitionLag = {
  readonly topic: string
  readonly partition: number
  /** Null: the group has committed nothing there. */
  readonly committed: bigint | null
  /** The high watermark. */
  readonly end: bigint
  /** Offsets between the two, markers included; from the log's start when nothing is committed. */
  readonly lag: bigint
}

export type Admin = {
  /**
   * Creates the topics that are missing and mends settings of ours that differ; settings of others
   * stay. `name` of a spec is without prefix, as everywhere in TOPICS. A differing partition count
   * is refused and reported among the problems: another count would move keys.
   */
  applyTopics(
    specs?: readonly TopicSpec[],
  ): Promise<{ created: string[]; altered: string[]; problems: string[] }>
  /** Whether there is a topic of that complete name. */
  hasTopic(topic: string): Promise<boolean>
  /** High watermark per partition, by partition. Topic names here are complete, prefix included. */
  endOffsets(topic: string): Promise<Map<number, bigint>>
  /** Committed offset per partition; null where there is none. */
  committedOffsets(groupId: string, topic: string): Promise<Map<number, bigint | null>>
  /** Sorted by topic and partition. */
  lag(groupId: string, topics: readonly string[]): Promise<PartitionLag[]>
  /**
   * Deletes what lies before the given offset of each partition, for good. Bytes are freed when
   * their segment is; an offset at or below the first one does nothing.
   */
  deleteRecords(topic: string, before: ReadonlyMap<number, bigint>): Promise<void>
  /** Names that do not exist are passed over. */
  deleteTopics(topics: readonly string[]): Promise<void>
  /** Bounded; never throws. */
  close(): Promise<void>
}

/** Connects. @throws PipelineError when Kafka cannot be reached, as do all of its functions */
export async function openAdmin(settings: KafkaSettings, log: Logger): Promise<Admin> {
  const client = createKafka(settings, 'exposure-admin', log)
  const admin = instanceOf(client).admin()
  const cluster = openCluster(client)
  const ours = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw kafkaError(error, 'CONFIG', settings.brokers)
    }
  }
  await ours(() => admin.connect())

  return {
    applyTopics: (specs = Object.values(TOPICS)) =>
      ours(() => applyTopics(admin, cluster, settings, specs)),
    hasTopic: (topic) => ours(async () => (await admin.listTopics()).includes(topic)),
    endOffsets: (topic) => ours(() => endOffsets(cluster, topic)),
    committedOffsets: (groupId, topic) => ours(() => committedOffsets(cluster, groupId, topic)),
    lag: (groupId, topics) => ours(() => lagOf(cluster, groupId, topics)),
    deleteRecords: (topic, before) => ours(() => deleteRecords(admin, cluster, topic, before)),
    deleteTopics: (topics) => ours(() => deleteTopics(admin, topics)),
    async close() {
      const ends = Promise.all([admin.disconnect(), cluster.close()])
      try {
        await within('closing an admin client', CLOSE_TIMEOUT_MS, ends)
      } catch (error) {
        log.debug({ err: error }, 'an admin client did not close')
      }
    },
  }
}

/**
 * One connection, closed again: readers try for minutes, which an operator should not wait for.
 * @throws PipelineError when Kafka does not answer within 10 s, or refuses
 */
export async function dialKafka(settings: KafkaSettings, log: Logger): Promise<void> {
  const admin = instanceOf(createKafka(settings, 'exposure-dial', log)).admin()
  const dialled = admin.connect()
  try {
    await within(`dialling Kafka at ${settings.brokers.join(', ')}`, DIAL_TIMEOUT_MS, dialled)
  } catch (error) {
    throw kafkaError(error, 'CONFIG', settings.brokers)
  } finally {
    await within('closing an admin client', CLOSE_TIMEOUT_MS, admin.disconnect()).catch(
      (error: unknown) => log.debug({ err: error }, 'an admin client did not close'),
    )
  }
}

async function applyTopics(
  admin: KafkaAdmin,
  cluster: Cluster,
  settings: KafkaSettings,
  specs: readonly TopicSpec[],
): Promise<{ created: string[]; altered: string[]; problems: string[] }> {
  const existing = new Set(await admin.listTopics())
  const wanted = specs.map((spec) => ({ ...spec, name: settings.prefix + spec.name }))
  const missing = wanted.filter(({ name }) => !existing.has(name))
  if (missing.length > 0) {
    await admin.createTopics({
      timeout: CREATE_TIMEOUT_MS,
      // It fails for topics not known yet, instead of waiting for them; becomesKnown() waits.
      waitForLeaders: false,
      topics: missing.map(({ name, partitions, config }) => ({
        topic: name,
        numPartitions: partitions,
        replicationFactor: settings.replicationFactor,
        configEntries: Object.entries(config).map(([key, value]) => ({ name: key, value })),
      })),
    })
    for (const { name, partitions } of missing) await becomesKnown(cluster, name, partitions)
  }
  const problems: string[] = []
  const altered: string[] = []
  // Those just made too: somebody else may have made one in the same moment.
  for (const spec of wanted) {
    const { length } = await cluster.partitions(spec.name)
    // 0: made, and still unknown to the broker that was asked, on a busy machine.
    if (length !== 0 && length !== spec.partitions) {
      const text = `${spec.name} has ${length} partitions, must have ${spec.partitions}`
      problems.push(`${text}: partition counts are never changed, since keys would move`)
    }
    if (existing.has(spec.name) && (await alterTopic(admin, spec))) altered.push(spec.name)
  }
  return { created: missing.map(({ name }) => name), altered, problems }
}

/** Metadata follow creation after a while, also on one broker, and its leaders after them. */
async function becomesKnown(cluster: Cluster, topic: string, partitions: number): Promise<void> {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS
  for (;;) {
    try {
      const known = await cluster.partitions(topic)
      for (const partition of known) await cluster.endOffset(topic, partition)
      if (known.length >= partitions) return
      await cluster.refresh()
    } catch (error) {
      if (!isStaleMetadata(error) || performance.now() > deadlineMs) throw error
    }
    if (performance.now() > deadlineMs) return
    await pause(READY_PAUSE_MS)
  }
}

/** True when a setting of ours differed and was set. */
async function alterTopic(admin: KafkaAdmin, spec: TopicSpec): Promise<boolean> {
  const type = ConfigResourceTypes.TOPIC
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type, name: spec.name }],
  })
  const current = new Map<string, string>()
  const set = new Map<string, string>()
  for (const { configName, configValue, configSource } of resources[0]?.configEntries ?? []) {
    current.set(configName, configValue)
    if (Number(configSource) === SET_ON_TOPIC) set.set(configName, configValue)
  }
  const differs = Object.entries(spec.config).some(([key, value]) => current.get(key) !== value)
  if (!differs) return false
  // AlterConfigs replaces the whole set: what others have set on the topic must be in it.
  for (const [key, value] of Object.entries(spec.config)) set.set(key, value)
  const configEntries = [...set].map(([name, value]) => ({ name, value }))
  const altered = { type, name: spec.name, configEntries }
  await admin.alterConfigs({ validateOnly: false, resources: [altered] })
  return true
}

async function endOffsets(cluster: Cluster, topic: string): Promise<Map<number, bigint>> {
  const ends = new Map<number, bigint>()
  for (const partition of await cluster.partitions(topic)) {
    ends.set(partition, BigInt(await cluster.endOffset(topic, partition)))
  }
  return ends
}

async function committedOffsets(
  cluster: Cluster,
  groupId: string,
  topic: string,
): Promise<Map<number, bigint | null>> {
  const offsets = new Map<number, bigint | null>()
  for (const partition of await cluster.partitions(topic)) {
    offsets.set(partition, await cluster.committedOffset(groupId, topic, partition))
  }
  return offsets
}

async function lagOf(
  cluster: Cluster,
  groupId: string,
  topics: readonly string[],
): Promise<PartitionLag[]> {
  const lags: PartitionLag[] = []
  for (const topic of topics.toSorted()) {
    const offsets = await committedOffsets(cluster, groupId, topic)
    for (const [partition, end] of await endOffsets(cluster, topic)) {
      const committed = offsets.get(partition) ?? null
      const from = committed ?? BigInt(await cluster.startOffset(topic, partition))
      // A committed offset can stand above the end for a moment, when the end was read before it.
      const lag = end > from ? end - from : 0n
      lags.push({ topic, partition, committed, end, lag })
    }
  }
  return lags
}

async function deleteTopics(admin: KafkaAdmin, topics: readonly string[]): Promise<void> {
  const existing = new Set(await admin.listTopics())
  const present = [...new Set(topics)].filter((topic) => existing.has(topic))
  if (present.length === 0) return
  await admin.deleteTopics({ topics: present, timeout: CREATE_TIMEOUT_MS })
}

async function deleteRecords(
  admin: KafkaAdmin,
  cluster: Cluster,
  topic: string,
  before: ReadonlyMap<number, bigint>,
): Promise<void> {
  const partitions: { partition: number; offset: string }[] = []
  for (const [partition, offset] of before) {
    const start = await cluster.startOffset(topic, partition)
    if (offset > BigInt(start)) partitions.push({ partition, offset: offset.toString() })
  }
  if (partitions.length === 0) return
  // deleteTopicRecords looks for the leaders in metadata that only this loads.
  await admin.fetchTopicOffsets(topic)
  await within(
    'deleting records',
    CREATE_TIMEOUT_MS,
    admin.deleteTopicRecords({ topic, partitions }),
  )
}
