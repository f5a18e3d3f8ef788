// A process that pulls every connection of a file once, and then says how much memory that took.
import { exposureConfig } from '../../cli/config.ts'
import { runProducers } from '../../producers/main.ts'
import { kafkaSettings, readConfig, registrySettings } from '../../runtime/config.ts'
import { createLogger } from '../../runtime/log.ts'
import { openPipeline } from '../../runtime/pipeline.ts'
import { FUSE_PERCENT } from '../../runtime/run-ledger.ts'

/** The line on stdout. */
export type MemoryReport = {
  readonly verdicts: readonly string[]
  /** Of the whole process, at its highest. */
  readonly rssPeakBytes: number
}

const KIB = 1_024
const config = readConfig(process.env['EXPOSURE_TEST_WORKER'] ?? '', exposureConfig)
const pipeline = await openPipeline(
  kafkaSettings(config.kafka),
  registrySettings(config.registry),
  {
    disconnectedAfterMs: config.disconnectedAfter,
    log: createLogger('worker'),
  },
)
const { signal } = new AbortController()
const turns = await runProducers(pipeline, config.connections, {
  once: true,
  signal,
  fusePercent: FUSE_PERCENT,
})
await pipeline.close()
const report: MemoryReport = {
  verdicts: turns.map(({ verdict }) => verdict),
  rssPeakBytes: process.resourceUsage().maxRSS * KIB,
}
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
