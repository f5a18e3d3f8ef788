// What units say through their stream's transformer: ids of assets and findings, and drift.
import type { RawFacts } from '../../contracts/envelope.ts'
import type { Observation, Transformer, Unit } from '../../contracts/ports.ts'
import { TRANSFORMERS } from '../../transformers/transformers.ts'

export type Observed = {
  /** Ids of assets, findings and dictionary entries, sorted and distinct. */
  readonly ids: readonly string[]
  /** `kind path` of each difference, sorted and distinct. */
  readonly drift: readonly string[]
}

/** Through the transformer as a raw record would be. @throws what the transformer throws */
export function observedUnit(stream: string, tenant: string, unit: Unit): Observation {
  const transformer = TRANSFORMERS.find((candidate) => candidate.stream === stream)
  if (transformer === undefined) throw new Error(`no transformer of ${stream}`)
  return observedBy(transformer, tenant, unit)
}

/** As observedUnit, through one that need not be listed. */
export function observedBy(transformer: Transformer, tenant: string, unit: Unit): Observation {
  const { vendor, product, stream } = transformer
  const facts: RawFacts = {
    connection: 'test',
    vendor,
    product,
    tenant,
    stream,
    unit: unit.unit,
    assetNativeId: unit.assetNativeId,
    runId: 'run-1',
    fetchedAtMs: Date.UTC(2026, 0, 15),
    endpoint: '/listing',
    page: 1,
    contentType: unit.contentType,
    columns: unit.columns,
    tooLargeBytes: null,
  }
  return transformer.transform({ facts, body: unit.body ?? Buffer.alloc(0) })
}

export function observedAll(stream: string, tenant: string, units: readonly Unit[]): Observed {
  const ids = new Set<string>()
  const drift = new Set<string>()
  for (const unit of units) {
    const observation = observedUnit(stream, tenant, unit)
    for (const { asset_uid } of observation.assets) ids.add(asset_uid)
    for (const { finding_uid } of observation.findings) ids.add(finding_uid)
    for (const entry of observation.vulnerabilities ?? []) ids.add(entry.vulnerability_uid)
    for (const { kind, path } of observation.drift ?? []) drift.add(`${kind} ${path}`)
  }
  return { ids: [...ids].toSorted(), drift: [...drift].toSorted() }
}
