// The end of `exposure start --once`: all runs answered and stored, then one line of JSON.
import type { ConnectorError } from '../contracts/connector-error.ts'
import { PipelineError } from '../contracts/errors.ts'
import { partitionKey } from '../contracts/processing.ts'
import { TOPICS, topicName } from '../contracts/topics.ts'
import type { Pipeline } from '../runtime/pipeline.ts'
import type { TurnOutcome } from '../runtime/run-connection.ts'
import { postgresCounts } from '../sinks/postgres/counts.ts'
import { createPostgresSink } from '../sinks/postgres/sink.ts'
import { sinkGroup } from '../runtime/run-sink.ts'
import { RunFollower, type Targets, storedPast } from './settle.ts'
import type { Ending, Following } from './start.ts'

const ANSWER_TIMEOUT_MS = 10 * 60_000
const STORE_TIMEOUT_MS = 10 * 60_000
const FLUSH_TIMEOUT_MS = 10_000
const EXIT_NOT_COMPLETE = 3

/**
 * The exit code and the summary. @throws PipelineError when an answer or the store does not come
 */
export async function finishOnce(following: Following): Promise<Ending> {
  const { pipeline, config, running, signal, stages } = following
  const outcomes = await running.producers
  if (signal.aborted) throw new PipelineError('INTERNAL', 'FETCH', 'stopped before the runs ended')
  stages.mark('fetch')
  const follower = new RunFollower(pipeline)
  const runIds = outcomes.map((outcome) => outcome.runId).filter((id) => id !== null)
  const targets = await follower.answered(runIds, ANSWER_TIMEOUT_MS, signal)
  await running.stopTransformers()
  await pipeline.reporter.flush(FLUSH_TIMEOUT_MS)
  const errors = await errorsSince(pipeline, following.startedAtMs)
  stages.mark('transform')
  const { postgres } = config.sinks
  let rows: object = {}
  if (postgres !== undefined) {
    const { log } = pipeline
    const groupOf = (name: string) => sinkGroup(pipeline.prefix, name)
    const store = await createPostgresSink(postgres, { groupOf, log }).open()
    const stored = (topic: string, partition: number) => store.storedOffset(topic, partition)
    try {
      await storedPast(new Map([...targets, ...errors.places]), stored, STORE_TIMEOUT_MS, signal)
    } finally {
      await store.close()
    }
    rows = await postgresCounts(postgres, log)
  }
  stages.mark('store')
  const summary = {
    runs: outcomes.map(summaryOf),
    streams: Object.fromEntries(
      pipeline.metrics.entries().map(([key, { units, events }]) => [key, { units, events }]),
    ),
    rows,
    connectorErrors: errors.raised,
    seconds: stages.seconds(),
  }
  const complete = outcomes.every(({ verdict }) => verdict === 'COMPLETE' || verdict === 'SKIPPED')
  return { exitCode: complete ? 0 : EXIT_NOT_COMPLETE, summary }
}

const summaryOf = ({ connection, stream, runId, verdict, error }: TurnOutcome) => ({
  connection,
  stream,
  run: runId,
  verdict,
  ...(error === null ? {} : { error: error.failure, message: error.message }),
})

type Errors = {
  /** Connector errors RAISED since then, by type. */
  readonly raised: Record<string, number>
  /** Where their topic ends, for the store to pass. */
  readonly places: Targets
}

async function errorsSince({ reader, codecs, prefix }: Pipeline, sinceMs: number): Promise<Errors> {
  const values: Buffer[] = []
  const places = new Map<string, bigint>()
  const topic = topicName(prefix, 'connectorErrors')
  for (let partition = 0; partition < TOPICS.connectorErrors.partitions; partition++) {
    await reader.readToEnd(topic, partition, ({ value, offset, timestampMs }) => {
      places.set(partitionKey(topic, partition), offset)
      if (value !== null && timestampMs >= sinceMs) values.push(Buffer.from(value))
    })
  }
  const raised: Record<string, number> = {}
  for (const value of values) {
    const decoded = await codecs.decodeAny(value)
    const event = decoded.value as ConnectorError
    if (decoded.schemaName !== 'ConnectorError' || event.state !== 'RAISED') continue
    raised[event.error_type] = (raised[event.error_type] ?? 0) + 1
  }
  return { raised, places }
}
