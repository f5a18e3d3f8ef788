// The stage of sinks: every configured store, each with its own consumer group.
import type { Pipeline } from '../runtime/pipeline.ts'
import { type RunningSink, runSink, sinkGroup } from '../runtime/run-sink.ts'
import { type SinksConfig, createSinks } from './sinks.ts'

export type RunningSinks = {
  /** Writes what a store holds back in memory. @throws PipelineError when it cannot now */
  readonly flush: (name: string) => Promise<void>
  readonly stop: () => Promise<void>
}

/**
 * Applies migrations and starts consuming. A store that is away or refuses holds back nobody else.
 * @throws PipelineError when every store refuses in a way that waiting does not mend
 */
export async function startSinks(
  pipeline: Pick<Pipeline, 'settings' | 'prefix' | 'codecs' | 'log'> & {
    readonly reporter: Pick<Pipeline['reporter'], 'raise' | 'clear'>
  },
  config: SinksConfig,
): Promise<RunningSinks> {
  const { settings, prefix, codecs, reporter, log } = pipeline
  const running = new Map<string, RunningSink>()
  const stop = async () => {
    await Promise.all([...running.values()].map((sink) => sink.stop()))
  }
  const groupOf = (name: string) => sinkGroup(prefix, name)
  const sinks = createSinks(config, { groupOf, kafka: settings, log })
  const starts = sinks.map(async (sink) => {
    running.set(sink.sink.name, await runSink({ settings, ...sink, codecs, reporter, log }))
  })
  // All at once: a store that takes its time to refuse must not delay the others.
  await Promise.all(starts)
  const refusals = [...running.values()].flatMap(({ refused }) => refused ?? [])
  const [first] = refusals
  // With nowhere to write, whoever has just changed the settings is told at once.
  if (first !== undefined && refusals.length === sinks.length) {
    await stop()
    throw first
  }
  const flush = async (name: string) => await running.get(name)?.flush()
  return { flush, stop }
}
