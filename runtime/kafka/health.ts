// Whether a loop works: trouble is told once when it lasts, and once more when it is over.
import type { PipelineError } from '../../contracts/errors.ts'

/** A failure or two belong to a rebalance or to a broker that restarts. */
const FAILURES_MAX = 2

export type Health = {
  /** Tells of the trouble after FAILURES_MAX in a row, at once when waiting will not help. */
  failed(error: PipelineError): void
  worked(): void
}

export function createHealth(listeners: {
  readonly onTrouble?: ((error: PipelineError) => void) | undefined
  readonly onProgress?: (() => void) | undefined
}): Health {
  let failures = 0
  let told = false
  return {
    failed(error) {
      failures += 1
      if (told || (failures <= FAILURES_MAX && error.retriable)) return
      told = true
      listeners.onTrouble?.(error)
    },
    worked() {
      failures = 0
      told = false
      listeners.onProgress?.()
    },
  }
}
