// What a stage that reads Kafka tells of lasting trouble: raised when it comes, cleared when over.
import type { PipelineError } from '../contracts/errors.ts'
import type { ErrorScope } from './error-event.ts'
import type { ErrorReporter } from './error-reporter.ts'

export type StageTrouble = {
  readonly onTrouble: (error: PipelineError) => void
  readonly onProgress: () => void
}

/** For a stage that is of no connection, stream or sink; its vendor is in `scope`. */
export function stageTrouble(
  reporter: Pick<ErrorReporter, 'raise' | 'clear'>,
  scope: ErrorScope,
): StageTrouble {
  // True at first: a process before this one may have left its trouble open.
  let troubled = true
  return {
    onTrouble: (error) => {
      troubled = true
      reporter.raise(error, scope)
    },
    onProgress: () => {
      if (!troubled) return
      troubled = false
      const failures = ['TEMPORARY_FAILURE', 'INTERNAL'] as const
      const { vendor } = scope
      reporter.clear({ connection: null, vendor, stream: null, sink: null, failures })
    },
  }
}
