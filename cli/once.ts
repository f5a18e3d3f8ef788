// The end of `exposure start --once`: all runs answered and stored, then one line of JSON.
import type { ConnectorError } from '../contracts/connector-error.ts'
import { PipelineError } from '../contracts/errors.ts'
import type { SinkAudit } from '../contracts/ports.ts'
import { partitionKey } from '../contracts/processing.ts'
import { TOPICS, topicName } from '../contracts/topics.ts'
import type { Pipeline } from '../runtime/pipeline.ts'
import type { TurnOutcome } from '../runtime/run-connection.ts'
import { postgresCounts } from '../sinks/postgres/counts.ts'
import { sinkGroup, sinkTopics } from '../runtime/run-sink.ts'
import { createSinks } from '../sinks/sinks.ts'
import { RunFollower, type Store, type Targets, storedPast } from './settle.ts'
import type { Ending, Following } from './start.ts'

const ANSWER_TIMEOUT_MS = 10 * 60_000
const STORE_TIMEOUT_MS = 10 * 60_000
const FLUSH_TIMEOUT_MS = 10_000
const EXIT_NOT_COMPLETE = 3

/**
 * The exit code and the summary. @throws PipelineError when an answer or a store does not come
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
  stages.mark('transform')
  const errors = await allStored(following, targets)
  const { postgres } = config.sinks
  const rows = postgres === undefined ? {} : await postgresCounts(postgres, pipeline.log)
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

/** Every configured store has what the run published, and what went wrong over it. */
async function allStored(following: Following, targets: Targets): Promise<Errors> {
  const { pipeline, signal, startedAtMs } = following
  const { stores, close } = openStores(following)
  try {
    const before = await errorsSince(pipeline, startedAtMs)
    const all = new Map([...targets, ...before.places])
    await storedPast(all, stores, STORE_TIMEOUT_MS, signal)
    // Sinks too have something to report, and stores that are told of it.
    await pipeline.reporter.flush(FLUSH_TIMEOUT_MS)
    const errors = await errorsSince(pipeline, startedAtMs)
    await storedPast(errors.places, stores, STORE_TIMEOUT_MS, signal)
    return errors
  } finally {
    await close()
  }
}

function openStores({ pipeline, config, admin, running }: Following) {
  const { prefix, settings, log } = pipeline
  const groupOf = (name: string) => sinkGroup(prefix, name)
  const audits: SinkAudit[] = []
  const stores = createSinks(config.sinks, { groupOf, kafka: settings, log }).map(
    ({ sink }): Store => {
      let audit: SinkAudit | null = null
      return {
        name: sink.name,
        reads: new Set(sinkTopics(prefix, sink).keys()),
        committed: (topic) => admin.committedOffsets(groupOf(sink.name), topic),
        flush: () => running.flushSink(sink.name),
        async stored(topic, partition) {
          if (sink.audit === undefined) return null
          if (audit === null) audits.push((audit = await sink.audit()))
          return await audit.storedOffset(topic, partition)
        },
      }
    },
  )
  const close = async () => {
    for (const audit of audits) await audit.close()
  }
  return { stores, close }
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
  /** The last of these in each partition, for stores to pass. */
  readonly places: Targets
}

async function errorsSince({ reader, codecs, prefix }: Pipeline, sinceMs: number): Promise<Errors> {
  const values: Buffer[] = []
  const places = new Map<string, bigint>()
  const topic = topicName(prefix, 'connectorErrors')
  for (let partition = 0; partition < TOPICS.connectorErrors.partitions; partition++) {
    await reader.readToEnd(topic, partition, ({ value, offset, timestampMs }) => {
      if (timestampMs < sinceMs) return
      places.set(partitionKey(topic, partition), offset)
      if (value !== null) values.push(Buffer.from(value))
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
