// The answers to an operator's order: one from every raw partition of its vendor.
import { setTimeout as sleep } from 'node:timers/promises'
import { PipelineError } from '../contracts/errors.ts'
import type { Run } from '../contracts/run.ts'
import { RAW_PARTITIONS, TOPICS, topicName } from '../contracts/topics.ts'
import type { Codecs } from '../runtime/codecs.ts'
import type { LogReader } from '../runtime/kafka/log-reader.ts'
import { type RunPlaces, type RunStep, readSteps } from './run-story.ts'

const POLL_MS = 200

export type AnswerOptions = {
  readonly prefix: string
  readonly reader: LogReader
  readonly codecs: Codecs
}

/** What the answers to an order are known by. */
export type Answer = {
  readonly phase: 'RELEASED' | 'REMOVED'
  readonly runId: string
  /** Of the order, where another of the same run may be under way; absent: of any time. */
  readonly orderedAtMs?: number
}

const isAnswer = ({ phase, runId, orderedAtMs }: Answer, run: Run): boolean =>
  run.phase === phase && run.run_id === runId && run.started_at === (orderedAtMs ?? run.started_at)

/**
 * Made before the order is written. What it returns waits until every raw partition has answered,
 * and resolves with the number of assets and findings that were closed.
 * @throws PipelineError when Kafka is away, or no answer comes within `timeoutMs`
 */
export async function answersToCome({ prefix, reader, codecs }: AnswerOptions) {
  const topic = topicName(prefix, 'runs')
  const ends = new Map<number, bigint>()
  for (let partition = 0; partition < TOPICS.runs.partitions; partition++) {
    ends.set(partition, await reader.endOffset(topic, partition))
  }
  let next: RunPlaces = ends
  const answers = new Map<number, Run>()
  const read = async (wanted: Answer) => {
    const onStep = ({ run }: RunStep) => {
      if (isAnswer(wanted, run) && run.tally !== null) answers.set(run.tally.partition, run)
    }
    next = await readSteps(reader, codecs, prefix, null, onStep, next)
  }
  return async (wanted: Answer, timeoutMs: number, signal: AbortSignal): Promise<number> => {
    const deadlineMs = Date.now() + timeoutMs
    for (;;) {
      await read(wanted)
      if (answers.size >= RAW_PARTITIONS) return closedBy(answers.values())
      if (signal.aborted || Date.now() > deadlineMs) throw unanswered(answers.size)
      await sleep(POLL_MS)
    }
  }
}

const closedBy = (answers: Iterable<Run>): number =>
  [...answers].reduce((sum, { tally }) => sum + (tally?.closed ?? 0), 0)

const unanswered = (count: number): PipelineError =>
  new PipelineError(
    'TEMPORARY_FAILURE',
    'NORMALIZE',
    `${count} of ${RAW_PARTITIONS} partitions have carried the order out so far`,
    { remediation: 'The order is written and needs no second one: see that transformers run.' },
  )
