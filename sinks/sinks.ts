// Every kind of sink, one line each: its settings and how it is made.
import type { Sink } from '../contracts/ports.ts'
import type { Logger } from '../runtime/log.ts'
import type { PostgresConfig } from './postgres/config.ts'
import { createPostgresSink } from './postgres/sink.ts'

/** The part `sinks` of the settings: a store that is not named is not written to. */
export type SinksConfig = { readonly postgres?: PostgresConfig | undefined }

export type SinkContext = {
  /** The consumer group of a sink, by its name: stores that keep offsets keep them under it. */
  readonly groupOf: (name: string) => string
  readonly log: Logger
}

/** One sink per configured store; nothing is connected yet. */
export function createSinks(config: SinksConfig, context: SinkContext): Sink[] {
  const sinks: Sink[] = []
  if (config.postgres !== undefined) sinks.push(createPostgresSink(config.postgres, context))
  return sinks
}
