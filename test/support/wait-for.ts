// Waiting for conditions, in place of sleeping.
import { setTimeout as pause } from 'node:timers/promises'

const POLL_MS = 25
const WAIT_TIMEOUT_MS = 90_000

/**
 * Asks until the condition yields something other than false, null or undefined, and returns it.
 * @throws Error naming `what` after `timeoutMs` (default 90 s), with the condition's last error
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: { timeoutMs?: number; what: string },
): Promise<NonNullable<Exclude<T, false>>> {
  const timeoutMs = options.timeoutMs ?? WAIT_TIMEOUT_MS
  const deadline = performance.now() + timeoutMs
  let lastError: unknown
  do {
    try {
      const value = await condition()
      if (value !== false && value !== null && value !== undefined) {
        return value as NonNullable<Exclude<T, false>>
      }
      lastError = undefined
    } catch (error) {
      lastError = error
    }
    await pause(POLL_MS)
  } while (performance.now() < deadline)
  throw new Error(`${options.what}: not within ${timeoutMs} ms`, { cause: lastError })
}
