// What a run leaves behind it: run-end records on the raw topic and its lines in exposure.runs.
import { type RunEnd, encodeRunEnd, streamKey } from '../contracts/envelope.ts'
import { partitionOf } from '../contracts/placement.ts'
import type { PullEnd } from '../contracts/ports.ts'
import type { OutRecord } from '../contracts/processing.ts'
import type { Run, RunKind, Verdict } from '../contracts/run.ts'
import { RAW_PARTITIONS, TOPICS, type VendorId, rawTopic, topicName } from '../contracts/topics.ts'
import type { RunCheckpoint } from './checkpoint.ts'

/** A run with fewer units than this share of the last COMPLETE one closes nothing by itself. */
export const FUSE_SHARE = 0.7

export type RunFacts = {
  readonly connection: string
  readonly tenant: string
  readonly vendor: VendorId
  readonly product: string
  readonly stream: string
  readonly kind: RunKind
}

/** Why closures are to be held: "200 with no rows" is suspicious, and so is a sudden loss. */
export function holdReason(run: Pick<RunCheckpoint, 'fetched' | 'lastComplete'>): string | null {
  const before = run.lastComplete?.fetched
  if (run.fetched === 0) {
    return before === undefined
      ? 'the listing has no rows at all'
      : `the listing has no rows; the last complete one had ${before}`
  }
  if (before !== undefined && run.fetched < before * FUSE_SHARE) {
    return `the listing has ${run.fetched} rows; the last complete one had ${before}`
  }
  return null
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
  const key = streamKey(facts)
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
  }
  return {
    topic: topicName(prefix, 'runs'),
    partition: partitionOf(key, TOPICS.runs.partitions),
    key,
    value: encode(value),
    headers: { 'content-type': 'application/avro' },
  }
}
