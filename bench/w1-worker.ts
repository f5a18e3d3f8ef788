// One measurement of W1 in a process of its own, so that CPU time and peak memory are its alone.
import { runProcessor } from '../runtime/kafka/processor.ts'
import type { KafkaSettings, Processor, Step } from '../runtime/kafka/types.ts'
import { createLogger } from '../runtime/log.ts'
import type { Measurement } from './measurement.ts'
import { rawJson, toAvro } from './w1-data.ts'

/** What w1.ts passes as EXPOSURE_BENCH_JOB, as JSON. */
export type W1Job = {
  readonly role: 'single-thread' | 'exactly-once'
  readonly settings: KafkaSettings
  readonly records: number
  readonly partitions: number
  readonly input: string
  readonly state: string
  readonly output: string
}

const job = JSON.parse(process.env['EXPOSURE_BENCH_JOB'] ?? '') as W1Job

function measurement(what: string, startedMs: number, cpu: NodeJS.CpuUsage): Measurement {
  const seconds = (performance.now() - startedMs) / 1000
  const used = process.cpuUsage(cpu)
  return {
    what,
    records: job.records,
    seconds,
    recordsPerSecond: job.records / seconds,
    cpuSeconds: (used.user + used.system) / 1e6,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  }
}

/** The same bytes without Kafka: what one thread can do at best. */
function singleThread(): Measurement {
  const bodies = Array.from({ length: 2_000 }, (_, i) => rawJson(i))
  let bytes = 0
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  for (let done = 0; done < job.records; done++) {
    const body = bodies[done % bodies.length]
    if (body !== undefined) bytes += toAvro(body).length
  }
  const what = `JSON.parse + Avro, one thread, no Kafka (${Math.round(bytes / job.records)} B each)`
  return measurement(what, startedMs, cpu)
}

class NoStore {
  load(): void {}
}

/** From the first record seen to the last commit answered. */
async function exactlyOnce(): Promise<Measurement> {
  let startedMs = 0
  let cpu = process.cpuUsage()
  let done = 0
  const finished = Promise.withResolvers<Measurement>()
  const processor: Processor<NoStore> = {
    createStore: () => new NoStore(),
    isControl: () => false,
    data(_, records): Step {
      if (startedMs === 0) {
        startedMs = performance.now()
        cpu = process.cpuUsage()
      }
      const outputs = records.map(({ partition, key, value }) => ({
        topic: job.output,
        partition,
        key,
        value: toAvro(value ?? Buffer.alloc(0)),
        headers: {},
      }))
      return {
        outputs,
        tail: () => [],
        state: () => [],
        apply: () => {
          done += records.length
          if (done === job.records) {
            finished.resolve(measurement('exactly once through Kafka', startedMs, cpu))
          }
        },
      }
    },
    control: () => [],
  }
  const running = runProcessor({
    settings: job.settings,
    groupId: `${job.settings.prefix}bench`,
    inputTopic: job.input,
    stateTopic: job.state,
    transactionalIdPrefix: `${job.settings.prefix}bench`,
    processor,
    chunkRecordsMax: 2_000,
    chunkBytesMax: 8_000_000,
    sessionTimeoutMs: 30_000,
    concurrency: job.partitions,
    log: createLogger('bench'),
    onProgress: () => {},
    onTrouble: (error) => finished.reject(error),
  })
  const result = await finished.promise
  await running.stop()
  return result
}

const result = job.role === 'single-thread' ? singleThread() : await exactlyOnce()
process.stdout.write(JSON.stringify(result))
