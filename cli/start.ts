// `exposure start`: one command from an empty machine to exposure events.
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PipelineError } from '../contracts/errors.ts'
import {
  checkConfig,
  configFile,
  kafkaSettings,
  readConfig,
  registrySettings,
} from '../runtime/config.ts'
import { type Admin, openAdmin } from '../runtime/kafka/admin.ts'
import { createLogger } from '../runtime/log.ts'
import { type Pipeline, openPipeline } from '../runtime/pipeline.ts'
import { type RunningStack, startStack } from '../stack/stack.ts'
import { ensureSchemas, ensureTopics } from './apply.ts'
import { UsageError, parse, stopSignal } from './command.ts'
import { type ExposureConfig, exposureConfig, startConfig } from './config.ts'
import { finishOnce } from './once.ts'
import { secretFile, startSimulated } from './simulated.ts'
import { type RunningStages, STAGES, startStages } from './stages.ts'
import { statusLines } from './status.ts'

const MACHINES_DEFAULT = 150
const MACHINES_MAX = 100_000
const STATUS_EVERY_MS = 5_000

type Cleanup = () => Promise<void>

export async function start(args: readonly string[]): Promise<number> {
  const { values } = parse(args, {
    config: { type: 'string' },
    data: { type: 'string', default: '.exposure' },
    machines: { type: 'string', default: String(MACHINES_DEFAULT) },
    once: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
  })
  const machines = Number(values.machines)
  if (!Number.isInteger(machines) || machines < 1 || machines > MACHINES_MAX) {
    throw new UsageError(`--machines takes a whole number from 1 to ${MACHINES_MAX}`)
  }
  const signal = stopSignal()
  const cleanups: Cleanup[] = []
  const stages = stageClock()
  let ending: Ending
  // Nothing starts before the configuration is known to be right.
  const file = values.config ?? configFile()
  const given =
    file === null ? checkConfig({}, startConfig, 'no file') : readConfig(file, startConfig)
  try {
    const dataDir = resolve(values.data)
    const stack = await startStack({ dataDir, fresh: values.fresh, log: say })
    cleanups.push(stack.stop)
    stages.mark('stack')
    const config = await wholeConfig(given, stack, dataDir, machines, cleanups)
    stages.mark('simulator')
    const settings = kafkaSettings(config.kafka)
    const registry = registrySettings(config.registry)
    const topics = await ensureTopics(settings)
    await ensureSchemas(registry, settings.prefix)
    say(`topics: ${topics.created.length} created, all checked; schemas registered`)
    stages.mark('apply')
    const log = createLogger('exposure')
    const options = { disconnectedAfterMs: config.disconnectedAfter, log }
    const pipeline = await openPipeline(settings, registry, options)
    cleanups.push(pipeline.close)
    const admin = await openAdmin(settings, log)
    cleanups.push(() => admin.close())
    const startedAtMs = Date.now()
    const running = await startStages(pipeline, config, STAGES, { once: values.once, signal })
    cleanups.push(running.stop)
    tellWhere(stack, config)
    const once = values.once
    ending = await follow({
      pipeline,
      config,
      admin,
      running,
      signal,
      stages,
      once,
      startedAtMs,
    })
  } finally {
    for (const cleanup of cleanups.toReversed()) {
      await cleanup().catch((error: unknown) => say(`while stopping: ${String(error)}`))
    }
  }
  // After everything else has been said and stopped: the last line of standard output.
  if (ending.summary !== null) say(JSON.stringify(ending.summary))
  return ending.exitCode
}

/** How it ended; the summary only with --once. */
export type Ending = { readonly exitCode: number; readonly summary: object | null }

export type StageClock = {
  mark(stage: string): void
  /** Seconds per stage so far, with one decimal. */
  seconds(): Record<string, number>
}

function stageClock(): StageClock {
  let sinceMs = Date.now()
  const seconds: Record<string, number> = {}
  return {
    mark(stage) {
      seconds[stage] = Math.round((Date.now() - sinceMs) / 100) / 10
      sinceMs = Date.now()
    },
    seconds: () => seconds,
  }
}

const say = (line: string): void => console.log(line)

/** What the file leaves out comes from the stack, and without connections from the simulator. */
async function wholeConfig(
  given: ReturnType<typeof startConfig.parse>,
  stack: RunningStack,
  dataDir: string,
  machines: number,
  cleanups: Cleanup[],
): Promise<ExposureConfig> {
  const whole: ExposureConfig = {
    ...given,
    ...checkConfig(
      {
        kafka: { brokers: stack.brokers },
        registry: { url: stack.registryUrl },
        sinks: { postgres: { url: secretFile(dataDir, 'postgres-url', stack.postgresUrl) } },
      },
      exposureConfig.pick({ kafka: true, registry: true, sinks: true }),
      'the stack',
    ),
    ...(given.kafka === undefined ? {} : { kafka: given.kafka }),
    ...(given.registry === undefined ? {} : { registry: given.registry }),
    ...(given.sinks.postgres === undefined ? {} : { sinks: given.sinks }),
  }
  if (given.connections.length > 0) return whole
  const simulated = await startSimulated(dataDir, machines)
  cleanups.push(simulated.stop)
  say(`simulator: ${machines} machines, one Prisma Cloud and two Cortex tenants`)
  say(`  its truth: ${simulated.controlUrl}/truth`)
  const connections = exposureConfig.pick({ connections: true })
  return { ...whole, ...checkConfig(simulated, connections.loose(), 'the simulator') }
}

function tellWhere(stack: RunningStack, config: ExposureConfig): void {
  const schema = config.sinks.postgres?.schema ?? 'exposure'
  say(`brokers:  ${config.kafka.brokers.join(', ')} (${stack.how.kafka})`)
  say(`registry: ${config.registry.url} (${stack.how.registry})`)
  say(`database: psql ${shownUrl(stack)} (${stack.how.postgres})`)
  say('three queries worth trying:')
  say(`  select severity, count(*) from ${schema}.finding where status = 'OPEN' group by 1;`)
  say(
    `  select a.name, count(*) from ${schema}.asset a join ${schema}.finding f using (asset_uid)` +
      ' group by 1 order by 2 desc limit 10;',
  )
  say(
    `  select entity_uid, array_agg(product) from ${schema}.asset group by 1` +
      ' having count(distinct vendor) > 1 limit 10;',
  )
}

/**
 * A password that was given is a secret; that of our own database was made here, for this machine.
 */
function shownUrl({ postgresUrl, how }: RunningStack): string {
  if (how.postgres !== 'given') return postgresUrl
  const url = new URL(postgresUrl)
  if (url.password !== '') url.password = '***'
  return url.href
}

export type Following = {
  readonly pipeline: Pipeline
  readonly config: ExposureConfig
  readonly admin: Admin
  readonly running: RunningStages
  readonly signal: AbortSignal
  readonly stages: StageClock
  readonly once: boolean
  /** When the stages began, for what they have reported since. */
  readonly startedAtMs: number
}

async function follow(following: Following): Promise<Ending> {
  const { running, signal, once } = following
  const status = printStatus(following)
  try {
    if (once) return await finishOnce(following)
    const stopped = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    await Promise.race([stopped, running.producers.then(() => stopped)])
    say('stopping')
    return { exitCode: 0, summary: null }
  } finally {
    await status.stop()
  }
}

function printStatus({ pipeline, config, admin }: Following): { stop: () => Promise<void> } {
  const controller = new AbortController()
  const loop = async () => {
    while (!controller.signal.aborted) {
      try {
        await sleep(STATUS_EVERY_MS, undefined, { signal: controller.signal })
        for (const line of await statusLines(pipeline, config, admin)) say(line)
      } catch (error) {
        if (controller.signal.aborted) return
        say(`status: ${error instanceof PipelineError ? error.message : String(error)}`)
      }
    }
  }
  const done = loop()
  return {
    stop: async () => {
      controller.abort()
      await done
    },
  }
}
