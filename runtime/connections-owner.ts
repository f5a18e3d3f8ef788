// Which connections this process polls: a consumer group over exposure.connections deals them out.
import { isDeepStrictEqual } from 'node:util'
import { topicName } from '../contracts/topics.ts'
import type { PipelineError } from '../contracts/errors.ts'
import type { ReadToEnd } from './checkpoint.ts'
import { type Definition, isPaused, loadConnections } from './connections.ts'
import { CLOCKS, GroupLease, type Lease } from './connections-lease.ts'
import { stickyAssigner } from './kafka/sticky-assigner.ts'
import { type RunningConsumer, superviseConsumer } from './kafka/supervised-consumer.ts'
import type { KafkaSettings } from './kafka/types.ts'
import { backoff, pause } from './kafka/waiting.ts'
import type { Logger } from './log.ts'

const RETRY_FIRST_MS = 500
const RETRY_MAX_MS = 30_000

export const producerGroup = (prefix: string): string => `${prefix}producers`

export type OwnerOptions = {
  readonly settings: KafkaSettings
  readonly readToEnd: ReadToEnd
  /** So long a process that died holds up its connections; Kafka's least is usually 6 s. */
  readonly sessionTimeoutMs: number
  /**
   * Polls until the signal comes. May end earlier, when there is nothing to poll. @throws what only
   * the operator can mend: that ends everything
   */
  readonly poll: (definition: Definition, lease: Lease, signal: AbortSignal) => Promise<void>
  /** False: the connection is left alone by this process. Default: all are polled. */
  readonly isWanted?: (name: string) => boolean
  /** A definition of another version, which is left alone. */
  readonly onUnreadable: (name: string) => void
  readonly onTrouble: (error: PipelineError) => void
  readonly onProgress: () => void
  readonly log: Logger
}

export type RunningOwner = {
  /** Rejects with what only the operator can mend; resolves when stopped. */
  readonly done: Promise<void>
  /** Ends all polls, then leaves the group. Never throws. */
  stop(): Promise<void>
}

export function ownConnections(options: OwnerOptions): RunningOwner {
  const owner = new Owner(options)
  return { done: owner.done, stop: () => owner.stop() }
}

type Poll = {
  readonly definition: Definition
  readonly partition: number
  readonly controller: AbortController
  /** Resolves when it has ended; never rejects. */
  readonly ended: Promise<void>
}

class Owner {
  readonly done: Promise<void>
  readonly #options: OwnerOptions
  readonly #lease: GroupLease
  readonly #consumer: RunningConsumer
  readonly #stopping = new AbortController()
  readonly #failed = Promise.withResolvers<never>()
  readonly #polls = new Map<string, Poll>()
  /** Polls told to end: the next of the same connection waits for them. */
  readonly #ending = new Map<string, Promise<void>>()
  #assigned: ReadonlySet<number> = new Set()
  readonly #unread = new Set<number>()
  #reading: Promise<void> | null = null

  constructor(options: OwnerOptions) {
    this.#options = options
    const { settings, sessionTimeoutMs, log } = options
    const topic = topicName(settings.prefix, 'connections')
    this.#lease = new GroupLease(sessionTimeoutMs, CLOCKS)
    this.#consumer = superviseConsumer({
      settings,
      groupId: producerGroup(settings.prefix),
      topics: [topic],
      sessionTimeoutMs,
      concurrency: 1,
      // A process that was stopped claims what others have long taken over: the latest sign counts.
      assigner: stickyAssigner(topic, () =>
        [...this.#assigned].map((partition) => ({
          partition,
          committedAtMs: this.#lease.confirmedMs,
        })),
      ),
      log,
      onBatch: async (batch, control) => {
        this.#readAnew([batch.partition])
        control.resolve(batch.nextOffset)
        await control.commit(batch.nextOffset)
      },
      onAssigned: (assigned, tookMs) => this.#dealt(new Set(assigned.get(topic)), tookMs),
      onMembership: (state) => {
        if (state === 'member') this.#lease.answered()
        else this.#lease.suspended()
      },
      onTrouble: options.onTrouble,
      onProgress: options.onProgress,
    })
    this.done = Promise.race([this.#consumer.done, this.#failed.promise])
    // Awaited by the caller when it likes to.
    this.done.catch(() => undefined)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const name of this.#polls.keys()) this.#end(name)
    // Before the group is left: nobody else begins while a chunk of ours is under way.
    await Promise.all(this.#ending.values())
    await this.#consumer.stop()
    await this.#reading
  }

  #dealt(assigned: ReadonlySet<number>, tookMs: number): void {
    this.#assigned = assigned
    this.#lease.joined(assigned, tookMs)
    // A rebalance stops only what it takes away.
    for (const [name, { partition }] of this.#polls) if (!assigned.has(partition)) this.#end(name)
    // All of them: what was written before the join is not told as a batch.
    this.#readAnew(assigned)
  }

  #readAnew(partitions: Iterable<number>): void {
    for (const partition of partitions) this.#unread.add(partition)
    this.#reading ??= this.#readAll()
  }

  async #readAll(): Promise<void> {
    const { readToEnd, settings, log } = this.#options
    const waits = backoff(RETRY_FIRST_MS, RETRY_MAX_MS)
    const { signal } = this.#stopping
    while (this.#unread.size > 0 && !signal.aborted) {
      const [partition = 0] = this.#unread
      this.#unread.delete(partition)
      if (!this.#assigned.has(partition)) continue
      try {
        const known = await loadConnections(settings.prefix, readToEnd, [partition])
        this.#follow(partition, known)
        waits.reset()
      } catch (error) {
        log.warn({ err: error, partition }, 'the connections cannot be read; trying again')
        this.#unread.add(partition)
        await pause(waits.nextMs(), signal)
      }
    }
    // In the same turn as the last look at the set: what comes later starts anew.
    this.#reading = null
  }

  /** Makes the polls of a partition what its records say. */
  #follow(partition: number, known: Awaited<ReturnType<typeof loadConnections>>): void {
    const { isWanted, onUnreadable } = this.#options
    if (this.#stopping.signal.aborted || !this.#assigned.has(partition)) return
    const wanted = new Map<string, Definition>()
    for (const { name, definition } of known) {
      if (definition === null) onUnreadable(name)
      else if (!isPaused(definition) && isWanted?.(name) !== false) wanted.set(name, definition)
    }
    for (const [name, poll] of this.#polls) {
      if (poll.partition !== partition) continue
      if (isDeepStrictEqual(poll.definition, wanted.get(name))) wanted.delete(name)
      else this.#end(name)
    }
    for (const definition of wanted.values()) this.#begin(definition, partition)
  }

  #begin(definition: Definition, partition: number): void {
    const { name } = definition
    // At another host before, in a partition that is read later.
    this.#end(name)
    const controller = new AbortController()
    const { signal } = controller
    const before = this.#ending.get(name) ?? Promise.resolve()
    const poll = async (): Promise<void> => {
      await before
      if (!signal.aborted) {
        await this.#options.poll(definition, this.#lease.of(partition), signal)
      }
    }
    const ended = poll().catch((error: unknown) => this.#failed.reject(error))
    this.#polls.set(name, { definition, partition, controller, ended })
  }

  #end(name: string): void {
    const poll = this.#polls.get(name)
    if (poll === undefined) return
    this.#polls.delete(name)
    poll.controller.abort()
    const ended = poll.ended.then(() => {
      if (this.#ending.get(name) === ended) this.#ending.delete(name)
    })
    this.#ending.set(name, ended)
  }
}
