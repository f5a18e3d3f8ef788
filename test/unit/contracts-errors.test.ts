// The closed list of failures: the words promised to operators, and the one error class.
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  ERROR_TYPES,
  FAILURES,
  type Failure,
  PipelineError,
  STAGES,
  violationsOf,
} from '../../contracts/errors.ts'
import { documentText, samplesPresent } from '../support/samples.ts'

/** Rows `| name | ERROR_TYPE | next step |` of the troubleshooting table. */
function promisedRows(): { title: string; failure: Failure; remediation: string }[] {
  return documentText('requirements.md')
    .split('\n')
    .flatMap((line) => {
      const match = /^\| ([^|]+) \| ([A-Z_]+) \| (.+) \|$/.exec(line)
      const [, title, failure, remediation] = match ?? []
      return title !== undefined && failure !== undefined && remediation !== undefined
        ? [{ title, failure: failure as Failure, remediation }]
        : []
    })
}

describe.skipIf(!samplesPresent)('the troubleshooting table of the requirements', () => {
  it('is repeated word for word, in its order', () => {
    const rows = promisedRows()
    expect(rows).toHaveLength(7)
    expect(rows.map((row) => row.failure)).toEqual(ERROR_TYPES.slice(1, 8))
    for (const { title, failure, remediation } of rows) {
      expect(FAILURES[failure], failure).toMatchObject({ title, remediation })
    }
  })
})

describe('the list of failures', () => {
  const failures = ERROR_TYPES.filter((type) => type !== 'UNKNOWN')

  it('has facts for every failure and no other', () => {
    expect(Object.keys(FAILURES).toSorted()).toEqual(failures.toSorted())
  })

  it.each(failures)('tells the operator what to do about %s', (failure) => {
    const { title, remediation } = FAILURES[failure]
    expect(title).toMatch(/^[A-Z].{8,}$/)
    expect(remediation).toMatch(/\.$/)
    expect(remediation.length).toBeLessThanOrEqual(2_048)
  })

  it('begins its enums with UNKNOWN, which older readers fall back to', () => {
    expect([ERROR_TYPES[0], STAGES[0]]).toEqual(['UNKNOWN', 'UNKNOWN'])
    expect(new Set(ERROR_TYPES).size).toBe(ERROR_TYPES.length)
  })

  it('tries again only what may succeed without anybody doing anything', () => {
    const retriable = failures.filter((failure) => FAILURES[failure].retriable)
    expect(retriable.toSorted()).toEqual([
      'INVALID_RESPONSE',
      'QUOTA_EXHAUSTED',
      'SINK_UNAVAILABLE',
      'TEMPORARY_DISCONNECTED',
      'TEMPORARY_FAILURE',
      'TOO_MANY_REQUESTS',
    ])
  })
})

describe('a pipeline error', () => {
  it('takes the next step from the table unless more is known', () => {
    const plain = new PipelineError('NOT_FOUND', 'FETCH', 'no such host')
    expect(plain.remediation).toBe(FAILURES.NOT_FOUND.remediation)
    expect(plain).toMatchObject({
      name: 'PipelineError',
      retriable: false,
      message: 'no such host',
    })
    const informed = new PipelineError('NOT_FOUND', 'FETCH', 'x', { remediation: 'Do this.' })
    expect(informed.remediation).toBe('Do this.')
  })

  it('keeps its cause', () => {
    const cause = new Error('below')
    const error = new PipelineError('TEMPORARY_FAILURE', 'FETCH', 'x', { cause })
    expect(error.cause).toBe(cause)
    expect(error.retriable).toBe(true)
  })

  it('tells violations as path and message, twenty at most', () => {
    const schema = z.object({ a: z.object({ b: z.string() }), list: z.array(z.string()) })
    const faults = schema.safeParse({ a: { b: 1 }, list: Array.from({ length: 30 }, () => 1) })
    const violations = violationsOf(faults.error ?? new z.ZodError([]))
    expect(violations).toHaveLength(20)
    expect(violations[0]).toMatch(/^a\.b: .+/)
    expect(violations[1]).toMatch(/^list\.0: .+/)
    const root = z.string().safeParse(1).error ?? new z.ZodError([])
    expect(violationsOf(root)[0]).toMatch(/^\(root\): .+/)
  })
})
