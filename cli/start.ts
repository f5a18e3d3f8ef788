// `exposure start`: one command from an empty machine to exposure events.
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PipelineError } from '../contracts/errors.ts'
import { configFile, kafkaSettings, registrySettings } from '../runtime/config.ts'
import { type Admin, openAdmin } from '../runtime/kafka/admin.ts'
import { createLogger } from '../runtime/log.ts'
import { type Pipeline, openPipeline } from '../runtime/pipeline.ts'
import { inTime } from '../stack/engine.ts'
import { startStack } from '../stack/stack.ts'
import { ensureSchemas, ensureTopics } from './apply.ts'
import { UsageError, aborted, parse, stopSignal } from './command.ts'
import { DATA_DIR, type ExposureConfig } from './config.ts'
import { finishOnce } from './once.ts'
import { startSimulated } from './simulated.ts'
import { refuseIncompatible } from './schemas.ts'
import { type RunningStages, STAGES, startStages } from './stages.ts'
import { type GivenConfig, givenConfig, partsOf, tellWhere, wholeConfig } from './start-config.ts'
import { statusLines } from './status.ts'

const MACHINES_DEFAULT = 150
const MACHINES_MAX = 100_000
const STATUS_EVERY_MS = 5_000
const STATUS_TIMEOUT_MS = 5_000
const LATE = 'status: late, the machine is busy; nothing else is affected'
/** Above the time that the servers of the stack have for it. */
const CLEANUP_TIMEOUT_MS = 30_000
const EXIT_FAILURE = 1

type Cleanup = () => Promise<void>

export async function start(args: readonly string[]): Promise<number> {
  const { values } = parse(args, {
    config: { type: 'string' },
    data: { type: 'string', default: DATA_DIR },
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
  let ending: Ending
  // Nothing starts before the configuration is known to be right.
  const given = givenConfig(values.config ?? configFile())
  try {
    const { fresh, once } = values
    const dataDir = resolve(values.data)
    ending = await launch({ given, dataDir, machines, fresh, once, signal, cleanups })
  } finally {
    for (const cleanup of cleanups.toReversed()) {
      await inTime(cleanup(), CLEANUP_TIMEOUT_MS, 'stopping').catch((error: unknown) => {
        say(`while stopping: ${String(error)}`)
      })
    }
  }
  // After everything else has been said and stopped: the last line of standard output.
  if (ending.summary !== null) say(JSON.stringify(ending.summary))
  return ending.exitCode
}

type Launch = {
  readonly given: GivenConfig
  readonly dataDir: string
  readonly machines: number
  readonly fresh: boolean
  readonly once: boolean
  readonly signal: AbortSignal
  /** Takes how to stop what has been started, in the order of the starts. */
  readonly cleanups: Cleanup[]
}

async function launch(options: Launch): Promise<Ending> {
  const { given, dataDir, machines, fresh, once, signal, cleanups } = options
  const stages = stageClock()
  const stack = await startStack({ dataDir, fresh, elsewhere: partsOf(given), log: say })
  cleanups.push(stack.stop)
  stages.mark('stack')
  if (signal.aborted) return stoppedEarly(once)
  const simulated = given.hasConnections ? null : await startSimulated(dataDir, machines)
  if (simulated !== null) {
    cleanups.push(simulated.stop)
    say(`simulator: ${machines} machines, one Prisma Cloud and two Cortex tenants`)
    say(`  its truth: ${simulated.controlUrl}/truth`)
  }
  const config = wholeConfig(given, stack, simulated, dataDir)
  stages.mark('simulator')
  if (signal.aborted) return stoppedEarly(once)
  const settings = kafkaSettings(config.kafka)
  const registry = registrySettings(config.registry)
  await refuseIncompatible(registry, settings.prefix)
  const topics = await ensureTopics(settings)
  if (signal.aborted) return stoppedEarly(once)
  await ensureSchemas(registry, settings.prefix)
  say(`topics: ${topics.created.length} created, all checked; schemas registered`)
  stages.mark('apply')
  const log = createLogger('exposure')
  const disconnectedAfterMs = config.disconnectedAfter
  const pipeline = await openPipeline(settings, registry, { disconnectedAfterMs, log })
  cleanups.push(pipeline.close)
  const admin = await openAdmin(settings, log)
  cleanups.push(() => admin.close())
  const startedAtMs = Date.now()
  const running = await startStages(pipeline, config, STAGES, { once, signal, ownOnly: true })
  cleanups.push(running.stop)
  tellWhere(stack, config)
  const following = { pipeline, config, admin, running, signal, stages, once, startedAtMs }
  return await follow(following, [stack.exited, ...(simulated === null ? [] : [simulated.exited])])
}

function stoppedEarly(once: boolean): Ending {
  say('stopped before everything had started')
  return { exitCode: once ? EXIT_FAILURE : 0, summary: null }
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

/** @throws PipelineError with the sentence of a server that ended while it was needed */
async function follow(following: Following, exits: Promise<string>[]): Promise<Ending> {
  const status = printStatus(following)
  const ended = Promise.race(exits).then((sentence) => {
    throw new PipelineError('CONFIGURATION', 'CONFIG', sentence, {
      remediation: 'Mend what the log says and start again: it goes on where it was.',
    })
  })
  try {
    return await Promise.race([untilEnd(following), ended])
  } finally {
    await status.stop()
  }
}

async function untilEnd(following: Following): Promise<Ending> {
  if (following.once) return await finishOnce(following)
  const stopped = aborted(following.signal)
  await Promise.race([stopped, following.running.producers.then(() => stopped)])
  say('stopping')
  return { exitCode: 0, summary: null }
}

function printStatus({ pipeline, config, admin }: Following): { stop: () => Promise<void> } {
  const controller = new AbortController()
  const loop = async () => {
    while (!controller.signal.aborted) {
      try {
        await sleep(STATUS_EVERY_MS, undefined, { signal: controller.signal })
        const lines = statusLines(pipeline, config, admin)
        const late = sleep(STATUS_TIMEOUT_MS, [LATE], { signal: controller.signal, ref: false })
        for (const line of await Promise.race([lines, late])) say(line)
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
