// `exposure sinks`: every configured store, how far behind it is, and what is wrong with it.
import type { ConnectorError } from '../contracts/connector-error.ts'
import { PipelineError } from '../contracts/errors.ts'
import { SINK_HEADER } from '../runtime/dead-letter.ts'
import { readFates, readLetters } from '../runtime/dead-letters.ts'
import { errorTail } from '../runtime/error-tail.ts'
import { type Admin, type PartitionLag, openAdmin } from '../runtime/kafka/admin.ts'
import { groupMembers } from '../runtime/kafka/group-members.ts'
import type { LogReader } from '../runtime/kafka/log-reader.ts'
import { type Logger, createLogger } from '../runtime/log.ts'
import { sinkGroup, sinkTopics } from '../runtime/run-sink.ts'
import { type ConfiguredSink, createSinks } from '../sinks/sinks.ts'
import { parse } from './command.ts'
import { type ExposureConfig, loadConfig } from './config.ts'
import { type RunsLog, withRuns } from './runs.ts'
import { type SinkFacts, sinkLines } from './sinks-text.ts'

/** Done, but something is wrong. */
const EXIT_WRONG = 3
/** A transaction that nobody ends must not hold up the list. */
const STALL_MS = 10_000

export async function listSinks(args: readonly string[]): Promise<number> {
  const options = { config: { type: 'string' }, json: { type: 'boolean', default: false } } as const
  const { values } = parse(args, options)
  const config = loadConfig(values.config)
  const facts = await withRuns(config, (opened) => factsOf(config, opened))
  if (values.json) for (const one of facts) console.log(JSON.stringify(one))
  else if (facts.length === 0) console.log('no sinks: exposure.yaml names none (docs/sinks.md)')
  else for (const line of sinkLines(facts)) console.log(line)
  return facts.some(({ errors }) => errors.length > 0) ? EXIT_WRONG : 0
}

async function factsOf(config: ExposureConfig, opened: RunsLog): Promise<SinkFacts[]> {
  const { settings, reader, codecs } = opened
  const { prefix } = settings
  const log = createLogger('sinks')
  const groupOf = (name: string) => sinkGroup(prefix, name)
  const sinks = createSinks(config.sinks, { groupOf, kafka: settings, log })
  const errors = await errorTail(prefix, reader, codecs, log)()
  const letters = await openLetters(reader, prefix)
  const admin = await openAdmin(settings, log)
  try {
    const facts: SinkFacts[] = []
    for (const configured of sinks) {
      const { name } = configured.sink
      const members = await groupMembers(settings, groupOf(name), log)
      facts.push({
        sink: name,
        type: configured.type,
        group: groupOf(name),
        members: members.length,
        ...(await lagFacts({ admin, reader, log, prefix }, configured)),
        deadLetters: letters.get(name) ?? 0,
        errors: errors.filter((error) => isOpen(error, name)).map(errorFacts),
      })
    }
    return facts
  } finally {
    await admin.close()
  }
}

const isOpen = ({ sink_id, state }: ConnectorError, name: string): boolean =>
  sink_id === name && state !== 'CLEARED'

const errorFacts = (error: ConnectorError): SinkFacts['errors'][number] => ({
  errorType: error.error_type,
  since: new Date(error.first_at).toISOString(),
  last: new Date(error.last_at).toISOString(),
  message: error.message,
  nextStep: error.remediation,
})

type Access = {
  readonly admin: Admin
  readonly reader: LogReader
  readonly log: Logger
  readonly prefix: string
}

async function lagFacts(access: Access, { sink }: ConfiguredSink) {
  const { admin, prefix } = access
  const topics = [...sinkTopics(prefix, sink).keys()]
  const partitions = await admin.lag(sinkGroup(prefix, sink.name), topics)
  const waiting = await Promise.all(
    partitions.filter(({ lag }) => lag > 0n).map((one) => firstWaiting(access, one)),
  )
  const times = waiting.filter((atMs) => atMs !== null)
  return {
    hasBegun: partitions.some(({ committed }) => committed !== null),
    lag: sumOf(partitions),
    waitingSince: times.length === 0 ? null : new Date(Math.min(...times)).toISOString(),
    topics: topics.map((topic) => ({
      topic,
      lag: sumOf(partitions.filter((one) => one.topic === topic)),
    })),
  }
}

const sumOf = (partitions: readonly PartitionLag[]): number =>
  Number(partitions.reduce((sum, { lag }) => sum + lag, 0n))

/** Ends a reading that has found what it looked for. */
class Found extends Error {}

/** When the first record was written that the sink has not read; null: none is there to be read. */
async function firstWaiting(
  { reader, log }: Access,
  { topic, partition, committed }: PartitionLag,
): Promise<number | null> {
  const times: number[] = []
  const onFetch = async () => {
    if (times.length > 0) throw new Found()
  }
  const onRecord = ({ timestampMs }: { timestampMs: number }) => void times.push(timestampMs)
  const options = { from: committed ?? 0n, onFetch, fetchBytesMax: 1, stallMs: STALL_MS }
  try {
    await reader.readToEnd(topic, partition, onRecord, options)
  } catch (error) {
    if (error instanceof PipelineError && error.retriable) {
      log.debug({ err: error, topic, partition }, 'the age of what waits is not known')
    } else if (!(error instanceof Found)) throw error
  }
  return times[0] ?? null
}

/** Open dead letters of each sink. */
async function openLetters(reader: LogReader, prefix: string): Promise<Map<string, number>> {
  const letters = new Map<string, number>()
  await readLetters(reader, prefix, {
    fates: await readFates(reader, prefix),
    onLetter({ fate, record }) {
      const name = record.headers[SINK_HEADER]
      if (fate === null && name !== undefined) letters.set(name, (letters.get(name) ?? 0) + 1)
    },
  })
  return letters
}
