// A process that runs a listed source once; EXPOSURE_FAILPOINT says where it is killed.
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import { runSource } from '../../runtime/run-source.ts'
import { type Item, runOptions, taskOf } from './list-source.ts'

/** What a test passes as EXPOSURE_TEST_SOURCE, as JSON. */
export type SourceJob = {
  readonly settings: KafkaSettings
  readonly chunks: readonly (readonly Item[])[]
  readonly resumable: boolean
}

const { settings, chunks, resumable } = JSON.parse(
  process.env['EXPOSURE_TEST_SOURCE'] ?? '',
) as SourceJob
const { options, close } = runOptions(settings)
await runSource(taskOf({ chunks, resumable }), options)
await close()
