// What exposure.runs tells of each run: its steps put together, for `exposure runs`.
import { streamKey } from '../contracts/envelope.ts'
import { partitionOf } from '../contracts/placement.ts'
import type { KafkaRecord } from '../contracts/processing.ts'
import { type Run, isRemoval } from '../contracts/run.ts'
import { TOPICS, topicName } from '../contracts/topics.ts'
import type { Codecs } from '../runtime/codecs.ts'
import type { LogReader } from '../runtime/kafka/log-reader.ts'
import { holdingAfter } from '../transformers/ledger.ts'

/** One step with its place in the topic. */
export type RunStep = { readonly partition: number; readonly offset: bigint; readonly run: Run }

export type StreamName = { readonly connection: string; readonly stream: string }

/** What is known of one run so far. */
export type RunStory = {
  /** The newest step that says how the run went: FINISHED, else FETCHED, else STARTED. */
  run: Run
  /** Answers to the run's end, by raw partition. */
  readonly tallies: Map<number, Run>
}

/** Where to read on, by partition of exposure.runs. */
export type RunPlaces = ReadonlyMap<number, bigint>

/**
 * Every step on exposure.runs, in order of each partition; of one stream when it is named. Follow
 * the topic by calling again with what it has returned.
 */
export async function readSteps(
  reader: LogReader,
  codecs: Codecs,
  prefix: string,
  only: StreamName | null,
  onStep: (step: RunStep) => void,
  from: RunPlaces = new Map(),
): Promise<RunPlaces> {
  const topic = topicName(prefix, 'runs')
  const key = only === null ? null : streamKey(only)
  const all = Array.from({ length: TOPICS.runs.partitions }, (_, partition) => partition)
  const partitions = key === null ? all : [partitionOf(key, TOPICS.runs.partitions)]
  const ends = new Map<number, bigint>()
  for (const partition of partitions) {
    const lot: { offset: bigint; value: Buffer }[] = []
    const keep = (record: KafkaRecord) => {
      if (record.value === null || (key !== null && record.key !== key)) return
      lot.push({ offset: record.offset, value: Buffer.from(record.value) })
    }
    // Fetch by fetch, so that memory stays bounded.
    const onFetch = async () => {
      for (const { offset, value } of lot.splice(0)) {
        const { schemaName, value: run } = await codecs.decodeAny(value)
        if (schemaName === 'Run') onStep({ partition, offset, run })
      }
    }
    const options = { from: from.get(partition) ?? 0n, onFetch }
    ends.set(partition, (await reader.readToEnd(topic, partition, keep, options)).end)
  }
  return ends
}

const SAYS_MORE: readonly Run['phase'][] = ['STARTED', 'FETCHED', 'REMOVED', 'FINISHED']

/** Puts one step into the story of its run. */
export function tell(stories: Map<string, RunStory>, { run }: RunStep): void {
  // A release answers for a run whose own steps say the rest.
  if (run.phase === 'RELEASED') return
  const id = `${streamKey({ connection: run.connection_id, stream: run.stream })}|${run.run_id}`
  const known = stories.get(id)
  const story: RunStory = known ?? { run, tallies: new Map() }
  if (known === undefined) stories.set(id, story)
  if (run.tally !== null) story.tallies.set(run.tally.partition, run)
  if (SAYS_MORE.indexOf(run.phase) >= SAYS_MORE.indexOf(story.run.phase)) story.run = run
}

/** Counts of a run: its totals, or what the partitions have answered so far. */
export type Counts = Omit<NonNullable<Run['totals']>, 'duration_ms'>

export function countsOf({ run, tallies }: RunStory): Counts {
  if (run.totals !== null) return run.totals
  const answers = [...tallies.values()].map(({ tally }) => tally).filter((t) => t !== null)
  const sum = (count: (tally: (typeof answers)[number]) => number) =>
    answers.reduce((total, tally) => total + count(tally), 0)
  return {
    units_seen: sum((t) => t.units_seen),
    dead_lettered: sum((t) => t.dead_lettered),
    closed: sum((t) => t.closed),
    held: sum((t) => t.held),
    purged: sum((t) => t.purged),
  }
}

/** COMPLETE and so on; RUNNING before its end, REMOVED for a removed connection or stream. */
export function verdictOf({ run }: RunStory): string {
  if (run.phase === 'REMOVED' || isRemoval(run)) return 'REMOVED'
  return run.verdict === 'UNKNOWN' ? 'RUNNING' : run.verdict
}

/** How far the run is: not ended, ended but not answered by all partitions, or finished. */
export const isFinished = ({ run }: RunStory): boolean => run.phase === 'FINISHED'

/** The run of a stream that holds closures back now, by the rule of the ledger; null: none. */
export const holdingRun = (stories: Iterable<RunStory>): Run | null =>
  [...stories]
    .filter((story) => isFinished(story))
    .map(({ run }) => run)
    .toSorted((a, b) => a.started_at - b.started_at || (a.run_id < b.run_id ? -1 : 1))
    .reduce<Run | null>((holding, run) => holdingAfter(holding, run), null)
