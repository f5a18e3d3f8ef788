// What a sink has to report: conditions that last until a write works, and records refused.
import { FAILURES, type Failure, PipelineError } from '../contracts/errors.ts'
import type { Sink } from '../contracts/ports.ts'
import type { ErrorScope } from './error-event.ts'
import type { ErrorReporter } from './error-reporter.ts'
import type { Logger } from './log.ts'

/** Refusals have no end that could be seen: silent for so long, they count as over. */
const REFUSALS_QUIET_MS = 3_600_000

/** What a connector error of a sink belongs to. */
export const scopeOf = (sink: Sink): ErrorScope => ({
  connection: null,
  vendor: null,
  product: null,
  stream: null,
  sink: sink.name,
  runId: null,
})

/** Whatever a store threw, as our own error. */
export const sinkFailure = (error: unknown): PipelineError =>
  error instanceof PipelineError
    ? error
    : new PipelineError('INTERNAL', 'SINK', error instanceof Error ? error.message : 'unknown', {
        cause: error,
      })

const REFUSALS: readonly Failure[] = ['SINK_REJECTED', 'SERIALIZATION']
const LASTING = (Object.keys(FAILURES) as Failure[]).filter(
  (failure) => !REFUSALS.includes(failure),
)

export type TroubleOptions = {
  readonly sink: Sink
  readonly reporter: Pick<ErrorReporter, 'raise' | 'clear'>
  readonly log: Logger
}

/** What is wrong with one sink now, by place: a partition, its opening, its consumer. */
export type Trouble = {
  /** Reports it, and gives what to throw so that the batch is tried again in place. */
  raise(where: string, failure: PipelineError): PipelineError
  /** It works there; when nothing else is in trouble, what was raised is cleared. */
  over(where: string): void
  knows(error: PipelineError): boolean
  /** Partitions in trouble may be another member's now; those still here will tell again. */
  dealtAnew(): void
}

/** Nothing is wrong yet. */
export function createTrouble({ reporter, sink, log }: TroubleOptions): Trouble {
  const places = new Set<string>()
  const known = new WeakSet<PipelineError>()
  // The process before us may have left a condition open: the first success clears that as well.
  let dirty = true
  return {
    raise(where, failure) {
      places.add(where)
      dirty = true
      reporter.raise(failure, scopeOf(sink))
      log.debug({ err: failure, where }, 'a sink waits')
      // Only what is retriable is tried again in place, and this waits for somebody to mend it.
      const thrown = failure.retriable
        ? failure
        : new PipelineError('SINK_UNAVAILABLE', 'SINK', failure.message, { cause: failure })
      known.add(thrown)
      return thrown
    },
    over(where) {
      places.delete(where)
      reporter.clear({ sink: sink.name, failures: REFUSALS, quietMs: REFUSALS_QUIET_MS })
      if (places.size > 0 || !dirty) return
      dirty = false
      reporter.clear({ sink: sink.name, failures: LASTING })
    },
    knows: (error) => known.has(error),
    dealtAnew: () => places.clear(),
  }
}
