// The stage of sinks: every configured store, each with its own consumer group.
import type { Pipeline } from '../runtime/pipeline.ts'
import { type RunningSink, runSink, sinkGroup } from '../runtime/run-sink.ts'
import { type SinksConfig, createSinks } from './sinks.ts'

export type RunningSinks = { readonly stop: () => Promise<void> }

/**
 * Applies migrations and starts consuming. A store that is away holds back nobody else.
 * @throws PipelineError when a store refuses in a way that waiting does not mend
 */
export async function startSinks(pipeline: Pipeline, config: SinksConfig): Promise<RunningSinks> {
  const { settings, prefix, codecs, reporter, log } = pipeline
  const running: RunningSink[] = []
  const stop = async () => {
    await Promise.all(running.map((sink) => sink.stop()))
  }
  try {
    const groupOf = (name: string) => sinkGroup(prefix, name)
    for (const { sink } of createSinks(config, { groupOf, kafka: settings, log })) {
      running.push(await runSink({ settings, sink, codecs, reporter, log }))
    }
  } catch (error) {
    await stop()
    throw error
  }
  return { stop }
}
