// What holds a closure back over several runs: damaged records, other filters, orders too late.
import { expect, it } from 'vitest'
import type { Order, RunEnd } from '../../contracts/envelope.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import {
  LifecycleBench,
  T0,
  assetsIn,
  host,
  hostFacts,
  runEndOf,
  runsIn,
  vulnerability,
} from '../support/lifecycle.ts'

const HOUR = 3_600_000
const startOf = (run: number): number => T0 + run * HOUR
const idOf = (run: number): string => `${startOf(run)}-000001`
const OTHER = 'fedcba9876543210'

const look = (bench: LifecycleBench, run: number, name: string) =>
  bench.record(
    hostFacts({
      unit: name,
      assetNativeId: `host|${name}`,
      runId: idOf(run),
      fetchedAtMs: startOf(run) + 1_000,
    }),
    host([vulnerability('CVE-2025-0001')], { _id: name, hostname: name }),
  )

function runOf(
  bench: LifecycleBench,
  run: number,
  names: readonly string[],
  end: Partial<RunEnd> = {},
): OutRecord[] {
  for (const name of names) bench.commit(look(bench, run, name))
  const times = { startedAtMs: startOf(run), endedAtMs: startOf(run) + 60_000 }
  return bench.commitControl(bench.runEnd(runEndOf({ runId: idOf(run), ...times, ...end })))
}

const release = (run: number, atRun: number): Order => ({
  control: 'release',
  orderId: `release-${run}-${atRun}`,
  connection: 'prod',
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  tenant: 'acme',
  stream: 'compute.hosts',
  runId: idOf(run),
  orderedAtMs: startOf(atRun) + HOUR / 2,
})
const gone = (records: readonly OutRecord[]): (string | null)[] =>
  assetsIn(records)
    .filter(({ status }) => status === 'GONE')
    .map(({ name }) => name)
const tallyIn = (records: readonly OutRecord[]) => runsIn(records).at(-1)?.tally

it('does not count a listing that may have shown it in a record nobody could read', () => {
  const bench = new LifecycleBench('1', { closeAfterRuns: 2 })
  runOf(bench, 0, ['web-1', 'web-2'])
  bench.commit({ ...look(bench, 1, 'web-2'), headers: {} })
  runOf(bench, 1, ['web-1'])
  expect(gone(runOf(bench, 2, ['web-1']))).toEqual([])
  expect(gone(runOf(bench, 3, ['web-1']))).toEqual(['web-2'])
})

it('goes on holding when a listing after other filters says nothing yet', () => {
  const bench = new LifecycleBench('1', { closeAfterRuns: 2 })
  runOf(bench, 0, ['web-1', 'web-2', 'web-3'])
  runOf(bench, 1, ['web-1'])
  const hold = 'the listing has 1 rows; the last complete one had 3'
  expect(tallyIn(runOf(bench, 2, ['web-1'], { hold }))).toMatchObject({ held: 4, hold })
  const narrowed = tallyIn(runOf(bench, 3, ['web-1', 'web-3'], { scope: OTHER }))
  // web-3 is back; what is held is named after the newest run, which the operator releases.
  expect(narrowed).toMatchObject({ held: 2, hold: `held back since run ${idOf(2)}` })
  expect(gone(bench.commitControl(bench.order(release(2, 3))))).toEqual([])
  expect(gone(bench.commitControl(bench.order(release(3, 3))))).toEqual(['web-2'])
})

it('is held over runs that list nothing, and released by the run that held it', () => {
  const bench = new LifecycleBench()
  runOf(bench, 0, ['web-1', 'web-2'])
  expect(tallyIn(runOf(bench, 1, ['web-1'], { hold: 'far fewer' }))).toMatchObject({ held: 2 })
  runOf(bench, 2, ['web-1'], { verdict: 'FAILED' })
  runOf(bench, 3, ['web-1'], { verdict: 'PARTIAL' })
  bench.restore('half')
  expect(gone(bench.commitControl(bench.order(release(1, 4))))).toEqual(['web-2'])
})

it('counts nothing as held that another stream still shows', () => {
  const bench = new LifecycleBench('1', { walkStepMax: 1 })
  const id = `sha256:${'a'.repeat(64)}`
  const image = (stream: string, connection: string) =>
    bench.record(
      hostFacts({ connection, stream, unit: id, assetNativeId: `image|${id}`, runId: idOf(0) }),
      host([], { _id: id, id, type: 'image', repoTag: { repo: 'team/shop', tag: '1' } }),
    )
  bench.commit(image('compute.images', 'prod'), image('compute.registry', 'prod'))
  const streams = ['compute.images', 'compute.registry'] as const
  for (const stream of streams) runOf(bench, 0, [], { stream })
  const held = streams.map((stream) => tallyIn(runOf(bench, 1, [], { stream, hold: 'no rows' })))
  // Each stream alone would leave it to the other.
  expect(held.map((tally) => tally?.held)).toEqual([0, 0])
})
