// Every type of sink, one line each: its settings and how it is made.
import { z } from 'zod'
import type { Sink } from '../contracts/ports.ts'
import type { KafkaSettings } from '../runtime/kafka/types.ts'
import type { Logger } from '../runtime/log.ts'
import type { SinkFilter, SinkStart } from '../runtime/sink-settings.ts'
import { kafkaJsonConfig } from './kafka-json/config.ts'
import { createKafkaJsonSink } from './kafka-json/sink.ts'
import { openSearchConfig } from './opensearch/config.ts'
import { createOpenSearchSink } from './opensearch/sink.ts'
import { parquetConfig } from './parquet/config.ts'
import { createParquetSink } from './parquet/sink.ts'
import { auditPostgres } from './postgres/audit.ts'
import { postgresConfig } from './postgres/config.ts'
import { createPostgresSink } from './postgres/sink.ts'
import { splunkConfig } from './splunk/config.ts'
import { createSplunkSink } from './splunk/sink.ts'
import { webhookConfig } from './webhook/config.ts'
import { createWebhookSink } from './webhook/sink.ts'

export type SinkContext = {
  /** The consumer group of a sink, by its name: stores that keep offsets keep them under it. */
  readonly groupOf: (name: string) => string
  readonly kafka: KafkaSettings
  readonly log: Logger
}

type One<S> = S extends readonly (infer C)[] ? C : S

/** `settings` is one object, or a list of objects with a `name` where several make sense. */
const sinkType = <S extends z.ZodType>(
  settings: S,
  create: (config: One<z.output<S>>, context: SinkContext) => Sink,
) => ({ settings, create })

/** By the name that a type has in exposure.yaml under `sinks`, which is that of its folder. */
export const SINKS = {
  'kafka-json': sinkType(z.array(kafkaJsonConfig), createKafkaJsonSink),
  opensearch: sinkType(openSearchConfig, createOpenSearchSink),
  parquet: sinkType(parquetConfig, createParquetSink),
  postgres: sinkType(postgresConfig, createPostgres),
  splunk: sinkType(z.array(splunkConfig), createSplunkSink),
  webhook: sinkType(z.array(webhookConfig), createWebhookSink),
}
type SinkTypes = typeof SINKS
type SinkType = keyof SinkTypes

const TYPES = Object.keys(SINKS) as SinkType[]

/** The part `sinks` of the settings: a store that is not named is not written to. */
export const sinksConfig = z
  .strictObject(
    Object.fromEntries(TYPES.map((type) => [type, SINKS[type].settings.optional()])) as {
      [K in SinkType]: z.ZodOptional<SinkTypes[K]['settings']>
    },
  )
  .refine((given) => repeatedNames(given).length === 0, {
    error: ({ input }) =>
      `names are unique; used more than once: ${repeatedNames(input as SinksConfig).join(', ')}`,
  })
export type SinksConfig = {
  readonly [K in SinkType]?: z.output<SinkTypes[K]['settings']> | undefined
}

function createPostgres(config: z.output<typeof postgresConfig>, context: SinkContext): Sink {
  const { groupOf, log } = context
  const sink = createPostgresSink(config, context)
  return { ...sink, audit: async () => auditPostgres(config, groupOf(sink.name), log) }
}

/** A sink and the settings that are not its own matter. */
export type ConfiguredSink = {
  /** As in exposure.yaml under `sinks`. */
  readonly type: string
  readonly sink: Sink
  readonly filter: SinkFilter | undefined
  readonly start: SinkStart | undefined
}

type Given = { readonly name?: string; readonly filter?: SinkFilter; readonly start?: SinkStart }

/** What the settings have of one type, none, one or several. */
function givenOf(config: SinksConfig, type: SinkType): readonly Given[] {
  const given: unknown = config[type]
  if (given === undefined) return []
  return (Array.isArray(given) ? given : [given]) as Given[]
}

/** The names of the configured sinks; a type of which there is but one gives it its own. */
export const sinkNames = (config: SinksConfig): string[] =>
  TYPES.flatMap((type) => givenOf(config, type).map(({ name }) => name ?? type))

function repeatedNames(config: SinksConfig): string[] {
  const names = sinkNames(config)
  return [...new Set(names.filter((name, index) => names.indexOf(name) < index))]
}

/** One sink per configured store; nothing is connected yet. */
export function createSinks(config: SinksConfig, context: SinkContext): ConfiguredSink[] {
  return TYPES.flatMap((type) =>
    givenOf(config, type).map((given) => {
      // `given` is what the schema of this very type has let pass.
      const sink = SINKS[type].create(given as never, context)
      return { type, sink, filter: given.filter, start: given.start }
    }),
  )
}
