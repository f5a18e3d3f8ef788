// Which open conditions of a stream are over when one of its runs has ended.
import { FAILURES, type Failure, type Stage } from '../contracts/errors.ts'
import type { Verdict } from '../contracts/run.ts'
import type { RunCheckpoint } from './checkpoint.ts'
import type { ClearFilter } from './error-reporter.ts'
import { STALE } from './stale-streams.ts'

export type EndedRun = Pick<RunCheckpoint, 'rejected' | 'tooLarge'> & {
  readonly connection: string
  readonly stream: string
  /** Not FAILED: what broke a run stays open. */
  readonly verdict: Verdict
  /** The run itself has raised MISSING_DATA. */
  readonly missing: boolean
  readonly clockBehind: boolean
}

const SNAPSHOT: readonly Stage[] = ['SNAPSHOT']

/** What works again, is whole again, or was right all along; not what this very run has raised. */
export function overAfter(run: EndedRun): ClearFilter[] {
  const { connection } = run
  const stages: Stage[] = ['AUTH', 'FETCH']
  if (run.rejected === 0) stages.push('PARSE')
  if (run.tooLarge === 0) stages.push('PUBLISH_RAW')
  if (!run.clockBehind) stages.push('CONFIG')
  const own = { connection, stream: run.stream, stages: SNAPSHOT }
  const whole = run.verdict === 'COMPLETE' || run.verdict === 'DRIFTED'
  return [
    { connection, stream: run.stream, stages },
    // A refused key is the connection's.
    { connection, stream: null, stages },
    ...(whole ? [{ ...own, subject: STALE }] : []),
    // This one alone: what the closing of units has to say is cleared by who raised it.
    ...(run.missing ? [] : [{ ...own, subject: null }]),
  ]
}

const OF_RUNS: readonly Stage[] = ['FETCH', 'PARSE', 'PUBLISH_RAW']
const isOfRuns = (failure: Failure) =>
  failure !== 'NOT_LICENSED' && failure !== 'CREDENTIAL_EXPIRING'
/** Not what the stream is skipped for, nor what only a date ends. */
const FAILURES_OF_RUNS = (Object.keys(FAILURES) as Failure[]).filter(isOfRuns)

/** What no run of a stream that is skipped can show to be over. */
export function overWhenSkipped(connection: string, stream: string): ClearFilter[] {
  const own = { connection, stream, stages: SNAPSHOT }
  return [
    { connection, stream, stages: OF_RUNS, failures: FAILURES_OF_RUNS },
    { ...own, subject: STALE },
    { ...own, subject: null },
  ]
}
