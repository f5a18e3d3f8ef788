// Unchanged is not an event: what is seen again, and a day in which nothing happens, tell nothing.
import { expect, it } from 'vitest'
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { TopicName } from '../../contracts/topics.ts'
import { CONNECTORS } from '../../producers/sources.ts'
import { type Product, startProduct } from '../support/product.ts'

const TIMEOUT_MS = 480_000
const EVENTS: readonly TopicName[] = ['assets', 'findings', 'vulnerabilities']

/** Every event and tombstone there is, as text. */
async function eventsOf(product: Product): Promise<string[]> {
  const all: string[] = []
  for (const topic of EVENTS) {
    for (const { key, headers, value } of await product.records(topic)) {
      all.push(`${topic} ${headers['x-change-type'] ?? ''} ${key} ${value === null}`)
    }
  }
  return all
}

const envelopes = async (product: Product): Promise<Asset['meta'][]> =>
  [...(await product.events<Asset>('assets')), ...(await product.events<Finding>('findings'))].map(
    ({ meta }) => meta,
  )

/** Stream, kind and changed fields of events that were not there before. */
const newsOf = async (product: Product, known: ReadonlySet<string>): Promise<unknown[]> =>
  (await envelopes(product))
    .filter((meta) => !known.has(meta.event_id))
    .map((meta) => [meta.source.stream, meta.change_type, meta.changes])

async function once(product: Product): Promise<void> {
  const { code, stderr } = await product.once()
  expect([code, code === 0 ? '' : stderr]).toEqual([0, ''])
}

/** Looks twice at the same estate, then at one that a day has passed over; returns its streams. */
async function expectSilence(product: Product): Promise<Set<string>> {
  await once(product)
  const before = await eventsOf(product)
  const first = await envelopes(product)
  // A first load is not news.
  expect(first.filter(({ backfill }) => !backfill)).toEqual([])
  const known = new Set(first.map((meta) => meta.event_id))

  await once(product)
  expect(await newsOf(product, known)).toEqual([])
  expect(await eventsOf(product)).toEqual(before)

  product.simulator.noise(24)
  for (const vendor of ['prisma-cloud', 'cortex'] as const) {
    product.simulator.faults.set({ vendor, kind: 'jitter', times: 'forever' })
  }
  await once(product)
  expect(await newsOf(product, known)).toEqual([])
  expect(await eventsOf(product)).toEqual(before)
  return new Set(first.map(({ source }) => source.stream))
}

const ISSUES = 'cloud.issues'

it(
  'tells nothing of a second look and of a day of noise, and then what is news',
  async () => {
    // The second tenant tells its weaknesses by agents and incidents.
    const second = { datasets: ['va_endpoints', 'va_cves'], issues: 'absent' } as const
    const product = await startProduct({
      streams: 'all',
      simulator: { machines: 14, cortexFindings: [{}, second] },
    })
    const streams = await expectSilence(product)
    const known = (await envelopes(product)).length
    // The dictionary has a topic of its own.
    expect((await product.records('vulnerabilities')).length).toBeGreaterThan(0)
    const all = Object.values(CONNECTORS).flatMap(({ sources }) => sources.map((s) => s.stream))
    const others = all.filter((name) => name !== ISSUES && name !== 'cloud.vulnerabilities')
    expect([...streams].toSorted()).toEqual(others.toSorted())

    product.simulator.faults.clear()
    product.simulator.evolve(3)
    await once(product)
    const news = await envelopes(product)
    expect(news.filter(({ backfill }) => backfill)).toHaveLength(known)
    const fresh = news.filter(({ backfill }) => !backfill).map((meta) => meta.change_type)
    expect(fresh).toContain('CREATED')
  },
  TIMEOUT_MS,
)

it(
  'tells nothing of the same issues',
  async () => {
    const product = await startProduct({
      connections: ['alpha'],
      // Without datasets of weaknesses issues are what the tenant tells them by.
      streams: ['cloud.assets', 'cloud.findings', 'xdr.findings', ISSUES],
      simulator: { machines: 14, cortexFindings: [{ datasets: [] }, {}] },
    })
    expect(await expectSilence(product)).toContain(ISSUES)
  },
  TIMEOUT_MS,
)
