// Details of single items: one that fails for good is left out, and never ends the run.
import { describe, expect, it } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import type { PullEnd, Source, Unit } from '../../contracts/ports.ts'
import { xdrIncidents } from '../../producers/cortex/xdr-incidents.ts'
import { xpanseServices } from '../../producers/cortex/xpanse-services.ts'
import { cspmInventory } from '../../producers/prisma-cloud/cspm-inventory.ts'
import { connectCortex, connectPrisma } from '../support/connect.ts'
import { type Received, reply, serve } from '../support/http-server.ts'
import { QUICK } from '../support/sources.ts'
import { observationsOf } from '../support/stream-truth.ts'

const KEY = { apiKey: 'canary-cortex-key', apiKeyId: 12, securityLevel: 'standard' } as const
const CSPM_KEY = { accessKeyId: 'ak-1', secretKey: 'sk-1' }
type Answer = readonly [status: number, body: unknown]
const BROKEN: Answer = [500, { reply: { err_code: 500, err_msg: 'boom', err_extra: null } }]
const LARGE: Answer = [200, { pad: 'x'.repeat(4.3e6) }]
const bodyOf = (call: Received) => JSON.parse(call.body) as Record<string, unknown>
const numbered = <T>(count: number, item: (n: number) => T): T[] =>
  Array.from({ length: count }, (_, n) => item(n))

/** A whole run, and what it reported. */
async function pull<Client, Checkpoint>(source: Source<Client, Checkpoint>, client: Client) {
  const told: string[] = []
  const pulling = source.pull(client, null, {
    signal: new AbortController().signal,
    nowMs: Date.now,
    report: (error: PipelineError) => told.push(error.failure),
  })
  const units: Unit[] = []
  const checkpoints: Checkpoint[] = []
  for (;;) {
    const next = await pulling.next()
    if (next.done === true) return { units, told, checkpoints, end: next.value satisfies PullEnd }
    units.push(...next.value.units)
    if (next.value.checkpoint !== null) checkpoints.push(next.value.checkpoint)
  }
}

describe('the details of an asset of the inventory', () => {
  const inventory = async (details: (id: string) => Answer, budget: number) => {
    const asked: string[] = []
    const pages: unknown[] = []
    const { url } = await serve((call, response) => {
      if (call.url === '/login') return reply(response, 200, { token: 't-1' })
      const { assetId, limit } = bodyOf(call)
      if (typeof assetId !== 'string') {
        pages.push(limit)
        const resources = numbered(10, (n) => ({ unifiedAssetId: `a-${n}` }))
        return reply(response, 200, { totalMatchedCount: 10, resources })
      }
      asked.push(assetId)
      return reply(response, ...details(assetId))
    })
    const { client } = connectPrisma({ url, ...CSPM_KEY }, { enrichment: { budget } }, QUICK)
    const result = await pull(cspmInventory, client)
    const enriched = result.units.filter((unit) => unit.body?.includes('"uai"') === true)
    return { ...result, asked, pages, enriched: enriched.map(({ unit }) => unit) }
  }
  const fine = (id: string): Answer => [200, { data: { asset: { id } } }]

  it.each([
    ['fail for good', [500, { message: 'boom' }], 5, 'TEMPORARY_FAILURE'],
    ['are too large', LARGE, 1, 'PAYLOAD_TOO_LARGE'],
    ['are an answer without an object', [200, 'text'], 1, null],
  ] as const)('that %s are left out, and cost no page', async (_, answer, tries, told) => {
    const run = await inventory((id) => (id === 'a-3' ? answer : fine(id)), 6)
    expect(run.enriched).toEqual(['a-0', 'a-1', 'a-2', 'a-4', 'a-5'])
    expect(run.asked.filter((id) => id === 'a-3')).toHaveLength(tries)
    expect(run.pages).toEqual([1_000])
    expect(run.end).toEqual({ verdict: 'COMPLETE', declared: 10, reason: null })
    expect(run.told).toEqual(told === null ? [] : [told])
  })

  it('are asked for no more when three in a row fail', async () => {
    const run = await inventory(() => [500, { message: 'boom' }], 10)
    expect(new Set(run.asked)).toEqual(new Set(['a-0', 'a-1', 'a-2']))
    expect([run.units.length, run.end.verdict]).toEqual([10, 'COMPLETE'])
    expect(run.told).toEqual(['TEMPORARY_FAILURE'])
  })

  it('that fail now and then never end the asking', async () => {
    const failing = ['a-1', 'a-2', 'a-4', 'a-5', 'a-7', 'a-8']
    const run = await inventory((id) => (failing.includes(id) ? [500, {}] : fine(id)), 10)
    expect(run.enriched).toEqual(['a-0', 'a-3', 'a-6', 'a-9'])
    expect(run.told).toHaveLength(1)
  })
})

describe('the details of an incident', () => {
  const COUNT = 20
  const incidents = async (details: (id: string) => Answer) => {
    const asked: string[] = []
    const { url } = await serve((call, response) => {
      const data = bodyOf(call)['request_data'] as Record<string, unknown>
      if (call.url.includes('extra_data')) {
        asked.push(String(data['incident_id']))
        return reply(response, ...details(String(data['incident_id'])))
      }
      const all = numbered(COUNT, (n) => ({
        incident_id: `${n}`,
        incident_sources: ['ASM'],
        hosts: [`web-${n}:agent-${n}`],
      }))
      const shown = all.slice(Number(data['search_from']))
      return reply(response, 200, { reply: { total_count: COUNT, incidents: shown } })
    })
    const { client } = connectCortex({ url, ...KEY }, { concurrency: 1 }, QUICK)
    return { ...(await pull(xdrIncidents, client)), asked }
  }
  const cve = {
    reply: { incident: { xpanse_risk_explainer: { cves: [{ cveId: 'CVE-2026-1' }] } } },
  }
  const without = (units: readonly Unit[]) =>
    units.filter((unit) => unit.body?.includes('"extra"') === false).map(({ unit }) => unit)

  it.each([
    ['fail for good', BROKEN, 3, 'TEMPORARY_FAILURE'],
    ['are too large', LARGE, 1, 'PAYLOAD_TOO_LARGE'],
  ] as const)('that %s are left out, and the run is PARTIAL', async (_, answer, tries, told) => {
    const run = await incidents((id) => (id === '5' ? answer : [200, cve]))
    expect(run.units).toHaveLength(COUNT)
    expect(run.asked.filter((id) => id === '5')).toHaveLength(tries)
    expect(without(run.units)).toEqual(['5|agent-5'])
    expect(run.end).toMatchObject({
      verdict: 'PARTIAL',
      reason: 'the details of 1 incidents cannot be read',
    })
    expect(run.told).toEqual([told])
    const [from] = run.checkpoints
    expect(from).toMatchObject({ lacking: 1 })
  })

  it('that could not be read resolve nothing, and are no drift', async () => {
    const run = await incidents((id) => (id === '5' ? BROKEN : [200, cve]))
    const said = observationsOf('xdr.incidents', 't', run.units)
    const unknown = said.filter(({ findingsKnown }) => !findingsKnown)
    expect(unknown).toEqual([{ assets: [], findings: [], findingsKnown: false, drift: [] }])
    expect(said.flatMap(({ findings }) => findings)).toHaveLength(COUNT - 1)
  })

  it('are asked for no more when three in a row fail', async () => {
    const run = await incidents(() => BROKEN)
    expect(new Set(run.asked)).toEqual(new Set(['0', '1', '2']))
    expect(without(run.units)).toHaveLength(COUNT)
    expect(run.end).toMatchObject({ verdict: 'PARTIAL', reason: expect.stringContaining('20') })
    expect(run.told).toEqual(['TEMPORARY_FAILURE'])
  })
})

describe('the details of a service', () => {
  const services = async (details: (ids: readonly string[]) => Answer) => {
    const asked: (readonly string[])[] = []
    const { url } = await serve((call, response) => {
      const data = bodyOf(call)['request_data'] as { service_id_list?: string[] }
      if (data.service_id_list !== undefined) {
        asked.push(data.service_id_list)
        return reply(response, ...details(data.service_id_list))
      }
      const external_services = numbered(40, (n) => ({ service_id: `s-${n}` }))
      return reply(response, 200, { reply: { total_count: 40, external_services } })
    })
    const { client } = connectCortex({ url, ...KEY }, {}, QUICK)
    const run = await pull(xpanseServices, client)
    const lacking = run.units.filter((unit) => unit.body?.includes('"details":null') === true)
    return { ...run, asked, lacking: lacking.map(({ unit }) => unit) }
  }
  const fine = (ids: readonly string[]): Answer => [
    200,
    { reply: { details: ids.map((service_id) => ({ service_id })) } },
  ]

  it('that fail for good are left out, and cost no other one its details', async () => {
    const run = await services((ids) => (ids.includes('s-5') ? BROKEN : fine(ids)))
    expect(run.lacking).toEqual(['s-5'])
    expect(run.end).toMatchObject({
      verdict: 'PARTIAL',
      reason: expect.stringContaining('1 of 40'),
    })
    expect(run.told).toEqual(['TEMPORARY_FAILURE'])
    // Three tries together, three alone, one for each other one, one for the other twenty.
    expect(run.asked).toHaveLength(3 + 3 + 19 + 1)
  })

  it('are asked for no more when three in a row fail', async () => {
    const run = await services(() => BROKEN)
    expect(run.lacking).toHaveLength(40)
    expect(run.asked).toHaveLength(3 + 3 * 3)
    expect([run.end.verdict, run.told]).toEqual(['PARTIAL', ['TEMPORARY_FAILURE']])
  })
})
