// An operator's order to the lifecycle: to every raw partition of its vendor, answered by each.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Order, encodeOrder } from '../contracts/envelope.ts'
import { PipelineError } from '../contracts/errors.ts'
import type { OutRecord } from '../contracts/processing.ts'
import type { Run } from '../contracts/run.ts'
import { RAW_PARTITIONS, rawTopic, TOPICS, topicName } from '../contracts/topics.ts'
import type { Codecs } from '../runtime/codecs.ts'
import type { LogReader } from '../runtime/kafka/log-reader.ts'

const POLL_MS = 200

export function orderRecords(prefix: string, order: Order): OutRecord[] {
  const topic = prefix + rawTopic(order.vendor).name
  const record = encodeOrder(order)
  return Array.from({ length: RAW_PARTITIONS }, (_, partition) => ({ topic, partition, ...record }))
}

export type AnswerOptions = {
  readonly prefix: string
  readonly reader: LogReader
  readonly codecs: Codecs
}

type Phase = 'RELEASED' | 'REMOVED'

/**
 * Made before the order is written. What it returns waits until every raw partition has answered.
 * @throws PipelineError when Kafka is away, or no answer comes within `timeoutMs`
 */
export async function answersToCome({ prefix, reader, codecs }: AnswerOptions) {
  const topic = topicName(prefix, 'runs')
  const next = new Map<number, bigint>()
  for (let partition = 0; partition < TOPICS.runs.partitions; partition++) {
    next.set(partition, await reader.endOffset(topic, partition))
  }
  const answers = new Map<number, Run>()
  const read = async (phase: Phase, runId: string) => {
    for (const [partition, from] of next) {
      const values: Buffer[] = []
      const onRecord = ({ value }: { value: Buffer | null }) => {
        if (value !== null) values.push(Buffer.from(value))
      }
      next.set(partition, (await reader.readToEnd(topic, partition, onRecord, { from })).end)
      for (const bytes of values) {
        const { schemaName, value } = await codecs.decodeAny(bytes)
        if (schemaName !== 'Run' || value.phase !== phase || value.run_id !== runId) continue
        if (value.tally !== null) answers.set(value.tally.partition, value)
      }
    }
  }
  return async (
    phase: Phase,
    runId: string,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<readonly Run[]> => {
    const deadlineMs = Date.now() + timeoutMs
    for (;;) {
      await read(phase, runId)
      if (answers.size >= RAW_PARTITIONS) return [...answers.values()]
      if (signal.aborted || Date.now() > deadlineMs) throw unanswered(answers.size)
      await sleep(POLL_MS)
    }
  }
}

const unanswered = (count: number): PipelineError =>
  new PipelineError(
    'TEMPORARY_FAILURE',
    'NORMALIZE',
    `${count} of ${RAW_PARTITIONS} partitions have carried the order out so far`,
    { remediation: 'The order is written and needs no second one: see that transformers run.' },
  )
