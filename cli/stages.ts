// Runs the chosen stages in one process and ends them in order: producers first, sinks last.
import { runProducers } from '../producers/main.ts'
import type { Pipeline } from '../runtime/pipeline.ts'
import type { TurnOutcome } from '../runtime/run-connection.ts'
import { startSinks } from '../sinks/main.ts'
import { type ClosingRules, CLOSING_DEFAULTS } from '../transformers/lifecycle/listings.ts'
import { startTransformers } from '../transformers/main.ts'
import type { ExposureConfig } from './config.ts'

export const STAGES = ['producers', 'transformers', 'sinks'] as const
export type StageName = (typeof STAGES)[number]

export type RunningStages = {
  /** Resolves with the turns when producers ran once. @throws what only the operator can mend */
  readonly producers: Promise<TurnOutcome[]>
  /** Ends the transformers alone, so that what they have to report is reported. */
  readonly stopTransformers: () => Promise<void>
  /** Writes what a store holds back in memory. @throws PipelineError when it cannot now */
  readonly flushSink: (name: string) => Promise<void>
  readonly stop: () => Promise<void>
}

export type StageOptions = {
  readonly once: boolean
  readonly signal: AbortSignal
  /** Producers leave alone what others have defined: for one machine with one file. */
  readonly ownOnly?: boolean
}

export async function startStages(
  pipeline: Pipeline,
  config: Pick<ExposureConfig, 'connections' | 'sinks' | 'lifecycle'>,
  stages: readonly StageName[],
  options: StageOptions,
): Promise<RunningStages> {
  const own = new AbortController()
  const signal = AbortSignal.any([options.signal, own.signal])
  const transformers = stages.includes('transformers')
    ? startTransformers(pipeline, closingRules(config.lifecycle))
    : null
  const sinks = stages.includes('sinks') ? await startSinks(pipeline, config.sinks) : null
  const producers = stages.includes('producers')
    ? runProducers(pipeline, config.connections, {
        ...options,
        signal,
        fusePercent: config.lifecycle.fuse,
      })
    : Promise.resolve([])
  // The caller awaits it later; a rejection before that must not end the process by itself.
  producers.catch(() => undefined)
  const stopTransformers = async () => await transformers?.stop()
  const flushSink = async (name: string) => await sinks?.flush(name)
  const stop = async () => {
    own.abort()
    await producers.catch(() => undefined)
    await stopTransformers()
    await sinks?.stop()
  }
  return { producers, stopTransformers, flushSink, stop }
}

/** The settings of exposure.yaml as the lifecycle takes them. */
export const closingRules = ({
  closeAfterRuns,
  purgeAfter,
  fuse,
}: ExposureConfig['lifecycle']): ClosingRules => ({
  ...CLOSING_DEFAULTS,
  closeAfterRuns,
  purgeAfterMs: purgeAfter,
  fuseShare: fuse / 100,
})
