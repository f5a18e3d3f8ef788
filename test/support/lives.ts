// Events of every stream as the lifecycle makes them: entities come, go and come back.
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import {
  LifecycleBench,
  T0,
  assetsIn,
  findingsIn,
  host,
  hostFacts,
  runEndOf,
  vulnerability,
} from './lifecycle.ts'
import type { MappedUnit } from './mapping-units.ts'
import { transformerOf } from './transform.ts'

export type Lives = { readonly assets: readonly Asset[]; readonly findings: readonly Finding[] }

const HOUR_MS = 3_600_000
const TENANT = 'acme'

/** Three runs of one stream: all of the units, none of them, all again. */
export const livesOf = (stream: string, units: readonly MappedUnit[]): Lives =>
  livesIn(stream, [units, [], units])

/** One host with one weakness, through every turn that a life can take. */
export function wholeLives(): Lives {
  const seen = (findings: readonly object[], name: string) => [
    { json: host(findings, { osDistroVersion: name }), assetNativeId: 'host|web-1' },
  ]
  const severe = vulnerability('CVE-2025-0001', { severity: 'critical' })
  return livesIn('compute.hosts', [
    seen([vulnerability('CVE-2025-0001')], '12'),
    seen([severe], '13'),
    seen([], '13'),
    [],
    seen([severe], '13'),
  ])
}

type Seen = Pick<MappedUnit, 'json' | 'assetNativeId'>

function livesIn(stream: string, runs: readonly (readonly Seen[])[]): Lives {
  const { vendor, product } = transformerOf(stream)
  // Everything may go at once here.
  const bench = new LifecycleBench('1', { fuseShare: 1, fuseUnits: Number.MAX_SAFE_INTEGER })
  const source = { connection: 'prod', vendor, product, tenant: TENANT, stream }
  for (const [run, seen] of runs.entries()) {
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
