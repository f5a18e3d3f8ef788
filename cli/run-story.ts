// What exposure.runs tells of each run: its steps put together, for `exposure runs`.
import { streamKey } from '../contracts/envelope.ts'
import { partitionOf } from '../contracts/placement.ts'
import type { KafkaRecord } from '../contracts/processing.ts'
import type { Run } from '../contracts/run.ts'
import { TOPICS, topicName } from '../contracts/topics.ts'
import type { Codecs } from '../runtime/codecs.ts'
import type { LogReader } from '../runtime/kafka/log-reader.ts'

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

/** Every step on exposure.runs, in order of each partition; of one stream when it is named. */
export async function readSteps(
  reader: LogReader,
  codecs: Codecs,
  prefix: string,
  only: StreamName | null,
  onStep: (step: RunStep) => void,
  from = 0n,
): Promise<bigint> {
  const topic = topicName(prefix, 'runs')
  const key = only === null ? null : streamKey(only)
  const all = Array.from({ length: TOPICS.runs.partitions }, (_, partition) => partition)
  const partitions = key === null ? all : [partitionOf(key, TOPICS.runs.partitions)]
  let end = from
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
    end = (await reader.readToEnd(topic, partition, keep, { from, onFetch })).end
  }
  return end
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

/** COMPLETE and so on; RUNNING before its end, REMOVED for a removed connection. */
export function verdictOf({ run }: RunStory): string {
  if (run.stream === '*') return 'REMOVED'
  return run.verdict === 'UNKNOWN' ? 'RUNNING' : run.verdict
}

/** How far the run is: not ended, ended but not answered by all partitions, or finished. */
export const isFinished = ({ run }: RunStory): boolean => run.phase === 'FINISHED'

/**
 * The run of a stream whose closures are held back now; null when there is none. A later listing
 * that holds nothing back has ended it; a run that failed or lacks something says nothing.
 */
export function holdingRun(stories: Iterable<RunStory>): RunStory | null {
  const newestFirst = [...stories]
    .filter((story) => isFinished(story))
    .toSorted((a, b) => (a.run.run_id < b.run.run_id ? 1 : -1))
  for (const story of newestFirst) {
    if (countsOf(story).held > 0) return story
    if (story.run.verdict === 'COMPLETE' || story.run.verdict === 'DRIFTED') return null
  }
  return null
}
