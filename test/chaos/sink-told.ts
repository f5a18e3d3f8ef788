// Events for sinks, prepared: entities that evolve, end, and go; told in many small transactions.
import { setTimeout as pause } from 'node:timers/promises'
import type { Asset } from '../../contracts/asset.ts'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { Finding } from '../../contracts/finding.ts'
import { partitionOf } from '../../contracts/placement.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import { TOPICS, topicName } from '../../contracts/topics.ts'
import { createKafka } from '../../runtime/kafka/client.ts'
import { openSession } from '../../runtime/kafka/session.ts'
import { createLogger } from '../../runtime/log.ts'
import { openRegistry } from '../../runtime/registry.ts'
import { type Told as Record_, historyOf, toldAsset, toldGone } from '../support/sink-history.ts'
import { OCSF_WORDS } from '../support/sink-ocsf.ts'
import { CONDITIONS, FINDINGS, type Subject } from '../support/sink-subjects.ts'
import type { Arena } from './arena.ts'
import type { Told } from './sink-store.ts'
import { type Line, readTopics } from './topics.ts'

const REGISTRY_TIMEOUT_MS = 20_000
const TRANSACTION_TIMEOUT_MS = 60_000
/** Together, far more than a seed can tell in its time. */
const TURNS_MAX = 4_000
/** One in seven changes is the end of an entity: of fewer, none would be left in the end. */
const FINDING_ENTITIES = 400
const ASSET_ENTITIES = 100
const FINGERPRINTS = 100
/** So many findings for one asset, and for one report of a condition. */
const FINDINGS_SHARE = 6
const CHUNK_MAX = 8
const PAUSE_MS_MAX = 60

const assetUid = (uid: string) => `asset-${uid}`
const ASSETS: Subject = {
  ...FINDINGS,
  told: (uid, turn, status) =>
    toldAsset(assetUid(uid), turn, { status: status === 'RESOLVED' ? 'GONE' : 'ACTIVE' }),
  gone: (uid, turn) => toldGone('asset', assetUid(uid), turn),
}
const TOPIC_OF = {
  finding: 'findings',
  asset: 'assets',
  'connector-error': 'connectorErrors',
} as const

/** What lies on the topics: the revision of an entity grows, and a report is never taken back. */
const ordered = (subject: Subject): Subject => ({ ...subject, hasRevisions: false })

function recordsOf(seed: number): Record_[] {
  const of = (subject: Subject, entities: number) =>
    historyOf(ordered(subject), { seed, turns: TURNS_MAX, entities })
  const findings = of(FINDINGS, FINDING_ENTITIES)
  const assets = of(ASSETS, ASSET_ENTITIES)
  // No tombstones: Kafka itself forgets reports after a month.
  const conditions = of(CONDITIONS, FINGERPRINTS).filter(({ value }) => value !== null)
  return findings.flatMap((finding, n) => {
    const beside = n % FINDINGS_SHARE === 0 ? Math.floor(n / FINDINGS_SHARE) : -1
    return [finding, assets[beside], conditions[beside]].filter((one) => one !== undefined)
  })
}

export type Teller = {
  /** Goes on telling until it is told to stop. @throws PipelineError when Kafka refuses */
  tell(signal: AbortSignal): Promise<void>
  /** Tells so many records more. */
  tellMore(records: number): Promise<void>
  readonly told: () => number
  close(): Promise<void>
}

/** Nothing is told yet. */
export async function openTeller(arena: Arena): Promise<Teller> {
  const { prefix, settings, stack, random, seed } = arena
  const registry = openRegistry({ url: stack.registryUrl, timeoutMs: REGISTRY_TIMEOUT_MS })
  const codecs = await registry.lookup(prefix)
  const session = await openSession(createKafka(settings, 'chaos-sinks', createLogger('chaos')), {
    transactionalId: `${prefix}teller`,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
  })
  const records = recordsOf(seed)
  let next = 0
  const outputOf = ({ kind, key, value }: Record_): OutRecord => {
    if (kind !== 'finding' && kind !== 'asset' && kind !== 'connector-error') {
      throw new TypeError(`nothing of kind ${kind} is told`)
    }
    const topic = TOPIC_OF[kind]
    return {
      topic: topicName(prefix, topic),
      partition: partitionOf(key, TOPICS[topic].partitions),
      key,
      value: value === null ? null : codecs.encode(topic, value as never),
      headers: { 'x-product': 'prisma-compute' },
    }
  }
  const tellSome = async (count: number) => {
    const outputs = records.slice(next, next + count).map(outputOf)
    next += outputs.length
    if (outputs.length > 0) await session.commit({ outputs })
  }
  return {
    async tell(signal) {
      while (!signal.aborted && next < records.length) {
        await tellSome(1 + random.below(CHUNK_MAX))
        await pause(random.below(PAUSE_MS_MAX))
      }
    },
    async tellMore(count) {
      const end = Math.min(records.length, next + count)
      while (next < end) await tellSome(Math.min(CHUNK_MAX, end - next))
    },
    told: () => next,
    close: () => session.close(),
  }
}

/** What is on the topics, as a stranger reads it. */
export async function readTold({ stack, prefix }: Arena): Promise<Told & { letters: number }> {
  const topics = ['findings', 'assets', 'connectorErrors', 'ocsf', 'dlq'] as const
  const lines = await readTopics(stack, prefix, topics)
  const findings = lines.findings as Line<Finding>[]
  const assets = lines.assets as Line<Asset>[]
  const errors = lines.connectorErrors as Line<ConnectorError>[]
  const now = new Map<string, string>()
  const ever = new Map<string, string>()
  const ocsf = new Map<string, string>()
  for (const { key, value } of [...findings, ...assets]) {
    const uid = key ?? ''
    if (value === null) {
      now.delete(uid)
      continue
    }
    const { meta, status } = value
    now.set(uid, `${meta.revision} ${status}`)
    ever.set(uid, `${meta.revision} ${status}`)
    ocsf.set(uid, `${meta.revision} ${OCSF_WORDS[status] ?? status}`)
  }
  const conditions = new Map<string, string>()
  for (const { value } of errors) {
    if (value === null || value.sink_id === 'webhook' || value.state === 'ONGOING') continue
    conditions.set(value.fingerprint, value.state)
  }
  const ids = (of: readonly Line<Finding | Asset>[]) =>
    of.flatMap(({ value }) => (value === null ? [] : [value.meta.event_id]))
  return {
    now,
    ever,
    ocsf,
    conditions,
    eventIds: {
      finding: ids(findings),
      asset: ids(assets),
      error: errors.flatMap(({ value }) => value?.error_id ?? []),
    },
    records: findings.length + assets.length,
    json: lines.ocsf.map(({ value }) => parsed(String(value))),
    letters: lines.dlq.length,
  }
}

const parsed = (base64: string): unknown => JSON.parse(Buffer.from(base64, 'base64').toString())
