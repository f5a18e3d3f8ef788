// One part of W2 in a process of its own: filling the state topic, or restoring from it.
import { getHeapStatistics } from 'node:v8'
import type { OutRecord } from '../contracts/processing.ts'
import { createKafka } from '../runtime/kafka/client.ts'
import { type LogReader, openLogReader } from '../runtime/kafka/log-reader.ts'
import { type Session, openSession } from '../runtime/kafka/session.ts'
import type { KafkaSettings } from '../runtime/kafka/types.ts'
import { createLogger } from '../runtime/log.ts'
import { CLOSING_DEFAULTS } from '../transformers/lifecycle/listings.ts'
import { createLifecycle } from '../transformers/lifecycle/processor.ts'
import type { LifecycleStore } from '../transformers/lifecycle/state.ts'
import { TRANSFORMERS } from '../transformers/transformers.ts'
import type { Measurement } from './measurement.ts'
import { ENTITIES_PER_HOST, hostRecord } from './w2-data.ts'

/** What w2.ts passes as EXPOSURE_BENCH_JOB, as JSON. */
export type W2Job = {
  readonly role: 'fill' | 'restore'
  readonly settings: KafkaSettings
  readonly entities: number
  readonly partitions: number
  readonly state: string
}

const HOSTS_PER_STEP = 20
const TRANSACTION_TIMEOUT_MS = 60_000
/** One host in so many was seen, and had changed, while the partitions were elsewhere. */
const MEANWHILE_EVERY = 100

const job = JSON.parse(process.env['EXPOSURE_BENCH_JOB'] ?? '') as W2Job
const log = createLogger('bench')
const hosts = Math.ceil(job.entities / ENTITIES_PER_HOST)
const partitions = Array.from({ length: job.partitions }, (_, partition) => partition)

const nothing = Buffer.alloc(0)
/** Events are not part of it, so none is encoded. */
const processor = createLifecycle({
  prefix: '',
  mappingVersion: '1',
  closing: CLOSING_DEFAULTS,
  transformers: TRANSFORMERS,
  encode: {
    asset: () => nothing,
    finding: () => nothing,
    vulnerability: () => nothing,
    run: () => nothing,
  },
  deadLetter: (_, error) => {
    throw error
  },
  onDrift: () => undefined,
  onDeadLetter: () => undefined,
  onCleanPartition: () => undefined,
  onCommit: () => undefined,
})

/** Hosts of one partition, as run `run` sees them, through the lifecycle into its state topic. */
async function work(
  session: Session,
  store: LifecycleStore,
  partition: number,
  run: number,
  every: number,
): Promise<void> {
  const numbers: number[] = []
  for (let host = partition; host < hosts; host += job.partitions) {
    if (Math.floor(host / job.partitions) % every === 0) numbers.push(host)
  }
  for (let at = 0; at < numbers.length; at += HOSTS_PER_STEP) {
    const records = numbers
      .slice(at, at + HOSTS_PER_STEP)
      .map((host) => hostRecord(host, run, partition))
    const step = processor.data(store, records)
    const outputs: OutRecord[] = step
      .state(new Map())
      .map(({ key, value }) => ({ topic: job.state, partition, key, value, headers: {} }))
    await session.commit({ outputs })
    step.apply(new Map())
  }
}

const openFor = (name: string): Promise<Session> =>
  openSession(createKafka(job.settings, 'bench', log), {
    transactionalId: `${job.settings.prefix}${name}`,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
  })

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20)

/** Two runs: all new, then a fiftieth changed and the rest seen again. */
async function fill(): Promise<object> {
  const session = await openFor('fill')
  for (const partition of partitions) {
    const store = processor.createStore(partition)
    await work(session, store, partition, 0, 1)
    await work(session, store, partition, 1, 1)
  }
  await session.close()
  return {}
}

type Held = { readonly store: LifecycleStore; position: bigint }
type Read = { records: number; bytes: number; valueBytes: number }

/** All partitions at once, as a process with all of them does. */
async function read(reader: LogReader, held: readonly Held[]): Promise<Read> {
  const total = { records: 0, bytes: 0, valueBytes: 0 }
  await Promise.all(
    held.map(async (one, partition) => {
      const load = ({ key, value }: { key: string; value: Buffer | null }) => {
        total.valueBytes += value?.length ?? 0
        one.store.load(key, value)
      }
      const result = await reader.readToEnd(job.state, partition, load, { from: one.position })
      one.position = result.end
      total.records += result.records
      total.bytes += result.bytes
    }),
  )
  return total
}

const emptied = (): Held[] =>
  partitions.map((partition) => ({ store: processor.createStore(partition), position: 0n }))

async function measured(
  what: string,
  reader: LogReader,
  held: readonly Held[],
): Promise<Measurement> {
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  const { records, bytes, valueBytes } = await read(reader, held)
  const seconds = (performance.now() - startedMs) / 1_000
  const used = process.cpuUsage(cpu)
  return {
    what: `${what} (${records} records, ${mib(valueBytes)} MiB, ${mib(bytes)} compressed)`,
    records,
    seconds,
    recordsPerSecond: records / seconds,
    cpuSeconds: (used.user + used.system) / 1e6,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  }
}

const entitiesIn = (held: readonly Held[]): number =>
  held.reduce((sum, { store }) => sum + store.entities.size, 0)

async function restore(): Promise<object> {
  const reader = openLogReader(job.settings, log)
  const size = job.entities.toLocaleString('en')
  let held = emptied()
  const anew = await measured(`${size} entities, new machine`, reader, held)
  const entities = entitiesIn(held)
  globalThis.gc?.()
  const heapBytes = process.memoryUsage().heapUsed
  // Elsewhere, meanwhile: another process works on a few hosts, and gives the partitions back.
  const session = await openFor('meanwhile')
  for (const partition of partitions) {
    const other = processor.createStore(partition)
    for (const [key, unit] of held[partition]?.store.units ?? []) other.putUnit(key, unit)
    for (const [id, entity] of held[partition]?.store.entities ?? []) other.entities.set(id, entity)
    await work(session, other, partition, 2, MEANWHILE_EVERY)
  }
  await session.close()
  const kept = await measured(
    `${size} entities, a rebalance that leaves them here: copy kept`,
    reader,
    held,
  )
  held = emptied()
  globalThis.gc?.()
  const dropped = await measured(
    `${size} entities, a rebalance that brings them back: read anew`,
    reader,
    held,
  )
  await reader.close()
  const { heap_size_limit: heapLimitBytes } = getHeapStatistics()
  return { measurements: [anew, kept, dropped], entities, heapBytes, heapLimitBytes }
}

const result = job.role === 'fill' ? await fill() : await restore()
// kafkajs may hold the process by a socket that never closes.
process.stdout.write(JSON.stringify(result), () => process.exit())
