// Events of every stream as the lifecycle makes them: entities come, go and come back.
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import { LifecycleBench, T0, assetsIn, findingsIn, hostFacts, runEndOf } from './lifecycle.ts'
import type { MappedUnit } from './mapping-units.ts'
import { transformerOf } from './transform.ts'

export type Lives = { readonly assets: readonly Asset[]; readonly findings: readonly Finding[] }

const HOUR_MS = 3_600_000
const TENANT = 'acme'

/** Three runs of one stream: all of the units, none of them, all again. */
export function livesOf(stream: string, units: readonly MappedUnit[]): Lives {
  const { vendor, product } = transformerOf(stream)
  // Everything may go at once here.
  const bench = new LifecycleBench('1', { fuseShare: 1, fuseUnits: Number.MAX_SAFE_INTEGER })
  const source = { connection: 'prod', vendor, product, tenant: TENANT, stream }
  for (const [run, seen] of [units, [], units].entries()) {
    const startedAtMs = T0 + run * HOUR_MS
    const runId = `${startedAtMs}-00000${run}`
    for (const [index, { json, assetNativeId }] of seen.entries()) {
      const of = { unit: `unit-${index}`, assetNativeId, runId, fetchedAtMs: startedAtMs + 1 }
      bench.commit(bench.record(hostFacts({ ...source, ...of }), json))
    }
    const counts = { declared: seen.length, fetched: seen.length, published: seen.length }
    const end = { ...source, ...counts, runId, startedAtMs, endedAtMs: startedAtMs + 60_000 }
    bench.commitControl(bench.runEnd(runEndOf(end)))
  }
  return { assets: assetsIn(bench.written), findings: findingsIn(bench.written) }
}
