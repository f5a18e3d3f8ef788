// Which records a sink gets, by every setting of its filter.
import { describe, expect, it } from 'vitest'
import type { SinkEvent, SinkRecord } from '../../contracts/ports.ts'
import { passes } from '../../runtime/sink-filter.ts'
import { type SinkFilter, commonSink } from '../../runtime/sink-settings.ts'
import { assetEvent, errorEvent, findingEvent, runEvent } from '../support/events.ts'

const record = (event: SinkEvent): SinkRecord => ({
  ...event,
  key: 'k',
  offset: 0n,
  timestampMs: 0,
})
const { meta } = findingEvent('f')
const finding = (more: Parameters<typeof findingEvent>[2] = {}) =>
  record({ kind: 'finding', value: findingEvent('f', 1, more) })
const asset = record({ kind: 'asset', value: assetEvent('a') })
const run = record({ kind: 'run', value: runEvent('r') })
const error = (more: Parameters<typeof errorEvent>[2] = {}) =>
  record({ kind: 'connector-error', value: errorEvent('e', 'p', more) })
const everything = [asset, finding(), run, error()]

const kept = (filter: SinkFilter, records = everything) =>
  records.filter((one) => passes(filter, one)).map(({ kind }) => kind)

describe('a filter', () => {
  it('lets everything pass when there is none, or nothing in it', () => {
    expect(everything.every((one) => passes(undefined, one))).toBe(true)
    expect(kept({})).toHaveLength(everything.length)
  })

  it('keeps the kinds named', () => {
    expect(kept({ kinds: ['finding', 'run'] })).toEqual(['finding', 'run'])
  })

  it('keeps the severities named, and what has none', () => {
    expect(kept({ severities: ['CRITICAL'] })).toEqual(['asset', 'run'])
    expect(kept({ severities: ['HIGH'] })).toHaveLength(everything.length)
  })

  it('tells once that a finding has another severity now, whoever was told of the old one', () => {
    const changes = [{ path: 'severity', before: '"HIGH"', after: '"LOW"' }]
    const lowered = finding({ severity: 'LOW', meta: { ...meta, changes } })
    const stillLow = finding({ severity: 'LOW' })
    expect(kept({ severities: ['HIGH'] }, [lowered, stillLow])).toEqual(['finding'])
    expect(kept({ severities: ['CRITICAL'] }, [lowered])).toEqual([])
  })

  it('tells the end of an error, which is INFORMATIONAL, to who was told of its beginning', () => {
    const cleared = error({ state: 'CLEARED', severity: 'INFORMATIONAL' })
    expect(passes({ severities: ['HIGH'] }, cleared)).toBe(true)
    expect(passes({ severities: ['CRITICAL', 'INFORMATIONAL'] }, cleared)).toBe(false)
    expect(passes({ connections: ['other'] }, cleared)).toBe(false)
  })

  it('keeps the changes named, and what is no change of an entity', () => {
    const resolved = finding({ meta: { ...meta, change_type: 'RESOLVED' } })
    const filter: SinkFilter = { changes: ['RESOLVED', 'GONE'] }
    expect(kept(filter, [...everything, resolved])).toEqual(['run', 'connector-error', 'finding'])
  })

  it('keeps the connections named, and what belongs to none', () => {
    const ofSink = error({ connection_id: null, sink_id: 'postgres' })
    expect(kept({ connections: ['other'] }, [...everything, ofSink])).toEqual(['connector-error'])
    expect(kept({ connections: ['prod'] })).toHaveLength(everything.length)
  })

  it('leaves out first loads when told to, and only then', () => {
    const first = finding({ meta: { ...meta, backfill: true } })
    expect(kept({ backfill: false }, [first, finding()])).toEqual(['finding'])
    expect(kept({ backfill: true }, [first])).toEqual(['finding'])
  })

  it('lets every tombstone pass', () => {
    const gone = record({ kind: 'asset', value: null })
    expect(passes({ kinds: ['run'], connections: ['other'], backfill: false }, gone)).toBe(true)
  })
})

describe('the start of a sink', () => {
  it.each(['beginning', 'now', '2026-01-31T00:00:00Z', '2026-01-31T00:00:00+02:00'])(
    'may be %s',
    (start) => {
      expect(commonSink.start.parse(start)).toBe(start)
    },
  )

  it.each(['end', '2026-01-31', '', 5])('may not be %s', (start) => {
    const { error: problem } = commonSink.start.safeParse(start)
    expect(problem?.issues[0]?.message).toMatch(/^must be beginning, now, or an ISO time/)
  })
})
