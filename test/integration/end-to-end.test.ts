// The whole path through the command line: what the stores hold equals the simulator's truth.
import { describe, expect, it } from 'vitest'
import type { Run } from '../../contracts/run.ts'
import { startProduct } from '../support/product.ts'
import { expectStoreIsTruth } from '../support/truth.ts'
import { expectedAsset, vendorOf } from '../support/truth-keys.ts'

describe('exposure start --once', () => {
  it(
    'fills the store with exactly the truth, and a second run adds nothing',
    { timeout: 180_000 },
    async () => {
      const product = await startProduct({
        simulator: { machines: 60, rateLimits: true },
        streams: 'all',
      })
      const first = await product.once()
      expect(first.stderr).toBe('')
      // One that another stream tells better is skipped.
      const runs = (first.summary?.runs ?? []).filter((run) => run.verdict !== 'SKIPPED')
      expect(first.code).toBe(0)
      expect(runs.filter((run) => run.verdict !== 'COMPLETE')).toEqual([])
      expect(runs.length).toBeGreaterThan(15)
      const truth = product.truth()

      await expectStoreIsTruth(product, truth)

      const sharedBy = (table: string) =>
        product.query<{ entity_uid: string }>(
          `select entity_uid from exposure.${table} group by 1 having count(distinct vendor) = 2 order by 1`,
        )
      const entities = Map.groupBy(
        truth.assets.map((a) => [expectedAsset(a).entity_uid, a] as const),
        ([e]) => e,
      )
      const shared = [...entities]
        .filter(([, group]) => new Set(group.map(([, a]) => vendorOf(a.product))).size === 2)
        .map(([entity]) => entity)
      expect(shared.length).toBeGreaterThan(0)
      expect((await sharedBy('asset')).map((row) => row.entity_uid)).toEqual(shared.toSorted())
      expect((await sharedBy('finding')).length).toBeGreaterThan(0)

      const second = await product.once()
      expect(second.code).toBe(0)
      const events = Object.values(second.summary?.streams ?? {}).map((stream) => stream.events)
      expect(events).toEqual(events.map(() => 0))
      expect(second.summary?.rows).toEqual({ ...first.summary?.rows, runs: 2 * runs.length })
    },
  )

  it(
    'leaves a ledger: started, fetched, one tally per partition, and finished with their sum',
    { timeout: 120_000 },
    async () => {
      const product = await startProduct({ connections: ['prisma'] })
      const ended = await product.once()
      expect(ended.code).toBe(0)
      const all = await product.events<Run>('runs')
      const runs = all.filter((run) => run.stream === 'compute.hosts')
      const phases = runs.map((run) => run.phase).toSorted()
      const tallies = Array.from({ length: 6 }, () => 'TALLY')
      expect(phases).toEqual(['FETCHED', 'FINISHED', 'STARTED', ...tallies])
      const finished = runs.find((run) => run.phase === 'FINISHED')
      const fetched = runs.find((run) => run.phase === 'FETCHED')
      const seen = runs.reduce((sum, run) => sum + (run.tally?.units_seen ?? 0), 0)
      expect(fetched).toMatchObject({ verdict: 'COMPLETE', declared: seen, published: seen })
      expect(finished?.totals).toMatchObject({ units_seen: seen, closed: 0, held: 0 })
      expect(finished?.totals?.duration_ms).toBe((finished?.at ?? 0) - (finished?.started_at ?? 0))
      expect(seen).toBe(product.truth().assets.filter((a) => a.stream === 'compute.hosts').length)
    },
  )
})
