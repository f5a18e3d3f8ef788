// W2: the lifecycle's memory from its compacted topic: on a new machine, and after a rebalance.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { RAW_PARTITIONS, TOPICS } from '../contracts/topics.ts'
import { openAdmin } from '../runtime/kafka/admin.ts'
import type { KafkaSettings } from '../runtime/kafka/types.ts'
import { createLogger } from '../runtime/log.ts'
import type { Measurement, Servers } from './measurement.ts'
import type { W2Job } from './w2-worker.ts'

const SIZES: readonly number[] = [100_000, 1_000_000]
const ENTITIES_MAX = 10_000_000
const WORKER_TIMEOUT_MS = 60 * 60_000
/** Node's own limit follows the machine's memory; what is measured must not end by it. */
const HEAP_MB = 12_288
/** What a reader of the table must know. */
export const W2_NOTE = `All six partitions at once, no other work, heap limited to ${HEAP_MB} MiB by
--max-old-space-size; Node's own limit follows the machine's memory, and must be well above the heap
named here. The made-up texts compress better than a vendor's.`
const OUTPUT_BYTES_MAX = 1024 * 1024

type Restored = {
  readonly measurements: readonly Measurement[]
  readonly entities: number
  readonly heapBytes: number
  readonly heapLimitBytes: number
}

/**
 * Fills a state topic by the real lifecycle, then restores from it, each in a process of its own.
 * `args`: sizes in entities, default 100,000 and 1,000,000. Its topics are deleted.
 */
export async function measureW2(
  { brokers }: Servers,
  args: readonly string[],
): Promise<Measurement[]> {
  const sizes = args.length === 0 ? SIZES : args.map(Number)
  const isSize = (size: number) => Number.isInteger(size) && size > 0 && size <= ENTITIES_MAX
  if (!sizes.every(isSize)) throw new Error(`W2 takes numbers of entities, at most ${ENTITIES_MAX}`)
  const measurements: Measurement[] = []
  for (const size of sizes) measurements.push(...(await measureSize(brokers, size)))
  return measurements
}

async function measureSize(brokers: readonly string[], entities: number): Promise<Measurement[]> {
  const settings: KafkaSettings = {
    brokers,
    prefix: `bench-${randomBytes(4).toString('hex')}.`,
    replicationFactor: 1,
    ssl: false,
    sasl: null,
  }
  const admin = await openAdmin(settings, createLogger('bench'))
  const state = `${settings.prefix}state`
  try {
    const { config } = TOPICS.statePrismaCloud
    await admin.applyTopics([{ name: 'state', partitions: RAW_PARTITIONS, config, schema: null }])
    const job = { settings, entities, partitions: RAW_PARTITIONS, state }
    await runApart({ ...job, role: 'fill' })
    const restored = (await runApart({ ...job, role: 'restore' })) as Restored
    const mib = (bytes: number) => Math.round(bytes / 2 ** 20)
    const held = `holds ${restored.entities} entities in ${mib(restored.heapBytes)} MiB of heap`
    return restored.measurements.map((m, index) =>
      index === 0 ? { ...m, what: `${m.what}: ${held}` } : m,
    )
  } finally {
    await admin.deleteTopics([state])
    await admin.close()
  }
}

async function runApart(job: W2Job): Promise<unknown> {
  const worker = fileURLToPath(new URL('./w2-worker.ts', import.meta.url))
  const options = ['--expose-gc', `--max-old-space-size=${HEAP_MB}`]
  const { stdout } = await promisify(execFile)(process.execPath, [...options, worker], {
    env: { ...process.env, EXPOSURE_BENCH_JOB: JSON.stringify(job) },
    timeout: WORKER_TIMEOUT_MS,
    maxBuffer: OUTPUT_BYTES_MAX,
  })
  return JSON.parse(stdout) as unknown
}
