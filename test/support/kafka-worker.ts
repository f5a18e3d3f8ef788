// A process that runs the counting Processor until it is told to stop, or is killed.
import { runProcessor } from '../../runtime/kafka/processor.ts'
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import { createLogger } from '../../runtime/log.ts'
import { countingProcessor } from './kafka-counting.ts'

/** What a test passes as EXPOSURE_TEST_WORKER, as JSON. Topic names are complete. */
export type WorkerJob = {
  readonly settings: KafkaSettings
  readonly groupId: string
  readonly input: string
  readonly state: string
  readonly out: string
  readonly tallies: string
  readonly chunkRecordsMax: number
}

const job = JSON.parse(process.env['EXPOSURE_TEST_WORKER'] ?? '') as WorkerJob
const running = runProcessor({
  settings: job.settings,
  groupId: job.groupId,
  inputTopic: job.input,
  stateTopic: job.state,
  transactionalIdPrefix: `${job.groupId}.${job.input}`,
  processor: countingProcessor(job),
  chunkRecordsMax: job.chunkRecordsMax,
  chunkBytesMax: 1_000_000,
  // The least that Kafka takes: so long a killed member holds up the next one.
  sessionTimeoutMs: 6_000,
  concurrency: 4,
  log: createLogger('worker'),
  onProgress: () => process.stdout.write('progress\n'),
  onTrouble: (error) => process.stderr.write(`trouble: ${error.failure} ${error.message}\n`),
})
process.on('SIGTERM', () => {
  void running.stop().then(() => process.exit(0))
})
await running.done
