// A tenant buys the better dataset: what a fallback stream showed gives way to the better stream's.
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import { controlOf } from '../../contracts/envelope.ts'
import { RAW_PARTITIONS } from '../../contracts/topics.ts'
import type { FindingsBehaviour } from '../../simulator/cortex/xql-behaviour.ts'
import { type Simulator, startSimulator } from '../../simulator/simulator.ts'
import type { Truth } from '../../simulator/truth.ts'
import { freePort } from '../../stack/ports.ts'
import { type Product, startProduct } from '../support/product.ts'
import { expectStateIsTruth } from '../support/truth.ts'

const TIMEOUT_MS = 240_000
const ESTATE = { seed: 7, machines: 20, rateLimits: false, xqlPendingPolls: 1 } as const

/** By fallback stream: what a tenant has that is read by it. */
const BEFORE: Readonly<Record<string, Partial<FindingsBehaviour>>> = {
  'xdr.findings': { datasets: ['va_endpoints', 'va_cves'] },
  'cloud.issues': { datasets: [] },
}

/** The same estate and keys at the same address, by a tenant that has all datasets. */
async function buy(before: Simulator, port: number): Promise<Simulator> {
  await before.stop()
  const simulator = await startSimulator({ ...ESTATE, cortexPorts: [port, 0] })
  onTestFinished(() => simulator.stop())
  return simulator
}

const ofAlpha = (truth: Truth, streams: readonly string[]): Truth => {
  const isRead = (of: { tenant: string; stream: string }) =>
    of.tenant === 'sim-alpha' && streams.includes(of.stream)
  const [assets, findings] = [truth.assets.filter(isRead), truth.findings.filter(isRead)]
  return { ...truth, assets, findings }
}

type State = { readonly assets: Asset[]; readonly findings: Finding[] }

const lastOf = <E>(events: readonly E[], keyOf: (event: E) => string): E[] =>
  [...Map.groupBy(events, keyOf).values()].flatMap((of) => of.at(-1) ?? [])

async function stateOf(product: Product): Promise<State> {
  return {
    assets: lastOf(await product.events<Asset>('assets'), ({ asset_uid }) => asset_uid),
    findings: lastOf(await product.events<Finding>('findings'), ({ finding_uid }) => finding_uid),
  }
}

const verdictsOf = (ended: Awaited<ReturnType<Product['once']>>): Record<string, string> =>
  Object.fromEntries((ended.summary?.runs ?? []).map(({ stream, verdict }) => [stream, verdict]))

const isClosed = ({ status }: Finding): boolean => status === 'RESOLVED'
/** What the truth is told of: an excluded weakness is known, and open for nobody. */
const isOpen = ({ status }: Finding): boolean => status === 'OPEN'

function expectTrue({ assets, findings }: State, simulator: Simulator, streams: string[]): void {
  const truth = ofAlpha(simulator.truth(), streams)
  expectStateIsTruth({ assets, findings: findings.filter(isOpen) }, truth)
}

async function expectStoreHolds(product: Product, findings: readonly Finding[]): Promise<void> {
  const rows = await product.query<{ uid: string; status: string }>(
    'select finding_uid as uid, status from exposure.finding',
  )
  const stored = new Map(rows.map(({ uid, status }) => [uid, status]))
  expect(stored).toEqual(new Map(findings.map((one) => [one.finding_uid, one.status])))
}

async function ordersOf(product: Product): Promise<number> {
  const records = await product.records('rawCortex')
  return records.filter(({ headers }) => controlOf(headers) === 'remove').length
}

describe.each(Object.keys(BEFORE))('what %s has shown', (fallback) => {
  it(
    'gives way, once, to what cloud.findings shows when the tenant has its dataset',
    async () => {
      const streams = ['xdr.endpoints', 'cloud.assets', 'cloud.findings', fallback]
      const port = await freePort([])
      const product = await startProduct({
        connections: ['alpha'],
        streams,
        simulator: {
          ...ESTATE,
          cortexPorts: [port, 0],
          cortexFindings: [BEFORE[fallback] ?? {}, {}],
        },
      })
      expect(verdictsOf(await product.once())).toMatchObject({
        'cloud.findings': 'SKIPPED',
        [fallback]: 'COMPLETE',
      })
      const before = await stateOf(product)
      expectTrue(before, product.simulator, streams)
      expect(before.findings.filter(isOpen).length).toBeGreaterThan(10)

      const bought = await buy(product.simulator, port)
      const second = await product.once()
      expect(second.code).toBe(0)
      expect(verdictsOf(second)).toMatchObject({
        'cloud.findings': 'COMPLETE',
        [fallback]: 'SKIPPED',
      })
      const after = await stateOf(product)
      expectTrue(after, bought, streams)
      await expectStoreHolds(product, after.findings)
      expect(await ordersOf(product)).toBe(RAW_PARTITIONS)
      // What both show is nobody's news; what the fallback alone has shown is closed by no vendor.
      const kept = new Set(after.findings.filter(isOpen).map(({ finding_uid }) => finding_uid))
      const all = await product.events<Finding>('findings')
      const closed = all.filter(isClosed)
      expect(closed.filter(({ finding_uid }) => kept.has(finding_uid))).toEqual([])
      expect(closed.filter(({ meta }) => meta.change_cause !== 'LIFECYCLE')).toEqual([])
      if (fallback === 'xdr.findings') expect(closed.length).toBeGreaterThan(10)

      expect((await product.once()).code).toBe(0)
      expect(await product.events<Finding>('findings')).toHaveLength(all.length)
      expect(await ordersOf(product)).toBe(RAW_PARTITIONS)
    },
    TIMEOUT_MS,
  )
})
