// What a run leaves behind it: run-end records on the raw topic and its lines in exposure.runs.
import { type RunEnd, encodeRunEnd } from '../contracts/envelope.ts'
import { FAILURES, PipelineError } from '../contracts/errors.ts'
import type { PullEnd } from '../contracts/ports.ts'
import type { OutRecord } from '../contracts/processing.ts'
import type { Run, RunKind, Verdict } from '../contracts/run.ts'
import { runRecord } from '../contracts/run-record.ts'
import { RAW_PARTITIONS, type VendorId, rawTopic } from '../contracts/topics.ts'
import type { Released, RunCheckpoint } from './checkpoint.ts'

/** A run with so many percent fewer units than before closes nothing by itself. */
export const FUSE_PERCENT = 30

export type RunFacts = {
  readonly connection: string
  readonly tenant: string
  readonly vendor: VendorId
  readonly product: string
  readonly stream: string
  readonly kind: RunKind
}

/** What the run after `saved` is compared with where no COMPLETE one has anything to say. */
export function seenUntil(saved: RunCheckpoint | undefined): RunCheckpoint['seen'] {
  if (saved === undefined || saved.withdrawnAtMs !== undefined) return undefined
  const { runId, scope, fetched, seen, lastComplete } = saved
  if (lastComplete?.runId === runId) return undefined
  if (fetched === 0) return seen
  const before = seen?.scope === scope ? seen.fetched : 0
  return { runId, scope, fetched: Math.max(fetched, before) }
}

/**
 * Units that the run is compared with: the last COMPLETE run of its scope, or a later one of it
 * that the operator has released. Null: other filters are in force than ever before, or it had
 * none and later runs had some, if only in part.
 */
export function baselineOf(
  run: Pick<RunCheckpoint, 'scope' | 'lastComplete' | 'seen'>,
  released: Released | null,
): number | null {
  const last = run.lastComplete
  // Older builds did not keep the scope of either.
  const isOfScope = ({ scope }: { scope?: string | undefined }) =>
    (scope ?? run.scope) === run.scope
  const isNewer = released !== null && (last === null || released.runId > last.runId)
  const measure = isNewer && isOfScope(released) ? released : last
  if (measure === null || !isOfScope(measure)) return null
  const isOver = run.seen !== undefined && run.seen.runId > measure.runId
  return measure.fetched === 0 && isOver ? null : measure.fetched
}

/** Why closures of the run are held, if they are, and the units it was compared with. */
export function holdOf(
  run: Pick<RunCheckpoint, 'scope' | 'lastComplete' | 'seen' | 'fetched'>,
  released: Released | null,
  fusePercent: number,
): { hold: string | null; before: number | null } {
  const before = baselineOf(run, released)
  const { fetched, seen, scope } = run
  if (before === null && seen?.scope === scope && isLoss(fetched, seen.fetched, fusePercent)) {
    const then = `one before it, not complete itself, had ${seen.fetched}`
    return { hold: `the listing has ${fetched} rows; ${then}`, before: seen.fetched }
  }
  return { hold: holdReason(fetched, before, fusePercent), before }
}

const isLoss = (fetched: number, before: number, fusePercent: number): boolean =>
  fetched * 100 < before * (100 - fusePercent)

/**
 * Why closures are to be held: "200 with no rows" is suspicious, and so is a sudden loss. Null
 * where nothing was there before either: the operator has said once that it is empty.
 */
export function holdReason(
  fetched: number,
  before: number | null,
  fusePercent: number,
): string | null {
  if (before === 0) return null
  if (fetched === 0) {
    return before === null
      ? 'the listing has no rows at all'
      : `the listing has no rows; the last complete one had ${before}`
  }
  if (before !== null && isLoss(fetched, before, fusePercent)) {
    return `the listing has ${fetched} rows; the last complete one had ${before}`
  }
  return null
}

/** What the operator does about a run that closes nothing by itself. */
export const releaseStep = (runId: string): string =>
  `${FAILURES.MISSING_DATA.remediation} If they are really gone: exposure runs release ${runId}`

/** The same where nothing was ever listed. */
const emptyStep = (runId: string): string =>
  `${FAILURES.MISSING_DATA.remediation} If there are really none: exposure runs release ${runId}`

/** MISSING_DATA when closures are held, or not everything was listed; null: nothing is missing. */
export function missingError(
  { runId, verdict }: Pick<RunCheckpoint, 'runId' | 'verdict'>,
  reason: string | null,
  hold: string | null,
  before: number | null,
): PipelineError | null {
  const message = hold ?? (verdict === 'PARTIAL' ? reason : null)
  if (message === null) return null
  // A run that did not list everything closes nothing, released or not.
  if (hold === null || verdict === 'PARTIAL') {
    return new PipelineError('MISSING_DATA', 'SNAPSHOT', message)
  }
  const remediation = before === null ? emptyStep(runId) : releaseStep(runId)
  return new PipelineError('MISSING_DATA', 'SNAPSHOT', message, { remediation })
}

/** Units that could not be published make a listing PARTIAL, however it ended. */
export function withLosses(
  end: Pick<PullEnd, 'verdict' | 'reason'>,
  last: Pick<RunCheckpoint, 'tooLarge' | 'rejected'>,
): { verdict: Verdict; reason: string | null } {
  if (last.tooLarge === 0 && last.rejected === 0) return end
  const losses = `${last.tooLarge} units too large, ${last.rejected} items that are no units`
  return { verdict: 'PARTIAL', reason: end.reason === null ? losses : `${end.reason}; ${losses}` }
}

/** One run-end record for every raw partition: who meets it has seen all units of the run there. */
export function runEndRecords(
  prefix: string,
  facts: RunFacts,
  ended: RunCheckpoint,
  declared: number | null,
  reason: string | null,
  hold: string | null,
  endedAtMs: number,
): OutRecord[] {
  const end: RunEnd = {
    ...facts,
    runId: ended.runId,
    verdict: ended.verdict ?? 'FAILED',
    scope: ended.scope,
    startedAtMs: ended.startedAtMs,
    endedAtMs,
    declared,
    pages: ended.pages,
    fetched: ended.fetched,
    published: ended.published,
    tooLarge: ended.tooLarge,
    reason,
    hold,
  }
  const topic = prefix + rawTopic(facts.vendor).name
  const record = encodeRunEnd(end)
  return Array.from({ length: RAW_PARTITIONS }, (_, partition) => ({ topic, partition, ...record }))
}

export function runLedgerRecord(
  prefix: string,
  facts: RunFacts,
  phase: 'STARTED' | 'FETCHED',
  run: RunCheckpoint,
  declared: number | null,
  reason: string | null,
  hold: string | null,
  atMs: number,
  encode: (value: Run) => Buffer,
): OutRecord {
  const value: Run = {
    run_id: run.runId,
    connection_id: facts.connection,
    vendor: facts.vendor,
    product: facts.product,
    stream: facts.stream,
    tenant: facts.tenant,
    scope: run.scope,
    phase,
    kind: facts.kind,
    verdict: phase === 'STARTED' ? 'UNKNOWN' : (run.verdict ?? 'FAILED'),
    reason,
    started_at: run.startedAtMs,
    at: atMs,
    partitions: RAW_PARTITIONS,
    declared,
    pages: run.pages,
    fetched: run.fetched,
    published: run.published,
    too_large: run.tooLarge,
    hold,
    tally: null,
    totals: null,
  }
  return runRecord(prefix, value, encode)
}
