// Until when a member of a consumer group may be sure that its partitions are still its own.
import { PipelineError } from '../contracts/errors.ts'
import { type Definition, definitionStands } from './connections.ts'
import type { ChangeOptions } from './connections-change.ts'
import type { Session } from './kafka/session.ts'
import { pause } from './kafka/waiting.ts'

/** A wait of its own ends then; the run goes on where it was at its next turn. */
const WAIT_MS_MAX = 300_000
const LOOK_MS = 1_000

/**
 * Whether one partition is held. The group keeps a member for the session timeout after each sign
 * of life, so a sign that was answered is a lease from the moment it was sent. A process that was
 * stopped and goes on finds its lease over and asks before it writes.
 */
export type Lease = {
  /** Resolves when the partition is held. @throws PipelineError when signal or bound end it */
  held(signal: AbortSignal): Promise<void>
  /** As `held`, by a sign of life sent after this call. */
  heldAnew(signal: AbortSignal): Promise<void>
}

/** Of the wall, which is put right at times, and a steady one, which a machine's sleep stops. */
export type Clocks = { readonly wallMs: () => number; readonly steadyMs: () => number }
export const CLOCKS: Clocks = { wallMs: () => Date.now(), steadyMs: () => performance.now() }

type Moment = { readonly wallMs: number; readonly steadyMs: number }
const NEVER: Moment = { wallMs: 0, steadyMs: -Infinity }

export class GroupLease {
  readonly #sessionTimeoutMs: number
  readonly #clocks: Clocks
  #partitions: ReadonlySet<number> = new Set()
  /** The last answered sign of life was sent after this. */
  #sentAfter = NEVER
  #answered = NEVER
  #confirmedMs = 0
  #changed = Promise.withResolvers<void>()

  constructor(sessionTimeoutMs: number, clocks: Clocks) {
    this.#sessionTimeoutMs = sessionTimeoutMs
    this.#clocks = clocks
  }

  /** The partitions dealt to this member by a join that took `tookMs`, by the wall's clock. */
  joined(partitions: ReadonlySet<number>, tookMs: number): void {
    this.#partitions = partitions
    const now = this.#now()
    // The clock was put back meanwhile: nobody knows when the join began.
    const isKnown = tookMs >= 0
    this.#sentAfter = isKnown
      ? { wallMs: now.wallMs - tookMs, steadyMs: now.steadyMs - tookMs }
      : NEVER
    this.#answered = now
    this.#wake()
  }

  /** A heartbeat was answered. It was sent after the answer to the one before it. */
  answered(): void {
    this.#sentAfter = this.#answered
    this.#answered = this.#now()
    this.#wake()
  }

  /** The group deals anew, or is left: others may get what is held here. */
  suspended(): void {
    this.#confirmedMs = this.confirmedMs
    this.#sentAfter = NEVER
    this.#answered = NEVER
  }

  /** When this member last knew what it holds, epoch ms; 0: never. */
  get confirmedMs(): number {
    return Math.max(this.#confirmedMs, this.#sentAfter.wallMs)
  }

  isHeld(partition: number): boolean {
    return this.#partitions.has(partition) && this.#ageMs() < this.#sessionTimeoutMs
  }

  of(partition: number): Lease {
    return {
      held: (signal) => this.#until(() => this.isHeld(partition), signal),
      heldAnew: (signal) => {
        const sinceMs = this.#clocks.steadyMs()
        const isHeld = () => this.isHeld(partition) && this.#sentAfter.steadyMs > sinceMs
        return this.#until(isHeld, signal)
      },
    }
  }

  #now(): Moment {
    return { wallMs: this.#clocks.wallMs(), steadyMs: this.#clocks.steadyMs() }
  }

  /** By the clock that says more: a lease held for too long is worse than one asked for again. */
  #ageMs(): number {
    const { wallMs, steadyMs } = this.#now()
    return Math.max(wallMs - this.#sentAfter.wallMs, steadyMs - this.#sentAfter.steadyMs)
  }

  async #until(isHeld: () => boolean, signal: AbortSignal): Promise<void> {
    const { steadyMs } = this.#clocks
    const untilMs = steadyMs() + WAIT_MS_MAX
    while (!isHeld()) {
      if (signal.aborted || steadyMs() >= untilMs) {
        const text = 'the group has not confirmed that this process polls the connection'
        throw new PipelineError('TEMPORARY_FAILURE', 'PUBLISH_RAW', text)
      }
      // What changed is looked at again; the pause is for a group that says nothing at all.
      const looked = new AbortController()
      const waited = pause(LOOK_MS, AbortSignal.any([signal, looked.signal]))
      await Promise.race([this.#changed.promise, waited])
      looked.abort()
    }
  }

  #wake(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers<void>()
  }
}

/**
 * Opens sessions of one connection's streams, which write only while the lease holds. After one is
 * opened, and so has fenced all others, the definition must still stand.
 */
export function leasedSessions(
  { prefix, openSession, readToEnd }: ChangeOptions,
  definition: Definition,
  lease: Lease | null,
  signal: AbortSignal,
): (transactionalId: string) => Promise<Session> {
  return async (transactionalId) => {
    await lease?.held(signal)
    const session = await openSession(transactionalId)
    try {
      // Whoever changes a definition does so first and fences afterwards.
      if (!(await definitionStands(prefix, readToEnd, definition))) {
        const text = 'the connection was changed, paused or removed meanwhile'
        throw new PipelineError('TEMPORARY_FAILURE', 'PUBLISH_RAW', text)
      }
    } catch (error) {
      await session.close()
      throw error
    }
    return {
      transactionalId,
      get alive() {
        return session.alive
      },
      async commit(work) {
        // Also for the first: the process may have been stopped just before the fence.
        await lease?.held(signal)
        return await session.commit(work)
      },
      close: () => session.close(),
    }
  }
}
