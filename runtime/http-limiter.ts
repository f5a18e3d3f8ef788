// One limiter per limit of a vendor, shared by all connections of the process that meet it.
import Bottleneck from 'bottleneck'
import { stoppedError } from './http-errors.ts'
import type { Sleep } from './http-retry.ts'

export type LimiterOptions = {
  readonly concurrentMax: number
  /** Least time between two starts. */
  readonly gapMs: number
  /** At most `requestsMax` starts in any `windowMs`; null where the gap alone holds the limit. */
  readonly window: { readonly requestsMax: number; readonly windowMs: number } | null
}

/** A permit to make one call; it must be given back. */
export type Release = () => void

export type Limiter = {
  /** Waits for the pause gate, then for a turn. @throws PipelineError when the signal comes */
  acquire(signal: AbortSignal, sleep: Sleep): Promise<Release>
  /** Nobody starts before `ms` from now are over: the vendor said "too many requests". */
  pause(ms: number): void
}

// As many entries as tenants times limits: small, and a limit must outlive its connections.
const limiters = new Map<string, Limiter>()

/**
 * The limiter of `key` (API host and name of the limit). Who asks first decides the options: they
 * are the vendor's, not a connection's.
 */
export function limiterFor(key: string, options: LimiterOptions): Limiter {
  const known = limiters.get(key)
  if (known) return known
  const limiter = createLimiter(options)
  limiters.set(key, limiter)
  return limiter
}

function createLimiter(options: LimiterOptions): Limiter {
  // Only these two options: a reservoir dies at the first updateSettings, and a retry from its
  // 'failed' event ignores minTime and keeps its slot.
  const bottleneck = new Bottleneck({
    maxConcurrent: options.concurrentMax,
    minTime: options.gapMs,
  })
  const starts: number[] = []
  let pausedUntilMs = 0

  const gate = async (signal: AbortSignal, sleep: Sleep): Promise<void> => {
    for (;;) {
      const waitMs = pausedUntilMs - performance.now()
      if (waitMs <= 0) return
      await sleep(waitMs, signal)
    }
  }
  const window = async (signal: AbortSignal, sleep: Sleep): Promise<void> => {
    if (options.window === null) return
    const { requestsMax, windowMs } = options.window
    for (;;) {
      const oldest = starts[0]
      if (oldest !== undefined && performance.now() - oldest >= windowMs) starts.shift()
      else if (oldest === undefined || starts.length < requestsMax) break
      else await sleep(windowMs - (performance.now() - oldest), signal)
    }
    starts.push(performance.now())
  }

  return {
    pause: (ms) => {
      pausedUntilMs = Math.max(pausedUntilMs, performance.now() + ms)
    },
    acquire: async (signal, sleep) => {
      await gate(signal, sleep)
      return await new Promise<Release>((resolve, reject) => {
        const onAbort = () => reject(stoppedError(signal, 'FETCH'))
        signal.addEventListener('abort', onAbort, { once: true })
        const turn = async (): Promise<void> => {
          if (signal.aborted) return onAbort()
          // Whoever queued before the gate closed must wait as well.
          await gate(signal, sleep)
          await window(signal, sleep)
          await new Promise<void>((done) => resolve(done))
        }
        bottleneck
          .schedule(turn)
          .catch(reject)
          .finally(() => signal.removeEventListener('abort', onAbort))
      })
    },
  }
}
