// A unit that loses its findings at once, and findings that the vendor itself tells as closed.
import { describe, expect, it } from 'vitest'
import type { OutRecord } from '../../contracts/processing.ts'
import {
  LifecycleBench,
  T0,
  findingsIn,
  host,
  hostFacts,
  runEndOf,
  runsIn,
  vulnerability,
} from '../support/lifecycle.ts'

const HOUR = 3_600_000
const startOf = (run: number): number => T0 + run * HOUR
const idOf = (run: number): string => `${startOf(run)}-000001`
const changes = (records: readonly OutRecord[]): string[] =>
  findingsIn(records).map(({ meta }) => meta.change_type)

const cves = Array.from({ length: 30 }, (_, i) => vulnerability(`CVE-2025-1${100 + i}`))
/** The host with the first `count` of them, met `afterMs` into the run. */
const seen = (bench: LifecycleBench, run: number, count: number, afterMs = 0): OutRecord[] => {
  const facts = hostFacts({ runId: idOf(run), fetchedAtMs: startOf(run) + afterMs })
  return bench.commit(bench.record(facts, host(cves.slice(0, count))))
}

describe('a unit that loses many findings', () => {
  it('is believed at once when it keeps a fifth of them', () => {
    const bench = new LifecycleBench()
    seen(bench, 0, 30)
    // 24 of 30 are 80 %, and no more.
    expect(changes(seen(bench, 1, 6))).toEqual(Array(24).fill('RESOLVED'))
  })

  it('is not confirmed by a second sight in the same run, but by one in the next', () => {
    const bench = new LifecycleBench()
    seen(bench, 0, 30)
    expect(changes(seen(bench, 1, 0))).toEqual([])
    expect(changes(seen(bench, 1, 0, 1_000))).toEqual([])
    bench.restore('compacted')
    expect(changes(seen(bench, 1, 0, 2_000))).toEqual([])
    expect(changes(seen(bench, 2, 0))).toHaveLength(30)
  })
})

const service = { connection: 'cx', stream: 'xpanse.services' } as const
const xpanse = (run: number) =>
  hostFacts({
    ...service,
    vendor: 'cortex',
    product: 'cortex-xpanse',
    unit: 's-1',
    assetNativeId: 's-1',
    runId: idOf(run),
    fetchedAtMs: startOf(run),
  })
/** A service with so many CVEs that are active and so many that were. */
const shown = (bench: LifecycleBench, run: number, active: number, inactive: number) => {
  const observed = Array.from({ length: active + inactive }, (_, n) => ({
    inferredCve: { cveId: `CVE-2026-${1000 + n}` },
    activityStatus: n < active ? 'Active' : 'Inactive',
  }))
  const details = { service_id: 's-1', details: { inferredCvesObserved: observed } }
  const body = { service: { service_id: 's-1', port: 443, protocol: 'TCP' }, details }
  return bench.commit(bench.record(xpanse(run), body))
}
const endOf = (run: number, hold: string | null = null) => ({
  ...runEndOf({ runId: idOf(run), startedAtMs: startOf(run), endedAtMs: startOf(run) + 1, hold }),
  ...service,
  vendor: 'cortex' as const,
  product: 'cortex-xpanse',
})

describe('findings that the vendor has closed', () => {
  it('make the loss of all open ones of their unit no less of a doubt', () => {
    const bench = new LifecycleBench()
    expect(shown(bench, 0, 25, 75).length).toBeGreaterThan(25)
    expect(changes(shown(bench, 1, 0, 0))).toEqual([])
    expect(changes(shown(bench, 2, 0, 0))).toEqual(Array(25).fill('RESOLVED'))
  })

  it('are not forgotten as long as the unit shows them', () => {
    const bench = new LifecycleBench('1', { purgeAfterMs: HOUR })
    shown(bench, 0, 1, 1)
    const out = [5, 6].flatMap((run) => {
      shown(bench, run, 1, 1)
      return bench.commitControl(bench.runEnd(endOf(run)))
    })
    expect(out.filter(({ value }) => value === null)).toEqual([])
    expect(runsIn(out).map(({ tally }) => tally?.purged)).toEqual([0, 0])
    // Nor does it come anew.
    expect(changes(shown(bench, 7, 1, 1))).toEqual([])
  })

  it('are not counted among what a run holds back', () => {
    const bench = new LifecycleBench()
    shown(bench, 0, 2, 3)
    bench.commitControl(bench.runEnd(endOf(0)))
    const out = bench.commitControl(bench.runEnd(endOf(1, 'the listing has no rows')))
    // The asset and its two open findings.
    expect(runsIn(out).at(-1)?.tally).toMatchObject({ closed: 0, held: 3 })
  })
})
