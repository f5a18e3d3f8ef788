// Every topic: its name, partitions, retention and schema. The only place where one is named.
import type { SchemaName } from './schemas.ts'

/** Every vendor that is read; each has a raw topic and a topic of state. */
export const VENDORS = ['prisma-cloud', 'cortex'] as const
export type ListedVendor = (typeof VENDORS)[number]
/** Lower-case words with dashes between: part of topic names, groups and ids, never changed. */
export type VendorId = string
export const VENDOR_ID = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/

type Pascal<S extends string> = S extends `${infer Word}-${infer Rest}`
  ? `${Capitalize<Word>}${Pascal<Rest>}`
  : Capitalize<S>
type VendorTopic = `${'raw' | 'state'}${Pascal<ListedVendor>}`

export type TopicName =
  | VendorTopic
  | 'stateRuns'
  | 'assets'
  | 'findings'
  | 'vulnerabilities'
  | 'connectorErrors'
  | 'runs'
  | 'connections'
  | 'checkpoints'
  | 'dlq'
  | 'quarantine'
  | 'ocsf'

export type TopicSpec = {
  /** Without the configured prefix. */
  readonly name: string
  /** Fixed for life: another count would move keys to other partitions. */
  readonly partitions: number
  readonly config: Readonly<Record<string, string>>
  /** The value schema; null where values are JSON or raw bytes. */
  readonly schema: SchemaName | null
}

const DAY_MS = 86_400_000
/** One unit is at most this big; what is bigger is marked as seen and reported, not published. */
export const UNIT_BYTES_MAX = 8 * 1024 * 1024
/** A record holds a unit plus key, headers and batch overhead. */
const LARGE_MESSAGE = { 'max.message.bytes': String(UNIT_BYTES_MAX + 256 * 1024) }
/** Whatever a raw topic took, with the reason beside it: a letter that does not fit stops all. */
const DEAD_LETTER = { 'max.message.bytes': String(UNIT_BYTES_MAX + 2 * 1024 * 1024) }
const keep = (days: number) => ({
  'cleanup.policy': 'delete',
  'retention.ms': String(days * DAY_MS),
})
const COMPACT = { 'cleanup.policy': 'compact' }
/**
 * Every transition is there for a week, for a store that was down; afterwards the last state is.
 */
const COMPACT_WEEK = {
  'cleanup.policy': 'compact',
  'min.compaction.lag.ms': String(7 * DAY_MS),
  'delete.retention.ms': String(7 * DAY_MS),
}

export const RAW_PARTITIONS = 6

export const TOPICS: Readonly<Record<TopicName, TopicSpec>> = {
  ...vendorTopics(),
  stateRuns: { name: 'exposure.state.runs', partitions: 3, config: COMPACT, schema: null },
  assets: { name: 'exposure.assets', partitions: 6, config: COMPACT_WEEK, schema: 'Asset' },
  findings: { name: 'exposure.findings', partitions: 6, config: COMPACT_WEEK, schema: 'Finding' },
  vulnerabilities: {
    name: 'exposure.vulnerabilities',
    partitions: 6,
    config: COMPACT_WEEK,
    schema: 'Vulnerability',
  },
  connectorErrors: {
    name: 'exposure.connector-errors',
    partitions: 3,
    config: { 'cleanup.policy': 'compact,delete', 'retention.ms': String(30 * DAY_MS) },
    schema: 'ConnectorError',
  },
  runs: { name: 'exposure.runs', partitions: 3, config: keep(90), schema: 'Run' },
  connections: { name: 'exposure.connections', partitions: 6, config: COMPACT, schema: null },
  checkpoints: { name: 'exposure.checkpoints', partitions: 1, config: COMPACT, schema: null },
  dlq: {
    name: 'exposure.dlq',
    partitions: 3,
    config: { ...keep(30), ...DEAD_LETTER },
    schema: null,
  },
  /** Dead letters that were replayed too often. Partitions as the dead letters': one to one. */
  quarantine: {
    name: 'exposure.quarantine',
    partitions: 3,
    config: { ...keep(90), ...DEAD_LETTER },
    schema: null,
  },
  /** Events as OCSF has them, in JSON: for readers that have no registry. */
  ocsf: { name: 'exposure.ocsf', partitions: 6, config: keep(7), schema: null },
}

/** Where a vendor's raw records are. */
export function rawTopic(vendor: VendorId): TopicSpec {
  const config = { ...keep(7), ...LARGE_MESSAGE }
  return { name: `raw.${vendor}`, partitions: RAW_PARTITIONS, config, schema: null }
}
/** Where the lifecycle keeps what it knows of a vendor's units. */
export function stateTopic(vendor: VendorId): TopicSpec {
  const config = { ...COMPACT, ...LARGE_MESSAGE }
  const name = `exposure.state.${vendor}`
  return { name, partitions: RAW_PARTITIONS, config, schema: null }
}

/** `prisma-cloud` gives `rawPrismaCloud` and `statePrismaCloud`. */
function vendorTopics(): Readonly<Record<VendorTopic, TopicSpec>> {
  const pascal = (vendor: string) =>
    vendor.replace(/(?:^|-)(.)/g, (_, c: string) => c.toUpperCase())
  return Object.fromEntries([
    ...VENDORS.map((vendor) => [`raw${pascal(vendor)}`, rawTopic(vendor)] as const),
    ...VENDORS.map((vendor) => [`state${pascal(vendor)}`, stateTopic(vendor)] as const),
  ]) as Record<VendorTopic, TopicSpec>
}

/** Names with the configured prefix: `topicName('prod.', 'assets')` is `prod.exposure.assets`. */
export const topicName = (prefix: string, topic: TopicName): string => prefix + TOPICS[topic].name
/** The registry subject of a topic's values. */
export const subjectName = (prefix: string, topic: TopicName): string =>
  `${topicName(prefix, topic)}-value`
