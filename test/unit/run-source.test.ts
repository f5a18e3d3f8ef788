// What a run is worth and where it may go on: the rules that need no broker.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import {
  type RunCheckpoint,
  checkpointRecord,
  forgetRecords,
  loadCheckpoints,
  loadProgress,
  releasedRecord,
} from '../../runtime/checkpoint.ts'
import {
  FUSE_PERCENT,
  baselineOf,
  holdOf,
  holdReason,
  seenUntil,
  withLosses,
} from '../../runtime/run-ledger.ts'
import { scopeOf, transactionalIdOf } from '../../runtime/run-names.ts'

describe('the fuse', () => {
  it.each([
    [10, null, null],
    [10, 10, null],
    [7, 10, null],
    [6, 10, 'the listing has 6 rows; the last complete one had 10'],
    [0, 10, 'the listing has no rows; the last complete one had 10'],
    [0, null, 'the listing has no rows at all'],
    [0, 0, null],
    [5, 0, null],
    [1_000, 10, null],
  ])('with %i rows after %s says %j', (fetched, before, expected) => {
    expect(holdReason(fetched, before, FUSE_PERCENT)).toBe(expected)
  })

  it('is as wide as it is set', () => {
    expect(holdReason(9, 10, 5)).toContain('9 rows')
    expect(holdReason(5, 10, 50)).toBeNull()
    expect(holdReason(1, 10, 100)).toBeNull()
  })

  it('compares with the last complete run of the same filters, or with nothing', () => {
    const last = { runId: '2', fetched: 10 }
    expect(baselineOf({ scope: 'a', lastComplete: { ...last, scope: 'a' } }, null)).toBe(10)
    expect(baselineOf({ scope: 'b', lastComplete: { ...last, scope: 'a' } }, null)).toBeNull()
    // A build before this one did not say.
    expect(baselineOf({ scope: 'a', lastComplete: last }, null)).toBe(10)
    expect(baselineOf({ scope: 'a', lastComplete: null }, null)).toBeNull()
  })

  it('compares with a run that the operator has released, until a later one is complete', () => {
    const run = { scope: 'a', lastComplete: { runId: '2', fetched: 10, scope: 'a' } }
    expect(baselineOf(run, { runId: '3', fetched: 4 })).toBe(4)
    expect(baselineOf(run, { runId: '1', fetched: 4 })).toBe(10)
    expect(baselineOf({ ...run, lastComplete: null }, { runId: '1', fetched: 4 })).toBe(4)
    // Of other filters it says nothing.
    const released = { runId: '3', fetched: 4, scope: 'a' }
    expect(baselineOf({ ...run, scope: 'b' }, released)).toBeNull()
    expect(baselineOf({ ...run, scope: 'a' }, released)).toBe(4)
    expect(baselineOf(run, { ...released, scope: 'b' })).toBe(10)
  })
})

describe('a run that no COMPLETE one came before', () => {
  const before: RunCheckpoint = {
    v: 1,
    runId: '2',
    startedAtMs: 2,
    tenant: 't',
    scope: 'a',
    verdict: 'PARTIAL',
    position: null,
    pages: 1,
    fetched: 40,
    published: 40,
    tooLarge: 0,
    rejected: 0,
    lastComplete: null,
  }
  const run = { scope: 'a', lastComplete: null, fetched: 5, seen: seenUntil(before) }

  it('is compared with the most that one of its filters had', () => {
    expect(run.seen).toEqual({ runId: '2', scope: 'a', fetched: 40 })
    const cut = seenUntil({ ...before, runId: '3', fetched: 2, seen: run.seen })
    expect(cut).toEqual({ runId: '3', scope: 'a', fetched: 40 })
    expect(seenUntil({ ...before, fetched: 0, seen: cut })).toEqual(cut)
    expect(holdOf(run, null, FUSE_PERCENT)).toMatchObject({ before: 40 })
    expect(holdOf({ ...run, fetched: 28 }, null, FUSE_PERCENT).hold).toBeNull()
    expect(holdOf({ ...run, scope: 'b' }, null, FUSE_PERCENT).hold).toBeNull()
    const released = { runId: '3', fetched: 5, scope: 'a' }
    expect(holdOf(run, released, FUSE_PERCENT)).toEqual({ hold: null, before: 5 })
  })

  it('is not, once one was COMPLETE or all was taken back', () => {
    const lastComplete = { runId: '2', fetched: 40, scope: 'a' }
    expect(seenUntil({ ...before, verdict: 'COMPLETE', lastComplete })).toBeUndefined()
    expect(seenUntil({ ...before, withdrawnAtMs: 3 })).toBeUndefined()
    expect(holdOf({ ...run, seen: undefined }, null, FUSE_PERCENT).hold).toBeNull()
  })
})

describe('the verdict', () => {
  const complete = { verdict: 'COMPLETE', reason: null } as const
  const partial = { verdict: 'PARTIAL', reason: 'a page is missing' } as const

  it('is the one of the listing when nothing was lost', () => {
    expect(withLosses(complete, { tooLarge: 0, rejected: 0 })).toEqual(complete)
    expect(withLosses(partial, { tooLarge: 0, rejected: 0 })).toEqual(partial)
  })

  it('is PARTIAL as soon as one unit was lost, and names all reasons', () => {
    expect(withLosses(complete, { tooLarge: 1, rejected: 0 }).verdict).toBe('PARTIAL')
    expect(withLosses(complete, { tooLarge: 0, rejected: 1 }).verdict).toBe('PARTIAL')
    const { reason } = withLosses(partial, { tooLarge: 2, rejected: 3 })
    expect(reason).toMatch(/^a page is missing; 2 units too large, 3 items/)
  })
})

describe('names', () => {
  it('give every stream of every connection a transactional id of its own', () => {
    expect(transactionalIdOf('prod.', 'a', 'compute.hosts')).toBe('prod.producer.a.compute.hosts')
  })

  it('give another scope to other filters', () => {
    const scope = scopeOf('a', 'compute.hosts', {})
    expect(scope).toMatch(/^[0-9a-f]{16}$/)
    expect(scopeOf('a', 'compute.hosts', {})).toBe(scope)
    expect(scopeOf('a', 'compute.hosts', { account: '1' })).not.toBe(scope)
    expect(scopeOf('b', 'compute.hosts', {})).not.toBe(scope)
  })
})

describe('checkpoints', () => {
  const stream = { connection: 'prod', stream: 'compute.hosts' }
  const checkpoint: RunCheckpoint = {
    v: 1,
    runId: '1767225600000-000001',
    startedAtMs: 1_767_225_600_000,
    tenant: 'acme',
    scope: '0123456789abcdef',
    verdict: null,
    position: { offset: 50, recent: ['a'] },
    pages: 1,
    fetched: 50,
    published: 50,
    tooLarge: 0,
    rejected: 0,
    lastComplete: null,
  }
  /** A topic that holds these values under the key of the stream, in order. */
  const topicOf = (values: readonly (Buffer | null)[]) => {
    const { topic, partition, key } = checkpointRecord('prod.', stream, checkpoint)
    return async (name: string, at: number, onRecord: (record: KafkaRecord) => void) => {
      expect([name, at]).toEqual([topic, partition])
      values.forEach((value, i) =>
        onRecord({ topic, partition, offset: BigInt(i), timestampMs: 0, key, value, headers: {} }),
      )
    }
  }
  const encoded = (of: object): Buffer => Buffer.from(JSON.stringify(of))

  it('come back as they were written, the latest of each stream', async () => {
    const { value } = checkpointRecord('prod.', stream, checkpoint)
    const older = encoded({ ...checkpoint, fetched: 1 })
    const loaded = await loadCheckpoints('prod.', topicOf([older, value]))
    expect([...loaded]).toEqual([['prod|compute.hosts', checkpoint]])
  })

  it('may carry fields of a later build', async () => {
    const value = encoded({ ...checkpoint, mood: 'good' })
    const loaded = await loadCheckpoints('prod.', topicOf([value]))
    expect(loaded.get('prod|compute.hosts')).toEqual(checkpoint)
  })

  it('stand beside what the operator has released, and both are forgotten together', async () => {
    const measure = { runId: 'r', fetched: 3, scope: 'a' }
    const released = releasedRecord('prod.', stream, measure)
    const records = [checkpointRecord('prod.', stream, checkpoint), released]
    const topic = async (_name: string, _at: number, onRecord: (record: KafkaRecord) => void) => {
      records.forEach((record, i) => onRecord({ ...record, offset: BigInt(i), timestampMs: 0 }))
    }
    const progress = await loadProgress('prod.', topic)
    expect(progress.checkpoints).toEqual(new Map([['prod|compute.hosts', checkpoint]]))
    expect(progress.released).toEqual(new Map([['prod|compute.hosts', measure]]))
    const forgotten = forgetRecords('prod.', 'prod', progress)
    expect(forgotten.map(({ key, value }) => [key, value])).toEqual([
      ['prod|compute.hosts', null],
      ['prod|compute.hosts|released', null],
    ])
    expect(forgetRecords('prod.', 'pro', progress)).toEqual([])
  })

  it('are gone after a tombstone', async () => {
    const loaded = await loadCheckpoints('prod.', topicOf([encoded(checkpoint), null]))
    expect(loaded.size).toBe(0)
  })

  it.each([
    ['another version', encoded({ ...checkpoint, v: 2 })],
    ['something else', Buffer.from('not json')],
  ])('of %s stop the start instead of beginning anew', async (_what, value) => {
    const loading = loadCheckpoints('prod.', topicOf([value]))
    await expect(loading).rejects.toThrow(PipelineError)
    await expect(loading).rejects.toMatchObject({ failure: 'CONFIGURATION' })
  })
})
