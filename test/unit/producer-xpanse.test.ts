// Xpanse and the CVE dictionary: pages by token, details of services, places to go on from.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import type { Unit } from '../../contracts/ports.ts'
import { cloudVulnerabilities } from '../../producers/cortex/uvem-vulnerabilities.ts'
import { xpanseAssets } from '../../producers/cortex/xpanse-assets.ts'
import { xpanseServices } from '../../producers/cortex/xpanse-services.ts'
import { sleepMs } from '../../runtime/http-retry.ts'
import type { CortexAccess } from '../../simulator/simulator.ts'
import type { TenantBehaviour } from '../../simulator/cortex/tenant.ts'
import { connectCortex, pullAll } from '../support/connect.ts'
import { reply, serve } from '../support/http-server.ts'
import { runSimulator } from '../support/simulator.ts'

const KEY = { apiKey: 'canary-cortex-key', apiKeyId: 12, securityLevel: 'standard' } as const
const QUICK = {
  retry: {
    baseMs: 2,
    capMs: 20,
    sleep: (ms: number, signal: AbortSignal) => sleepMs(Math.min(ms, 5), signal),
  },
}
const SOURCES = [xpanseAssets, xpanseServices, cloudVulnerabilities] as const

/** Two tenants that answer alike; eleven rows a page, so that a small estate has several. */
const simulated = (behaviour: Partial<TenantBehaviour> = {}) => {
  const tenant = { pageRowsMax: 11, ...behaviour }
  return runSimulator({ machines: 120, cortexTenants: [tenant, tenant] })
}
const connected = (access: CortexAccess, settings: Record<string, unknown> = {}) =>
  connectCortex(access, { tenant: access.tenant, ...settings }, QUICK)
const failing = async (work: Promise<unknown>): Promise<PipelineError> => {
  const error = await work.then(
    () => null,
    (e: unknown) => e,
  )
  if (!(error instanceof PipelineError)) throw new Error('it did not fail as it should')
  return error
}
describe('pages by token', () => {
  it.each(['null', 'absent', 'empty', 'repeated'] as const)(
    'end with a token that is %s',
    async (lastToken) => {
      const simulator = await simulated({ lastToken })
      const { client } = connected(simulator.cortex[0])
      for (const source of [xpanseAssets, cloudVulnerabilities]) {
        const { units, end } = await pullAll(source, client)
        expect(end).toEqual({ verdict: 'COMPLETE', declared: units.length, reason: null })
      }
    },
  )

  it('begin with an empty token where the vendor wants one named', async () => {
    const simulator = await simulated({ firstToken: 'named' })
    const { client } = connected(simulator.cortex[0])
    const { units, end } = await pullAll(xpanseAssets, client)
    expect(end).toMatchObject({ verdict: 'COMPLETE', declared: units.length })
  })

  it.each(SOURCES.map((source) => [source.stream, source] as const))(
    'of %s go on after the last one of a chunk',
    async (_, source) => {
      const simulator = await simulated()
      const { client } = connected(simulator.cortex[0])
      const whole = await pullAll(source, client)
      const [, second] = whole.chunks
      const from = source.checkpoint.parse(JSON.parse(JSON.stringify(second?.checkpoint)))
      const rest = await pullAll(source, client, from)
      expect(rest.units.map((u) => u.unit)).toEqual(whole.units.slice(22).map((u) => u.unit))
      expect(rest.end).toEqual(whole.end)
    },
  )

  it.each([
    ['a reset', { kind: 'reset' }],
    ['a cut body', { kind: 'truncate', form: 'json' }],
    ['no JSON', { kind: 'not-json' }],
    ['the text of waitress', { kind: 'status', answer: 'waitress' }],
    ['429 without headers', { kind: 'status', answer: 'too-many-requests' }],
    ['503', { kind: 'status', answer: 'unavailable' }],
  ] as const)('give each row once despite %s', async (_, fault) => {
    const simulator = await simulated()
    const { client } = connected(simulator.cortex[0])
    for (const source of SOURCES) {
      const expected = await pullAll(source, client)
      const names = [
        source.stream,
        ...(source === xpanseServices ? ['xpanse.service-details'] : []),
      ]
      for (const endpoint of names) {
        simulator.faults.set({ vendor: 'cortex', endpoint, skip: 1, times: 1, ...fault })
      }
      const { units, end } = await pullAll(source, client)
      expect(simulator.faults.list()).toEqual([])
      expect(units.map((u) => u.unit)).toEqual(expected.units.map((u) => u.unit))
      expect(end).toEqual(expected.end)
    }
  })

  it('that lose rows are PARTIAL, and so is a row without an id no unit', async () => {
    const simulator = await simulated()
    const { client } = connected(simulator.cortex[0])
    const lossy = { vendor: 'cortex', endpoint: 'xpanse.assets', kind: 'missing-rows' } as const
    simulator.faults.set({ ...lossy, declared: 'all' })
    const { end } = await pullAll(xpanseAssets, client)
    expect(end).toMatchObject({ verdict: 'PARTIAL', reason: expect.stringContaining('declared') })
    simulator.faults.set({ ...lossy, kind: 'drop-field', field: 'asm_ids' })
    const { chunks } = await pullAll(xpanseAssets, client)
    expect(chunks.flatMap((c) => c.rejected).map((r) => r.violations)).toEqual([
      ['asm_ids: must have a text that is not empty'],
    ])
  })

  it('begin again when the token is known no more, or the filters have changed', async () => {
    const simulator = await simulated()
    const { client } = connected(simulator.cortex[0])
    const { chunks } = await pullAll(xpanseAssets, client)
    const from = xpanseAssets.checkpoint.parse(chunks[0]?.checkpoint)
    const lost = { ...from, token: 'bm90aGluZw==' }
    const error = await failing(pullAll(xpanseAssets, client, lost))
    expect(error).toMatchObject({ failure: 'TEMPORARY_FAILURE', retriable: true })
    expect(error.message).toContain('where the run stood')
    const changed = await failing(pullAll(xpanseAssets, client, { ...from, request: '{}' }))
    expect(changed.message).toContain('filters have changed')
  })
})

/** A vendor that gives these pages of dictionary entries, one after the other. */
async function dictionary(pages: readonly { ids: string[]; token?: unknown; total?: number }[]) {
  const { url, received } = await serve((_, response, number) => {
    const { ids, token, total } = pages[Math.min(number, pages.length) - 1] ?? { ids: [] }
    const vulnerabilities = ids.map((vulnerability_id) => ({ vulnerability_id }))
    reply(response, 200, { reply: { total_count: total, vulnerabilities, next_page_token: token } })
  })
  return { ...connectCortex({ url, ...KEY }, {}, QUICK), received }
}
const ids = (count: number, from = 0) => Array.from({ length: count }, (_, n) => `CVE-${from + n}`)

describe('a listing that cannot be trusted', () => {
  it.each([
    [
      'gives the same token again',
      [
        { ids: ids(2), token: 'a', total: 9_999 },
        { ids: ids(2, 2), token: 'a', total: 9_999 },
      ],
      'same page token',
    ],
    [
      'gives the same rows again',
      [
        { ids: ids(2), token: 'a' },
        { ids: ids(2), token: 'b' },
      ],
      'same rows',
    ],
    [
      'gives tokens and no rows',
      [{ ids: ids(1), token: 'a' }, ...['b', 'c', 'd'].map((token) => ({ ids: [], token }))],
      'without a row',
    ],
    ['gives a full page and no token', [{ ids: ids(500), total: 9_999 }], 'without a token'],
    ['gives fewer than it declares', [{ ids: ids(3), total: 4 }], '3 items listed, 4 declared'],
    [
      'loses its token long before the count that is saturated',
      [
        { ids: ids(500), token: 'a', total: 9_999 },
        { ids: ids(500, 500), total: 9_999 },
      ],
      '1000 items listed, at least 9999 declared',
    ],
  ])('because it %s is PARTIAL', async (_, pages, reason) => {
    const { client } = await dictionary(pages)
    const { end } = await pullAll(cloudVulnerabilities, client)
    expect(end).toMatchObject({ verdict: 'PARTIAL', reason: expect.stringContaining(reason) })
  })

  it('is not one that has more than the count that is saturated', async () => {
    for (const last of [499, 500]) {
      const pages = Array.from({ length: 20 }, (_, n) => ({
        ids: ids(n === 19 ? last : 500, n * 500),
        token: n === 19 ? null : `t-${n}`,
        total: 9_999,
      }))
      const { client } = await dictionary(pages)
      const { units, end } = await pullAll(cloudVulnerabilities, client)
      expect(units).toHaveLength(9_500 + last)
      expect(end).toEqual({ verdict: 'COMPLETE', declared: null, reason: null })
    }
  })

  it('is not one without a count, with short pages, with an empty page', async () => {
    const { client, received } = await dictionary([
      { ids: ids(1), token: 'a' },
      { ids: [], token: 'b' },
      { ids: ids(1, 1) },
    ])
    const { units, end } = await pullAll(cloudVulnerabilities, client)
    expect(units.map((u) => u.unit)).toEqual(['CVE-0', 'CVE-1'])
    expect(end).toEqual({ verdict: 'COMPLETE', declared: null, reason: null })
    const asked = received.map(
      (r) => (JSON.parse(r.body) as { request_data: Record<string, unknown> }).request_data,
    )
    expect(asked[0]).toEqual({
      filters: [],
      sort: { field: 'vulnerability_id', keyword: 'asc' },
      search_from: 0,
      search_to: 500,
      use_page_token: true,
    })
    expect(asked[1]).toEqual({ ...asked[0], next_page_token: 'a' })
    expect(asked[2]).toEqual({ ...asked[0], next_page_token: 'b' })
  })
})

/** A vendor with services; `details` answers for a list of ids. */
async function services(
  count: number,
  details: (ids: readonly string[]) => readonly [status: number, body: unknown],
  settings: Record<string, unknown> = {},
) {
  const asked: (readonly string[])[] = []
  const { url } = await serve((call, response) => {
    const { request_data: data } = JSON.parse(call.body) as {
      request_data: { service_id_list?: string[] }
    }
    if (data.service_id_list !== undefined) {
      asked.push(data.service_id_list)
      const [status, body] = details(data.service_id_list)
      return reply(response, status, body)
    }
    const external_services = Array.from({ length: count }, (_, n) => ({ service_id: `s-${n}` }))
    return reply(response, 200, { reply: { total_count: count, external_services } })
  })
  return { ...connectCortex({ url, ...KEY }, settings, QUICK), asked }
}
const found = (list: readonly string[], more: object = {}): readonly [number, unknown] => [
  200,
  { reply: { details: list.toReversed().map((service_id) => ({ service_id, ...more })) } },
]
const NOT_THERE = [
  404,
  { reply: { err_code: 404, err_msg: 'not found', err_extra: null } },
] as const
const bodiesOf = (units: readonly Unit[]) => units.map((u) => u.body?.toString())

describe('the details of services', () => {
  it('stand beside them as received, twenty ids to a request', async () => {
    const { client, asked } = await services(45, (list) => found(list, { cvss: 1.5 }))
    const { units, end } = await pullAll(xpanseServices, client)
    expect(asked.map((list) => list.length)).toEqual([20, 20, 5])
    expect(bodiesOf(units)[44]).toBe(
      '{"service":{"service_id":"s-44"},"details":{"service_id":"s-44","cvss":1.5}}',
    )
    expect(units.every((u) => u.sizeBytes === u.body?.length)).toBe(true)
    expect(end.verdict).toBe('COMPLETE')
  })

  it('need no second connection: one at a time is enough', async () => {
    const { client } = await services(3, (list) => found(list), { concurrency: 1 })
    expect((await pullAll(xpanseServices, client)).end.verdict).toBe('COMPLETE')
  })

  it('that one service has not cost no other one its details', async () => {
    const { client, asked } = await services(200, (list) =>
      list.includes('s-7') ? NOT_THERE : found(list),
    )
    const { units, end } = await pullAll(xpanseServices, client)
    const without = bodiesOf(units).filter((body) => body?.endsWith('"details":null}'))
    expect(without).toEqual(['{"service":{"service_id":"s-7"},"details":null}'])
    // Halved until it is alone, which takes at most ten requests.
    expect(asked.length).toBeLessThanOrEqual(20)
    expect(end).toMatchObject({ verdict: 'DRIFTED', reason: expect.stringContaining('1 of 200') })
  })

  it('that are always refused are told once, and not asked for any more', async () => {
    const { client, asked } = await services(60, () => NOT_THERE)
    const reports: string[] = []
    const pull = xpanseServices.pull(client, null, {
      signal: new AbortController().signal,
      nowMs: Date.now,
      report: (error) => reports.push(error.failure),
    })
    for (;;) {
      const next = await pull.next()
      if (next.done !== true) continue
      expect(next.value).toMatchObject({ verdict: 'PARTIAL', declared: 60 })
      break
    }
    expect(reports).toEqual(['NOT_LICENSED'])
    expect(asked.length).toBeLessThanOrEqual(39)
  })

  it('that the key may not read fail the run, and name the endpoint', async () => {
    const { client } = await services(3, () => [403, { err_code: 403, err_msg: 'Forbidden.' }])
    const error = await failing(pullAll(xpanseServices, client))
    expect(error.failure).toBe('ACCESS_FORBIDDEN')
    expect(error.message).toContain('/assets/get_external_service/')
  })

  it('of many MiB make several chunks of a page, and each is a place to go on from', async () => {
    const text = 'x'.repeat(3 * 1024 * 1024)
    const { client, asked } = await services(4, (list) => found(list, { text }))
    const whole = await pullAll(xpanseServices, client)
    expect(whole.chunks.map((c) => c.units.map((u) => u.unit))).toEqual([
      ['s-0', 's-1'],
      ['s-2', 's-3'],
    ])
    asked.length = 0
    const from = xpanseServices.checkpoint.parse(whole.chunks[0]?.checkpoint)
    const rest = await pullAll(xpanseServices, client, from)
    expect(rest.units.map((u) => u.unit)).toEqual(['s-2', 's-3'])
    expect(asked).toEqual([['s-2', 's-3']])
    expect(rest.end).toEqual(whole.end)
  })

  it('too large to publish mark their service as seen, and the run as PARTIAL', async () => {
    const text = 'x'.repeat(9 * 1024 * 1024)
    const { client } = await services(2, (list) =>
      list.length === 2 ? found(list, { text }) : found(list),
    )
    const { units, end } = await pullAll(xpanseServices, client)
    expect(units.map((u) => [u.unit, u.body, u.sizeBytes > text.length])).toEqual([
      ['s-0', null, true],
      ['s-1', null, true],
    ])
    expect(end).toMatchObject({ verdict: 'PARTIAL', reason: expect.stringContaining('largest') })
  })
})
