// The first hop: raw records, run-ends, checkpoints and tallies say the same of every run.
import {
  type RawFacts,
  type RunEnd,
  controlOf,
  parseRawFacts,
  parseRunEnd,
  rawKey,
  streamKey,
} from '../../contracts/envelope.ts'
import type { Run } from '../../contracts/run.ts'
import { RAW_PARTITIONS } from '../../contracts/topics.ts'
import type { RunCheckpoint } from '../../runtime/checkpoint.ts'
import type { Problems } from './problems.ts'
import { recordOf } from './reference.ts'
import type { Line } from './topics.ts'

type UnitLine = { readonly facts: RawFacts; readonly line: Line }
type EndLine = { readonly end: RunEnd; readonly line: Line }
type RunLines = { readonly units: UnitLine[]; readonly ends: EndLine[] }

/** One run of one stream: run ids alone may meet by chance. */
const runKey = (run: { connection: string; stream: string; runId: string }): string =>
  `${streamKey(run)}|${run.runId}`

export function checkRaw(
  raw: readonly Line[],
  checkpoints: readonly Line[],
  runs: readonly Line[],
  problems: Problems,
): void {
  const byRun = runsIn(raw)
  checkTurns(raw, problems)
  for (const [run, lines] of byRun) checkRun(run, lines, problems)
  checkCheckpoints(byRun, checkpoints, problems)
  checkLedger(byRun, runs, problems)
}

function runsIn(raw: readonly Line[]): Map<string, RunLines> {
  const byRun = new Map<string, RunLines>()
  const of = (key: string) => {
    const lines = byRun.get(key) ?? { units: [], ends: [] }
    byRun.set(key, lines)
    return lines
  }
  for (const line of raw) {
    if (controlOf(line.headers) === 'run-end') {
      const end = parseRunEnd(recordOf(line).value ?? Buffer.alloc(0))
      of(runKey(end)).ends.push({ end, line })
    } else {
      const facts = parseRawFacts(line.headers)
      of(runKey(facts)).units.push({ facts, line })
    }
  }
  return byRun
}

function checkRun(run: string, { units, ends }: RunLines, problems: Problems): void {
  const keys = units.map(({ facts }) => rawKey(facts))
  problems.expect(new Set(keys).size === keys.length, 'a unit is twice in one run', () => run)
  const [first] = ends
  if (first === undefined) return
  const partitions = ends.map(({ line }) => line.partition).toSorted((a, b) => a - b)
  const all = Array.from({ length: RAW_PARTITIONS }, (_, partition) => partition)
  const whole = JSON.stringify(partitions) === JSON.stringify(all)
  problems.expect(
    whole,
    'a run-end is not once in every partition',
    () => `${run} ${partitions.join(' ')}`,
  )
  const said = new Set(ends.map(({ end }) => JSON.stringify(end)))
  problems.expect(said.size === 1, 'the run-ends of a run differ', () => run)
  for (const { line } of units) {
    const end = ends.find(({ line: at }) => at.partition === line.partition)
    const behind = end !== undefined && end.line.offset > line.offset
    problems.expect(behind, 'a unit lies behind its run-end', () => `${run} ${line.key}`)
  }
  const { published } = first.end
  const counted = () => `${run} says ${published}, there are ${units.length}`
  problems.expect(published === units.length, 'a run-end counts wrongly', counted)
}

/** Who was pushed aside publishes nothing more: no record of a run behind a newer run's. */
function checkTurns(raw: readonly Line[], problems: Problems): void {
  const newest = new Map<string, string>()
  for (const { topic, partition, headers, key } of raw) {
    const [stream, run] = [`${headers['x-connection']}|${headers['x-stream']}`, headers['x-run-id']]
    // An order of the operator is of no run.
    if (run === undefined) continue
    const place = `${stream} ${topic} ${partition}`
    const before = newest.get(place) ?? ''
    problems.expect(run >= before, 'a run goes on behind a newer one', () => `${key} ${run}`)
    newest.set(place, run > before ? run : before)
  }
}

/** A checkpoint ahead of its data would lose what lies between. */
function checkCheckpoints(
  byRun: ReadonlyMap<string, RunLines>,
  checkpoints: readonly Line[],
  problems: Problems,
): void {
  const last = new Map<string, RunCheckpoint>()
  for (const { key, value } of checkpoints) {
    if (key === null || value === null || key.split('|').length !== 2) continue
    const checkpoint = value as RunCheckpoint
    const run = `${key}|${checkpoint.runId}`
    last.set(run, checkpoint)
    const there = byRun.get(run)?.units.length ?? 0
    const ahead = () => `${run} at ${checkpoint.published}, ${there} are there`
    problems.expect(checkpoint.published <= there, 'a checkpoint is ahead of its data', ahead)
  }
  for (const [run, { published, verdict }] of last) {
    const lines = byRun.get(run)
    const there = lines?.units.length ?? 0
    const behind = () => `${run} at ${published}, ${there} are there`
    problems.expect(published === there, 'a checkpoint is behind its data', behind)
    // One that could not go on is ended with the first checkpoint of the next, which replaces its.
    const isEnded = verdict === null || (lines?.ends.length ?? 0) > 0
    problems.expect(isEnded, 'a checkpoint ends without its run', () => run)
  }
}

/** One STARTED and one FETCHED of every ended run, and an answer of every partition. */
function checkLedger(
  byRun: ReadonlyMap<string, RunLines>,
  runs: readonly Line[],
  problems: Problems,
): void {
  const told = Map.groupBy(
    runs.flatMap(({ value }) => (value === null ? [] : [value as Run])),
    ({ connection_id: connection, stream, run_id: runId }) => runKey({ connection, stream, runId }),
  )
  for (const [run, { units, ends }] of byRun) {
    if (ends.length === 0) continue
    const of = told.get(run) ?? []
    const count = (phase: Run['phase']) => of.filter((line) => line.phase === phase).length
    const phases = `${count('STARTED')} started, ${count('FETCHED')} fetched`
    const once = count('STARTED') === 1 && count('FETCHED') === 1
    problems.expect(once, 'a run is not told once', () => `${run}: ${phases}`)
    const tallies = of.filter(({ phase }) => phase === 'TALLY').map(({ tally }) => tally)
    const answered = new Set(tallies.map((tally) => tally?.partition))
    const whole = tallies.length === RAW_PARTITIONS && answered.size === RAW_PARTITIONS
    problems.expect(whole, 'a run lacks answers', () => `${run}: ${[...answered].join(' ')}`)
    const seen = tallies.reduce((sum, tally) => sum + (tally?.units_seen ?? 0), 0)
    const counted = () => `${run}: ${seen} of ${units.length}`
    problems.expect(seen === units.length, 'the answers of a run count wrongly', counted)
  }
}
