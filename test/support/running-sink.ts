// A sink as the product runs it, between the topics of a test and its store.
import { onTestFinished } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import type { Sink } from '../../contracts/ports.ts'
import { runSink, sinkGroup, sinkTopics } from '../../runtime/run-sink.ts'
import type { EventTopics } from './event-topics.ts'
import { testLog } from './kafka-scene.ts'
import { waitFor } from './stack.ts'

/** Stopped with the test at the latest; what it reports is collected. */
export async function runningSink(topics: EventTopics, sink: Sink) {
  const { settings, codecs } = topics
  const raised: PipelineError[] = []
  const cleared: unknown[] = []
  const reporter = {
    raise: (error: PipelineError) => void raised.push(error),
    clear: (what: unknown) => void cleared.push(what),
  }
  const running = await runSink({ settings, sink, codecs, reporter, log: testLog })
  let stopped: Promise<void> | null = null
  const stop = () => (stopped ??= running.stop())
  onTestFinished(stop)
  return { raised, cleared, stop, settled: () => caughtUp(topics, sink) }
}

/** Resolves when the group of the sink has read all that its topics hold. */
export async function caughtUp({ settings, admin }: EventTopics, sink: Sink): Promise<void> {
  const topics = [...sinkTopics(settings.prefix, sink).keys()]
  const isThrough = async () => {
    const lags = await admin.lag(sinkGroup(settings.prefix, sink.name), topics)
    return lags.every(({ lag }) => lag === 0n)
  }
  await waitFor(isThrough, { what: 'caught up' })
}
