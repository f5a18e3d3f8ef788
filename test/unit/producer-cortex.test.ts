// Cortex: key headers, the listings by window, the check, and the table of refusals.
import { describe, expect, it } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import { authHeaders, freshNonce } from '../../producers/cortex/auth.ts'
import { cloudAssets } from '../../producers/cortex/cloud-assets.ts'
import { cloudFindings } from '../../producers/cortex/cloud-findings.ts'
import { cortexConnector } from '../../producers/cortex/connector.ts'
import { createClassify, vendorError } from '../../producers/cortex/errors.ts'
import { xdrEndpoints } from '../../producers/cortex/xdr-endpoints.ts'
import { sleepMs } from '../../runtime/http-retry.ts'
import { PROVOKE } from '../../simulator/provoke.ts'
import { connectCortex, pullAll } from '../support/connect.ts'
import { reply, serve } from '../support/http-server.ts'
import { listAssets, listEndpoints, listFindings, runSimulator } from '../support/simulator.ts'

const KEY = { apiKey: 'canary-cortex-key', apiKeyId: 12, securityLevel: 'standard' } as const
/** Polls of XQL without their seconds. */
const QUICK = {
  retry: {
    baseMs: 2,
    capMs: 20,
    sleep: (ms: number, signal: AbortSignal) => sleepMs(Math.min(ms, 5), signal),
  },
}

const failing = async (work: Promise<unknown>): Promise<PipelineError> => {
  const error = await work.then(
    () => null,
    (e: unknown) => e as PipelineError,
  )
  expect(error).not.toBeNull()
  return error as PipelineError
}

describe('the key headers', () => {
  it('are the key itself for Standard, and the documented hash for Advanced', () => {
    const standard = { key: 'k', keyId: '12', level: 'standard' } as const
    expect(authHeaders(standard, 'n', 1)).toEqual({ authorization: 'k', 'x-xdr-auth-id': '12' })
    const nonce = '0'.repeat(64)
    expect(authHeaders({ ...standard, level: 'advanced' }, nonce, 1_700_000_000_000)).toEqual({
      authorization: '8699e781ce88a3d03fb681f745ec6f78b2a02bbac6c68efa1379193c2ecbc576',
      'x-xdr-auth-id': '12',
      'x-xdr-nonce': nonce,
      'x-xdr-timestamp': '1700000000000',
    })
    expect(freshNonce()).toMatch(/^[A-Za-z0-9]{64}$/)
  })

  it('are new for every attempt', async () => {
    const { url, received } = await serve((_, response, n) =>
      reply(response, n < 3 ? 502 : 200, true),
    )
    const { client } = connectCortex({ url, ...KEY, securityLevel: 'advanced' })
    await client.http.json('POST', '/api_keys/validate/')
    expect(new Set(received.map((r) => r.headers['x-xdr-nonce'])).size).toBe(3)
    expect(received.map((r) => r.headers['authorization'])).not.toContain(KEY.apiKey)
  })
})

describe('the streams against the simulator', () => {
  it.each([0, 1] as const)('give every row in its own bytes for tenant %i', async (index) => {
    const simulator = await runSimulator({ machines: 400, pageLimits: { xqlInline: 50 } })
    const access = simulator.cortex[index]
    const { client, faults } = connectCortex(access, { tenant: access.tenant }, QUICK)
    const cases = [
      [xdrEndpoints, await listEndpoints(access), 'endpoint_id', 'endpoint_id'],
      [cloudAssets, await listAssets(access), 'xdm.asset.id', 'xdm.asset.id'],
      [cloudFindings, await listFindings(access), 'xdm.finding.id', 'xdm.finding.asset_id'],
    ] as const
    for (const [source, rows, id, asset] of cases) {
      const { units, end } = await pullAll<typeof client, unknown>(source, client)
      const known = new Map(rows.map((row) => [row[id], row]))
      expect(units).toHaveLength(rows.length)
      expect(end).toEqual({ verdict: 'COMPLETE', declared: rows.length, reason: null })
      for (const unit of units) {
        const row = JSON.parse(unit.body?.toString() ?? 'null') as Record<string, unknown>
        expect(unit.unit).toBe(row[id])
        expect(unit.assetNativeId).toBe(known.get(unit.unit)?.[asset])
        // Neither asks for all that the other asks for; what both have must be the same.
        const other = known.get(unit.unit) ?? {}
        const shared = Object.entries(row).filter(([name]) => name in other)
        expect(shared.length).toBeGreaterThan(8)
        expect(other).toMatchObject(Object.fromEntries(shared))
      }
    }
    expect(faults).toEqual([])
    expect(await cortexConnector.resolveTenant(client)).toBe(access.tenant)
  })

  it('go on after the last unit of a chunk', async () => {
    const simulator = await runSimulator({ machines: 400 })
    const { client } = connectCortex(simulator.cortex[0])
    const whole = await pullAll(xdrEndpoints, client)
    expect(whole.chunks.length).toBeGreaterThan(1)
    const { checkpoint } = whole.chunks[0] ?? {}
    const rest = await pullAll(xdrEndpoints, client, xdrEndpoints.checkpoint.parse(checkpoint))
    expect(rest.units.map((u) => u.unit)).toEqual(whole.units.slice(100).map((u) => u.unit))
    expect(rest.end).toEqual(whole.end)
  })

  it.each([
    ['a reset', { kind: 'reset' }],
    ['a cut body', { kind: 'truncate', form: 'json' }],
    ['no JSON', { kind: 'not-json' }],
    ['the text of waitress', { kind: 'status', answer: 'waitress' }],
    ['429 without headers', { kind: 'status', answer: 'too-many-requests' }],
    ['429 with Retry-After', { kind: 'status', answer: 'too-many-requests-with-headers' }],
    ['a web page with 200', { kind: 'status', answer: 'html-ok' }],
  ] as const)('give each row once despite %s', async (_, fault) => {
    const simulator = await runSimulator({ machines: 400, pageLimits: { xqlInline: 50 } })
    const { client } = connectCortex(simulator.cortex[0], {}, QUICK)
    for (const [source, endpoint] of [
      [xdrEndpoints, 'xdr.endpoints'],
      [cloudFindings, 'xql.stream'],
    ] as const) {
      simulator.faults.set({ vendor: 'cortex', endpoint, times: 1, ...fault })
      const { units, end } = await pullAll<typeof client, unknown>(source, client)
      expect(simulator.faults.list()).toEqual([])
      expect(end.verdict).toBe('COMPLETE')
      expect(new Set(units.map((u) => u.unit)).size).toBe(end.declared)
      expect(units).toHaveLength(end.declared ?? -1)
    }
  })

  it('are read beyond 9,999 rows, where the vendor stops counting', async () => {
    let present = 10_500
    const { url } = await serve((call, response) => {
      if (call.method === 'GET') return reply(response, 404, {})
      const { request_data: data } = JSON.parse(call.body) as {
        request_data: { search_from: number; search_to: number }
      }
      const length = Math.max(0, Math.min(present, data.search_to) - data.search_from)
      const ids = Array.from({ length }, (_, n) => ({
        'xdm.asset.id': `c-${data.search_from + n}`,
      }))
      const metadata = { filter_count: length, total_count: 9_999 }
      return reply(response, 200, { reply: { data: ids, metadata } })
    })
    const { client } = connectCortex({ url, ...KEY }, {}, QUICK)
    const { units, end } = await pullAll(cloudAssets, client)
    expect(units).toHaveLength(present)
    expect(end).toEqual({ verdict: 'COMPLETE', declared: null, reason: null })
    present = 1_200
    expect((await pullAll(cloudAssets, client)).end).toEqual({
      verdict: 'PARTIAL',
      declared: null,
      reason: '1200 items listed, at least 9999 declared',
    })
  })

  it('are FAILED when the stream keeps losing rows, and never shown as complete', async () => {
    const simulator = await runSimulator({ machines: 100, pageLimits: { xqlInline: 10 } })
    const { client, faults } = connectCortex(simulator.cortex[0], {}, QUICK)
    const lossy = { vendor: 'cortex', endpoint: 'xql.stream', kind: 'missing-rows' } as const
    simulator.faults.set({ ...lossy, times: 'forever', share: 0.3 })
    const error = await failing(pullAll(cloudFindings, client))
    expect(error).toMatchObject({ failure: 'TEMPORARY_FAILURE' })
    expect(faults).toHaveLength(4)
  })

  it.each([
    ['ACCESS_FORBIDDEN', xdrEndpoints],
    ['AUTHORIZATION_FAILURE', cloudFindings],
    ['NOT_FOUND', cloudAssets],
    ['NOT_LICENSED', xdrEndpoints],
  ] as const)('tell %s, in the pull and in the check', async (failure, source) => {
    const simulator = await runSimulator()
    const { client } = connectCortex(simulator.cortex[1], {}, QUICK)
    simulator.faults.set(...PROVOKE.cortex[failure])
    const error = await failing(pullAll<typeof client, unknown>(source, client))
    expect(error).toMatchObject({ failure })
    const answers = await cortexConnector.check(client)
    expect(answers.map((a) => a.error?.failure)).toContain(failure)
  })

  it('keep to the limits of the tenant, all streams together', async () => {
    const simulator = await runSimulator({ machines: 20, rateLimits: true })
    const access = simulator.cortex[0]
    const { client, faults } = connectCortex(access, { requestsPerSecond: 8 }, QUICK)
    await Promise.all([
      pullAll(xdrEndpoints, client),
      pullAll(cloudAssets, client),
      pullAll(cloudFindings, client),
      cortexConnector.check(client),
    ])
    expect(faults.filter((f) => f.failure === 'TOO_MANY_REQUESTS')).toEqual([])
    const site = simulator.stats().sites.find((s) => s.tenant === access.tenant)
    expect(site?.concurrencyMax).toBeLessThanOrEqual(4)
    expect(site?.perSecondMax).toBeLessThanOrEqual(10)
  })
})

describe('the check', () => {
  it('is well for a good key, and has the steps of the streams in use', async () => {
    const simulator = await runSimulator()
    const streams = { 'cloud.assets': { enabled: false } }
    const { client } = connectCortex(simulator.cortex[1], { streams })
    expect(await cortexConnector.check(client)).toEqual([
      { step: 'validate the key', error: null },
      { step: 'read xdr.endpoints', error: null },
      { step: 'read xpanse.assets', error: null },
      { step: 'read xpanse.services', error: null },
      { step: 'read xpanse.services (details)', error: null },
      { step: 'read cloud.findings', error: null },
      { step: 'read cloud.vulnerabilities', error: null },
      { step: 'read xdr.findings', error: null },
    ])
  })

  it('says when the key is one of the other level', async () => {
    const simulator = await runSimulator()
    const access = simulator.cortex[1]
    const { client } = connectCortex({ ...access, securityLevel: 'standard' })
    const [answer] = await cortexConnector.check(client)
    expect(answer?.error).toMatchObject({ failure: 'AUTHORIZATION_FAILURE', stage: 'AUTH' })
    expect(answer?.error?.message).toContain('accepted as advanced')
    expect(answer?.error?.remediation).toContain('securityLevel: advanced')
  })

  it('tells when the key is about to end', async () => {
    const endsAtMs = Date.now() + 3 * 86_400_000
    const { url } = await serve((request, response) =>
      reply(
        response,
        200,
        request.url.includes('get_api_keys')
          ? {
              reply: {
                DATA: [
                  { id: 9, expiration: 1 },
                  { id: 12, expiration: endsAtMs },
                ],
              },
            }
          : true,
      ),
    )
    const { client } = connectCortex({ url, ...KEY })
    const errors = (await cortexConnector.check(client)).map((a) => a.error?.failure)
    expect(errors).toContain('CREDENTIAL_EXPIRING')
  })
})

describe('the table of refusals', () => {
  const answer = (status: number, text: string, path = '/public_api/v1/assets') =>
    createClassify()({ method: 'POST', path, status, headers: {}, text, complete: true })
  const wrapped = (status: number, extra: unknown) =>
    JSON.stringify({ reply: { err_code: status, err_msg: 'An error occurred', err_extra: extra } })
  const parallel = { err_msg: 'reached max allowed amount of parallel running queries' }

  it.each([
    [402, '', 'NOT_LICENSED'],
    [403, '{"err_code":403,"err_msg":"Forbidden.","err_extra":""}', 'ACCESS_FORBIDDEN'],
    [400, wrapped(400, 'Expecting value'), 'BAD_REQUEST'],
    [404, wrapped(404, 'x'), 'NOT_LICENSED'],
    [404, '<html>', 'NOT_FOUND'],
    [302, '', 'NOT_FOUND'],
    [422, '{"errorCode":"e","message":"m","details":[]}', 'BAD_REQUEST'],
    [500, wrapped(500, 'No identity threat'), 'NOT_LICENSED'],
    [500, wrapped(500, { ...parallel, remaining_quota: 0 }), 'TOO_MANY_REQUESTS'],
    [500, wrapped(500, { err_msg: 'x', remaining_quota: 0 }), 'QUOTA_EXHAUSTED'],
    [500, wrapped(500, '0 < search_size <= 100'), 'BAD_REQUEST'],
    [500, wrapped(500, 'something else'), 'TEMPORARY_FAILURE'],
    [500, 'Too many requests', 'TOO_MANY_REQUESTS'],
    [200, wrapped(401, null), 'AUTHORIZATION_FAILURE'],
    [503, '', 'TEMPORARY_FAILURE'],
  ])('maps %i %s to %s', (status, text, failure) => {
    expect(answer(status, text)?.failure).toBe(failure)
  })

  it('names the end of the key as the likely cause of a 401 after it worked', () => {
    const classify = createClassify()
    const facts = { method: 'POST', path: '/p', headers: {}, complete: true } as const
    expect(classify({ ...facts, status: 401, text: '' })?.remediation).toBeUndefined()
    classify({ ...facts, status: 200, text: 'true' })
    expect(classify({ ...facts, status: 401, text: '' })?.remediation).toContain('expired')
  })

  it('lets parallel queries back off without closing the gate of the tenant', () => {
    expect(answer(500, wrapped(500, parallel))).toMatchObject({ closesGate: false, attemptsMax: 8 })
  })

  it('takes the text of waitress for a wrong address only where the path never answered', () => {
    const classify = createClassify()
    const facts = { method: 'POST', path: '/p', headers: {}, complete: true } as const
    const waitress = { ...facts, status: 500, text: 'generated by waitress' }
    expect(classify(waitress)).toMatchObject({ failure: 'TEMPORARY_FAILURE', finally: 'NOT_FOUND' })
    expect(classify({ ...facts, status: 200, text: '{}' })).toBeNull()
    expect(classify(waitress)?.finally).toBeUndefined()
  })

  it('finds the vendor’s words in every envelope', () => {
    const inner = { err_msg: 'm', metadata: { err_code: 7, err_extra: { a: 1 } } }
    for (const body of [inner, { data: inner }, { reply: inner }]) {
      const found = vendorError(JSON.stringify(body))
      expect(found).toMatchObject({ code: '7', message: 'm', extra: '{"a":1}' })
    }
    expect(vendorError('{"reply":{"status":"PENDING"}}')).toBeNull()
    expect(vendorError('{"error":"e","status":500}')).toMatchObject({ code: '500', message: 'e' })
  })
})
