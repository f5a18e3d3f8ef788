// All streams of one connection: assets before findings, each in its turn, never two runs of one.
import { setTimeout as sleep } from 'node:timers/promises'
import { streamKey } from '../contracts/envelope.ts'
import { PipelineError } from '../contracts/errors.ts'
import type { Source } from '../contracts/ports.ts'
import type { Verdict } from '../contracts/run.ts'
import { type RunCheckpoint, loadCheckpoints } from './checkpoint.ts'
import type { ConnectionConfig } from './connection-config.ts'
import type { Lease } from './connections-lease.ts'
import type { VendorConnector } from './connector.ts'
import { enabledSources } from './enabled-sources.ts'
import type { ErrorScope } from './error-event.ts'
import { faultScope } from './error-reporter.ts'
import { isFenced } from './kafka/errors.ts'
import type { Metrics } from './metrics.ts'
import { overWhenSkipped } from './run-conditions.ts'
import { transactionalIdOf } from './run-names.ts'
import { type RunSourceOptions, RunInterrupted, runSource } from './run-source.ts'
import { StaleStreams } from './stale-streams.ts'
import { withdrawIfReplaced } from './withdrawal.ts'

/** How one turn of one stream ended. `runId` null: it never came to a run. */
export type TurnOutcome = {
  readonly connection: string
  readonly stream: string
  readonly runId: string | null
  /** SKIPPED: the tenant does not have the stream. */
  readonly verdict: Verdict | 'SKIPPED'
  readonly error: PipelineError | null
}

export type ConnectionOptions = Omit<RunSourceOptions, 'counters'> & {
  readonly metrics: Metrics
  /** True: every stream has one turn, then it is over. */
  readonly once: boolean
  readonly random: () => number
  /** Whether the group of producers says that this process polls it; absent: there is no group. */
  readonly lease?: Lease
  /** The first pause after Kafka failed; doubles up to 30 s. Default 1 s. */
  readonly interruptedPauseMs?: number
}

const FAILED_PAUSE_MS = 30_000
const INTERRUPTED_PAUSE_MS = 1_000
const INTERRUPTED_PAUSE_MS_MAX = 30_000
/** With `once`, a run that Kafka interrupts this often in a row is given up. */
const INTERRUPTIONS_MAX = 20
/** A turn takes its stream back so often from those whom the group does not know. */
const TAKEN_BACK_MAX = 2
const PUSHED_ASIDE =
  'Something outside the group of producers polls it, such as `exposure start --once`. End one of the two; this process tries again at its next turn.'

/**
 * Pulls the connection until the signal comes, or once.
 * @throws PipelineError only for what nobody but the operator can mend (a checkpoint of another
 * version)
 */
export async function runConnection<Config extends ConnectionConfig, Client>(
  config: Config,
  connector: VendorConnector<Config, Client>,
  options: ConnectionOptions,
): Promise<TurnOutcome[]> {
  const turns = new Turns(config, connector, options)
  try {
    return options.once ? await turns.once() : await turns.forever()
  } finally {
    await turns.close()
  }
}

/** The cause says what happened; the interruption itself only that it did. */
const reasonOf = ({ cause, message }: RunInterrupted): string =>
  cause instanceof Error ? cause.message : message

class Turns<Config extends ConnectionConfig, Client> {
  readonly #config: Config
  readonly #connector: VendorConnector<Config, Client>
  readonly #options: ConnectionOptions
  #client: Client | null = null
  /** The one being pulled: faults of calls are its faults. */
  #source: Source<Client, unknown> | null = null
  #tenant: string | null = null
  readonly #stale: StaleStreams
  /** Fallback streams that are not needed now, each with the stream that shows the same. */
  readonly #givenWay = new Map<string, string>()

  constructor(
    config: Config,
    connector: VendorConnector<Config, Client>,
    options: ConnectionOptions,
  ) {
    this.#config = config
    this.#connector = connector
    this.#options = options
    this.#stale = new StaleStreams(config, options.nowMs)
  }

  async once(): Promise<TurnOutcome[]> {
    const outcomes: TurnOutcome[] = []
    const sources = this.#sources()
    await this.#takeOver(sources)
    for (const source of sources) {
      if (this.#options.signal.aborted) break
      outcomes.push(await this.#turn(source, INTERRUPTIONS_MAX))
    }
    return outcomes
  }

  /** Each has its counters from now on: a stream that waits for its turn is shown too. */
  #sources(): Source<Client, unknown>[] {
    const sources = enabledSources(this.#config, this.#connector.sources)
    for (const { stream } of sources) {
      this.#options.metrics.of(streamKey({ connection: this.#config.name, stream }))
    }
    return sources
  }

  async forever(): Promise<TurnOutcome[]> {
    const sources = this.#sources()
    await this.#takeOver(sources)
    const saved = await this.#checkpoints()
    const dueMs = this.#firstTurns(sources, saved)
    const failures = new Map<string, number>()
    const { signal, reporter } = this.#options
    // Who polled before may have raised it already.
    await reporter.learn()
    const over = new AbortController()
    const untilOver = AbortSignal.any([signal, over.signal])
    const watching = this.#stale.watch(sources, saved, reporter, untilOver)
    try {
      await this.#turns(sources, dueMs, failures)
    } finally {
      over.abort()
      await watching
    }
    return []
  }

  async #turns(
    sources: readonly Source<Client, unknown>[],
    dueMs: Map<string, number>,
    failures: Map<string, number>,
  ): Promise<void> {
    const { signal, nowMs } = this.#options
    while (!signal.aborted && sources.length > 0) {
      // Several turns missed meanwhile are one: the next is counted from now.
      for (const source of sources) {
        if (signal.aborted || (dueMs.get(source.stream) ?? 0) > nowMs()) continue
        const startedMs = nowMs()
        const outcome = await this.#turn(source, Infinity)
        const failed = outcome.verdict === 'FAILED' ? (failures.get(source.stream) ?? 0) + 1 : 0
        failures.set(source.stream, failed)
        dueMs.set(source.stream, startedMs + this.#pauseMs(source.stream, outcome, failed))
      }
      const nextMs = Math.min(...dueMs.values())
      await this.#pause(Math.max(50, nextMs - nowMs()))
    }
  }

  async close(): Promise<void> {
    if (this.#client !== null) await this.#connector.close(this.#client)
    this.#client = null
  }

  /**
   * A process that died may have left a transaction open on any stream, and until Kafka gives that
   * up nobody reads the checkpoints past it. The fence of its own stream decides it now.
   */
  async #takeOver(sources: readonly Source<Client, unknown>[]): Promise<void> {
    const { prefix, openSession, log } = this.#options
    const fence = async (stream: string) => {
      try {
        const session = await openSession(transactionalIdOf(prefix, this.#config.name, stream))
        await session.close()
      } catch (error) {
        log.debug({ err: error, stream }, 'the fence is left to the next run')
      }
    }
    await Promise.all(sources.map(({ stream }) => fence(stream)))
  }

  /** A stream whose last run ended waits for its turn; one that was interrupted goes on at once. */
  #firstTurns(
    sources: readonly Source<Client, unknown>[],
    saved: ReadonlyMap<string, RunCheckpoint>,
  ): Map<string, number> {
    const nowMs = this.#options.nowMs()
    return new Map(
      sources.map(({ stream }) => {
        const last = saved.get(streamKey({ connection: this.#config.name, stream }))
        const ended = last !== undefined && last.verdict !== null && last.verdict !== 'FAILED'
        // Once the clock was ahead, the last start may lie in the future.
        return [stream, ended ? Math.min(last.startedAtMs, nowMs) + this.#everyMs(stream) : 0]
      }),
    )
  }

  async #checkpoints(): Promise<ReadonlyMap<string, RunCheckpoint>> {
    const { prefix, readToEnd, signal, log } = this.#options
    const triesMax = this.#options.once ? INTERRUPTIONS_MAX : Infinity
    let pauseMs = this.#options.interruptedPauseMs ?? INTERRUPTED_PAUSE_MS
    for (let tries = 1; ; tries++) {
      try {
        return await loadCheckpoints(prefix, readToEnd)
      } catch (error) {
        if (error instanceof PipelineError && !error.retriable) throw error
        if (signal.aborted) return new Map()
        if (tries >= triesMax) throw error
        log.warn({ err: error }, 'the checkpoints cannot be read; trying again')
        await this.#pause(pauseMs)
        pauseMs = Math.min(pauseMs * 2, INTERRUPTED_PAUSE_MS_MAX)
      }
    }
  }

  async #turn(source: Source<Client, unknown>, interruptionsMax: number): Promise<TurnOutcome> {
    const connection = this.#config.name
    const counters = this.#options.metrics.of(streamKey({ connection, stream: source.stream }))
    const onWhole = () => this.#stale.whole(source.stream)
    const options: RunSourceOptions = { ...this.#options, counters, onWhole }
    let takenBack = 0
    this.#source = source
    let pauseMs = this.#options.interruptedPauseMs ?? INTERRUPTED_PAUSE_MS
    for (let interruptions = 0; ; interruptions++) {
      try {
        const { client, tenant } = await this.#connected()
        const missing = await this.#missing(source, client)
        if (missing !== null) return await this.#skipped(source, missing)
        this.#stale.read(source.stream)
        this.#givenWay.delete(source.stream)
        const outcome = await runSource({ connection, tenant, client, source }, options)
        const { runId, verdict, error } = outcome
        return { connection, stream: source.stream, runId, verdict, error }
      } catch (error) {
        if (!(error instanceof RunInterrupted)) return this.#neverBegan(source, error)
        if (isFenced(error) && !(await this.#isStillOurs(++takenBack)))
          return this.#pushedAside(source, error)
        if (this.#options.signal.aborted || interruptions >= interruptionsMax) {
          const message = `the run was interrupted: ${reasonOf(error)}`
          const cause = new PipelineError('TEMPORARY_FAILURE', 'PUBLISH_RAW', message, {
            cause: error,
          })
          return { connection, stream: source.stream, runId: null, verdict: 'FAILED', error: cause }
        }
        this.#options.log.warn({ err: error, connection, stream: source.stream }, 'run interrupted')
        await this.#pause(pauseMs)
        pauseMs = Math.min(pauseMs * 2, INTERRUPTED_PAUSE_MS_MAX)
      }
    }
  }

  /**
   * After a fence only the group can say so: a process that was stopped for a while would push the
   * new owner aside. False: somebody whom the group does not know polls the stream.
   */
  async #isStillOurs(takenBack: number): Promise<boolean> {
    const { lease, signal, log } = this.#options
    if (signal.aborted) return true
    if (lease === undefined || takenBack > TAKEN_BACK_MAX) return false
    try {
      await lease.heldAnew(signal)
    } catch (error) {
      // Asked again before the next session is opened.
      log.debug({ err: error }, 'the group does not say whose the connection is')
    }
    return true
  }

  /** Taking the stream back at once would only push the other aside, and so on without end. */
  #pushedAside(source: Source<Client, unknown>, cause: RunInterrupted): TurnOutcome {
    const { name: connection } = this.#config
    const { stream } = source
    const error = new PipelineError(
      'CONFIGURATION',
      'CONFIG',
      'another process polls this connection',
      { cause, subject: 'pushed aside', remediation: PUSHED_ASIDE },
    )
    this.#options.reporter.raise(error, faultScope(connection, source, error))
    const counters = this.#options.metrics.of(streamKey({ connection, stream }))
    counters.errors += 1
    counters.state = 'waiting'
    counters.verdict = 'FAILED'
    return { connection, stream, runId: null, verdict: 'FAILED', error }
  }

  /**
   * The login or the tenant's name failed: there is no run to speak of, but operations must know.
   */
  #neverBegan(source: Source<Client, unknown>, error: unknown): TurnOutcome {
    const { name: connection } = this.#config
    const failure =
      error instanceof PipelineError
        ? error
        : new PipelineError('INTERNAL', 'FETCH', String(error), { cause: error })
    if (!this.#options.signal.aborted) {
      this.#options.reporter.raise(failure, this.#connectionScope())
      const counters = this.#options.metrics.of(streamKey({ connection, stream: source.stream }))
      counters.errors += 1
      counters.state = 'waiting'
      counters.verdict = 'FAILED'
    }
    return { connection, stream: source.stream, runId: null, verdict: 'FAILED', error: failure }
  }

  async #missing(source: Source<Client, unknown>, client: Client): Promise<PipelineError | null> {
    const { signal, nowMs, reporter } = this.#options
    const report = (error: PipelineError) => reporter.raise(error, this.#scope(error))
    return (await source.available?.(client, { signal, nowMs, report })) ?? null
  }

  /** The rest of the connection goes on; a licence bought later clears it. */
  async #skipped(source: Source<Client, unknown>, missing: PipelineError): Promise<TurnOutcome> {
    const { name: connection } = this.#config
    const { stream } = source
    const { reporter } = this.#options
    if (source.fallback !== true) reporter.raise(missing, faultScope(connection, source, missing))
    reporter.clearEverywhere(overWhenSkipped(connection, stream))
    this.#stale.skipped(stream)
    const { instead } = missing.details
    if (instead === undefined) this.#givenWay.delete(stream)
    else this.#givenWay.set(stream, instead)
    await withdrawIfReplaced({ connection, source }, this.#givenWay, this.#options)
    const counters = this.#options.metrics.of(streamKey({ connection, stream }))
    counters.state = 'waiting'
    counters.verdict = 'SKIPPED'
    return { connection, stream, runId: null, verdict: 'SKIPPED', error: missing }
  }

  async #connected(): Promise<{ client: Client; tenant: string }> {
    const { nowMs, log, signal, reporter } = this.#options
    const connection = this.#config.name
    this.#client ??= this.#connector.connect(this.#config, {
      nowMs,
      log,
      signal,
      onFault: (error) => reporter.raise(error, this.#scope(error)),
      onSuccess: () => reporter.succeeded(connection),
      onOver: (failure) => reporter.clear({ connection, failures: [failure] }),
      workedBefore: await this.#workedBefore(),
    })
    this.#tenant ??= await this.#tenantName(this.#client)
    return { client: this.#client, tenant: this.#tenant }
  }

  /** What was fetched once was fetched with these credentials, or with those before them. */
  async #workedBefore(): Promise<boolean> {
    const own = [...(await this.#checkpoints())].filter(([key]) =>
      key.startsWith(`${this.#config.name}|`),
    )
    return own.some(([, { fetched, lastComplete }]) => fetched > 0 || lastComplete !== null)
  }

  /** Set once and kept: ids of assets are made from it. */
  async #tenantName(client: Client): Promise<string> {
    const { name, tenant } = this.#config
    if (tenant !== undefined) return tenant
    for (const [key, checkpoint] of await this.#checkpoints()) {
      if (key.startsWith(`${name}|`)) return checkpoint.tenant
    }
    return this.#connector.resolveTenant(client)
  }

  #scope(error: PipelineError): ErrorScope {
    if (this.#source === null) return this.#connectionScope()
    return faultScope(this.#config.name, this.#source, error)
  }

  #connectionScope(): ErrorScope {
    const { name: connection } = this.#config
    const { vendor } = this.#connector
    return { connection, vendor, product: null, stream: null, sink: null, runId: null }
  }

  #everyMs(stream: string): number {
    const { every, jitter, streams } = this.#config
    const base = streams?.[stream]?.every ?? every
    return Math.round(base * (1 + (this.#options.random() * jitter) / 100))
  }

  #pauseMs(stream: string, outcome: TurnOutcome, failures: number): number {
    const everyMs = this.#everyMs(stream)
    if (outcome.verdict !== 'FAILED' || outcome.error?.retriable !== true) return everyMs
    return Math.min(everyMs, FAILED_PAUSE_MS * 2 ** Math.min(failures - 1, 10))
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#options
    try {
      await sleep(Math.min(ms, 2 ** 31 - 1), undefined, { signal })
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }
}
