// Issues and incidents over real HTTP: paging, several assets, faults, what is kept back.
import { describe, expect, it } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import type { Source } from '../../contracts/ports.ts'
import type { CortexClient } from '../../producers/cortex/client.ts'
import { cloudIssues } from '../../producers/cortex/cloud-issues.ts'
import { createClassify } from '../../producers/cortex/errors.ts'
import { xdrIncidents } from '../../producers/cortex/xdr-incidents.ts'
import { connectCortex, pullAll } from '../support/connect.ts'
import { type Received, reply, serve } from '../support/http-server.ts'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { runSimulator } from '../support/simulator.ts'
import { QUICK, thrownBy } from '../support/sources.ts'

const KEY = { apiKey: 'canary-cortex-key', apiKeyId: 12, securityLevel: 'standard' } as const
type Json = Record<string, unknown>
const dataOf = (call: Received) => (JSON.parse(call.body) as { request_data: Json }).request_data
const WHOLE = { verdict: 'COMPLETE', declared: null, reason: null } as const
const context = () => ({
  signal: new AbortController().signal,
  nowMs: Date.now,
  report: () => {},
})
const LISTINGS: readonly [string, Source<CortexClient, unknown>][] = [
  ['cloud.issues', cloudIssues as Source<CortexClient, unknown>],
  ['xdr.incidents', xdrIncidents as Source<CortexClient, unknown>],
]

describe.each(LISTINGS)('%s', (endpoint, source) => {
  it('goes on after the last unit of any page', async () => {
    const simulator = await runSimulator({ machines: 800 })
    const { client } = connectCortex(simulator.cortex[0], {}, QUICK)
    const whole = await pullAll(source, client)
    expect(whole.chunks.length).toBeGreaterThan(1)
    for (const [n, { checkpoint }] of whole.chunks.entries()) {
      const from = source.checkpoint.parse(JSON.parse(JSON.stringify(checkpoint)))
      const rest = await pullAll(source, client, from)
      const before = whole.chunks.slice(0, n + 1).flatMap((chunk) => chunk.units)
      expect([...before, ...rest.units].map((u) => u.unit)).toEqual(whole.units.map((u) => u.unit))
      expect(rest.end.verdict).toBe(whole.end.verdict)
    }
  })

  it.each([
    ['a reset', { kind: 'reset' }],
    ['a cut body', { kind: 'truncate', form: 'json' }],
    ['no JSON', { kind: 'not-json' }],
    ['429 without headers', { kind: 'status', answer: 'too-many-requests' }],
    ['a web page with 200', { kind: 'status', answer: 'html-ok' }],
    ['a bad gateway', { kind: 'status', answer: 'bad-gateway' }],
  ] as const)('gives each unit once despite %s', async (_, fault) => {
    const simulator = await runSimulator({ machines: 800 })
    const { client } = connectCortex(simulator.cortex[0], {}, QUICK)
    const whole = await pullAll(source, client)
    simulator.faults.set({ vendor: 'cortex', endpoint, skip: 1, times: 1, ...fault })
    const again = await pullAll(source, client)
    expect(simulator.faults.list()).toEqual([])
    expect(again.end.verdict).toBe('COMPLETE')
    expect(again.units.map((u) => u.unit)).toEqual(whole.units.map((u) => u.unit))
  })

  it.each([
    ['unauthorized', 'AUTHORIZATION_FAILURE'],
    ['forbidden', 'ACCESS_FORBIDDEN'],
    ['waitress', 'NOT_FOUND'],
    ['no-identity-threat', 'NOT_LICENSED'],
  ] as const)('fails on %s as %s', async (answer, failure) => {
    const simulator = await runSimulator()
    const { client } = connectCortex(simulator.cortex[0], {}, QUICK)
    const lasting = { vendor: 'cortex', endpoint, times: 'forever', kind: 'status' } as const
    simulator.faults.set({ ...lasting, answer })
    expect(await thrownBy(pullAll(source, client))).toMatchObject({ failure })
  })
})

describe('an issue', () => {
  const issue = (id: unknown, asset_ids: unknown) => ({ id, asset_ids, category: 'VULNERABILITY' })
  const listed = async (items: readonly unknown[], facts: (rows: number) => Json = () => ({})) => {
    const { url, received } = await serve((call, response) => {
      const { search_from, search_to } = dataOf(call)
      const DATA = items.slice(Number(search_from), Number(search_to))
      return reply(response, 200, { reply: { DATA, ...facts(DATA.length) } })
    })
    const { client } = connectCortex({ url, ...KEY }, {}, QUICK)
    return { ...(await pullAll(cloudIssues, client)), received }
  }

  it('is one unit per asset, each with the whole issue in its own bytes', async () => {
    const items = [issue(5, ['a', 'b', 'a']), issue('6', []), issue(7, 'c')]
    const { units } = await listed(items)
    expect(units.map((u) => [u.unit, u.assetNativeId])).toEqual([
      ['5|a', 'a'],
      ['5|b', 'b'],
      ['6', 'issue|6'],
      ['7|c', 'c'],
    ])
    expect(units[1]?.body?.toString()).toBe(JSON.stringify(items[0]))
  })

  it('without an id, or on too many assets, is rejected', async () => {
    const many = Array.from({ length: 1_001 }, (_, n) => `a-${n}`)
    const { chunks, units, end } = await listed([issue(null, ['a']), issue(8, many)])
    expect(units).toEqual([])
    expect(chunks.flatMap((c) => c.rejected.map((r) => r.violations))).toEqual([
      ['id: must be a number or a text'],
      ['asset_ids: more than 1000'],
    ])
    expect(end.verdict).toBe('COMPLETE')
  })

  it('is asked for by category and id, with the paging inside request_data', async () => {
    const items = Array.from({ length: 230 }, (_, n) => issue(n, [`a-${n}`]))
    const { units, end, received } = await listed(items, () => ({
      FILTER_COUNT: 230,
      TOTAL_COUNT: 9_000,
    }))
    expect(units).toHaveLength(230)
    expect(end).toEqual({ verdict: 'COMPLETE', declared: 230, reason: null })
    expect(received.slice(1).map((call) => dataOf(call))).toEqual(
      [0, 99, 198].map((from) => ({
        filters: [{ field: 'category', operator: 'in', value: ['VULNERABILITY'] }],
        search_from: from,
        search_to: from + 100,
        sort: { field: 'id', keyword: 'asc' },
        include_fields: ['normalized_fields'],
      })),
    )
  })

  it('is not missed where the count is that of the page', async () => {
    const items = Array.from({ length: 230 }, (_, n) => issue(n, [`a-${n}`]))
    const { units, end } = await listed(items, (rows) => ({
      FILTER_COUNT: rows,
      TOTAL_COUNT: 9_000,
    }))
    expect(units).toHaveLength(230)
    expect(end).toEqual({ verdict: 'COMPLETE', declared: null, reason: null })
  })

  it('is not missed after a page one row short, whatever counts are told', async () => {
    const items = Array.from({ length: 350 }, (_, n) => issue(n, [`a-${n}`]))
    for (const total_count of [undefined, 350]) {
      const { url } = await serve((call, response) => {
        const { search_from, search_to } = dataOf(call)
        const to = Number(search_to) - (search_from === 99 ? 1 : 0)
        const issues = items.slice(Number(search_from), to)
        const result_count = issues.length
        return reply(response, 200, { reply: { issues, result_count, total_count } })
      })
      const { client } = connectCortex({ url, ...KEY }, {}, QUICK)
      const { units, end } = await pullAll(cloudIssues, client)
      expect(units).toHaveLength(350)
      const declared = total_count ?? null
      expect(end).toEqual({ verdict: 'COMPLETE', declared, reason: null })
    }
  })

  it('that is counted by the specification and never comes makes the run PARTIAL', async () => {
    const items = Array.from({ length: 120 }, (_, n) => issue(n, [`a-${n}`]))
    const { url } = await serve((call, response) => {
      const { search_from, search_to } = dataOf(call)
      const issues = items.slice(Number(search_from), Number(search_to))
      return reply(response, 200, { reply: { issues, total_count: 1_500 } })
    })
    const { client } = connectCortex({ url, ...KEY }, {}, QUICK)
    expect((await pullAll(cloudIssues, client)).end).toEqual({
      verdict: 'PARTIAL',
      declared: 1_500,
      reason: '120 items listed, 1500 declared',
    })
  })

  it('listing that vanishes in the middle is drift, and nothing is missed', async () => {
    const items = Array.from({ length: 600 }, (_, n) => issue(n, [`a-${n}`]))
    let calls = 0
    const { url } = await serve((call, response) => {
      calls += 1
      // Three of the first page go after it was read.
      const present = calls <= 2 ? items : items.slice(3)
      const { search_from, search_to } = dataOf(call)
      const DATA = present.slice(Number(search_from), Number(search_to))
      return reply(response, 200, { reply: { DATA, FILTER_COUNT: present.length } })
    })
    const { client } = connectCortex({ url, ...KEY }, {}, QUICK)
    const { units, end } = await pullAll(cloudIssues, client)
    expect(units).toHaveLength(600)
    expect(end.verdict).toBe('DRIFTED')
  })
})

describe('an incident', () => {
  const incident = (id: string, hosts: unknown, sources: readonly string[] = []) => ({
    incident_id: id,
    hosts,
    incident_sources: sources,
  })
  const answering = async (items: readonly unknown[], extra: (id: unknown) => Json | null) => {
    const { url, received } = await serve((call, response) => {
      const { incident_id, search_from } = dataOf(call)
      if (!call.url.includes('extra_data')) {
        const incidents = items.slice(Number(search_from))
        return reply(response, 200, { reply: { total_count: 1, incidents } })
      }
      const found = extra(incident_id)
      const gone = { err_code: 404, err_msg: 'not found', err_extra: null }
      return reply(response, found === null ? 404 : 200, found ?? { reply: gone })
    })
    return { ...connectCortex({ url, ...KEY }, {}, QUICK), received }
  }

  it('is one unit per host, with details for those of the attack surface alone', async () => {
    const items = [
      incident('1', ['web-1:agent1', '203.0.113.7:null'], ['ASM']),
      incident('2', ['fe80::1:agent2'], ['XDR Agent']),
      incident('3', null, ['ASM']),
    ]
    const { client, received } = await answering(items, (id) => (id === '3' ? null : { r: id }))
    const { units, end } = await pullAll(xdrIncidents, client)
    const bodies = [{ r: '1' }, null, null].map(
      (extra, n) => `{"incident":${JSON.stringify(items[n])},"extra":${JSON.stringify(extra)}}`,
    )
    expect(units.map((u) => [u.unit, u.assetNativeId, u.body?.toString()])).toEqual([
      ['1|agent1', 'agent1', bodies[0]],
      ['1|host|203.0.113.7', 'host|203.0.113.7', bodies[0]],
      ['2|agent2', 'agent2', bodies[1]],
      ['3', 'incident|3', bodies[2]],
    ])
    expect(received.filter((call) => call.url.includes('extra_data'))).toHaveLength(2)
    // total_count says 1.
    expect(end).toEqual({ verdict: 'COMPLETE', declared: null, reason: null })
  })

  it('waits for no free slot that it holds itself', async () => {
    const simulator = await runSimulator({ machines: 100 })
    const { client } = connectCortex(simulator.cortex[0], { concurrency: 1 }, QUICK)
    expect((await pullAll(xdrIncidents, client)).end.verdict).toBe('COMPLETE')
  })

  it('that the key may not see keeps the run from being COMPLETE', async () => {
    const behaviour = { issues: 'absent', restrictedIncidents: 2 } as const
    const simulator = await runSimulator({ machines: 300, cortexFindings: [behaviour, {}] })
    const { client } = connectCortex(simulator.cortex[0], {}, QUICK)
    const { chunks, end } = await pullAll(xdrIncidents, client)
    expect(end).toMatchObject({
      verdict: 'PARTIAL',
      reason: expect.stringContaining('2 incidents'),
    })
    const { checkpoint } = chunks.at(-1) ?? {}
    const rest = await pullAll(xdrIncidents, client, xdrIncidents.checkpoint.parse(checkpoint))
    expect(rest.end.verdict).toBe('PARTIAL')
  })

  /** A tenant in which what the key may not see has its places in the pages. */
  const hiding = async (
    ids: readonly number[],
    hidden: (id: number) => boolean,
    facts: Json = {},
    sources: readonly string[] = [],
  ) => {
    const { url, received } = await serve((call, response) => {
      const { search_from, search_to, incident_id } = dataOf(call)
      if (call.url.includes('extra_data')) return reply(response, 200, { reply: { incident_id } })
      const window = ids.slice(Number(search_from), Number(search_to))
      const incidents = window
        .filter((id) => !hidden(id))
        .map((id) => incident(String(id), [`h:${id}`], sources))
      const restricted_incident_ids = window.filter(hidden).map(String)
      const result_count = incidents.length
      return reply(response, 200, {
        reply: { result_count, incidents, restricted_incident_ids, ...facts },
      })
    })
    const { client } = connectCortex({ url, ...KEY }, {}, QUICK)
    return { client, received }
  }
  const serials = (count: number) => Array.from({ length: count }, (_, n) => 1_000 + n)

  it.each([
    ['one of the first page', [1_050]],
    ['the last of the first page', [1_099]],
    ['those around the end of the first page', [1_098, 1_099, 1_100, 1_101]],
    ['a whole page', serials(100).map((id) => id + 99)],
    ['more than a page', serials(230)],
  ])('that may not be seen does not end the listing: %s', async (_, hidden) => {
    const isHidden = (id: number) => hidden.includes(id)
    const { client, received } = await hiding(serials(350), isHidden)
    const { units, chunks, end } = await pullAll(xdrIncidents, client)
    const visible = serials(350).filter((id) => !isHidden(id))
    const idsOf = (all: typeof units) => all.map(({ unit }) => Number(unit.split('|', 1)[0]))
    expect(idsOf(units)).toEqual(visible)
    expect(end).toMatchObject({
      verdict: 'PARTIAL',
      reason: `${hidden.length} incidents are restricted: the key's role does not see them`,
    })
    // The last one shows that no more comes.
    expect(received).toHaveLength(5)
    const { checkpoint } = chunks[0] ?? {}
    const rest = await pullAll(xdrIncidents, client, xdrIncidents.checkpoint.parse(checkpoint))
    const all = new Set([...idsOf(chunks[0]?.units ?? []), ...idsOf(rest.units)])
    expect([...all].toSorted((a, b) => a - b)).toEqual(visible)
    expect(rest.end.verdict).toBe('PARTIAL')
  })

  it('is asked for its details once, also when two pages have it', async () => {
    const { client, received } = await hiding(serials(150), () => false, {}, ['ASM'])
    const { units, end } = await pullAll(xdrIncidents, client)
    expect([units.length, end.verdict]).toEqual([150, 'COMPLETE'])
    const asked = received
      .filter((call) => call.url.includes('extra_data'))
      .map((call) => Number(dataOf(call)['incident_id']))
    expect(asked.toSorted((a, b) => a - b)).toEqual(serials(150))
  })

  it('that is counted and never comes makes the run PARTIAL; a low count does not', async () => {
    const pullOf = async (total_count: unknown) => {
      const { client } = await hiding(serials(250), () => false, { total_count })
      return (await pullAll(xdrIncidents, client)).end
    }
    expect(await pullOf(260)).toEqual({
      verdict: 'PARTIAL',
      declared: null,
      reason: '250 items listed, at least 260 declared',
    })
    for (const total of [250, 1, 0, null, '17']) expect(await pullOf(total)).toMatchObject(WHOLE)
  })

  it('is read only where the tenant has no issues, also when they may not be read', async () => {
    const simulator = await runSimulator({ cortexFindings: [{ issues: 'absent' }, {}] })
    const available = async (tenant: 0 | 1) => {
      const { client } = connectCortex(simulator.cortex[tenant], {}, QUICK)
      return xdrIncidents.available?.(client, context())
    }
    expect(await available(0)).toBeNull()
    expect(await available(1)).toMatchObject({ failure: 'NOT_LICENSED' })
    const forbidden = { vendor: 'cortex', endpoint: 'cloud.issues', times: 'forever' } as const
    simulator.faults.set({ ...forbidden, kind: 'status', answer: 'forbidden' })
    expect(await available(1)).toMatchObject({ failure: 'NOT_LICENSED' })
    simulator.faults.clear()
    simulator.faults.set({ ...forbidden, kind: 'status', answer: 'unavailable' })
    const error = (await thrownBy(available(1))) as PipelineError
    expect(error.failure).toBe('TEMPORARY_FAILURE')
  })
})

describe.skipIf(!samplesPresent)('every error seen of the vendor', () => {
  type Seen = { http: number; content_type: string; body?: unknown; body_text?: string }
  const expected = [
    'AUTHORIZATION_FAILURE',
    'NOT_LICENSED',
    'TEMPORARY_FAILURE',
    'BAD_REQUEST',
    'NOT_LICENSED',
    'TOO_MANY_REQUESTS',
    'TEMPORARY_FAILURE',
    'ACCESS_FORBIDDEN',
    'BAD_REQUEST',
    'BAD_REQUEST',
    'BAD_REQUEST',
  ]
  it('has its failure', () => {
    const seen = sampleJson('cortex/errors.json') as Seen[]
    const failures = seen.map(({ http, body, body_text, content_type }) => {
      const text = body_text ?? JSON.stringify(body)
      const headers = { 'content-type': content_type }
      const facts = { method: 'POST', path: '/public_api/v1/assets', status: http, headers }
      return createClassify()({ ...facts, text, complete: true })?.failure
    })
    expect(failures).toEqual(expected)
  })
})
