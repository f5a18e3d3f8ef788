// The end of a run: what complete listings show no more is closed, held back, released, forgotten.
import { describe, expect, it } from 'vitest'
import type { Order, RunEnd } from '../../contracts/envelope.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import {
  LifecycleBench,
  T0,
  assetsIn,
  findingsIn,
  host,
  hostFacts,
  runEndOf,
  runsIn,
  vulnerability,
} from '../support/lifecycle.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const A = vulnerability('CVE-2025-0001')
const startOf = (run: number): number => T0 + run * HOUR
const idOf = (run: number): string => `${startOf(run)}-00000${run % 10}`

/** Run number `run` sees these hosts, each with one finding, and ends so. */
function runOf(
  bench: LifecycleBench,
  run: number,
  names: readonly string[],
  end: Partial<RunEnd> = {},
): OutRecord[] {
  const out = names.flatMap((name) => bench.commit(seen(bench, run, name)))
  return [...out, ...bench.commitControl(bench.runEnd(endOf(run, end)))]
}
const seen = (bench: LifecycleBench, run: number, name: string) => {
  const facts = { unit: name, assetNativeId: `host|${name}`, runId: idOf(run) }
  const observed = { ...facts, fetchedAtMs: startOf(run) + 1_000 }
  return bench.record(hostFacts(observed), host([A], { _id: name, hostname: name }))
}
const endOf = (run: number, end: Partial<RunEnd> = {}): RunEnd =>
  runEndOf({
    runId: idOf(run),
    startedAtMs: startOf(run),
    endedAtMs: startOf(run) + 60_000,
    ...end,
  })
const release = (run: number): Order => ({
  control: 'release',
  orderId: `${startOf(run)}-release`,
  connection: 'prod',
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  tenant: 'acme',
  stream: 'compute.hosts',
  runId: idOf(run),
  orderedAtMs: startOf(run) + 30 * 60_000,
})
const removal = (keep: boolean): Order => ({
  control: 'remove',
  keep,
  orderId: 'remove-1',
  connection: 'prod',
  vendor: 'prisma-cloud',
  tenant: 'acme',
  orderedAtMs: startOf(9),
})

/** `CREATED web-1`, in order, assets before findings. */
const told = (records: readonly OutRecord[]): string[] => [
  ...assetsIn(records).map((a) => `${a.meta.change_type} ${a.name}`),
  ...findingsIn(records).map((f) => `${f.meta.change_type} finding of ${f.asset.name}`),
]
const tallyIn = (records: readonly OutRecord[]) => runsIn(records).at(-1)?.tally
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `m-${i}`)

describe('a unit that a COMPLETE run does not list', () => {
  it('takes its asset into GONE and the finding it showed into RESOLVED with it', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    const out = runOf(bench, 1, ['web-1'])
    expect(told(out)).toEqual(['GONE web-2', 'RESOLVED finding of web-2'])
    const [asset] = assetsIn(out)
    const [finding] = findingsIn(out)
    expect(asset).toMatchObject({ status: 'GONE', gone_at: startOf(1) + 60_000 })
    expect(asset?.meta).toMatchObject({
      change_cause: 'LIFECYCLE',
      run_id: idOf(1),
      revision: startOf(1) + 60_000,
      source: { native_id: 'host|web-2', stream: 'compute.hosts', raw_sha256: null },
    })
    expect(finding).toMatchObject({ status: 'RESOLVED', resolution: 'ASSET_GONE' })
    expect(tallyIn(out)).toMatchObject({ closed: 2, held: 0, hold: null, units_seen: 1 })
  })

  it('takes no finding along as ASSET_GONE whose asset another connection still shows', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    const spare = hostFacts({ connection: 'spare', runId: idOf(0), fetchedAtMs: startOf(0) })
    bench.commit(bench.record(spare, host([])))
    const out = runOf(bench, 1, [])
    expect(assetsIn(out).map(({ name, status }) => [name, status])).toEqual([['web-2', 'GONE']])
    const closed = findingsIn(out).map(({ asset, resolution }) => `${asset.name} ${resolution}`)
    expect(closed.toSorted()).toEqual(['web-1 ABSENT_FROM_SNAPSHOT', 'web-2 ASSET_GONE'])
  })

  it('is told once', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    runOf(bench, 1, ['web-1'])
    expect(told(runOf(bench, 2, ['web-1']))).toEqual([])
  })

  it('comes back as REOPENED with its first sight kept, restored from the log or not', () => {
    for (const restored of [false, true]) {
      const bench = new LifecycleBench()
      const [first] = findingsIn(runOf(bench, 0, ['web-1', 'web-2']).slice(-3))
      runOf(bench, 1, ['web-1'])
      if (restored) bench.restore('marks first')
      const out = runOf(bench, 2, ['web-1', 'web-2'])
      expect(told(out)).toEqual(['REOPENED web-2', 'REOPENED finding of web-2'])
      expect(findingsIn(out)[0]).toMatchObject({
        first_seen: first?.first_seen,
        reopen_count: 1,
        status: 'REOPENED',
        resolution: 'NONE',
        resolved_at: null,
      })
    }
  })

  it('is not brought back by an older sight of it', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    const replayed = seen(bench, 0, 'web-2')
    runOf(bench, 1, ['web-1'])
    expect(told(bench.commit(replayed))).toEqual([])
    bench.restore()
    expect(told(bench.commit(replayed))).toEqual([])
  })

  it.each(['PARTIAL', 'FAILED', 'DRIFTED'] as const)('stays when the run is %s', (verdict) => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    expect(told(runOf(bench, 1, ['web-1'], { verdict }))).toEqual([])
  })

  it('stays when the run lists only what changed', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    expect(told(runOf(bench, 1, ['web-1'], { kind: 'INCREMENTAL' }))).toEqual([])
  })

  it('goes at the second DRIFTED run in a row that lacks it, and not with a gap between', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    runOf(bench, 1, ['web-1'], { verdict: 'DRIFTED' })
    runOf(bench, 2, ['web-1'], { verdict: 'FAILED' })
    expect(told(runOf(bench, 3, ['web-1'], { verdict: 'DRIFTED' }))).toEqual([])
    expect(told(runOf(bench, 4, ['web-1'], { verdict: 'DRIFTED' }))).toHaveLength(2)
  })

  it('stays when only the later of two DRIFTED runs lacks it', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    runOf(bench, 1, ['web-1', 'web-2'], { verdict: 'DRIFTED' })
    expect(told(runOf(bench, 2, ['web-1'], { verdict: 'DRIFTED' }))).toEqual([])
  })

  it('goes only after as many COMPLETE runs as configured', () => {
    const bench = new LifecycleBench('1', { closeAfterRuns: 3 })
    runOf(bench, 0, ['web-1', 'web-2'])
    const closings = [1, 2, 3, 4].map((run) => {
      bench.restore('marks first')
      return told(runOf(bench, run, ['web-1'])).length
    })
    expect(closings).toEqual([0, 0, 2, 0])
  })

  it('stays while another stream shows the same asset, and goes with the last', () => {
    const bench = new LifecycleBench()
    const id = `sha256:${'a'.repeat(64)}`
    const image = (stream: string, type: string) =>
      bench.record(hostFacts({ stream, unit: id, assetNativeId: `image|${id}`, runId: idOf(0) }), {
        ...host([A], { _id: id, id, type, repoTag: { repo: 'team/shop', tag: '1' } }),
      })
    const streams = ['compute.images', 'compute.registry'] as const
    bench.commit(image(streams[0], 'image'), image(streams[1], 'registry'))
    for (const stream of streams) bench.commitControl(bench.runEnd(endOf(0, { stream })))
    const [left, gone] = streams.map((stream) =>
      bench.commitControl(bench.runEnd(endOf(1, { stream }))),
    )
    expect(told(left ?? []).some((text) => /GONE|RESOLVED/.test(text))).toBe(false)
    expect(told(gone ?? [])).toEqual(['GONE team/shop:1', 'RESOLVED finding of team/shop:1'])
  })
})

describe('the fuse', () => {
  it('holds a mass closure of one partition, and the next run that shows them clears it', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, names(30))
    const out = runOf(bench, 1, names(19))
    expect(told(out)).toEqual([])
    expect(tallyIn(out)).toMatchObject({ closed: 0, held: 22 })
    expect(tallyIn(out)?.hold).toContain('11 of the 30 units')
    const back = runOf(bench, 2, names(30))
    expect(told(back)).toEqual([])
    expect(tallyIn(back)).toMatchObject({ held: 0, hold: null })
  })

  it('holds what the producer says to hold', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    const hold = 'the listing has no rows'
    const out = runOf(bench, 1, [], { hold })
    expect(told(out)).toEqual([])
    expect(tallyIn(out)).toMatchObject({ held: 4, hold })
  })

  it('closes exactly what was held when the operator releases it', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, names(30))
    runOf(bench, 1, names(15))
    bench.restore()
    // One of the held comes back before the order is given.
    bench.commit(seen(bench, 2, 'm-29'))
    const out = bench.commitControl(bench.order(release(1)))
    expect(told(out)).toHaveLength(28)
    expect(told(out)).not.toContain('GONE m-29')
    expect(assetsIn(out)[0]?.meta).toMatchObject({ change_cause: 'OPERATOR', run_id: idOf(1) })
    expect(runsIn(out)[0]).toMatchObject({ phase: 'RELEASED', run_id: idOf(1) })
    expect(tallyIn(out)?.closed).toBe(28)
    expect(told(bench.commitControl(bench.order(release(1))))).toEqual([])
  })

  it('releases nothing that a later run has cleared', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, names(30))
    runOf(bench, 1, names(15))
    runOf(bench, 2, names(30))
    expect(told(bench.commitControl(bench.order(release(1))))).toEqual([])
  })

  it('holds when a record arrived of which nobody can tell whose it is', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    const damaged = { ...seen(bench, 1, 'web-2'), headers: {} }
    bench.commit(damaged)
    bench.restore()
    const out = runOf(bench, 1, ['web-1'])
    expect(told(out)).toEqual([])
    expect(tallyIn(out)?.hold).toContain('dead letter')
    expect(told(runOf(bench, 2, ['web-1']))).toHaveLength(2)
  })

  it('does not believe headers that name another unit than the key', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    bench.commit({ ...seen(bench, 1, 'web-2'), key: 'prod|compute.hosts|web-3' })
    expect(bench.deadLetters).toHaveLength(1)
    expect(told(runOf(bench, 1, ['web-1']))).toEqual([])
  })
})

describe('other filters', () => {
  const scope = 'fedcba9876543210'

  it('close nothing of what the ones before listed, until the operator says so', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, names(5))
    const first = runOf(bench, 1, names(3), { scope })
    expect(told(first)).toEqual([])
    expect(tallyIn(first)).toMatchObject({ held: 4 })
    expect(tallyIn(first)?.hold).toContain('other filters')
    // What the new filters have listed once closes as ever.
    const second = runOf(bench, 2, names(2), { scope })
    expect(told(second)).toEqual(['GONE m-2', 'RESOLVED finding of m-2'])
    const out = bench.commitControl(bench.order(release(2)))
    expect(told(out).filter((text) => text.startsWith('GONE'))).toEqual(['GONE m-3', 'GONE m-4'])
  })
})

describe('a removed connection', () => {
  it('closes all that it alone showed, and forgets its units', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    const out = bench.commitControl(bench.order(removal(false)))
    expect(told(out)).toHaveLength(4)
    expect(findingsIn(out)[0]).toMatchObject({ status: 'RESOLVED', resolution: 'EXPIRED' })
    expect(assetsIn(out)[0]?.meta).toMatchObject({
      change_cause: 'OPERATOR',
      source: { product: 'prisma-compute', stream: 'compute.hosts' },
    })
    expect(runsIn(out)).toMatchObject([{ phase: 'REMOVED', run_id: 'remove-1', stream: '*' }])
    expect(bench.store.units.size).toBe(0)
    bench.restore('marks first')
    expect(bench.store.units.size + bench.store.streams.size + bench.store.seenKeys.size).toBe(0)
    expect(told(runOf(bench, 10, ['web-1']))).toEqual([
      'REOPENED web-1',
      'REOPENED finding of web-1',
    ])
  })

  it('is kept without an event, and forgotten', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, ['web-1', 'web-2'])
    expect(told(bench.commitControl(bench.order(removal(true))))).toEqual([])
    expect(bench.store.entities.size + bench.store.units.size).toBe(0)
  })
})

describe('a long walk', () => {
  it('comes in steps, and after a crash in between tells each closure once', () => {
    const bench = new LifecycleBench('1', { fuseShare: 1 })
    runOf(bench, 0, names(1_200))
    const before = bench.written.length
    const end = bench.runEnd(endOf(1))
    bench.commitControl(end, 2)
    bench.restore()
    const out = bench.commitControl(end)
    const keys = bench.written.slice(before).filter((r) => r.topic !== 'exposure.runs')
    expect(keys).toHaveLength(2_400)
    expect(new Set(keys.map((record) => record.key)).size).toBe(2_400)
    expect(tallyIn(out)).toMatchObject({ closed: 2_400 })
  })
})

describe('what closed long ago', () => {
  it('is forgotten with a tombstone that keeps its headers, and may come anew', () => {
    const bench = new LifecycleBench('1', { purgeAfterMs: DAY })
    runOf(bench, 0, ['web-1', 'web-2'])
    const [gone] = assetsIn(runOf(bench, 1, ['web-1']))
    expect(tallyIn(runOf(bench, 20, ['web-1']))?.purged).toBe(0)
    const out = runOf(bench, 27, ['web-1'])
    const tombstone = out.find(({ key }) => key === gone?.asset_uid)
    expect(tombstone).toMatchObject({ topic: 'exposure.assets', value: null })
    expect(tombstone?.headers).toMatchObject({
      'x-change-type': 'PURGED',
      ce_type: 'exposure.asset.purged.v1',
      ce_source: '/connectors/prod',
      'x-tenant': 'acme',
    })
    expect(tallyIn(out)?.purged).toBe(2)
    bench.restore('marks first')
    expect(bench.store.units.size).toBe(1)
    expect(told(runOf(bench, 28, ['web-1', 'web-2']))).toContain('CREATED web-2')
    const ordinals = [...bench.store.units.values()].map((unit) => unit.ordinal)
    expect(new Set(ordinals).size).toBe(2)
  })
})

describe('marks of runs that are never COMPLETE', () => {
  it('are folded into the records of the units they belong to', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, names(4), { verdict: 'PARTIAL' })
    for (let run = 1; run <= 60; run++) runOf(bench, run, names(3), { verdict: 'PARTIAL' })
    expect(bench.store.seenKeys.size).toBeLessThan(3 * 30)
    bench.restore('marks first')
    expect(bench.store.units.get('prod|compute.hosts|m-0')?.runId).toBe(idOf(60))
  })
})
