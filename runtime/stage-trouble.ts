// What a stage that reads Kafka tells of lasting trouble: raised when it comes, cleared when over.
import { PipelineError } from '../contracts/errors.ts'
import type { ErrorScope } from './error-event.ts'
import type { ErrorReporter } from './error-reporter.ts'

export type StageTrouble = {
  readonly onTrouble: (error: PipelineError) => void
  readonly onProgress: () => void
}

/**
 * For a stage that is of no connection, stream or sink; its vendor is in `scope`. `group`, the
 * name of its consumer group, sets its trouble apart from that of others: their progress says
 * nothing of it.
 */
export function stageTrouble(
  reporter: Pick<ErrorReporter, 'raise' | 'clear'>,
  scope: ErrorScope,
  group: string,
): StageTrouble {
  // True at first: a process before this one may have left its trouble open.
  let troubled = true
  return {
    onTrouble: (error) => {
      troubled = true
      const { failure, stage, message, details } = error
      const about = { ...details, cause: error, subject: group }
      reporter.raise(new PipelineError(failure, stage, `${group}: ${message}`, about), scope)
    },
    onProgress: () => {
      if (!troubled) return
      troubled = false
      const { vendor } = scope
      // Whatever it was: a missing right or topic is over as well when it works again.
      reporter.clear({ connection: null, vendor, stream: null, sink: null, subject: group })
    },
  }
}
