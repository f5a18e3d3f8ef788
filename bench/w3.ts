// W3: every sink of the list, from the exposure topics into its store, each in its own process.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { OutRecord } from '../contracts/processing.ts'
import { TOPICS, topicName } from '../contracts/topics.ts'
import { AVRO_TOPICS, type Codecs } from '../runtime/codecs.ts'
import { type Admin, openAdmin } from '../runtime/kafka/admin.ts'
import { type Publisher, openPublisher } from '../runtime/kafka/publisher.ts'
import type { KafkaSettings } from '../runtime/kafka/types.ts'
import { createLogger } from '../runtime/log.ts'
import { openRegistry } from '../runtime/registry.ts'
import { sinkGroup } from '../runtime/run-sink.ts'
import { sinkNames, sinksConfig } from '../sinks/sinks.ts'
import { workerCommand } from './cores.ts'
import type { Measurement, Servers } from './measurement.ts'
import { LOADS, type Load, createMaker, errorsOf } from './w3-data.ts'
import { BENCH_SINKS, type BenchStore, STORE_VARIABLE } from './w3-stores.ts'
import type { W3Job, W3Result } from './w3-worker.ts'

type Amounts = {
  readonly entities: number
  readonly large: number
  readonly errors: number
}
const FULL: Amounts = { entities: 20_000, large: 100, errors: 2_000 }
const QUICK: Amounts = { entities: 2_000, large: 20, errors: 200 }
const QUICK_FLAG = '--quick'
/** One load into one store; beyond it the machine is not one to measure on. */
const WORKER_TIMEOUT_MS = 300_000
const REGISTRY_TIMEOUT_MS = 30_000
const SEND_RECORDS_MAX = 2_000

const log = createLogger('bench')

/** Topics under a prefix of their own, with a load at a time in them. */
type World = {
  readonly settings: KafkaSettings
  readonly admin: Admin
  /** Adds a load: how many records, and their bytes. */
  fill(load: Load): Promise<Filled>
  end(): Promise<void>
}
type Filled = { readonly records: number; readonly bytes: number }
type Opened = { readonly type: string; readonly world: World; readonly store: BenchStore }

/**
 * `args`: `--quick` for a tenth of it, and types of sinks; none are all. Fails when a store does
 * not hold every record that it took. What it made is taken away.
 */
export async function measureW3(servers: Servers, args: readonly string[]): Promise<Measurement[]> {
  const types = args.filter((arg) => arg !== QUICK_FLAG)
  const unknown = types.find((type) => !BENCH_SINKS.has(type))
  if (unknown !== undefined) throw new Error(`there is no sink ${unknown}`)
  const amounts = args.includes(QUICK_FLAG) ? QUICK : FULL
  const chosen = types.length === 0 ? [...BENCH_SINKS.keys()] : types
  const measured = new Map<string, Measurement[]>(chosen.map((type) => [type, []]))
  for (const reads of ['entities', 'errors'] as const) {
    const here = chosen.filter((type) => BENCH_SINKS.get(type)?.reads === reads)
    if (here.length > 0) await measureWorld(servers, reads, amounts, here, measured)
  }
  return [...measured.values()].flat()
}

async function measureWorld(
  servers: Servers,
  reads: 'entities' | 'errors',
  amounts: Amounts,
  types: readonly string[],
  measured: ReadonlyMap<string, Measurement[]>,
): Promise<void> {
  const world = await openWorld(servers, reads, amounts)
  const opened: Opened[] = []
  try {
    for (const type of types) opened.push(await openStore(servers, world, type))
    const loads = reads === 'entities' ? LOADS : LOADS.slice(0, 2)
    let before = 0
    for (const load of loads) {
      const filled = await world.fill(load)
      for (const one of opened) {
        const measurement = await measureLoad(servers, one, load, filled, before)
        measured.get(one.type)?.push(measurement)
      }
      before += filled.records
    }
  } finally {
    for (const { store } of opened) await store.end()
    await world.end()
  }
}

async function openStore({ postgresUrl }: Servers, world: World, type: string): Promise<Opened> {
  const sink = BENCH_SINKS.get(type)
  if (sink === undefined) throw new Error(`there is no sink ${type}`)
  const { settings } = world
  const name = randomBytes(4).toString('hex')
  const dataDir = resolve(import.meta.dirname, '../.exposure/bench-stack')
  return { type, world, store: await sink.open({ settings, postgresUrl, dataDir, name, log }) }
}

/** Refused records of earlier loads: what is not in the store for good. */
const refusedBefore = new WeakMap<BenchStore, number>()

async function measureLoad(
  { registryUrl }: Servers,
  { type, world, store }: Opened,
  load: Load,
  { records, bytes }: Filled,
  before: number,
): Promise<Measurement> {
  const { settings } = world
  const job: W3Job = { settings, registryUrl, sinks: store.sinks, records }
  const result = await runApart(job, store.secret)
  const refused = result.refused + (refusedBefore.get(store) ?? 0)
  refusedBefore.set(store, refused)
  await checkAllThere(world, store, before + records - refused)
  const each = Math.round(bytes / records).toLocaleString('en')
  const waited = result.troubles.length === 0 ? '' : ', the store was busy'
  const told = result.refused === 0 ? waited : `, ${result.refused} of them refused${waited}`
  for (const trouble of result.troubles) console.error(`${type}, ${load}: waited: ${trouble}`)
  const { seconds, cpuSeconds, peakRssBytes } = result
  const mib = Math.round(peakRssBytes / 2 ** 20)
  const figures = `${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} CPU s, ${mib} MiB`
  console.error(`W3: ${type}, ${load}: ${records} records, ${figures}`)
  return {
    what: `\`${type}\`: ${load} (${each} bytes of Avro each${told})`,
    records,
    seconds,
    recordsPerSecond: records / seconds,
    cpuSeconds,
    peakRssBytes,
  }
}

/** @throws Error when the group is not at the end, or the store has more or less than that */
async function checkAllThere(world: World, store: BenchStore, expected: number): Promise<void> {
  const { admin, settings } = world
  const topics = AVRO_TOPICS.map((topic) => topicName(settings.prefix, topic))
  const [name = ''] = sinkNames(sinksConfig.parse(store.sinks))
  const lags = await admin.lag(sinkGroup(settings.prefix, name), topics)
  const behind = lags.filter(({ lag }) => lag > 0n)
  if (behind.length > 0) throw new Error(`${name} has not committed all: ${behind.length} lag`)
  const held = await store.held()
  if (held !== expected) throw new Error(`${name} holds ${held} records of ${expected}`)
}

async function runApart(job: W3Job, secret: string | undefined): Promise<W3Result> {
  const worker = fileURLToPath(new URL('./w3-worker.ts', import.meta.url))
  const [command, args] = workerCommand([worker])
  const { stdout } = await promisify(execFile)(command, args, {
    env: {
      ...process.env,
      EXPOSURE_BENCH_JOB: JSON.stringify(job),
      ...(secret === undefined ? {} : { [STORE_VARIABLE]: secret }),
    },
    timeout: WORKER_TIMEOUT_MS,
  })
  return JSON.parse(stdout) as W3Result
}

async function openWorld(
  { brokers, registryUrl }: Servers,
  reads: 'entities' | 'errors',
  amounts: Amounts,
): Promise<World> {
  const prefix = `bench-${randomBytes(4).toString('hex')}.`
  const settings = { brokers, prefix, replicationFactor: 1, ssl: false, sasl: null }
  const admin = await openAdmin(settings, log)
  const names = [...AVRO_TOPICS, 'dlq'] as const
  await admin.applyTopics(names.map((name) => TOPICS[name]))
  const registry = openRegistry({ url: registryUrl, timeoutMs: REGISTRY_TIMEOUT_MS })
  await registry.apply(prefix)
  const codecs = await registry.lookup(prefix)
  const publisher = openPublisher(settings, log)
  const make = makerOf(codecs, prefix, reads, amounts)
  return {
    settings,
    admin,
    fill: (load) => send(publisher, make(load)),
    async end() {
      await publisher.close()
      await admin.deleteTopics(names.map((name) => topicName(prefix, name)))
      await admin.close()
    },
  }
}

function makerOf(
  codecs: Codecs,
  prefix: string,
  reads: 'entities' | 'errors',
  { entities, large, errors }: Amounts,
): (load: Load) => Generator<readonly OutRecord[]> {
  if (reads === 'errors') return (load) => errorsOf(codecs, prefix, load, errors)
  const maker = createMaker(codecs, prefix)
  return (load) => maker.events(load, load === '0.9 MB texts' ? large : entities)
}

async function send(publisher: Publisher, steps: Iterable<readonly OutRecord[]>): Promise<Filled> {
  const total = { records: 0, bytes: 0 }
  let waiting: OutRecord[] = []
  const flush = async () => {
    await publisher.send(waiting)
    waiting = []
  }
  for (const records of steps) {
    total.records += records.length
    for (const { value } of records) total.bytes += value?.length ?? 0
    waiting.push(...records)
    if (waiting.length >= SEND_RECORDS_MAX) await flush()
  }
  await flush()
  return total
}
