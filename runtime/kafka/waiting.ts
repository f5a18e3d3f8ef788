// Waiting with a bound: pauses, deadlines, and attempts that are spaced out.
import { setTimeout as delay } from 'node:timers/promises'
import { PipelineError } from '../../contracts/errors.ts'

/** Resolves after `ms` milliseconds, or at once when the signal fires. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal })
  } catch (error) {
    // The only error of a timer is the signal's: the pause is over, which is what was asked for.
    if (signal === undefined || !signal.aborted) throw error
  }
}

/**
 * The result of `work`, at most `timeoutMs` later.
 * @throws PipelineError TEMPORARY_FAILURE naming `what` when it takes longer
 */
export async function within<T>(what: string, timeoutMs: number, work: Promise<T>): Promise<T> {
  const ended = new AbortController()
  const late = delay(timeoutMs, undefined, { signal: ended.signal }).then(
    () => {
      const text = `${what} did not end within ${timeoutMs} ms`
      throw new PipelineError('TEMPORARY_FAILURE', 'PUBLISH', text)
    },
    // The timer was called off because `work` has won; its outcome decides, this one is never seen.
    () => new Promise<never>(() => {}),
  )
  try {
    return await Promise.race([work, late])
  } finally {
    ended.abort()
  }
}

/** Grows from `firstMs` by doubling up to `maxMs`; reset() after a success. */
export function backoff(firstMs: number, maxMs: number): { nextMs(): number; reset(): void } {
  let currentMs = firstMs
  return {
    nextMs() {
      const ms = currentMs
      currentMs = Math.min(currentMs * 2, maxMs)
      return ms
    },
    reset() {
      currentMs = firstMs
    },
  }
}

export type RetryBounds = { readonly attemptsMax: number; readonly pauseMs: number }

/** Tries again while `again(error)` says so, at most `attemptsMax` times. @throws the last error */
export async function retrying<T>(
  bounds: RetryBounds,
  again: (error: unknown) => boolean,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      if (tries >= bounds.attemptsMax || !again(error)) throw error
      await pause(bounds.pauseMs)
    }
  }
}
