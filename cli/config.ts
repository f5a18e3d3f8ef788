// exposure.yaml as a whole: the common part, every vendor's connections, every store's settings.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { connectionSettings, problemsBesidesType } from '../producers/definitions.ts'
import { PipelineError } from '../contracts/errors.ts'
import { configFile, kafkaConfig, readConfig, registryConfig } from '../runtime/config.ts'
import { duration, longDuration } from '../runtime/connection-config.ts'
import { sinksConfig } from '../sinks/sinks.ts'

/** Names that stand more than once in a list of which nothing else is known. */
function repeatedNames(list: unknown): string[] {
  const named = z.object({ name: z.string() })
  const names = (Array.isArray(list) ? list : []).flatMap((item) => {
    const parsed = named.safeParse(item)
    return parsed.success ? [parsed.data.name] : []
  })
  return [...new Set(names.filter((name, index) => names.indexOf(name) < index))]
}

const listed = z.array(connectionSettings).superRefine(
  (list, context) => {
    for (const [index, connection] of list.entries()) {
      for (const { path, message } of problemsBesidesType(connection)) {
        context.addIssue({ code: 'custom', path: [index, ...path], message })
      }
    }
  },
  // Then above all: of a `type` that nobody has, nothing else was looked at.
  { when: ({ value }) => Array.isArray(value) },
)

const connections = listed.refine((list) => repeatedNames(list).length === 0, {
  // Also when something else is wrong: all problems are named at once.
  when: () => true,
  error: ({ input }) => `names are unique; used more than once: ${repeatedNames(input).join(', ')}`,
})

/** When what a listing shows no more is closed, held back and forgotten. */
const lifecycle = z.strictObject({
  /** So many whole listings in a row must lack a unit before it is closed. */
  closeAfterRuns: z.int().min(1).max(10).default(1),
  /** What was closed so long ago, in ms, is forgotten: a tombstone follows. */
  purgeAfter: longDuration.default(90 * 86_400_000),
  /** A run that lacks more than this many percent of the units before closes nothing by itself. */
  fuse: z.int().min(1).max(100).default(30),
})

export const exposureConfig = z.strictObject({
  kafka: kafkaConfig,
  registry: registryConfig,
  connections: connections.default([]),
  sinks: sinksConfig.default({}),
  /** A temporary failure that lasts this long without one success is a disconnection. */
  disconnectedAfter: duration.default(15 * 60_000),
  lifecycle: lifecycle.prefault({}),
})

export type ExposureConfig = z.infer<typeof exposureConfig>
export type Connection = ExposureConfig['connections'][number]

/** For `npm start`, where the stack gives what the file leaves out, and for what needs neither. */
export const startConfig = exposureConfig.partial({ kafka: true, registry: true })
export type StartConfig = z.infer<typeof startConfig>

/** Where `exposure start` keeps its data, and in it the configuration that it runs with. */
export const DATA_DIR = '.exposure'
export const KEPT_FILE = 'exposure.yaml'

/**
 * The file named, else the usual one. What neither gives of Kafka, registry and stores is taken
 * from the last `exposure start` here, which is told on stderr.
 * @throws PipelineError CONFIGURATION when there is none, or with all of its problems
 */
export function loadConfig(file: string | undefined): ExposureConfig {
  const path = file ?? configFile()
  const kept = join(DATA_DIR, KEPT_FILE)
  if (!existsSync(kept)) return readConfig(path ?? missing(), exposureConfig)
  if (path === null) {
    console.error(`exposure: no exposure.yaml here, so ${kept}, as the last start left it`)
    return withKafka(readConfig(kept, exposureConfig))
  }
  const { kafka, registry, ...given } = readConfig(path, startConfig)
  if (kafka !== undefined && registry !== undefined) return { ...given, kafka, registry }
  console.error(`exposure: what ${path} leaves out is from ${kept}, as the last start left it`)
  const last = withKafka(readConfig(kept, exposureConfig))
  return {
    ...given,
    kafka: kafka ?? last.kafka,
    registry: registry ?? last.registry,
    sinks: { ...last.sinks, ...given.sinks },
  }
}

/** The addresses of Kafka that were taken from the last `exposure start`. */
const ofLastStart = new WeakSet<ExposureConfig['kafka']>()

function withKafka(config: ExposureConfig): ExposureConfig {
  ofLastStart.add(config.kafka)
  return config
}

/** Whether no file of the operator names this Kafka: it is there while an `npm start` runs. */
export const isOfLastStart = (kafka: ExposureConfig['kafka']): boolean => ofLastStart.has(kafka)

/** The file in which the connections stand, by the same rule as `loadConfig`. */
export function connectionsFile(file: string | undefined): { path: string; isKept: boolean } {
  const path = file ?? configFile()
  return { path: path ?? join(DATA_DIR, KEPT_FILE), isKept: path === null }
}

/** As `loadConfig`, for what needs neither Kafka nor registry. */
export function loadConnections(file: string | undefined): StartConfig['connections'] {
  const path = file ?? configFile()
  return path === null ? loadConfig(file).connections : readConfig(path, startConfig).connections
}

function missing(): never {
  throw new PipelineError('CONFIGURATION', 'CONFIG', 'there is no exposure.yaml here', {
    remediation: 'Copy exposure.example.yaml to exposure.yaml, or name one: --config FILE.',
  })
}
