// A fallback stream that is taken back: what only it shows closes, what a better one shows stays.
import { describe, expect, it } from 'vitest'
import type { Order } from '../../contracts/envelope.ts'
import { isRemoval } from '../../contracts/run.ts'
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
const A = vulnerability('CVE-2025-0001')
const B = vulnerability('CVE-2025-0002')
const FALLBACK = 'compute.registry'
const BETTER = 'compute.images'
const IMAGE = `sha256:${'a'.repeat(64)}`
const startOf = (run: number): number => T0 + run * HOUR
const idOf = (run: number): string => `${startOf(run)}-00000${run}`

/** A run of the stream lists the one image with these weaknesses; null: it lists nothing. */
function runOf(bench: LifecycleBench, run: number, stream: string, vulns: unknown[] | null) {
  const facts = { stream, unit: IMAGE, assetNativeId: `image|${IMAGE}`, runId: idOf(run) }
  const type = stream === BETTER ? 'image' : 'registry'
  const image = { _id: IMAGE, id: IMAGE, type, repoTag: { repo: 'team/shop', tag: '1' } }
  const sight = (seen: unknown[]) =>
    bench.record(hostFacts({ ...facts, fetchedAtMs: startOf(run) + 1_000 }), host(seen, image))
  const out = vulns === null ? [] : bench.commit(sight(vulns))
  const times = { startedAtMs: startOf(run), endedAtMs: startOf(run) + 60_000 }
  const end = bench.runEnd(runEndOf({ stream, runId: idOf(run), ...times }))
  return [...out, ...bench.commitControl(end)]
}
const withdrawal = (run: number): Order => ({
  control: 'remove',
  keep: false,
  stream: FALLBACK,
  orderId: idOf(run),
  connection: 'prod',
  vendor: 'prisma-cloud',
  tenant: 'acme',
  orderedAtMs: startOf(run),
})
const changes = (records: readonly OutRecord[]): string[] => [
  ...assetsIn(records).map(({ meta }) => `${meta.change_type} asset`),
  ...findingsIn(records).map((f) => `${f.meta.change_type} ${f.title}`),
]

describe('a fallback stream that is taken back', () => {
  it('closes what only it showed, and leaves what the better stream shows too', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, FALLBACK, [A, B])
    runOf(bench, 1, BETTER, [A])
    const out = bench.commitControl(bench.order(withdrawal(2)))
    const closed = findingsIn(out).filter(({ status }) => status === 'RESOLVED')
    expect(closed).toMatchObject([
      { resolution: 'EXPIRED', meta: { change_cause: 'LIFECYCLE', source: { stream: FALLBACK } } },
    ])
    expect(changes(out).filter((text) => /GONE|RESOLVED/.test(text))).toHaveLength(1)
    expect(runsIn(out)).toMatchObject([
      { phase: 'REMOVED', stream: FALLBACK, product: 'prisma-compute', run_id: idOf(2) },
    ])
    expect(runsIn(out).map((run) => isRemoval({ ...run, phase: 'FINISHED' }))).toEqual([true])
  })

  it('no longer keeps open what the better stream has seen fixed', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, FALLBACK, [A])
    runOf(bench, 1, BETTER, [A])
    // Fixed: the stale sight of the fallback alone keeps it open.
    expect(changes(runOf(bench, 2, BETTER, []))).not.toContain('RESOLVED CVE-2025-0001 in openssl')
    const out = bench.commitControl(bench.order(withdrawal(3)))
    expect(findingsIn(out)).toMatchObject([{ status: 'RESOLVED' }])
    expect(assetsIn(out).filter(({ meta }) => meta.change_type === 'GONE')).toEqual([])
  })

  it('is forgotten alone, also by a new machine; the image goes with the better stream', () => {
    const bench = new LifecycleBench()
    runOf(bench, 0, FALLBACK, [A])
    runOf(bench, 1, BETTER, [A])
    bench.commitControl(bench.order(withdrawal(2)))
    bench.restore('marks first')
    expect([...bench.store.streams.keys()]).toEqual([`prod|${BETTER}`])
    expect([...bench.store.units.keys()]).toEqual([`prod|${BETTER}|${IMAGE}`])
    expect(changes(runOf(bench, 3, BETTER, null))).toEqual([
      'GONE asset',
      'RESOLVED CVE-2025-0001 in openssl',
    ])
  })
})
