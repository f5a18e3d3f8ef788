// `--once`: waits until the runs are answered by every partition and stored, never for lag 0.
import { setTimeout as sleep } from 'node:timers/promises'
import { PipelineError } from '../contracts/errors.ts'
import { partitionKey } from '../contracts/processing.ts'
import type { Run } from '../contracts/run.ts'
import { TOPICS, topicName } from '../contracts/topics.ts'
import type { Pipeline } from '../runtime/pipeline.ts'

const POLL_MS = 200

/** Highest offsets that a store must have passed, by `topic/partition`. */
export type Targets = ReadonlyMap<string, bigint>

/** Follows exposure.runs from where it stood when this was made. */
export class RunFollower {
  readonly #pipeline: Pipeline
  readonly #topic: string
  readonly #next = new Map<number, bigint>()
  /** Tallies by run id and raw partition, each with its own place in exposure.runs. */
  readonly #tallies = new Map<string, Map<number, Run>>()
  readonly #finished = new Set<string>()
  readonly #places = new Map<string, bigint>()

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline
    this.#topic = topicName(pipeline.prefix, 'runs')
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
    const targets = new Map(this.#places)
    const { prefix } = this.#pipeline
    const exposure = ['assets', 'findings', 'vulnerabilities'] as const
    const stored = new Set(exposure.map((topic) => topicName(prefix, topic)))
    for (const runId of runIds) {
      for (const run of this.#tallies.get(runId)?.values() ?? []) {
        for (const { topic, partition, offset } of run.tally?.outputs ?? []) {
          // Dead letters are named too, and no store reads those.
          if (!stored.has(topic)) continue
          const key = partitionKey(topic, partition)
          const known = targets.get(key) ?? -1n
          if (BigInt(offset) > known) targets.set(key, BigInt(offset))
        }
      }
    }
    return targets
  }

  async #read(): Promise<void> {
    const { reader, codecs } = this.#pipeline
    for (let partition = 0; partition < TOPICS.runs.partitions; partition++) {
      const values: { offset: bigint; value: Buffer }[] = []
      const { end } = await reader.readToEnd(
        this.#topic,
        partition,
        ({ offset, value }) => {
          if (value !== null) values.push({ offset, value: Buffer.from(value) })
        },
        { from: this.#next.get(partition) ?? 0n },
      )
      this.#next.set(partition, end)
      for (const { offset, value } of values) {
        this.#places.set(partitionKey(this.#topic, partition), offset)
        const decoded = await codecs.decodeAny(value)
        if (decoded.schemaName !== 'Run') continue
        const run = decoded.value
        if (run.phase === 'FINISHED') this.#finished.add(run.run_id)
        if (run.phase !== 'TALLY') continue
        const tallies = this.#tallies.get(run.run_id) ?? new Map<number, Run>()
        if (run.tally !== null) tallies.set(run.tally.partition, run)
        this.#tallies.set(run.run_id, tallies)
      }
    }
  }
}

/** Resolves when `stored` says of every target that the store is past it. @throws PipelineError */
export async function storedPast(
  targets: Targets,
  stored: (topic: string, partition: number) => Promise<bigint | null>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const deadlineMs = Date.now() + timeoutMs
  for (const [key, offset] of targets) {
    const cut = key.lastIndexOf('/')
    const [topic, partition] = [key.slice(0, cut), Number(key.slice(cut + 1))]
    while (((await stored(topic, partition)) ?? 0n) <= offset) {
      if (signal.aborted) throw new PipelineError('INTERNAL', 'SINK', 'stopped while waiting')
      if (Date.now() > deadlineMs) {
        const message = `the store did not pass offset ${offset} of ${key} in time`
        throw new PipelineError('SINK_UNAVAILABLE', 'SINK', message)
      }
      await sleep(POLL_MS)
    }
  }
}
