// Scenarios through the whole product: what the store holds and what operations are told.
import { describe, expect, it } from 'vitest'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { ErrorType } from '../../contracts/errors.ts'
import type { ListedVendor } from '../../contracts/topics.ts'
import { factsOfStream } from '../../simulator/scenario-streams.ts'
import { faultsOf, scenarioNamed, streamsOf } from '../../simulator/scenarios.ts'
import { STREAMS, type StreamName } from '../../simulator/truth.ts'
import { type Product, startProduct } from '../support/product.ts'

const TIMEOUT_MS = 240_000
/** One per vendor, so that other engines of the test do not wait long. */
const WANTED: readonly StreamName[] = ['compute.hosts', 'xdr.endpoints']

/** Only the streams named are on. */
const only = (wanted: readonly StreamName[], vendor: ListedVendor) =>
  Object.fromEntries(
    STREAMS.filter((stream) => factsOfStream(stream).vendor === vendor)
      .filter((stream) => !wanted.includes(stream))
      .map((stream) => [stream, { enabled: false }]),
  )

const startOne = (stream: StreamName): Promise<Product> =>
  startProduct({
    simulator: { machines: 30 },
    connections: [factsOfStream(stream).vendor === 'cortex' ? 'alpha' : 'prisma'],
    connection: { streams: only([stream], factsOfStream(stream).vendor) },
  })

const told = (events: readonly ConnectorError[]): ErrorType[] =>
  [...new Set(events.filter((e) => e.state === 'RAISED').map((e) => e.error_type))].toSorted()

async function stored(product: Product): Promise<string[]> {
  const rows = await product.query<{ id: string }>(
    'select asset_uid as id from exposure.asset union select finding_uid from exposure.finding',
  )
  return rows.map(({ id }) => id).toSorted()
}

/** Cured ones, one that ends in a failure, and the three kinds of drift. */
const NAMES = [
  'truncated-gzip',
  'uri-too-long',
  'missing-rows',
  'drift-new-field',
  'drift-new-value',
  'drift-type-change',
] as const

describe.each(NAMES)('%s', (name) => {
  const scenario = scenarioNamed(name)
  if (scenario === undefined) throw new Error(`no scenario ${name}`)
  const streams = WANTED.filter((stream) => streamsOf(scenario).includes(stream))

  it.each(streams)(
    'ends %s in the product as it says',
    async (stream) => {
      const product = await startOne(stream)
      const { published, told: expected, verdicts } = scenario.ending(factsOfStream(stream))
      product.simulator.faults.set(...faultsOf(scenario))
      const broken = await product.once()
      expect(broken.summary?.runs.map((run) => run.verdict)).toEqual([verdicts[0]])
      expect(told(await product.connectorErrors())).toEqual(expected === null ? [] : [expected])
      const during = await stored(product)

      product.simulator.faults.clear()
      expect((await product.once()).code).toBe(0)
      const healed = await stored(product)
      expect(healed.length).toBeGreaterThan(5)
      if (published === 'all') expect(during).toEqual(healed)
      else expect(during.length).toBeLessThan(healed.length)
    },
    TIMEOUT_MS,
  )
})

describe('contract drift', () => {
  it(
    'is told once per path and day with what is new, and no record is lost',
    async () => {
      const product = await startOne('compute.hosts')
      const place = { vendor: 'prisma-cloud', endpoint: 'compute.hosts', times: 'forever' } as const
      product.simulator.faults.set({ ...place, kind: 'new-field', field: 'brandNewField' })
      expect((await product.once()).code).toBe(0)
      const all = await stored(product)
      // The same drift again, from other bytes: the machines have moved on.
      product.simulator.evolve()
      expect((await product.once()).code).toBe(0)

      const events = (await product.connectorErrors()).filter(
        (event) => event.error_type === 'CONTRACT_DRIFT',
      )
      const days = new Set(
        events.map(({ first_at }) => new Date(first_at).toISOString().slice(0, 10)),
      )
      expect(events.map(({ state }) => state)).toEqual(Array.from(days, () => 'RAISED'))
      expect(events[0]).toMatchObject({
        stream: 'compute.hosts',
        stage: 'NORMALIZE',
        severity: 'LOW',
        message: 'compute.hosts: new-field at brandNewField: string',
      })
      const truth = product.simulator.truth()
      expect(all.length).toBeGreaterThan(20)
      expect(await product.records('dlq')).toEqual([])
      expect(truth.assets.some(({ stream }) => stream === 'compute.hosts')).toBe(true)
    },
    TIMEOUT_MS,
  )
})
