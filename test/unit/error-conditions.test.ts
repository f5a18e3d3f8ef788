// Conditions that one process opens and another one sees the end of.
import { describe, expect, it } from 'vitest'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import { PipelineError } from '../../contracts/errors.ts'
import { FLUSH_MS, reporterWith, scope } from '../support/reporter.ts'

describe('conditions of several processes', () => {
  const bad = new PipelineError('SCHEMA_VIOLATION', 'NORMALIZE', 'no id')
  const pointer = { topic: 'raw', partition: 4, offset: 2, key: 'k' }
  const ours = { connection: 'prisma', stages: ['NORMALIZE'] } as const

  it('are cleared by whoever sees the end of them, after reading what is open', async () => {
    const other = reporterWith()
    other.reporter.raise(bad, scope, pointer)
    const tail = [await other.events()]
    const { reporter, clock, states } = reporterWith({ readTail: async () => tail.shift() ?? [] })
    clock.nowMs += 1_000
    reporter.clearEverywhere([{ ...ours, partition: 3 }])
    expect(await states()).toEqual([])
    reporter.clearEverywhere([{ ...ours, partition: 4 }])
    expect(await states()).toEqual([['SCHEMA_VIOLATION', 'CLEARED']])
    expect(reporter.open()).toEqual([])
  })

  it('are neither brought back by our own events nor kept when another has cleared', async () => {
    const tail: ConnectorError[][] = []
    const readTail = async () => tail.shift() ?? []
    const { reporter, clock, events, states } = reporterWith({ readTail })
    reporter.raise(bad, scope, pointer)
    clock.nowMs += 1_000
    reporter.clear(ours)
    tail.push(await events())
    reporter.clearEverywhere([{ connection: 'nobody' }])
    await reporter.flush(FLUSH_MS)
    expect(reporter.open()).toEqual([])
    reporter.raise(bad, scope, pointer)
    clock.nowMs += 1_000
    const [raised] = reporter.open()
    if (raised === undefined) throw new Error('nothing is open')
    tail.push([{ ...raised, state: 'CLEARED', last_at: clock.nowMs }])
    reporter.clearEverywhere([ours])
    expect((await states()).map(([, state]) => state)).toEqual(['RAISED', 'CLEARED', 'RAISED'])
    expect(reporter.open()).toEqual([])
  })

  it('are raised by what others have told since, not by what is remembered', async () => {
    const tail: ConnectorError[][] = []
    const { reporter, clock, events, states } = reporterWith({
      readTail: async () => tail.shift() ?? [],
    })
    reporter.raise(bad, scope)
    const [raised] = await events()
    if (raised === undefined) throw new Error('nothing is told')
    // Another process, which has read that, sees the end of it; then it is there again.
    clock.nowMs += 1_000
    tail.push([{ ...raised, state: 'CLEARED', last_at: clock.nowMs }])
    clock.nowMs += 1_000
    reporter.raiseEverywhere(bad, scope)
    expect((await states()).map(([, state]) => state)).toEqual(['RAISED', 'RAISED'])
    // What another has raised is no news.
    const later = reporterWith({ readTail: async () => [raised] })
    later.reporter.raiseEverywhere(bad, scope)
    expect(await later.states()).toEqual([])
    expect(later.reporter.open()).toHaveLength(1)
  })

  it('are raised and cleared in the order in which that was asked for', async () => {
    const { reporter, states } = reporterWith()
    reporter.raiseEverywhere(bad, scope)
    reporter.clearEverywhere([ours])
    reporter.raiseEverywhere(bad, scope)
    reporter.clearEverywhere([ours])
    expect((await states()).map(([, state]) => state)).toEqual([
      'RAISED',
      'CLEARED',
      'RAISED',
      'CLEARED',
    ])
  })

  it('raised while that is read are not cleared', async () => {
    const made = reporterWith({
      readTail: async () => {
        made.clock.nowMs += 1
        made.reporter.raise(bad, scope, pointer)
        return []
      },
    })
    made.reporter.clearEverywhere([ours])
    expect(await made.states()).toEqual([['SCHEMA_VIOLATION', 'RAISED']])
  })

  it('are cleared as far as they are known when the topic cannot be read', async () => {
    const readTail = () => Promise.reject(new Error('no broker'))
    const { reporter, states } = reporterWith({ readTail })
    reporter.raise(bad, scope, pointer)
    reporter.clearEverywhere([{ ...ours, partition: 4 }])
    expect((await states()).at(-1)).toEqual(['SCHEMA_VIOLATION', 'CLEARED'])
  })
})

describe('a condition about one subject', () => {
  it('is cleared by that subject, and no other condition of its stream with it', async () => {
    const { reporter, events } = reporterWith()
    const missing = (subject?: string) =>
      new PipelineError('MISSING_DATA', 'SNAPSHOT', 'm', subject === undefined ? {} : { subject })
    for (const error of [missing(), missing('stale'), missing('held')]) {
      reporter.raise(error, { ...scope, runId: null })
    }
    const [plain, stale, held] = await events()
    const { connection, stream } = scope
    const open = () => reporter.open().map(({ fingerprint }) => fingerprint)
    reporter.clear({ connection, stream, subject: 'stale' })
    expect(open()).toEqual([plain?.fingerprint, held?.fingerprint])
    reporter.clear({ connection, stream, subject: null })
    expect(open()).toEqual([held?.fingerprint])
    expect(stale?.state).toBe('RAISED')
  })
})
