// The stage of sinks: every configured store, each with its own consumer group.
import { type RunningSink, runSink } from '../runtime/run-sink.ts'
import type { Pipeline } from '../runtime/pipeline.ts'
import { type SinksConfig, createSinks } from './sinks.ts'

export type RunningSinks = { readonly stop: () => Promise<void> }

export const sinkGroup = (prefix: string, name: string): string => `${prefix}sink.${name}`

/** Applies migrations and starts consuming. A sink that fails never holds back another. */
export async function startSinks(pipeline: Pipeline, config: SinksConfig): Promise<RunningSinks> {
  const { settings, prefix, codecs, reporter, log } = pipeline
  const running: RunningSink[] = []
  try {
    const groupOf = (name: string) => sinkGroup(prefix, name)
    for (const sink of createSinks(config, { groupOf, log })) {
      running.push(await runSink({ settings, prefix, sink, codecs, reporter, log }))
    }
  } catch (error) {
    await Promise.all(running.map((sink) => sink.stop()))
    throw error
  }
  return {
    stop: async () => {
      await Promise.all(running.map((sink) => sink.stop()))
    },
  }
}
