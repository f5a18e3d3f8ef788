// `exposure run`: the stages named, against Kafka and stores that are there already.
import { PipelineError } from '../contracts/errors.ts'
import { kafkaSettings, registrySettings } from '../runtime/config.ts'
import { createLogger } from '../runtime/log.ts'
import { openPipeline } from '../runtime/pipeline.ts'
import { ANY_WORDS, UsageError, aborted, parse, stopSignal } from './command.ts'
import { loadConfig } from './config.ts'
import { refuseIncompatible } from './schemas.ts'
import { sinkNames } from '../sinks/sinks.ts'
import { STAGES, type StageName, startStages } from './stages.ts'

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args, { config: { type: 'string' } }, ANY_WORDS)
  const chosen = positionals.map(stageName)
  const stages = chosen.length === 0 ? STAGES : chosen
  const config = loadConfig(values.config)
  if (stages.includes('producers') && config.connections.length === 0) {
    throw new PipelineError('CONFIGURATION', 'CONFIG', 'exposure.yaml has no connections to poll')
  }
  if (stages.includes('sinks') && sinkNames(config.sinks).length === 0) {
    throw new PipelineError('CONFIGURATION', 'CONFIG', 'exposure.yaml has no sinks to write to')
  }
  const registry = registrySettings(config.registry)
  await refuseIncompatible(registry, config.kafka.prefix)
  const signal = stopSignal()
  const pipeline = await openPipeline(kafkaSettings(config.kafka), registry, {
    disconnectedAfterMs: config.disconnectedAfter,
    log: createLogger('exposure'),
  })
  try {
    const running = await startStages(pipeline, config, stages, { once: false, signal })
    console.error(`exposure: running ${stages.join(', ')}; SIGINT or SIGTERM ends it`)
    try {
      const stopped = aborted(signal)
      // Producers end by themselves only with an error; that ends the process.
      await Promise.race([stopped, running.producers.then(() => stopped)])
    } finally {
      await running.stop()
    }
  } finally {
    await pipeline.close()
  }
  return 0
}

function stageName(word: string): StageName {
  const stage = STAGES.find((name) => name === word)
  if (stage === undefined) throw new UsageError(`no stage "${word}": ${STAGES.join(', ')}`)
  return stage
}
