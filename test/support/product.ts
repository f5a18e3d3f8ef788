// The whole product in a test: simulator, configuration file, command line, database, topics.
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import { TOPICS, type TopicName, topicName } from '../../contracts/topics.ts'
import { openAdmin } from '../../runtime/kafka/admin.ts'
import { openLogReader } from '../../runtime/kafka/log-reader.ts'
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import { createLogger } from '../../runtime/log.ts'
import { openRegistry } from '../../runtime/registry.ts'
import { CONNECTORS } from '../../producers/sources.ts'
import type { Truth } from '../../simulator/truth.ts'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../simulator/simulator.ts'
import { createDatabase, randomPrefix, stack } from './stack.ts'

const ONCE_TIMEOUT_MS = 150_000
const QUERY_TIMEOUT_MS = 20_000

export type Summary = {
  runs: {
    connection: string
    stream: string
    run: string | null
    verdict: string
    error?: string
  }[]
  streams: Record<string, { units: number; events: number }>
  rows: Record<string, number>
  connectorErrors: Record<string, number>
  seconds: Record<string, number>
}
export type Ended = {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** The JSON on the last line of stdout; null when the last line is none. */
  readonly summary: Summary | null
}

export type ProductOptions = {
  readonly simulator?: Partial<SimulatorOptions>
  /** Names of the connections to configure; default all three. */
  readonly connections?: readonly ('prisma' | 'alpha' | 'beta')[]
  /** Streams to switch on; default: one of each kind, which is enough for most tests. */
  readonly streams?: readonly string[] | 'all'
  /** Merged into every connection. */
  readonly connection?: object
  /** Merged into the whole file. */
  readonly config?: object
  /** A concurrent test's own `onTestFinished`, from its context; default: the global one. */
  readonly onFinished?: (teardown: () => Promise<void>) => void
}

/** Hosts with findings, endpoints, an inventory, and findings by query. */
const STREAMS_DEFAULT = ['compute.hosts', 'xdr.endpoints', 'cloud.assets', 'cloud.findings']

export type Product = Awaited<ReturnType<typeof startProduct>>

/** Everything of the test's own: prefix, database, files; gone when the test ends. */
export async function startProduct(options: ProductOptions = {}) {
  const onFinished = options.onFinished ?? onTestFinished
  const simulator = await startSimulator({
    seed: 7,
    machines: 12,
    rateLimits: false,
    xqlPendingPolls: 1,
    ...options.simulator,
  })
  onFinished(() => simulator.stop())
  const folder = await mkdtemp(join(tmpdir(), 'exposure-product-'))
  onFinished(() => rm(folder, { recursive: true, force: true }))
  const database = await createDatabase()
  onFinished(() => database.drop())
  const prefix = randomPrefix()
  const settings: KafkaSettings = {
    brokers: stack().brokers,
    prefix,
    replicationFactor: 1,
    ssl: false,
    sasl: null,
  }
  onFinished(() => dropTopics(settings))
  const secrets: Record<string, string> = { DATABASE_URL: database.url }
  const configFile = join(folder, 'exposure.yaml')
  const document = {
    kafka: { brokers: stack().brokers, prefix },
    registry: { url: stack().registryUrl },
    connections: connectionsOf(simulator, secrets, options),
    sinks: { postgres: { url: 'env:DATABASE_URL' } },
    ...options.config,
  }
  await writeFile(configFile, stringify(document))

  const exposure = (args: readonly string[], env: Record<string, string> = {}) =>
    runExposure([...args, '--config', configFile], { ...secrets, ...env })
  return {
    simulator,
    prefix,
    settings,
    configFile,
    secrets,
    databaseUrl: database.url,
    /** What the simulator holds in the streams that are switched on. */
    truth: () => shownTruth(simulator.truth(), options.streams ?? STREAMS_DEFAULT),
    exposure,
    /** `exposure start --once`. */
    once: (env: Record<string, string> = {}) =>
      exposure(['start', '--once', '--data', join(folder, 'data')], env),
    query: <R extends pg.QueryResultRow>(sql: string, values: unknown[] = []) =>
      query<R>(database.url, sql, values),
    records: (topic: TopicName) => committedRecords(settings, topic),
    events: <T>(topic: 'assets' | 'findings' | 'runs' | 'connectorErrors') =>
      decodedEvents<T>(settings, topic),
    connectorErrors: () => decodedEvents<ConnectorError>(settings, 'connectorErrors'),
  }
}

function shownTruth(truth: Truth, streams: readonly string[] | 'all'): Truth {
  if (streams === 'all') return truth
  return {
    ...truth,
    assets: truth.assets.filter(({ stream }) => streams.includes(stream)),
    findings: truth.findings.filter(({ stream }) => streams.includes(stream)),
  }
}

/** Everything but the wanted streams switched off, as a user would write it. */
function streamsOf(vendor: keyof typeof CONNECTORS, options: ProductOptions): object {
  const wanted = options.streams ?? STREAMS_DEFAULT
  if (wanted === 'all') return {}
  const off = CONNECTORS[vendor].sources.filter(({ stream }) => !wanted.includes(stream))
  return { streams: Object.fromEntries(off.map(({ stream }) => [stream, { enabled: false }])) }
}

function connectionsOf(
  simulator: Simulator,
  secrets: Record<string, string>,
  options: ProductOptions,
): object[] {
  const wanted = options.connections ?? ['prisma', 'alpha', 'beta']
  const secret = (name: string, value: string | number) => {
    secrets[name] = String(value)
    return `env:${name}`
  }
  const { prisma } = simulator
  const all = {
    prisma: () => ({
      name: 'prisma',
      type: 'prisma-cloud',
      url: prisma.url,
      accessKeyId: secret('PRISMA_ID', prisma.accessKeyId),
      secretKey: secret('PRISMA_SECRET', prisma.secretKey),
    }),
    alpha: () => cortexConnection('alpha', simulator.cortex[0], secret),
    beta: () => cortexConnection('beta', simulator.cortex[1], secret),
  }
  return wanted.map((name) => {
    const vendor = name === 'prisma' ? 'prisma-cloud' : 'cortex'
    return { ...all[name](), ...streamsOf(vendor, options), ...options.connection }
  })
}

const cortexConnection = (
  name: string,
  access: Simulator['cortex'][number],
  secret: (name: string, value: string | number) => string,
) => ({
  name,
  type: 'cortex',
  url: access.url,
  tenant: access.tenant,
  apiKey: secret(`CORTEX_${name.toUpperCase()}_KEY`, access.apiKey),
  apiKeyId: secret(`CORTEX_${name.toUpperCase()}_ID`, access.apiKeyId),
  securityLevel: access.securityLevel,
})

/** Runs the command line as a process of its own, under the Node of this test. */
export async function runExposure(
  args: readonly string[],
  env: Record<string, string>,
): Promise<Ended> {
  const main = new URL('../../cli/main.ts', import.meta.url).pathname
  const addresses = {
    EXPOSURE_KAFKA_BROKERS: stack().brokers.join(','),
    EXPOSURE_REGISTRY_URL: stack().registryUrl,
    EXPOSURE_POSTGRES_URL: stack().postgresUrl,
  }
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, ...addresses, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: ONCE_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.once('close', (exitCode, exitSignal) => resolve([exitCode, exitSignal]))
  })
  return { code, signal, stdout, stderr, summary: summaryOf(stdout) }
}

function summaryOf(stdout: string): Summary | null {
  const last = stdout.trimEnd().split('\n').at(-1) ?? ''
  return last.startsWith('{') ? (JSON.parse(last) as Summary) : null
}

async function query<R extends pg.QueryResultRow>(url: string, sql: string, values: unknown[]) {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: QUERY_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
  })
  await client.connect()
  try {
    return (await client.query<R>(sql, values)).rows
  } finally {
    await client.end()
  }
}

/** All committed records of a topic, partition by partition, in order. */
export async function committedRecords(
  settings: KafkaSettings,
  topic: TopicName,
): Promise<KafkaRecord[]> {
  const reader = openLogReader(settings, createLogger('test'))
  const records: KafkaRecord[] = []
  try {
    for (let partition = 0; partition < TOPICS[topic].partitions; partition++) {
      await reader.readToEnd(topicName(settings.prefix, topic), partition, (record) =>
        records.push({ ...record, value: record.value && Buffer.from(record.value) }),
      )
    }
  } finally {
    await reader.close()
  }
  return records
}

async function decodedEvents<T>(
  settings: KafkaSettings,
  topic: 'assets' | 'findings' | 'runs' | 'connectorErrors',
): Promise<T[]> {
  const registry = openRegistry({ url: stack().registryUrl, timeoutMs: 10_000 })
  const codecs = await registry.lookup(settings.prefix)
  const records = await committedRecords(settings, topic)
  return records.flatMap(({ value }) =>
    value === null ? [] : [codecs.decode(value).value as unknown as T],
  )
}

async function dropTopics(settings: KafkaSettings): Promise<void> {
  const admin = await openAdmin(settings, createLogger('test'))
  try {
    const names = (Object.keys(TOPICS) as TopicName[]).map((t) => topicName(settings.prefix, t))
    await admin.deleteTopics(names)
  } finally {
    await admin.close()
  }
}
