// When a failed call is made again, and after how long: policy as data, backoff, Retry-After.
import { setTimeout as delay } from 'node:timers/promises'
import type { Failure, PipelineError, Stage } from '../contracts/errors.ts'
import { stoppedError } from './http-errors.ts'

/** Waits, but not beyond the signal. @throws PipelineError when the signal comes */
export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>

export type RetryPolicy = {
  /** First wait; doubles with every further try of the same failure. */
  readonly baseMs: number
  readonly capMs: number
  /** A longer Retry-After is cut to this. */
  readonly retryAfterMsMax: number
  /** Calls per failure, the first included. Failures not named are never tried again. */
  readonly attemptsMax: Readonly<Partial<Record<Failure, number>>>
  readonly sleep: Sleep
}

export const DEFAULT_RETRY: RetryPolicy = {
  baseMs: 1_000,
  capMs: 60_000,
  retryAfterMsMax: 300_000,
  attemptsMax: { TOO_MANY_REQUESTS: 8, TEMPORARY_FAILURE: 5, INVALID_RESPONSE: 3 },
  sleep: sleepMs,
}

/** However the failures alternate, one call is never made more often than this. */
export const ATTEMPTS_TOTAL_MAX = 16

/** The default Sleep. */
export async function sleepMs(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal })
  } catch {
    throw stoppedError(signal, 'FETCH')
  }
}

/**
 * How long to wait before try number `tries + 1`, in ms; null when there is none. `attemptsMax`
 * narrows the policy for one answer.
 */
export function waitBeforeRetry(
  error: PipelineError,
  tries: number,
  policy: RetryPolicy,
  attemptsMax: number = Infinity,
): number | null {
  if (!error.retriable) return null
  const allowed = Math.min(policy.attemptsMax[error.failure] ?? 1, attemptsMax)
  if (tries >= allowed) return null
  const { retryAfterMs } = error.details
  if (retryAfterMs !== undefined) return Math.min(retryAfterMs, policy.retryAfterMsMax)
  // A quarter either way, so that calls which failed together do not come back together.
  const jitter = 0.75 + Math.random() / 2
  return Math.min(policy.baseMs * 2 ** (tries - 1), policy.capMs) * jitter
}

/** `Retry-After` in ms: seconds or an HTTP date; undefined when absent or unreadable. */
export function retryAfterMsOf(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\s*\d+(\.\d+)?\s*$/.test(header)) return Math.round(Number(header) * 1_000)
  const at = Date.parse(header)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}

/** Counts tries per failure over the attempts of one call or one page. */
export class Tries {
  readonly #byFailure = new Map<Failure, number>()
  #total = 0

  /** How often this failure was met, this time included; Infinity when the total is used up. */
  count(failure: Failure): number {
    const tries = (this.#byFailure.get(failure) ?? 0) + 1
    this.#byFailure.set(failure, tries)
    this.#total += 1
    return this.#total >= ATTEMPTS_TOTAL_MAX ? Infinity : tries
  }
}

export const throwIfStopped = (signal: AbortSignal, stage: Stage): void => {
  if (signal.aborted) throw stoppedError(signal, stage)
}
