// XQL: results inline and streamed, slices, what a query may end with, and what it may cost.
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { cloudFindings } from '../../producers/cortex/cloud-findings.ts'
import { SeenIds } from '../../producers/cortex/seen-ids.ts'
import { xdrFindings } from '../../producers/cortex/xdr-findings.ts'
import type { FindingsBehaviour } from '../../simulator/cortex/xql-behaviour.ts'
import { connectCortex, pullAll } from '../support/connect.ts'
import { findingsIn, saidOf, truthFor } from '../support/stream-truth.ts'
import { type Received, reply, serve } from '../support/http-server.ts'
import { runSimulator } from '../support/simulator.ts'
import { QUICK, thrownBy } from '../support/sources.ts'

const KEY = { apiKey: 'canary-cortex-key', apiKeyId: 12, securityLevel: 'standard' } as const
type Json = Record<string, unknown>
type Tenant = {
  /** The result of a query, which is not the one that counts rows. */
  readonly result: (query: string) => unknown
  readonly stream?: (response: ServerResponse, number: number) => void
  readonly count?: number
  readonly datasets?: readonly string[]
}

/** A tenant whose queries are done at once. */
async function tenant(
  { result, stream, count = 1, datasets = ['findings'] }: Tenant,
  settings = {},
) {
  const queries: string[] = []
  let streams = 0
  const answer = (call: Received, response: ServerResponse): void => {
    const data = (JSON.parse(call.body) as { request_data: Json }).request_data
    if (call.url.includes('get_datasets')) {
      const rows = datasets.map((name) => ({ 'Dataset Name': name }))
      return reply(response, 200, { reply: rows })
    }
    if (call.url.includes('start_xql')) {
      queries.push(String(data['query']))
      return reply(response, 200, { reply: { query_id: String(queries.length - 1) } })
    }
    if (call.url.includes('results_stream')) return stream?.(response, ++streams)
    if (!call.url.includes('get_query_results')) return reply(response, 403, {})
    const query = queries[Number(data['query_id'])] ?? ''
    const counted = { status: 'SUCCESS', number_of_results: 1, results: { data: [{ n: count }] } }
    return reply(response, 200, { reply: query.includes('comp count') ? counted : result(query) })
  }
  const { url, received } = await serve(answer)
  return { ...connectCortex({ url, ...KEY }, settings, QUICK), received, queries }
}

const rows = Array.from({ length: 1_500 }, (_, n) => ({
  'xdm.finding.id': `f-${String(n).padStart(5, '0')}`,
  'xdm.finding.asset_id': `a-${n % 7}`,
}))
const ndjson = (part: readonly unknown[]) => part.map((r) => `${JSON.stringify(r)}\n`).join('')
const inline = (data: readonly unknown[]) => ({
  status: 'SUCCESS',
  number_of_results: data.length,
  results: { data },
})
const streamed = (count: number) => ({
  status: 'SUCCESS',
  number_of_results: count,
  results: { stream_id: 's' },
})

describe('an XQL result', () => {
  it.each([0, 1, 2])('is read through %i layers of gzip', async (layers) => {
    const { client } = await tenant({
      result: () => streamed(rows.length),
      stream: (response) => {
        let body = Buffer.from(ndjson(rows))
        for (let n = 0; n < layers; n += 1) body = gzipSync(body)
        response.writeHead(200, layers === 2 ? { 'content-encoding': 'gzip' } : {})
        response.end(body)
      },
    })
    const { chunks, units, end } = await pullAll(cloudFindings, client)
    expect(units.map((u) => u.body?.toString())).toEqual(rows.map((r) => JSON.stringify(r)))
    expect(chunks.map((c) => [c.units.length, c.checkpoint])).toEqual([
      [1_000, null],
      [500, null],
    ])
    expect(chunks[0]?.endpoint).toContain('dataset=findings')
    expect(end).toEqual({ verdict: 'COMPLETE', declared: 1_500, reason: null })
  })

  it('that ends early without a word is asked for anew, and each row comes once', async () => {
    const { client, faults, received, queries } = await tenant({
      result: () => streamed(1_500),
      stream: (response, number) => {
        response.writeHead(200)
        response.end(ndjson(number === 1 ? rows.slice(0, 1_200) : rows.toReversed()))
      },
    })
    const { units, end } = await pullAll(cloudFindings, client)
    expect(new Set(units.map((u) => u.unit)).size).toBe(1_500)
    expect(units).toHaveLength(1_500)
    expect(end.verdict).toBe('COMPLETE')
    expect(faults.map((f) => f.failure)).toEqual(['TEMPORARY_FAILURE'])
    // One count, and the result of the one query twice.
    expect(queries).toHaveLength(2)
    expect(received.filter((r) => r.url.includes('get_query_results/'))).toHaveLength(3)
  })

  it.each([
    ['exactly at the cap', { status: 'SUCCESS', number_of_results: 1_000_000 }, 'cut at'],
    [
      'of some tenants only',
      { status: 'PARTIAL_SUCCESS', number_of_results: 2 },
      'PARTIAL_SUCCESS',
    ],
  ])('%s is PARTIAL', async (_, facts, reason) => {
    const { client } = await tenant({
      result: () => ({ ...facts, results: { stream_id: 's' } }),
      stream: (response) => {
        response.writeHead(200)
        const row = (n: number) => `{"xdm.finding.id":"${n % 10}","xdm.finding.asset_id":"a"}\n`
        response.end(Array.from({ length: facts.number_of_results }, (_row, n) => row(n)).join(''))
      },
    })
    const { end } = await pullAll(cloudFindings, client)
    expect(end).toMatchObject({ verdict: 'PARTIAL', reason: expect.stringContaining(reason) })
  })

  it('rejects rows without their ids, once each', async () => {
    const data = [{ 'xdm.finding.id': 'f' }, { 'xdm.finding.asset_id': 'a' }, rows[0]]
    const { client } = await tenant({ result: () => inline(data) })
    const { chunks, units } = await pullAll(cloudFindings, client)
    expect(units).toHaveLength(1)
    expect(chunks[0]?.rejected.map((r) => r.violations)).toEqual([
      ['xdm.finding.asset_id: must be a text that is not empty'],
      ['xdm.finding.id: must be a text that is not empty'],
    ])
  })

  it.each([
    ['Dataset findings does not exist', 'NOT_LICENSED'],
    [`{"line": 1, "column": 19, "message": "no viable alternative at input 'x'"}`, 'BAD_REQUEST'],
    ['Query quota exceeded', 'QUOTA_EXHAUSTED'],
    ['something else', 'TEMPORARY_FAILURE'],
  ])('FAIL with %s is %s, in the words of the vendor', async (words, failure) => {
    const { client } = await tenant({ result: () => ({ status: 'FAIL', error: words }) })
    const error = await thrownBy(pullAll(cloudFindings, client))
    expect(error).toMatchObject({ failure, message: expect.stringContaining(words) })
  })

  it('is given up when the query is never done', async () => {
    let waitedMs = 0
    const { url } = await serve((call, response) =>
      reply(response, 200, { reply: call.url.includes('start') ? 'q' : { status: 'PENDING' } }),
    )
    const sleep = (ms: number) => {
      waitedMs += ms
      return Promise.resolve()
    }
    const retry = { sleep, attemptsMax: { TEMPORARY_FAILURE: 1 } }
    const { client } = connectCortex({ url, ...KEY }, {}, { retry })
    const error = await thrownBy(pullAll(cloudFindings, client))
    expect(error).toMatchObject({ failure: 'TEMPORARY_FAILURE' })
    expect(waitedMs).toBeGreaterThan(590_000)
    expect(waitedMs).toBeLessThan(620_000)
  })
})

describe('a listing above the size of a slice', () => {
  const settings = { findingsSliceRows: 400 }
  const afterOf = (query: string): string => / > "([^"]*)"/.exec(query)?.[1] ?? ''
  const slices = (list: readonly (typeof rows)[number][]): Tenant => ({
    count: list.length,
    result: (query) =>
      inline(list.filter((r) => r['xdm.finding.id'] > afterOf(query)).slice(0, 400)),
  })

  it('is read slice by slice after the last id, and each row comes once', async () => {
    const { client, queries } = await tenant(slices(rows), settings)
    const { units, end } = await pullAll(cloudFindings, client)
    expect(units.map((u) => u.unit)).toEqual(rows.map((r) => r['xdm.finding.id']))
    expect(end).toEqual({ verdict: 'COMPLETE', declared: null, reason: null })
    expect(queries.slice(1).map(afterOf)).toEqual(['', 'f-00399', 'f-00799', 'f-01199'])
    expect(queries[2]).toMatch(/\| sort asc xdm\.finding\.id \| limit 400$/)
  })

  it('goes on after the last row of any chunk', async () => {
    const { client } = await tenant(slices(rows), settings)
    const whole = await pullAll(cloudFindings, client)
    for (const [n, { checkpoint }] of whole.chunks.entries()) {
      const from = cloudFindings.checkpoint.parse(JSON.parse(JSON.stringify(checkpoint)))
      const rest = await pullAll(cloudFindings, client, from)
      const before = whole.chunks.slice(0, n + 1).flatMap((chunk) => chunk.units)
      expect([...before, ...rest.units].map((u) => u.unit)).toEqual(whole.units.map((u) => u.unit))
      expect(rest.end).toEqual(whole.end)
    }
  })

  it.each([
    ['findings', {}],
    ['uvm_findings', { datasets: ['uvm_findings'] }],
  ] as const)('of dataset %s gives exactly what is true', async (_, behaviour) => {
    const simulator = await runSimulator({ machines: 120, cortexFindings: [behaviour, behaviour] })
    const [access] = simulator.cortex
    const { client } = connectCortex(access, { findingsSliceRows: 60 }, QUICK)
    const { units, chunks, end } = await pullAll(cloudFindings, client)
    expect(end.verdict).toBe('COMPLETE')
    expect(chunks.length).toBeGreaterThan(3)
    expect(new Set(units.map((u) => u.unit)).size).toBe(units.length)
    const expected = truthFor(simulator.truth().findings, 'cloud.findings', access.tenant)
    expect(saidOf(findingsIn('cloud.findings', access.tenant, units))).toEqual(expected)
  })

  it('is PARTIAL when more rows share one key than a slice holds', async () => {
    const data = rows.slice(0, 50).map((_, n) => ({
      asset_id: 'a-1',
      vulnerability_id: `CVE-2026-${1_000 + n}`,
    }))
    const { client } = await tenant(
      { datasets: ['uvm_findings'], count: 50, result: () => inline(data.slice(0, 20)) },
      { findingsSliceRows: 20 },
    )
    const { units, end } = await pullAll(cloudFindings, client)
    expect(units).toHaveLength(20)
    expect(end).toMatchObject({ verdict: 'PARTIAL', reason: expect.stringContaining('same rows') })
  })
})

describe('the dataset', () => {
  it('is the first that holds rows', async () => {
    const { client, queries } = await tenant({
      datasets: ['findings', 'uvm_findings'],
      count: 0,
      result: () => inline([]),
    })
    const { chunks, end } = await pullAll(cloudFindings, client)
    expect([chunks, end.verdict]).toEqual([[], 'COMPLETE'])
    // All empty: the best of them, so that an empty tenant is not read from its poorest listing.
    expect(queries.at(-1)).toMatch(/^dataset = findings/)
  })

  it('of older tenants lacks columns that others have, and is read without them', async () => {
    const { url } = await serve((call, response) => {
      const { query } = (JSON.parse(call.body) as { request_data: { query?: string } }).request_data
      const extra = { message: 'no viable alternative: unknown column package_type' }
      if (query?.includes('package_type') === true) {
        return reply(response, 500, { reply: { err_code: 500, err_msg: 'XQL', err_extra: extra } })
      }
      if (call.url.includes('start')) return reply(response, 200, { reply: 'q' })
      if (call.url.includes('get_datasets')) {
        return reply(response, 200, { reply: [{ 'Dataset Name': 'uvm_findings' }] })
      }
      const data = [{ n: 1, asset_id: 'a', vulnerability_id: 'CVE-2026-0001' }]
      return reply(response, 200, { reply: inline(data) })
    })
    const { client } = connectCortex({ url, ...KEY }, {}, QUICK)
    const { units } = await pullAll(cloudFindings, client)
    expect(units.map((u) => u.unit)).toEqual(['a|CVE-2026-0001||'])
  })

  it('of Host Insights gives a row and its CVEs in their own bytes', async () => {
    const endpoint = '{"endpoint_id":"e1",  "cves":["CVE-2026-0002","CVE-2026-0001","X"]}'
    const [one, two] = ['{"name":"CVE-2026-0001", "severity":"LOW"}', '{"name":"CVE-2026-0002"}']
    const { client } = await tenant({
      datasets: ['va_endpoints'],
      result: () => streamed(0),
      stream: (response, number) => {
        response.writeHead(200)
        response.end(number === 1 ? `${one}\n${two}\n` : `${endpoint}\n`)
      },
    })
    const { units } = await pullAll(xdrFindings, client)
    expect(units.map((u) => [u.unit, u.assetNativeId, u.body?.toString()])).toEqual([
      ['e1', 'e1', `{"endpoint":${endpoint},"cves":[${two},${one}]}`],
    ])
  })
})

describe('the tenant behind XQL', () => {
  const simulated = async (behaviour: Partial<FindingsBehaviour>) => {
    const simulator = await runSimulator({ cortexFindings: [behaviour, behaviour] })
    return { simulator, ...connectCortex(simulator.cortex[0], {}, QUICK) }
  }

  it.each([
    ['before', 0],
    ['after its first query', 0.0016],
  ])('whose quota was used up %s ends the run retriable', async (_, quotaUnits) => {
    const { client } = await simulated({ quotaUnits })
    const error = await thrownBy(pullAll(cloudFindings, client))
    expect(error).toMatchObject({ failure: 'QUOTA_EXHAUSTED', retriable: true })
  })

  it('that tells its quota as used up is asked no query', async () => {
    const quota = { license_quota: 5, additional_purchased_quota: 0, used_quota: 5.0004 }
    const { url, received } = await serve((call, response) =>
      reply(response, 200, { reply: call.url.includes('quota') ? quota : [] }),
    )
    const { client } = connectCortex({ url, ...KEY }, {}, QUICK)
    const error = await thrownBy(pullAll(cloudFindings, client))
    expect(error).toMatchObject({ failure: 'QUOTA_EXHAUSTED' })
    expect(received.filter((call) => call.url.includes('start'))).toEqual([])
  })

  it('that answers FAIL and PARTIAL_SUCCESS is told apart', async () => {
    const failed = await simulated({ ending: 'FAIL' })
    const error = await thrownBy(pullAll(cloudFindings, failed.client))
    expect(error).toBeInstanceOf(PipelineError)
    expect(error).toMatchObject({
      failure: 'BAD_REQUEST',
      message: expect.stringContaining('no viable alternative'),
    })
    const partial = await simulated({ ending: 'PARTIAL_SUCCESS' })
    const { units, end } = await pullAll(cloudFindings, partial.client)
    expect(units.length).toBeGreaterThan(5)
    expect(end.verdict).toBe('PARTIAL')
  })

  it('that runs four queries already is asked again, and nobody else waits for it', async () => {
    const { client, simulator, faults } = await simulated({})
    const busy = { vendor: 'cortex', endpoint: 'xql.start', kind: 'status', times: 2 } as const
    simulator.faults.set({ ...busy, answer: 'parallel-queries' })
    const { end } = await pullAll(cloudFindings, client)
    expect(end.verdict).toBe('COMPLETE')
    expect(faults.map((f) => f.failure)).toEqual(['TOO_MANY_REQUESTS', 'TOO_MANY_REQUESTS'])
  })
})

describe('a set of ids seen', () => {
  it('knows each again, and grows', () => {
    const seen = new SeenIds()
    const ids = Array.from({ length: 20_000 }, (_, n) => `id-${n}`)
    expect(ids.every((id) => seen.add(id))).toBe(true)
    expect(ids.some((id) => seen.add(id))).toBe(false)
    expect(seen.size).toBe(20_000)
  })
})
