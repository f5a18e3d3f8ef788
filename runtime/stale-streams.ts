// Streams that have had no whole listing for too long: told once, until one is whole again.
import { PipelineError } from '../contracts/errors.ts'
import type { RunCheckpoint } from './checkpoint.ts'
import { type ErrorScope, fingerprintOf } from './error-event.ts'
import type { ErrorReporter } from './error-reporter.ts'

/** What sets it apart from other MISSING_DATA of the stream; a whole listing clears it. */
export const STALE = 'stale'

const RUNS_MISSED = 3
const STALE_MS_MIN = 3_600_000
const MINUTE_MS = 60_000

/** Without a whole listing for so long, in ms, a stream is stale. */
export const staleAfterMs = (staleAfter: number | undefined, everyMs: number): number =>
  staleAfter ?? Math.max(RUNS_MISSED * everyMs, STALE_MS_MIN)

/** When the stream was last listed whole; older checkpoints say only when that run began. */
export function wholeAtMsOf(saved: RunCheckpoint | undefined): number | null {
  const { wholeAtMs, lastComplete } = saved ?? {}
  if (wholeAtMs !== undefined) return wholeAtMs
  if (lastComplete === undefined || lastComplete === null) return null
  return lastComplete.atMs ?? Number(lastComplete.runId.split('-')[0])
}

/** Raises it, unless it stands open: that it still is so is no news. */
export function raiseStale(reporter: ErrorReporter, scope: ErrorScope, silentMs: number): void {
  const fingerprint = fingerprintOf(scope, 'SNAPSHOT', 'MISSING_DATA', STALE)
  if (reporter.open().some((open) => open.fingerprint === fingerprint)) return
  const text = `no whole listing for ${Math.max(1, Math.floor(silentMs / MINUTE_MS))} minutes`
  const details = {
    subject: STALE,
    remediation: 'Look at what else is open for this connection, and at the runs of the stream.',
  }
  reporter.raise(new PipelineError('MISSING_DATA', 'SNAPSHOT', text, details), scope)
}
