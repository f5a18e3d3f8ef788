// Where one seed fights: its own prefix, database, estate and configuration on a warm stack.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { stringify } from 'yaml'
import { ensureSchemas, ensureTopics } from '../../cli/apply.ts'
import { TOPICS, type TopicName, topicName } from '../../contracts/topics.ts'
import { CONNECTORS } from '../../producers/sources.ts'
import { type Admin, openAdmin } from '../../runtime/kafka/admin.ts'
import { type LogReader, openLogReader } from '../../runtime/kafka/log-reader.ts'
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import { createLogger } from '../../runtime/log.ts'
import { type Random, createRandom } from '../../simulator/random.ts'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../simulator/simulator.ts'
import type { StackAddresses } from '../support/global-setup.ts'
import { FOLLOWED, FOLLOWED_LAG_MS, compactHard } from './compaction.ts'
import { Fleet } from './fleet.ts'
import { type Recorder, recordTopics } from './topics.ts'

/** `<connection>` to the streams that are on. */
export type Streams = Readonly<Partial<Record<ConnectionName, readonly string[]>>>
export type ConnectionName = 'prisma' | 'alpha' | 'beta'

export type ArenaOptions = {
  readonly streams?: Streams
  readonly simulator?: Partial<SimulatorOptions>
  /** Merged into the whole file. */
  readonly config?: object
  /**
   * `lifecycle.fuse` in percent. Default 100, none: in an estate so small one machine that leaves
   * takes more than 30 % of its partition along, and what is held stays open.
   */
  readonly fuse?: number
  /** Merged into every connection. */
  readonly connection?: object
  /** Addresses that differ from the stack's, e.g. of proxies before it. */
  readonly through?: Partial<StackAddresses>
  /** Default: every second seed. */
  readonly compaction?: boolean
  /** How long events stay under compaction at least. Default 6 s. */
  readonly followedLagMs?: number
  /** Of every topic. Default 1. */
  readonly replicationFactor?: number
}

export type Arena = {
  readonly seed: number
  readonly random: Random
  readonly stack: StackAddresses
  readonly prefix: string
  readonly settings: KafkaSettings
  readonly streams: Streams
  /** In percent. */
  readonly fuse: number
  readonly simulator: Simulator
  readonly fleet: Fleet
  readonly admin: Admin
  readonly reader: LogReader
  /** Of the events, from the first one on. */
  readonly recorder: Recorder<(typeof FOLLOWED)[number]>
  /** How long events stay at least; null: nothing is compacted. */
  readonly followedLagMs: number | null
  /** Of this seed; its owner is a role of the same name. */
  readonly database: string
  /** As superuser, past every door. */
  readonly query: <R extends pg.QueryResultRow>(sql: string) => Promise<R[]>
  /** Ends processes, and takes topics, database and files away. */
  readonly close: () => Promise<void>
}

const QUERY_TIMEOUT_MS = 20_000
const MACHINES = 30
const NO_FUSE = 100
/** Small, so that a listing takes several chunks, and a process can die between them. */
const PAGE_LIMITS = { computeHosts: 7, xqlInline: 40 } as const
const CONFIG_PAGE_SIZE = 7
const INVENTORY_PAGE_SIZE = 20

/** One of these per seed: many streams at a time would leave few runs to each. */
const SETS: readonly Streams[] = [
  {
    prisma: ['compute.hosts', 'compute.containers'],
    alpha: ['xdr.endpoints', 'cloud.assets', 'cloud.findings'],
  },
  {
    prisma: ['compute.images', 'compute.registry', 'cspm.config'],
    beta: ['cloud.assets', 'cloud.findings', 'xpanse.services'],
  },
  {
    prisma: ['compute.hosts', 'compute.cloud-vms', 'compute.vms', 'compute.serverless'],
    alpha: ['xdr.endpoints', 'xpanse.assets', 'xpanse.services'],
  },
  // Machines are in the inventory too, and left out of it where the other stream tells them.
  {
    prisma: ['cspm.config', 'cspm.inventory'],
    beta: ['xdr.endpoints', 'cloud.assets', 'cloud.findings'],
  },
  // The download leaves out what these streams of Compute tell.
  {
    prisma: [
      'compute.hosts',
      'compute.images',
      'compute.registry',
      'compute.vms',
      'compute.serverless',
      'cspm.vulnerabilities',
    ],
  },
]

/** The streams of a seed: five sets take turns, so that all streams are met. */
export const streamsOfSeed = (seed: number): Streams => SETS[seed % SETS.length] ?? {}

/** `<connection>|<stream>` of every stream that is on. */
export const streamKeysOf = (streams: Streams): string[] =>
  Object.entries(streams).flatMap(([connection, names]) =>
    names.map((name) => `${connection}|${name}`),
  )

/** Makes everything; what was made before a failure is taken away again. */
export async function openArena(
  seed: number,
  stack: StackAddresses,
  options: ArenaOptions = {},
): Promise<Arena> {
  const endings: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const end of endings.splice(0).toReversed()) await end()
  }
  try {
    const streams = options.streams ?? streamsOfSeed(seed)
    const simulator = await startSimulator({
      seed,
      machines: MACHINES,
      rateLimits: false,
      xqlPendingPolls: 1,
      pageLimits: PAGE_LIMITS,
      history: true,
      ...options.simulator,
    })
    endings.push(() => simulator.stop())
    const prefix = `c-${seed}-${randomBytes(3).toString('hex')}.`
    const settings = settingsOf(stack, prefix, options)
    const database = await createDatabase(stack.postgresUrl)
    endings.push(() => database.drop())
    await ensureTopics(settings)
    endings.push(() => dropTopics(settings))
    await ensureSchemas({ url: stack.registryUrl }, prefix)
    const followedLagMs = followedLagOf(seed, options)
    if (followedLagMs !== null) await compactHard(settings, followedLagMs)
    const recorder = await recordTopics(stack, prefix, FOLLOWED)
    endings.push(() => recorder.close())
    const folder = await mkdtemp(join(tmpdir(), 'exposure-chaos-'))
    endings.push(() => rm(folder, { recursive: true, force: true }))
    const reached = { ...stack, ...options.through }
    const secrets = secretsOf(simulator, database.asOwner(reached.postgresUrl))
    const configFile = join(folder, 'exposure.yaml')
    await writeFile(configFile, stringify(documentOf(reached, prefix, streams, simulator, options)))
    const fleet = new Fleet(configFile, secrets)
    endings.push(() => fleet.close())
    const log = createLogger('chaos')
    const admin = await openAdmin(settings, log)
    endings.push(() => admin.close())
    const reader = openLogReader(settings, log)
    endings.push(() => reader.close())
    const random = createRandom(`chaos/${seed}`)
    const query = <R extends pg.QueryResultRow>(sql: string) => ask<R>(database.url, sql)
    const made = { prefix, settings, streams, simulator, fleet, admin, reader, query, close }
    const history = { recorder, followedLagMs }
    const fuse = fuseOf(options)
    return { seed, random, stack, fuse, database: database.name, ...history, ...made }
  } catch (error) {
    await close()
    throw error
  }
}

const fuseOf = ({ fuse = NO_FUSE }: ArenaOptions): number => fuse

function followedLagOf(seed: number, options: ArenaOptions): number | null {
  const { compaction = seed % 2 === 1, followedLagMs = FOLLOWED_LAG_MS } = options
  return compaction ? followedLagMs : null
}

const settingsOf = (
  { brokers }: StackAddresses,
  prefix: string,
  { replicationFactor = 1 }: ArenaOptions,
): KafkaSettings => ({
  brokers,
  prefix,
  replicationFactor,
  ssl: false,
  sasl: null,
})

function documentOf(
  { brokers, registryUrl }: StackAddresses,
  prefix: string,
  streams: Streams,
  simulator: Simulator,
  options: ArenaOptions,
): object {
  return {
    kafka: { brokers, prefix },
    registry: { url: registryUrl },
    connections: Object.entries(streams).map(([name, wanted]) => ({
      ...(name === 'prisma' ? prismaConnection(simulator) : cortexConnection(simulator, name)),
      name,
      // Turn upon turn: a run is nearly always under way.
      every: '2s',
      jitter: 0,
      streams: streamSettings(name === 'prisma' ? 'prisma-cloud' : 'cortex', wanted),
      ...options.connection,
    })),
    sinks: { postgres: { url: 'env:DATABASE_URL' } },
    lifecycle: { fuse: fuseOf(options) },
    ...options.config,
  }
}

const prismaConnection = ({ prisma }: Simulator) => ({
  type: 'prisma-cloud',
  url: prisma.url,
  accessKeyId: 'env:PRISMA_ID',
  secretKey: 'env:PRISMA_SECRET',
  pageSize: PAGE_LIMITS.computeHosts,
  configPageSize: CONFIG_PAGE_SIZE,
  inventoryPageSize: INVENTORY_PAGE_SIZE,
  computeRequestsPer30s: 10_000,
  cspmRequestsPer5s: 10_000,
})

function cortexConnection({ cortex }: Simulator, name: string) {
  const [alpha, beta] = cortex
  const access = name === 'beta' ? beta : alpha
  return {
    type: 'cortex',
    url: access.url,
    tenant: access.tenant,
    apiKey: `env:CORTEX_${name.toUpperCase()}_KEY`,
    apiKeyId: access.apiKeyId,
    securityLevel: access.securityLevel,
    requestsPerSecond: 1_000,
  }
}

const secretsOf = ({ prisma, cortex }: Simulator, databaseUrl: string) => ({
  DATABASE_URL: databaseUrl,
  PRISMA_ID: prisma.accessKeyId,
  PRISMA_SECRET: prisma.secretKey,
  CORTEX_ALPHA_KEY: cortex[0].apiKey,
  CORTEX_BETA_KEY: cortex[1].apiKey,
})

function streamSettings(vendor: keyof typeof CONNECTORS, wanted: readonly string[]): object {
  const off = CONNECTORS[vendor].sources.filter(({ stream }) => !wanted.includes(stream))
  return Object.fromEntries(off.map(({ stream }) => [stream, { enabled: false }]))
}

/** With a role of its own, as limits of connections do not hold for a superuser. */
async function createDatabase(serverUrl: string) {
  const name = `c_${randomBytes(6).toString('hex')}`
  const password = randomBytes(12).toString('hex')
  await ask(serverUrl, `CREATE ROLE ${name} LOGIN PASSWORD '${password}'`)
  await ask(serverUrl, `CREATE DATABASE ${name} OWNER ${name}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  const asOwner = (doorUrl: string): string => {
    const owner = new URL(url)
    owner.host = new URL(doorUrl).host
    owner.username = name
    owner.password = password
    return owner.href
  }
  const drop = async () => {
    await ask(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    await ask(serverUrl, `DROP ROLE IF EXISTS ${name}`)
  }
  return { name, url: url.href, asOwner, drop }
}

async function ask<R extends pg.QueryResultRow>(url: string, sql: string): Promise<R[]> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: QUERY_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
  })
  await client.connect()
  try {
    return (await client.query<R>(sql)).rows
  } finally {
    await client.end()
  }
}

async function dropTopics(settings: KafkaSettings): Promise<void> {
  const admin = await openAdmin(settings, createLogger('chaos'))
  try {
    const names = (Object.keys(TOPICS) as TopicName[]).map((t) => topicName(settings.prefix, t))
    await admin.deleteTopics(names)
  } finally {
    await admin.close()
  }
}
