// Streams that have had no whole listing for too long: told once, until one is whole again.
import { streamKey } from '../contracts/envelope.ts'
import { PipelineError } from '../contracts/errors.ts'
import type { VendorId } from '../contracts/topics.ts'
import type { RunCheckpoint } from './checkpoint.ts'
import type { ConnectionConfig } from './connection-config.ts'
import { type ErrorScope, fingerprintOf } from './error-event.ts'
import type { ErrorReporter } from './error-reporter.ts'
import { pause } from './kafka/waiting.ts'

/** What sets it apart from other MISSING_DATA of the stream; a whole listing clears it. */
export const STALE = 'stale'

const RUNS_MISSED = 3
const STALE_MS_MIN = 3_600_000
const MINUTE_MS = 60_000
const LOOK_MS_MIN = 50
const GRACE_MS = 600_000

type Named = { readonly vendor: VendorId; readonly product: string; readonly stream: string }

/** The streams of one connection, and when each was last listed whole. */
export class StaleStreams {
  readonly #config: ConnectionConfig
  readonly #nowMs: () => number
  readonly #wholeAtMs = new Map<string, number>()

  constructor(config: ConnectionConfig, nowMs: () => number) {
    this.#config = config
    this.#nowMs = nowMs
  }

  /** It is listed whole now, or the tenant does not have it. */
  whole(stream: string): void {
    this.#wholeAtMs.set(stream, this.#nowMs())
  }

  /** Looks until the signal comes, at the latest every minute. */
  async watch(
    sources: readonly Named[],
    saved: ReadonlyMap<string, RunCheckpoint>,
    reporter: ErrorReporter,
    signal: AbortSignal,
  ): Promise<void> {
    const { name: connection } = this.#config
    for (const { stream } of sources) {
      // One that never was whole counts from now on.
      const atMs = wholeAtMsOf(saved.get(streamKey({ connection, stream }))) ?? this.#nowMs()
      if (!this.#wholeAtMs.has(stream)) this.#wholeAtMs.set(stream, atMs)
    }
    // After a pause, or a night without any process, the first runs have their chance.
    const shortestMs = Math.min(...sources.map(({ stream }) => this.#staleMs(stream)))
    await pause(Math.min(shortestMs, GRACE_MS), signal)
    while (!signal.aborted && sources.length > 0) {
      let nextMs = MINUTE_MS
      for (const { vendor, product, stream } of sources) {
        const silentMs = this.#nowMs() - (this.#wholeAtMs.get(stream) ?? 0)
        const leftMs = this.#staleMs(stream) - silentMs
        const scope = { connection, vendor, product, stream, sink: null, runId: null }
        if (leftMs <= 0) raiseStale(reporter, scope, silentMs)
        else nextMs = Math.min(nextMs, leftMs)
      }
      await pause(Math.max(LOOK_MS_MIN, nextMs), signal)
    }
  }

  #staleMs(stream: string): number {
    const { staleAfter, every, streams } = this.#config
    return staleAfter ?? Math.max(RUNS_MISSED * (streams?.[stream]?.every ?? every), STALE_MS_MIN)
  }
}

/** Older checkpoints say only when the last whole run began. */
function wholeAtMsOf(saved: RunCheckpoint | undefined): number | null {
  const { wholeAtMs, lastComplete } = saved ?? {}
  if (wholeAtMs !== undefined) return wholeAtMs
  if (lastComplete === undefined || lastComplete === null) return null
  return lastComplete.atMs ?? Number(lastComplete.runId.split('-')[0])
}

/** Unless it stands open: that it still is so is no news. */
function raiseStale(reporter: ErrorReporter, scope: ErrorScope, silentMs: number): void {
  const fingerprint = fingerprintOf(scope, 'SNAPSHOT', 'MISSING_DATA', STALE)
  if (reporter.open().some((open) => open.fingerprint === fingerprint)) return
  const text = `no whole listing for ${Math.max(1, Math.floor(silentMs / MINUTE_MS))} minutes`
  const details = {
    subject: STALE,
    remediation: 'Look at what else is open for this connection, and at the runs of the stream.',
  }
  reporter.raise(new PipelineError('MISSING_DATA', 'SNAPSHOT', text, details), scope)
}
