// W1: JSON records of 1.9 kB to a 32-field Avro event, exactly once, beside one thread without
// Kafka.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { openAdmin } from '../runtime/kafka/admin.ts'
import { openPublisher } from '../runtime/kafka/publisher.ts'
import type { KafkaSettings } from '../runtime/kafka/types.ts'
import { createLogger } from '../runtime/log.ts'
import type { Measurement, Servers } from './measurement.ts'
import { rawJson } from './w1-data.ts'
import type { W1Job } from './w1-worker.ts'

const RECORDS = 200_000
const PARTITIONS = 6
const SEND_RECORDS = 6_000
const WORKER_TIMEOUT_MS = 600_000

/** Fills a topic, then measures both in processes of their own. Its topics are deleted. */
export async function measureW1({ brokers }: Servers): Promise<Measurement[]> {
  const settings: KafkaSettings = {
    brokers,
    prefix: `bench-${randomBytes(4).toString('hex')}.`,
    replicationFactor: 1,
    ssl: false,
    sasl: null,
  }
  const log = createLogger('bench')
  const admin = await openAdmin(settings, log)
  const named = (name: string): string => settings.prefix + name
  const topics = { input: named('input'), state: named('state'), output: named('output') }
  try {
    const spec = { partitions: PARTITIONS, config: {}, schema: null }
    await admin.applyTopics(['input', 'state', 'output'].map((name) => ({ ...spec, name })))
    await fill(settings, topics.input)
    const job = { settings, records: RECORDS, partitions: PARTITIONS, ...topics }
    const single = await measureApart({ ...job, role: 'single-thread' })
    return [single, await measureApart({ ...job, role: 'exactly-once' })]
  } finally {
    await admin.deleteTopics(Object.values(topics))
    await admin.close()
  }
}

async function fill(settings: KafkaSettings, topic: string): Promise<void> {
  const publisher = openPublisher(settings, createLogger('bench'))
  for (let from = 0; from < RECORDS; from += SEND_RECORDS) {
    const count = Math.min(SEND_RECORDS, RECORDS - from)
    const records = Array.from({ length: count }, (_, i) => ({
      topic,
      partition: (from + i) % PARTITIONS,
      key: `unit-${from + i}`,
      value: rawJson(from + i),
      headers: { 'content-type': 'application/json' },
    }))
    await publisher.send(records)
  }
  await publisher.close()
}

async function measureApart(job: W1Job): Promise<Measurement> {
  const worker = fileURLToPath(new URL('./w1-worker.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [worker], {
    env: { ...process.env, EXPOSURE_BENCH_JOB: JSON.stringify(job) },
    timeout: WORKER_TIMEOUT_MS,
  })
  return JSON.parse(stdout) as Measurement
}
