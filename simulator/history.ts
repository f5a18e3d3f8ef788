// When each entity was there: the truth of all steps so far, for whoever judges what was told.
import type { TrueAsset, TrueFinding, Truth } from './truth.ts'

/** Epoch milliseconds of the simulator's clock; `toMs` null: it is still there. */
export type Interval = { readonly fromMs: number; readonly toMs: number | null }
export type AssetHistory = Pick<TrueAsset, 'product' | 'tenant' | 'stream' | 'nativeId'> & {
  /** In order, never touching each other. */
  readonly intervals: readonly Interval[]
}
export type FindingHistory = Pick<
  TrueFinding,
  'product' | 'tenant' | 'stream' | 'assetNativeId' | 'vulnId' | 'packageType' | 'packageName'
> & { readonly intervals: readonly Interval[] }

export type History = {
  /** Every step, with the moment from which on it was shown. */
  readonly steps: readonly { readonly step: number; readonly atMs: number }[]
  readonly assets: readonly AssetHistory[]
  readonly findings: readonly FindingHistory[]
}

export type HistoryKeeper = {
  /** What is shown from `atMs` on. */
  note(truth: Truth, atMs: number): void
  history(): History
}

/** Names an asset within the truth. */
export const assetKey = (asset: Pick<TrueAsset, 'product' | 'tenant' | 'nativeId'>): string =>
  JSON.stringify([asset.product, asset.tenant, asset.nativeId])

/** Names a finding within the truth: versions and severity may change, this does not. */
export const findingKey = (finding: Omit<FindingHistory, 'stream' | 'intervals'>): string => {
  const { product, tenant, assetNativeId, vulnId, packageType, packageName } = finding
  return JSON.stringify([product, tenant, assetNativeId, vulnId, packageType ?? '', packageName])
}

type Kept<T> = { readonly facts: T; readonly intervals: { fromMs: number; toMs: number | null }[] }

/** Keeps it in memory, for as many steps as there are. */
export function createHistory(): HistoryKeeper {
  const steps: { step: number; atMs: number }[] = []
  const assets = new Map<string, Kept<Omit<AssetHistory, 'intervals'>>>()
  const findings = new Map<string, Kept<Omit<FindingHistory, 'intervals'>>>()
  return {
    note(truth, atMs) {
      steps.push({ step: truth.step, atMs })
      noteAll(assets, truth.assets.map(assetFacts), assetKey, atMs)
      noteAll(findings, truth.findings.map(findingFacts), findingKey, atMs)
    },
    history: () => ({
      steps: [...steps],
      assets: [...assets.values()].map(({ facts, intervals }) => ({ ...facts, intervals })),
      findings: [...findings.values()].map(({ facts, intervals }) => ({ ...facts, intervals })),
    }),
  }
}

const assetFacts = ({ product, tenant, stream, nativeId }: TrueAsset) => ({
  product,
  tenant,
  stream,
  nativeId,
})

const findingFacts = (finding: TrueFinding) => {
  const { product, tenant, stream, assetNativeId, vulnId, packageType, packageName } = finding
  return { product, tenant, stream, assetNativeId, vulnId, packageType, packageName }
}

function noteAll<T>(
  kept: Map<string, Kept<T>>,
  present: readonly T[],
  keyOf: (facts: T) => string,
  atMs: number,
): void {
  const byKey = new Map(present.map((facts) => [keyOf(facts), facts]))
  for (const [key, { intervals }] of kept) {
    const last = intervals.at(-1)
    if (last?.toMs === null && !byKey.has(key)) last.toMs = atMs
  }
  for (const [key, facts] of byKey) {
    const known = kept.get(key)
    if (known === undefined) kept.set(key, { facts, intervals: [{ fromMs: atMs, toMs: null }] })
    else if (known.intervals.at(-1)?.toMs !== null) {
      known.intervals.push({ fromMs: atMs, toMs: null })
    }
  }
}
