// A store in memory, run as the product runs its stores: for what holds of every sink.
import { onTestFinished } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import type { Sink, SinkBatch, SinkRecord } from '../../contracts/ports.ts'
import { type RunSinkOptions, runSink, sinkGroup, sinkTopics } from '../../runtime/run-sink.ts'
import type { EventTopics } from './event-topics.ts'
import { testLog } from './kafka-scene.ts'

type Options = Pick<RunSinkOptions, 'filter' | 'start'> & {
  readonly name?: string
  readonly kinds?: Sink['kinds']
  /** What the store says of every partition; null, the default: it keeps no offsets. */
  readonly stored?: bigint | null
  /** Before it is open. */
  readonly onOpen?: () => Promise<void>
  /** Before a batch is kept; what it throws, the store throws. */
  readonly onWrite?: (batch: SinkBatch) => void | Promise<void>
}

export type MemorySink = {
  readonly kept: SinkRecord[]
  readonly raised: PipelineError[]
  /** Everything the group has to read is read and committed. */
  caughtUp(): Promise<boolean>
  stop(): Promise<void>
}

/** Starts it; ends with the test. */
export async function startMemorySink(
  { settings, codecs, admin }: EventTopics,
  { name = 'memory', kinds, stored = null, filter, start, onOpen, onWrite }: Options = {},
): Promise<MemorySink> {
  const kept: SinkRecord[] = []
  const raised: PipelineError[] = []
  const sink: Sink = {
    name,
    ...(kinds === undefined ? {} : { kinds }),
    async open() {
      await onOpen?.()
      return {
        storedOffset: async () => stored,
        async write(batch) {
          await onWrite?.(batch)
          kept.push(...batch.records)
          return []
        },
        close: async () => undefined,
      }
    },
  }
  const reporter = {
    raise: (error: PipelineError) => void raised.push(error),
    clear: () => undefined,
  }
  const running = await runSink({ settings, sink, filter, start, codecs, reporter, log: testLog })
  let stopped: Promise<void> | null = null
  const stop = () => (stopped ??= running.stop())
  onTestFinished(stop)
  return {
    kept,
    raised,
    stop,
    async caughtUp() {
      const topics = [...sinkTopics(settings.prefix, sink).keys()]
      const lags = await admin.lag(sinkGroup(settings.prefix, name), topics)
      return lags.every(({ lag }) => lag === 0n)
    },
  }
}
