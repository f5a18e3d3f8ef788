// Runs a stateful Processor exactly once: input, state, outputs and offsets move together.
import type { PipelineError } from '../../contracts/errors.ts'
import { createPartitionOwner, type OwnerOptions } from './partition-owner.ts'
import { stickyAssigner } from './sticky-assigner.ts'
import { superviseConsumer } from './supervised-consumer.ts'
import type { PartitionStore } from './types.ts'

export type ProcessorOptions<S extends PartitionStore> = OwnerOptions<S> & {
  /** So long a member that died holds up its partitions; Kafka's least is usually 6 s. */
  readonly sessionTimeoutMs: number
  /** Partitions worked on at one time. */
  readonly concurrency: number
  /** After every batch, and when the group was joined. */
  readonly onProgress: () => void
  /** Once, when trouble lasts; `onProgress` says when it is over. */
  readonly onTrouble: (error: PipelineError) => void
}

export type RunningProcessor = {
  /** Ends the chunk under way, leaves the group, closes everything. Bounded; never throws. */
  stop(): Promise<void>
  /** Resolves when stopped; never rejects. */
  readonly done: Promise<void>
}

/**
 * Starts. All names are complete, prefix included; the state topic has as many partitions as the
 * input topic. The transactional id of an input partition is `<transactionalIdPrefix>.<partition>`:
 * it must be the same wherever the same group runs, as it is what fences.
 */
export function runProcessor<S extends PartitionStore>(
  options: ProcessorOptions<S>,
): RunningProcessor {
  const { settings, groupId, inputTopic, log, sessionTimeoutMs, concurrency } = options
  const owner = createPartitionOwner(options)
  const consumer = superviseConsumer({
    settings,
    groupId,
    topics: [inputTopic],
    sessionTimeoutMs,
    concurrency,
    log,
    assigner: stickyAssigner(inputTopic, () => owner.claims()),
    onBatch: (batch, control) => owner.work(batch, control),
    // What has gone to another member is let go of: its memory here, and the right to write.
    onAssigned: (assigned) => owner.keepOnly(new Set(assigned.get(inputTopic))),
    onTrouble: options.onTrouble,
    onProgress: options.onProgress,
  })
  const done = consumer.done.then(() => owner.close())
  return {
    done,
    async stop() {
      await consumer.stop()
      await done
    },
  }
}
