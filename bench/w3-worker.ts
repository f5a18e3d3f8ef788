// One load of W3 into one store, in a process of its own: the real runner with the real sink.
import type { OpenSink, Sink } from '../contracts/ports.ts'
import type { KafkaSettings } from '../runtime/kafka/types.ts'
import { createLogger } from '../runtime/log.ts'
import { openRegistry } from '../runtime/registry.ts'
import { type SinkProgress, runSink, sinkGroup } from '../runtime/run-sink.ts'
import { createSinks, sinksConfig } from '../sinks/sinks.ts'

/** What w3.ts passes as EXPOSURE_BENCH_JOB, as JSON. */
export type W3Job = {
  readonly settings: KafkaSettings
  readonly registryUrl: string
  /** The part `sinks` of the settings, with one sink. */
  readonly sinks: object
  /** Records that its topics have behind the group's offsets. */
  readonly records: number
}
/** What it answers, as JSON. */
export type W3Result = {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakRssBytes: number
  /** Records that the store refused for good; the others are in it. */
  readonly refused: number
  /** What it had to wait for, in its own words. */
  readonly troubles: readonly string[]
}

const REGISTRY_TIMEOUT_MS = 30_000
const TROUBLES_MAX = 5

const job = JSON.parse(process.env['EXPOSURE_BENCH_JOB'] ?? '') as W3Job
const log = createLogger('bench')

/** From when the first records of a partition are there, to when the store has all that it took. */
class Watch {
  #startedMs = 0
  #cpu = process.cpuUsage()
  /** Between the last batch and the end: leaving the group is no work of the sink. */
  #pausedMs = 0

  /** The sink, with a look at when it is asked first, and how long it takes to close. */
  over(sink: Sink): Sink {
    return { ...sink, open: async () => this.#overStore(await sink.open()) }
  }

  #overStore(store: OpenSink): OpenSink {
    return {
      ...(store.commitsOffsets === undefined ? {} : { commitsOffsets: store.commitsOffsets }),
      storedOffset: (topic, partition) => {
        if (this.#startedMs === 0) {
          this.#startedMs = performance.now()
          this.#cpu = process.cpuUsage()
        }
        return store.storedOffset(topic, partition)
      },
      write: (batch) => store.write(batch),
      close: async () => {
        this.#pausedMs = performance.now() - this.#pausedMs
        await store.close()
      },
    }
  }

  /** All records are handed over. */
  done(): void {
    this.#pausedMs = performance.now()
  }

  result(): Pick<W3Result, 'seconds' | 'cpuSeconds' | 'peakRssBytes'> {
    const used = process.cpuUsage(this.#cpu)
    return {
      seconds: (performance.now() - this.#startedMs - this.#pausedMs) / 1_000,
      cpuSeconds: (used.user + used.system) / 1e6,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
    }
  }
}

async function work(): Promise<W3Result> {
  const { settings, registryUrl } = job
  const registry = openRegistry({ url: registryUrl, timeoutMs: REGISTRY_TIMEOUT_MS })
  const codecs = await registry.lookup(settings.prefix)
  const groupOf = (name: string) => sinkGroup(settings.prefix, name)
  const context = { groupOf, kafka: settings, log }
  const [configured] = createSinks(sinksConfig.parse(job.sinks), context)
  if (configured === undefined) throw new Error('no sink is configured')
  const watch = new Watch()
  const all = Promise.withResolvers<void>()
  const troubles = new Set<string>()
  let left = job.records
  let refused = 0
  const running = await runSink({
    settings,
    ...configured,
    sink: watch.over(configured.sink),
    codecs,
    log,
    reporter: {
      raise(error) {
        if (error.failure === 'SINK_REJECTED') refused += 1
        else if (troubles.size < TROUBLES_MAX) troubles.add(error.message)
      },
      clear: () => undefined,
    },
    onProgress({ records }: SinkProgress) {
      left -= records
      if (left > 0) return
      watch.done()
      all.resolve()
    },
  })
  if (running.refused !== null) throw running.refused
  if (job.records > 0) await all.promise
  await running.stop()
  return { ...watch.result(), refused, troubles: [...troubles] }
}

const result = await work()
// kafkajs may hold the process by a socket that never closes.
process.stdout.write(JSON.stringify(result), () => process.exit())
