// Time as one stream knows it: it never goes back, whatever the clock of the machine does.
import { PipelineError } from '../contracts/errors.ts'
import type { Chunk } from '../contracts/ports.ts'
import type { RunCheckpoint } from './checkpoint.ts'

/** Clocks that are set by the network step by less. */
const CLOCK_STEP_MS_MAX = 60_000
const MINUTE_MS = 60_000

type Seen = Pick<RunCheckpoint, 'startedAtMs' | 'newestFetchedAtMs'>

const newestMs = (seen: Seen): number => Math.max(seen.startedAtMs, seen.newestFetchedAtMs ?? 0)

/**
 * The start of a run after `previous`: later than all of it. Consumers pass over an observation
 * that is older than what they know, so a run in the past would change nothing and say nothing.
 */
export const startMsAfter = (previous: Seen | undefined, nowMs: number): number =>
  previous === undefined ? nowMs : Math.max(nowMs, newestMs(previous) + 1)

/** The chunk, observed no earlier than its run began. */
export const notBefore = <C>(startedAtMs: number, chunk: Chunk<C>): Chunk<C> =>
  chunk.fetchedAtMs >= startedAtMs ? chunk : { ...chunk, fetchedAtMs: startedAtMs }

/** How far the clock is behind what the stream has seen; 0 when it is not. */
export const behindMsOf = (run: Seen, nowMs: number): number => Math.max(0, newestMs(run) - nowMs)

/** What to tell operations of a clock that is behind; null for what clocks do by themselves. */
export function clockError(behindMs: number): PipelineError | null {
  if (behindMs <= CLOCK_STEP_MS_MAX) return null
  const minutes = Math.round(behindMs / MINUTE_MS)
  const message = `the clock of this machine went back by ${minutes} minutes`
  return new PipelineError('CONFIGURATION', 'CONFIG', message, {
    subject: 'clock',
    remediation:
      'Set the clock of this machine (NTP). Until it has caught up, times of observation are those of the stream, not of the clock.',
  })
}
