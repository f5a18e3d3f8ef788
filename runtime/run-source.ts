// One run of one stream: pull, and publish each chunk with its checkpoint in one transaction.
import { runIdOf, streamKey } from '../contracts/envelope.ts'
import { PipelineError } from '../contracts/errors.ts'
import type { Chunk, PullEnd, Source } from '../contracts/ports.ts'
import type { OutRecord } from '../contracts/processing.ts'
import type { Run, Verdict } from '../contracts/run.ts'
import {
  type ReadToEnd,
  type Progress,
  type RunCheckpoint,
  checkpointRecord,
  loadProgress,
} from './checkpoint.ts'
import { chunkRecords } from './chunk-records.ts'
import { type ErrorReporter, faultScope } from './error-reporter.ts'
import { failpoint } from './kafka/failpoints.ts'
import type { Session } from './kafka/session.ts'
import { within } from './kafka/waiting.ts'
import type { Logger } from './log.ts'
import type { StreamCounters } from './metrics.ts'
import { behindMsOf, clockError, notBefore, startMsAfter } from './run-clock.ts'
import { overAfter } from './run-conditions.ts'
import { scopeOf, transactionalIdOf } from './run-names.ts'
import {
  FUSE_PERCENT,
  holdOf,
  missingError,
  runEndRecords,
  runLedgerRecord,
  seenUntil,
  withLosses,
} from './run-ledger.ts'

/** What one run needs to know of its connection. */
export type StreamTask<Client> = {
  readonly connection: string
  readonly tenant: string
  readonly client: Client
  readonly source: Source<Client, unknown>
}

export type RunSourceOptions = {
  readonly prefix: string
  readonly openSession: (transactionalId: string) => Promise<Session>
  readonly readToEnd: ReadToEnd
  readonly encodeRun: (value: Run) => Buffer
  readonly reporter: ErrorReporter
  readonly counters: StreamCounters
  /** A run has listed everything, COMPLETE or DRIFTED. */
  readonly onWhole?: () => void
  /** So many percent fewer units than before close nothing; default FUSE_PERCENT. */
  readonly fusePercent?: number
  readonly nowMs: () => number
  readonly log: Logger
  readonly signal: AbortSignal
}

type ReadingOptions = Pick<RunSourceOptions, 'prefix' | 'readToEnd'>

export type RunOutcome = {
  readonly runId: string
  readonly verdict: Verdict
  readonly startedAtMs: number
  /** What made it FAILED. */
  readonly error: PipelineError | null
}

/** A fault of Kafka or a stop: the run is neither ended nor lost, the next call goes on with it. */
export class RunInterrupted extends Error {
  override readonly name = 'RunInterrupted'
}

/** A fault this quiet for this long is over, even while its run still goes on. */
const QUIET_MS = 60_000
const CLOSE_PULL_MS = 5_000

/**
 * Runs the stream once: goes on where an interrupted run stood, else begins a new one.
 * @throws RunInterrupted when Kafka failed or the signal came: call again
 */
export async function runSource<Client>(
  task: StreamTask<Client>,
  options: RunSourceOptions,
): Promise<RunOutcome> {
  const id = transactionalIdOf(options.prefix, task.connection, task.source.stream)
  // Fence first, read the checkpoint afterwards: then nobody else can move it any more.
  const session = await options.openSession(id).catch((cause: unknown) => {
    throw new RunInterrupted('the producer cannot be opened', { cause })
  })
  try {
    failpoint('source.fenced')
    const saved = await progressOf(options)
    const key = streamKey({ connection: task.connection, stream: task.source.stream })
    const run = new StreamRun(task, options, session)
    return await run.perform(saved.checkpoints.get(key))
  } finally {
    await session.close()
  }
}

/** @throws RunInterrupted when Kafka failed; PipelineError for checkpoints of another version */
export const progressOf = ({ prefix, readToEnd }: ReadingOptions): Promise<Progress> =>
  loadProgress(prefix, readToEnd).catch((cause: unknown) => {
    if (cause instanceof PipelineError && !cause.retriable) throw cause
    throw new RunInterrupted('the checkpoints cannot be read', { cause })
  })

type Pull = AsyncGenerator<Chunk<unknown>, PullEnd>

class StreamRun<Client> {
  readonly #task: StreamTask<Client>
  readonly #options: RunSourceOptions
  readonly #session: Session
  readonly #scope: string
  /** This run began with a clock that is behind what the stream has seen. */
  #clockBehind = false

  constructor(task: StreamTask<Client>, options: RunSourceOptions, session: Session) {
    this.#task = task
    this.#options = options
    this.#session = session
    const filters = task.source.filters?.(task.client) ?? {}
    this.#scope = scopeOf(task.connection, task.source.stream, filters)
  }

  async perform(saved: RunCheckpoint | undefined): Promise<RunOutcome> {
    const current = await this.#begin(saved)
    failpoint('source.begun')
    const { source, client } = this.#task
    const context = {
      signal: this.#options.signal,
      nowMs: this.#options.nowMs,
      report: (error: PipelineError) => this.#raise(error, current.runId),
    }
    let pull: Pull
    try {
      const from = current.position === null ? null : source.checkpoint.parse(current.position)
      pull = source.pull(client, from, context)
    } catch (error) {
      return await this.#fail(current, asPipelineError(error))
    }
    try {
      return await this.#follow(current, pull)
    } finally {
      await this.#close(pull)
    }
  }

  async #follow(current: RunCheckpoint, pull: Pull): Promise<RunOutcome> {
    let pending: Chunk<unknown> | null = null
    let progress = current
    try {
      for (;;) {
        const next = await pull.next()
        failpoint('source.pulled')
        if (next.done) return await this.#finish(progress, pending, next.value)
        // The last chunk is held back, so that run-end goes into the same transaction.
        if (pending !== null) progress = await this.#publish(progress, pending)
        pending = notBefore(current.startedAtMs, next.value)
      }
    } catch (error) {
      if (error instanceof RunInterrupted) throw error
      if (this.#options.signal.aborted) throw new RunInterrupted('stopped', { cause: error })
      if (pending !== null) progress = await this.#publish(progress, pending)
      return await this.#fail(progress, asPipelineError(error))
    }
  }

  /** A listing left half way may hold an answer open; one that has ended answers at once. */
  async #close(pull: Pull): Promise<void> {
    const end: PullEnd = { verdict: 'PARTIAL', declared: null, reason: 'not read to its end' }
    try {
      await within('closing a listing', CLOSE_PULL_MS, pull.return(end))
    } catch (error) {
      this.#options.log.warn({ err: error, ...this.#facts() }, 'a listing did not close')
    }
  }

  /** The run to go on with, or a new one; one that cannot go on is ended as FAILED first. */
  async #begin(saved: RunCheckpoint | undefined): Promise<RunCheckpoint> {
    this.#options.counters.state = 'running'
    const interrupted = saved !== undefined && saved.verdict === null
    if (interrupted && saved.position !== null && saved.scope === this.#scope) {
      this.#checkClock(saved)
      return saved
    }
    const ended: OutRecord[] = []
    if (interrupted) {
      const reason = 'interrupted, and this stream has no place to go on from'
      ended.push(...this.#endRecords({ ...saved, verdict: 'FAILED' }, null, reason, null))
    }
    const startedAtMs = startMsAfter(saved, this.#options.nowMs())
    const fresh: RunCheckpoint = {
      v: 1,
      runId: runIdOf(startedAtMs, Math.floor(Math.random() * 0x1000000)),
      startedAtMs,
      tenant: this.#task.tenant,
      scope: this.#scope,
      verdict: null,
      position: null,
      pages: 0,
      fetched: 0,
      published: 0,
      tooLarge: 0,
      rejected: 0,
      lastComplete: saved?.lastComplete ?? null,
      wholeAtMs: saved?.wholeAtMs,
      newestFetchedAtMs: saved?.newestFetchedAtMs,
      seen: seenUntil(saved),
    }
    this.#checkClock(fresh)
    await this.#commit([...ended, this.#ledger('STARTED', fresh, null, null, null)], fresh)
    return fresh
  }

  /** The stream goes on by its own time; that this machine's is wrong is said until it is right. */
  #checkClock(run: RunCheckpoint): void {
    const error = clockError(behindMsOf(run, this.#options.nowMs()))
    this.#clockBehind = error !== null
    if (error !== null) this.#raise(error, run.runId)
  }

  async #publish(progress: RunCheckpoint, chunk: Chunk<unknown>): Promise<RunCheckpoint> {
    const next = this.#advanced(progress, chunk)
    await this.#commit(this.#records(next.runId, chunk), next)
    failpoint('source.published')
    this.#count(chunk, next.runId)
    return next
  }

  async #finish(
    progress: RunCheckpoint,
    chunk: Chunk<unknown> | null,
    end: PullEnd,
  ): Promise<RunOutcome> {
    const last = chunk === null ? progress : this.#advanced(progress, chunk)
    const { verdict, reason } = withLosses(end, last)
    const { nowMs, fusePercent = FUSE_PERCENT } = this.#options
    // Not what was there at the start: the operator may have released the run before meanwhile.
    const { released } = await progressOf(this.#options)
    const { connection, source } = this.#task
    const key = streamKey({ connection, stream: source.stream })
    const { hold, before } = holdOf(last, released.get(key) ?? null, fusePercent)
    const complete = verdict === 'COMPLETE' && hold === null
    const { runId, fetched, scope } = last
    const atMs = Math.max(nowMs(), last.startedAtMs)
    const ended: RunCheckpoint = {
      ...last,
      verdict,
      position: null,
      lastComplete: complete ? { runId, fetched, scope, atMs } : last.lastComplete,
      wholeAtMs: verdict === 'PARTIAL' || verdict === 'FAILED' ? last.wholeAtMs : atMs,
    }
    const records = chunk === null ? [] : this.#records(last.runId, chunk)
    await this.#commit([...records, ...this.#endRecords(ended, end.declared, reason, hold)], ended)
    failpoint('source.ended')
    if (chunk !== null) this.#count(chunk, ended.runId)
    this.#settle(ended, verdict, missingError(ended, reason, hold, before))
    return { runId: ended.runId, verdict, startedAtMs: ended.startedAtMs, error: null }
  }

  async #fail(progress: RunCheckpoint, error: PipelineError): Promise<RunOutcome> {
    const ended: RunCheckpoint = { ...progress, verdict: 'FAILED', position: null }
    await this.#commit(this.#endRecords(ended, null, error.message, null), ended)
    this.#raise(error, ended.runId)
    this.#ended('FAILED')
    const { runId, startedAtMs } = ended
    return { runId, verdict: 'FAILED', startedAtMs, error }
  }

  /** Tells operations how the run ended: what works again is cleared, what is missing is raised. */
  #settle(ended: RunCheckpoint, verdict: Verdict, missing: PipelineError | null) {
    const { reporter } = this.#options
    const { connection, source } = this.#task
    const of = { connection, stream: source.stream, clockBehind: this.#clockBehind }
    if (verdict !== 'PARTIAL') this.#options.onWhole?.()
    // Everywhere: whoever polled before may have raised them and be gone.
    reporter.clearEverywhere(overAfter({ ...ended, ...of, verdict, missing: missing !== null }))
    // Likewise: the ledger of another process may have cleared it since, after a release.
    if (missing !== null) this.#raise(missing, ended.runId, 'raiseEverywhere')
    this.#ended(verdict)
  }

  #ended(verdict: Verdict): void {
    const { counters } = this.#options
    counters.runs += 1
    counters.state = 'waiting'
    counters.verdict = verdict
  }

  #advanced(progress: RunCheckpoint, chunk: Chunk<unknown>): RunCheckpoint {
    const tooLarge = chunk.units.filter((unit) => unit.body === null).length
    return {
      ...progress,
      position: chunk.checkpoint,
      pages: chunk.page,
      fetched: progress.fetched + chunk.units.length + chunk.rejected.length,
      published: progress.published + chunk.units.length - tooLarge,
      tooLarge: progress.tooLarge + tooLarge,
      rejected: progress.rejected + chunk.rejected.length,
      newestFetchedAtMs: Math.max(progress.newestFetchedAtMs ?? 0, chunk.fetchedAtMs),
    }
  }

  #count(chunk: Chunk<unknown>, runId: string): void {
    const { counters, reporter } = this.#options
    const { connection, source } = this.#task
    counters.pages = chunk.page
    counters.units += chunk.units.length
    counters.errors += chunk.rejected.length
    reporter.succeeded(connection)
    reporter.clear({
      connection,
      stream: source.stream,
      stages: ['FETCH', 'AUTH'],
      quietMs: QUIET_MS,
    })
    for (const unit of chunk.units) {
      if (unit.body !== null) continue
      const message = `unit ${unit.unit} has ${unit.sizeBytes} bytes`
      this.#raise(new PipelineError('PAYLOAD_TOO_LARGE', 'PUBLISH_RAW', message), runId)
    }
    const violations = chunk.rejected.flatMap((item) => item.violations).slice(0, 20)
    if (chunk.rejected.length > 0) {
      const message = `${chunk.rejected.length} items of ${chunk.endpoint} are no units`
      this.#raise(new PipelineError('SCHEMA_VIOLATION', 'PARSE', message, { violations }), runId)
    }
  }

  #records(runId: string, chunk: Chunk<unknown>): OutRecord[] {
    return chunkRecords(this.#options.prefix, this.#facts(), runId, chunk)
  }

  #endRecords(
    ended: RunCheckpoint,
    declared: number | null,
    reason: string | null,
    hold: string | null,
  ): OutRecord[] {
    const { prefix, nowMs } = this.#options
    const atMs = Math.max(nowMs(), ended.startedAtMs)
    const ends = runEndRecords(prefix, this.#facts(), ended, declared, reason, hold, atMs)
    return [...ends, this.#ledger('FETCHED', ended, declared, reason, hold)]
  }

  #ledger(
    phase: 'STARTED' | 'FETCHED',
    checkpoint: RunCheckpoint,
    declared: number | null,
    reason: string | null,
    hold: string | null,
  ): OutRecord {
    const { prefix, encodeRun, nowMs } = this.#options
    return runLedgerRecord(
      prefix,
      this.#facts(),
      phase,
      checkpoint,
      declared,
      reason,
      hold,
      Math.max(nowMs(), checkpoint.startedAtMs),
      encodeRun,
    )
  }

  #facts() {
    const { connection, tenant, source } = this.#task
    const { vendor, product, stream, kind } = source
    return { connection, tenant, vendor, product, stream, kind }
  }

  async #commit(records: readonly OutRecord[], checkpoint: RunCheckpoint): Promise<void> {
    const { prefix } = this.#options
    const stream = { connection: this.#task.connection, stream: this.#task.source.stream }
    try {
      const outputs = [...records, checkpointRecord(prefix, stream, checkpoint)]
      await this.#session.commit({ outputs })
    } catch (cause) {
      // Ambiguous or not: the checkpoint in the log says what is committed. The next call reads it.
      throw new RunInterrupted('the chunk was not committed', { cause })
    }
  }

  #raise(error: PipelineError, runId: string, how: 'raise' | 'raiseEverywhere' = 'raise'): void {
    const { source, connection } = this.#task
    const scope = { ...faultScope(connection, source, error), runId }
    this.#options.counters.errors += 1
    this.#options.reporter[how](error, scope)
  }
}

function asPipelineError(error: unknown): PipelineError {
  if (error instanceof PipelineError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new PipelineError('INTERNAL', 'FETCH', `the source failed: ${message}`, { cause: error })
}
