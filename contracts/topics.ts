// Every topic: its name, partitions, retention and schema. The only place where one is named.
import type { SchemaName } from './schemas.ts'

export type VendorId = 'prisma-cloud' | 'cortex'
export const VENDORS: readonly VendorId[] = ['prisma-cloud', 'cortex']

export type TopicName =
  | 'rawPrismaCloud'
  | 'rawCortex'
  | 'statePrismaCloud'
  | 'stateCortex'
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
  rawPrismaCloud: raw('raw.prisma-cloud'),
  rawCortex: raw('raw.cortex'),
  statePrismaCloud: state('exposure.state.prisma-cloud'),
  stateCortex: state('exposure.state.cortex'),
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
}

function raw(name: string): TopicSpec {
  return {
    name,
    partitions: RAW_PARTITIONS,
    config: { ...keep(7), ...LARGE_MESSAGE },
    schema: null,
  }
}
function state(name: string): TopicSpec {
  const config = { ...COMPACT, ...LARGE_MESSAGE }
  return { name, partitions: RAW_PARTITIONS, config, schema: null }
}

export const RAW_TOPIC: Readonly<Record<VendorId, TopicName>> = {
  'prisma-cloud': 'rawPrismaCloud',
  cortex: 'rawCortex',
}
export const STATE_TOPIC: Readonly<Record<VendorId, TopicName>> = {
  'prisma-cloud': 'statePrismaCloud',
  cortex: 'stateCortex',
}

/** Names with the configured prefix: `topicName('prod.', 'assets')` is `prod.exposure.assets`. */
export const topicName = (prefix: string, topic: TopicName): string => prefix + TOPICS[topic].name
/** The registry subject of a topic's values. */
export const subjectName = (prefix: string, topic: TopicName): string =>
  `${topicName(prefix, topic)}-value`
