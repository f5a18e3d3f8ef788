// Runs as text for an operator's terminal.
import type { Run } from '../contracts/run.ts'
import { columnsOf, printable, timeOf } from './dlq-text.ts'
import { type RunStep, type RunStory, countsOf, isFinished, verdictOf } from './run-story.ts'

const HEAD = ['RUN', 'CONNECTION', 'STREAM', 'VERDICT', 'FETCHED', 'CLOSED', 'HELD', 'DEAD', 'TOOK']

/** What --json prints of one run. */
export function factsOf(story: RunStory) {
  const { run } = story
  const { closed, held, dead_lettered, purged } = countsOf(story)
  return {
    run: run.run_id,
    connection: run.connection_id,
    stream: run.stream,
    verdict: verdictOf(story),
    finished: isFinished(story),
    started: timeOf(run.started_at),
    durationMs: durationOf(story),
    declared: run.declared,
    fetched: run.fetched,
    published: run.published,
    closed,
    held,
    purged,
    deadLettered: dead_lettered,
    reason: run.reason,
    hold: run.hold,
  }
}

/** Until the last answer; of a run that some partition has not answered, null. */
const durationOf = ({ run }: RunStory): number | null => run.totals?.duration_ms ?? null

/** One line per run, and below it why it is not COMPLETE or what is held back. */
export function listLines(stories: readonly RunStory[]): string[] {
  const rows = stories.map((story) => {
    const { run } = story
    const { closed, held, dead_lettered } = countsOf(story)
    const declared = run.declared === null ? '' : `/${run.declared}`
    const counts = [`${run.fetched}${declared}`, String(closed), String(held)]
    const names = [run.run_id, run.connection_id, run.stream, verdictOf(story)]
    return [...names, ...counts, String(dead_lettered), tookText(story)].map((text) =>
      printable(text),
    )
  })
  const [head = '', ...lines] = columnsOf([HEAD, ...rows])
  return [head, ...lines.flatMap((line, i) => [line, ...noteLines(stories[i]?.run)])]
}

function tookText(story: RunStory): string {
  const ms = durationOf(story)
  if (ms === null) return story.run.phase === 'STARTED' ? '' : 'not answered yet'
  return `${(ms / 1_000).toFixed(1)}s`
}

const noteLines = (run: Run | undefined): string[] =>
  [run?.reason, run?.hold && `held back: ${run.hold}`]
    .filter((text) => text !== null && text !== undefined)
    .map((text) => `    ${printable(text)}`)

/** Every step of a run, one line each. */
export function stepLines(steps: readonly RunStep[]): string[] {
  const rows = steps
    .toSorted((a, b) => a.run.at - b.run.at || Number(a.offset - b.offset))
    .map(({ run, partition, offset }) => [
      timeOf(run.at),
      run.tally === null ? run.phase : `${run.phase} ${run.tally.partition}`,
      `${partition}/${offset}`,
      printable(stepText(run)),
    ])
  return columnsOf([['TIME', 'STEP', 'PLACE', 'WHAT'], ...rows])
}

function stepText(run: Run): string {
  const counts = run.tally ?? run.totals
  if (counts !== null) {
    const { units_seen, dead_lettered, closed, held, purged } = counts
    const text = `seen ${units_seen}, dead ${dead_lettered}, closed ${closed}, held ${held}`
    const hold = run.tally === null ? run.hold : run.tally.hold
    return `${text}, purged ${purged}${hold === null ? '' : `; ${hold}`}`
  }
  if (run.phase === 'STARTED') return `scope ${run.scope}`
  const { verdict, pages, fetched, published, too_large, declared, reason } = run
  const text = `${verdict}: ${pages} pages, fetched ${fetched} of ${declared ?? 'unknown'}`
  const why = reason === null ? '' : `; ${reason}`
  return `${text}, published ${published}, too large ${too_large}${why}`
}
