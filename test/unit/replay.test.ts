// What a kept raw record says to another mapping, before anything is published.
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { addTo, noTotals, textReport } from '../../cli/replay-report.ts'
import { PipelineError } from '../../contracts/errors.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { createReplay } from '../../transformers/replay.ts'
import { TRANSFORMERS } from '../../transformers/transformers.ts'
import {
  LifecycleBench,
  RUN_2,
  T0,
  host,
  hostFacts,
  runEndOf,
  vulnerability,
} from '../support/lifecycle.ts'

const HOUR_MS = 3_600_000
const body = host([vulnerability('CVE-2024-0001'), vulnerability('CVE-2024-0002')])
const hosts = TRANSFORMERS.find(({ stream }) => stream === 'compute.hosts') as Transformer
const renaming: Transformer = {
  ...hosts,
  transform(raw) {
    const seen = hosts.transform(raw)
    return { ...seen, assets: seen.assets.map((asset) => ({ ...asset, name: 'renamed' })) }
  },
}
const failing: Transformer = {
  ...hosts,
  transform() {
    throw new PipelineError('SCHEMA_VIOLATION', 'NORMALIZE', 'no longer read')
  },
}

const nothing = Buffer.alloc(0)
const encode = {
  asset: () => nothing,
  finding: () => nothing,
  vulnerability: () => nothing,
  run: () => nothing,
}
const readBy = (bench: LifecycleBench, transformer: Transformer, mappingVersion = '2') =>
  createReplay(bench.store, { prefix: '', mappingVersion, encode, transformer })

function bench() {
  const made = new LifecycleBench('1')
  const record = made.record(hostFacts(), body)
  made.commit(record)
  return { made, record }
}

describe('a kept record', () => {
  it('says the same to the same mapping', () => {
    const { made, record } = bench()
    expect(readBy(made, hosts)(record)).toEqual({ outcome: 'same' })
  })

  it('tells each field that another mapping changes, once', () => {
    const { made, record } = bench()
    const read = readBy(made, renaming)
    expect(read(record)).toEqual({
      outcome: 'changed',
      versionStands: false,
      differences: [
        {
          kind: 'asset',
          key: [...made.store.entities].find(([, { kind }]) => kind === 'asset')?.[0],
          change: 'UPDATED',
          fields: [{ path: 'name', before: '"web-1"', after: '"renamed"' }],
        },
      ],
    })
    expect(read(record)).toEqual({ outcome: 'same' })
  })

  it('warns where the version was not raised, so that nothing would be read again', () => {
    const { made, record } = bench()
    expect(readBy(made, renaming, '1')(record)).toMatchObject({ versionStands: true })
  })

  it('is told as unreadable, and leaves what is known as it is', () => {
    const { made, record } = bench()
    const before = structuredClone([...made.store.entities])
    const reading = readBy(made, failing)(record)
    expect(reading).toMatchObject({ outcome: 'unreadable', error: { message: 'no longer read' } })
    expect([...made.store.entities]).toEqual(before)
  })

  it('is passed over when it is older, gone or forgotten', () => {
    const { made, record } = bench()
    const later = hostFacts({ runId: RUN_2, fetchedAtMs: T0 + HOUR_MS })
    made.commit(made.record(later, body))
    expect(readBy(made, renaming)(record)).toEqual({ outcome: 'older' })
    const { made: emptied, record: last } = bench()
    emptied.commitControl(emptied.runEnd(runEndOf()))
    const end = runEndOf({ runId: RUN_2, startedAtMs: T0 - 1, endedAtMs: T0 + HOUR_MS })
    emptied.commitControl(emptied.runEnd(end))
    expect(readBy(emptied, renaming)(last)).toEqual({ outcome: 'gone' })
    expect(readBy(new LifecycleBench(), renaming)(last)).toEqual({ outcome: 'unknown' })
  })
})

describe('the report for people', () => {
  it('has a line per field, cut where it is long, and totals by field', () => {
    const printed: string[] = []
    const spy = vi.spyOn(console, 'log').mockImplementation((line: string) => printed.push(line))
    onTestFinished(() => spy.mockRestore())
    const totals = noTotals()
    totals.units = 2
    totals.entities = 1
    for (const outcome of ['changed', 'gone']) addTo(totals.outcomes, outcome)
    addTo(totals.fields, 'asset.name')
    const report = textReport()
    const fields = [{ path: 'name', before: null, after: `"${'x'.repeat(100)}"` }]
    report.difference('web-1', { kind: 'asset', key: 'ast_1', change: 'UPDATED', fields })
    report.totals(totals, { events: 1 })
    expect(printed).toEqual([
      `UPDATED   asset          ast_1  name: (none) -> "${'x'.repeat(59)}...`,
      'units: 2',
      '  1 would change entities',
      '  1 skipped: gone since',
      'entities that differ: 1',
      '         1  asset.name',
      'written again: 0 records; events: 1',
    ])
  })
})
