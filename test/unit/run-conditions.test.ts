// Which open conditions of a stream its runs clear, and which are cleared when it is skipped.
import { describe, expect, it } from 'vitest'
import { type Failure, PipelineError, type Stage } from '../../contracts/errors.ts'
import { type EndedRun, overAfter, overWhenSkipped } from '../../runtime/run-conditions.ts'
import { STALE } from '../../runtime/stale-streams.ts'
import { reporterWith } from '../support/reporter.ts'

const SCOPE = {
  connection: 'prod',
  vendor: 'cortex',
  product: 'cortex-cloud',
  stream: 'cloud.issues',
  sink: null,
  runId: null,
} as const

/** A reporter with these conditions open; what is open as `stage failure subject`. */
function opened(conditions: readonly (readonly [Failure, Stage, string?])[]) {
  const { reporter } = reporterWith()
  for (const [failure, stage, subject] of conditions) {
    const details = subject === undefined ? {} : { subject }
    const text = [stage, failure, ...(subject === undefined ? [] : [subject])].join(' ')
    reporter.raise(new PipelineError(failure, stage, text, details), SCOPE)
  }
  return reporter
}
const texts = (reporter: ReturnType<typeof opened>): string[] =>
  reporter.open().map(({ message }) => message)

const run = (verdict: EndedRun['verdict']): EndedRun => ({
  connection: 'prod',
  stream: 'cloud.issues',
  verdict,
  missing: verdict === 'PARTIAL',
  clockBehind: false,
  rejected: 0,
  tooLarge: 0,
})

describe('a stale stream', () => {
  it.each(['COMPLETE', 'DRIFTED'] as const)('is over after a %s run', (verdict) => {
    const reporter = opened([['MISSING_DATA', 'SNAPSHOT', STALE]])
    for (const filter of overAfter(run(verdict))) reporter.clear(filter)
    expect(texts(reporter)).toEqual([])
  })

  it('stays stale after a PARTIAL run, though nothing else of it is missing', () => {
    const reporter = opened([['MISSING_DATA', 'SNAPSHOT', STALE]])
    for (const missing of [true, false]) {
      for (const filter of overAfter({ ...run('PARTIAL'), missing })) reporter.clear(filter)
      expect(texts(reporter)).toEqual([`SNAPSHOT MISSING_DATA ${STALE}`])
    }
  })
})

describe('a stream that is skipped', () => {
  it('leaves nothing open that only a run of it could clear', () => {
    const reporter = opened([
      ['MISSING_DATA', 'SNAPSHOT'],
      ['MISSING_DATA', 'SNAPSHOT', STALE],
      ['TEMPORARY_FAILURE', 'FETCH'],
      ['SCHEMA_VIOLATION', 'PARSE'],
      ['PAYLOAD_TOO_LARGE', 'PUBLISH_RAW'],
      ['NOT_LICENSED', 'FETCH'],
      ['MISSING_DATA', 'SNAPSHOT', 'held closures'],
    ])
    for (const filter of overWhenSkipped('prod', 'cloud.issues')) reporter.clear(filter)
    // Why it is skipped, and what the transformers hold back, are not its own to take back.
    expect(texts(reporter)).toEqual(['FETCH NOT_LICENSED', 'SNAPSHOT MISSING_DATA held closures'])
  })

  it('touches no other stream', () => {
    const reporter = opened([['MISSING_DATA', 'SNAPSHOT']])
    for (const filter of overWhenSkipped('prod', 'cloud.findings')) reporter.clear(filter)
    expect(texts(reporter)).toHaveLength(1)
  })
})
