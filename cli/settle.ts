// `--once`: waits until the runs are answered by every partition and stored, never for lag 0.
import { setTimeout as sleep } from 'node:timers/promises'
import { PipelineError } from '../contracts/errors.ts'
import { partitionKey } from '../contracts/processing.ts'
import type { Run } from '../contracts/run.ts'
import { topicName } from '../contracts/topics.ts'
import type { Pipeline } from '../runtime/pipeline.ts'
import { type RunPlaces, type RunStep, readSteps } from './run-story.ts'

const POLL_MS = 200
const STORE_POLL_MS = 500

/** Highest offsets that a store must have passed, by `topic/partition`. */
export type Targets = ReadonlyMap<string, bigint>

/** Follows exposure.runs from where it stood when this was made. */
export class RunFollower {
  readonly #pipeline: Pipeline
  #next: RunPlaces = new Map()
  /** Tallies by run id and raw partition, each with its own place in exposure.runs. */
  readonly #tallies = new Map<string, Map<number, Run>>()
  readonly #finished = new Set<string>()
  /** The last step of each run, by partition of exposure.runs. */
  readonly #places = new Map<string, Map<number, bigint>>()

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline
  }

  /**
   * Resolves when every raw partition has answered each of these runs, and the ledger has said so.
   * @throws PipelineError when that takes longer than `timeoutMs`
   */
  async answered(
    runIds: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Targets> {
    const deadlineMs = Date.now() + timeoutMs
    for (;;) {
      await this.#read()
      const open = runIds.filter((id) => !this.#isAnswered(id))
      if (open.length === 0) return this.#targets(runIds)
      if (signal.aborted) throw new PipelineError('INTERNAL', 'NORMALIZE', 'stopped while waiting')
      if (Date.now() > deadlineMs) {
        const message = `${open.length} of ${runIds.length} runs lack answers of partitions`
        throw new PipelineError('TEMPORARY_FAILURE', 'NORMALIZE', message)
      }
      await sleep(POLL_MS)
    }
  }

  #isAnswered(runId: string): boolean {
    const tallies = this.#tallies.get(runId)
    const [first] = tallies?.values() ?? []
    return this.#finished.has(runId) && tallies?.size === first?.partitions
  }

  #targets(runIds: readonly string[]): Targets {
    const targets = new Map<string, bigint>()
    const { prefix } = this.#pipeline
    const reach = (topic: string, partition: number, offset: bigint) => {
      const key = partitionKey(topic, partition)
      if (offset > (targets.get(key) ?? -1n)) targets.set(key, offset)
    }
    const exposure = ['assets', 'findings', 'vulnerabilities'] as const
    const stored = new Set(exposure.map((topic) => topicName(prefix, topic)))
    for (const runId of runIds) {
      for (const run of this.#tallies.get(runId)?.values() ?? []) {
        for (const { topic, partition, offset } of run.tally?.outputs ?? []) {
          // Dead letters are named too, and no store reads those.
          if (!stored.has(topic)) continue
          reach(topic, partition, BigInt(offset))
        }
      }
      for (const [partition, offset] of this.#places.get(runId) ?? []) {
        reach(topicName(prefix, 'runs'), partition, offset)
      }
    }
    return targets
  }

  async #read(): Promise<void> {
    const { reader, codecs, prefix } = this.#pipeline
    const onStep = (step: RunStep) => this.#take(step)
    this.#next = await readSteps(reader, codecs, prefix, null, onStep, this.#next)
  }

  #take({ run, partition, offset }: RunStep): void {
    const { run_id: id, phase, tally } = run
    const places = this.#places.get(id) ?? new Map<number, bigint>()
    this.#places.set(id, places.set(partition, offset))
    if (phase === 'FINISHED') this.#finished.add(id)
    if (phase !== 'TALLY') return
    const tallies = this.#tallies.get(id) ?? new Map<number, Run>()
    if (tally !== null) tallies.set(tally.partition, run)
    this.#tallies.set(id, tallies)
  }
}

/** One store that a run has to reach. */
export type Store = {
  readonly name: string
  /** Complete names of the topics that its sink reads. */
  readonly reads: ReadonlySet<string>
  /** Where its consumer group goes on, by partition; null: it has not begun. */
  committed(topic: string): Promise<ReadonlyMap<number, bigint | null>>
  /** Writes what waits in memory. */
  flush(): Promise<void>
  /** Where the store itself says to go on; null where it keeps no offset. */
  stored(topic: string, partition: number): Promise<bigint | null>
}

/**
 * Resolves when every store is past all targets of the topics it reads. One that is away is waited
 * for. @throws PipelineError SINK_UNAVAILABLE with the names of those that are behind in the end
 */
export async function storedPast(
  targets: Targets,
  stores: readonly Store[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const deadlineMs = Date.now() + timeoutMs
  let open = stores
  for (;;) {
    const behind = await Promise.all(open.map((store) => behindAt(store, targets)))
    open = open.filter((_, i) => behind[i] !== null)
    if (open.length === 0) return
    if (signal.aborted) throw new PipelineError('INTERNAL', 'SINK', 'stopped while waiting')
    if (Date.now() > deadlineMs) {
      const late = behind.filter((where) => where !== null)
      throw new PipelineError('SINK_UNAVAILABLE', 'SINK', `not all is stored: ${late.join('; ')}`)
    }
    await sleep(STORE_POLL_MS)
  }
}

/** What the store is behind at, or why nobody knows; null: it is past all of them. */
async function behindAt(store: Store, targets: Targets): Promise<string | null> {
  try {
    const place = await firstBehind(store, targets)
    return place === null ? null : `sink ${store.name} has not passed ${place}`
  } catch (error) {
    if (!(error instanceof PipelineError) || !error.retriable) throw error
    return `sink ${store.name}: ${error.message}`
  }
}

async function firstBehind(store: Store, targets: Targets): Promise<string | null> {
  const wanted = [...targets].map(([key, offset]) => {
    const cut = key.lastIndexOf('/')
    return { topic: key.slice(0, cut), partition: Number(key.slice(cut + 1)), offset }
  })
  const ours = wanted.filter(({ topic }) => store.reads.has(topic))
  const text = (one: (typeof ours)[number]) =>
    `offset ${one.offset} of ${one.topic}/${one.partition}`
  for (const [topic, places] of Map.groupBy(ours, (one) => one.topic)) {
    const committed = await store.committed(topic)
    const late = places.find((one) => (committed.get(one.partition) ?? 0n) <= one.offset)
    if (late !== undefined) return text(late)
  }
  // Only now, when all of it is in memory at least: every file before that would be a small one.
  await store.flush()
  for (const one of ours) {
    const stored = await store.stored(one.topic, one.partition)
    if (stored !== null && stored <= one.offset) return text(one)
  }
  return null
}
