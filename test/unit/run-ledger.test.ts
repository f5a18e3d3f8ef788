// What a run leaves behind: when closures are held, and its records on raw topic and ledger.
import { describe, expect, it } from 'vitest'
import { controlOf, parseRunEnd } from '../../contracts/envelope.ts'
import type { Run } from '../../contracts/run.ts'
import { RAW_PARTITIONS } from '../../contracts/topics.ts'
import type { RunCheckpoint } from '../../runtime/checkpoint.ts'
import {
  type RunFacts,
  FUSE_PERCENT,
  holdReason,
  missingError,
  runEndRecords,
  runLedgerRecord,
} from '../../runtime/run-ledger.ts'

const facts: RunFacts = {
  connection: 'prisma',
  tenant: 't1',
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  stream: 'compute.hosts',
  kind: 'SNAPSHOT',
}
const ended: RunCheckpoint = {
  v: 1,
  runId: '1700000000000-abcdef',
  startedAtMs: 1_700_000_000_000,
  tenant: 't1',
  scope: '0123456789abcdef',
  verdict: 'PARTIAL',
  position: null,
  pages: 2,
  fetched: 90,
  published: 88,
  tooLarge: 2,
  rejected: 0,
  lastComplete: { runId: '1600000000000-abcdef', fetched: 100 },
}

describe('holding closures', () => {
  it.each([
    ['a first listing with rows', 1, null, null],
    ['as many rows as before', 100, 100, null],
    ['exactly seven tenths of the rows before', 70, 100, null],
    ['fewer than seven tenths', 69, 100, 'the listing has 69 rows; the last complete one had 100'],
    ['no rows after some', 0, 3, 'the listing has no rows; the last complete one had 3'],
    ['no rows at all', 0, null, 'the listing has no rows at all'],
    ['no rows where the operator has said that there are none', 0, 0, null],
  ])('answers %s', (_name, fetched, before, reason) => {
    expect(holdReason(fetched, before, FUSE_PERCENT)).toBe(reason)
  })
})

describe('what is missing', () => {
  it.each([
    ['nothing was ever listed', null, 'If there are really none'],
    ['rows have vanished', 9, 'If they are really gone'],
  ])('names the run to release where %s', (_what, before, text) => {
    const hold = holdReason(0, before, FUSE_PERCENT)
    const complete = { ...ended, verdict: 'COMPLETE' } as const
    const { remediation } = missingError(complete, null, hold, before) ?? {}
    expect(remediation).toContain(`${text}: exposure runs release ${ended.runId}`)
  })

  it.each([
    [null, 'a page is missing'],
    ['the listing has no rows', 'the listing has no rows'],
  ])('is nothing to release where a listing with hold %j is PARTIAL', (hold, message) => {
    const error = missingError(ended, 'a page is missing', hold, 100)
    expect(error?.message).toBe(message)
    expect(error?.remediation).not.toContain('runs release')
  })
})

describe('the end of a run', () => {
  it('is told to every raw partition, with its verdict and counts', () => {
    const records = runEndRecords('p.', facts, ended, 92, 'why', 'held', 1_700_000_001_000)
    expect(records.map((record) => record.partition)).toEqual(
      Array.from({ length: RAW_PARTITIONS }, (_, partition) => partition),
    )
    for (const { topic, value, headers } of records) {
      expect([topic, controlOf(headers)]).toEqual(['p.raw.prisma-cloud', 'run-end'])
      expect(parseRunEnd(value ?? Buffer.alloc(0))).toMatchObject({
        ...facts,
        runId: ended.runId,
        verdict: 'PARTIAL',
        declared: 92,
        fetched: 90,
        published: 88,
        tooLarge: 2,
        reason: 'why',
        hold: 'held',
      })
    }
  })

  it('stands in the ledger under its stream, and is UNKNOWN while it runs', () => {
    const written: Run[] = []
    const encode = (value: Run) => {
      written.push(value)
      return Buffer.from(value.phase)
    }
    const record = (phase: 'STARTED' | 'FETCHED') =>
      runLedgerRecord('p.', facts, phase, ended, 92, 'why', 'held', 1_700_000_001_000, encode)
    const records = [record('STARTED'), record('FETCHED')]
    expect(records.map(({ topic, key }) => [topic, key])).toEqual([
      ['p.exposure.runs', 'prisma|compute.hosts'],
      ['p.exposure.runs', 'prisma|compute.hosts'],
    ])
    expect(records[0]?.partition).toBe(records[1]?.partition)
    expect(written.map(({ phase, verdict }) => [phase, verdict])).toEqual([
      ['STARTED', 'UNKNOWN'],
      ['FETCHED', 'PARTIAL'],
    ])
    expect(written[1]).toMatchObject({
      run_id: ended.runId,
      connection_id: 'prisma',
      partitions: RAW_PARTITIONS,
      declared: 92,
      fetched: 90,
      published: 88,
      too_large: 2,
      hold: 'held',
      tally: null,
    })
  })
})
