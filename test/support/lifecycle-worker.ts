// A process that runs the lifecycle over one raw topic until it is told to stop, or is killed.
import { readerType } from '../../runtime/codecs.ts'
import { deadLetter } from '../../runtime/dead-letter.ts'
import { runProcessor } from '../../runtime/kafka/processor.ts'
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import { createLogger } from '../../runtime/log.ts'
import { CLOSING_DEFAULTS } from '../../transformers/lifecycle/listings.ts'
import { createLifecycle } from '../../transformers/lifecycle/processor.ts'
import { TRANSFORMERS } from '../../transformers/transformers.ts'

/** What a test passes as EXPOSURE_TEST_WORKER, as JSON. */
export type LifecycleJob = {
  readonly settings: KafkaSettings
  readonly groupId: string
  /** Complete names. */
  readonly input: string
  readonly state: string
  /** Put before the names of all topics written to. */
  readonly outputPrefix: string
  readonly chunkRecordsMax: number
}

const job = JSON.parse(process.env['EXPOSURE_TEST_WORKER'] ?? '') as LifecycleJob
const types = {
  asset: readerType('Asset'),
  finding: readerType('Finding'),
  vulnerability: readerType('Vulnerability'),
  run: readerType('Run'),
}
const running = runProcessor({
  settings: job.settings,
  groupId: job.groupId,
  inputTopic: job.input,
  stateTopic: job.state,
  transactionalIdPrefix: job.groupId,
  processor: createLifecycle({
    prefix: job.outputPrefix,
    mappingVersion: '1',
    closing: CLOSING_DEFAULTS,
    transformers: TRANSFORMERS,
    encode: {
      asset: (value) => types.asset.toBuffer(value),
      finding: (value) => types.finding.toBuffer(value),
      vulnerability: (value) => types.vulnerability.toBuffer(value),
      run: (value) => types.run.toBuffer(value),
    },
    deadLetter: (record, error) => deadLetter(job.outputPrefix, record, error, 1),
    onDrift: () => undefined,
    onDeadLetter: (error) => process.stderr.write(`dead letter: ${error.message}\n`),
    onCleanPartition: () => undefined,
    onCommit: () => undefined,
  }),
  chunkRecordsMax: job.chunkRecordsMax,
  chunkBytesMax: 1_000_000,
  sessionTimeoutMs: 6_000,
  concurrency: 4,
  log: createLogger('worker'),
  onProgress: () => undefined,
  onTrouble: (error) => process.stderr.write(`trouble: ${error.failure} ${error.message}\n`),
})
process.on('SIGTERM', () => {
  void running.stop().then(() => process.exit(0))
})
await running.done
