// Prisma Cloud: the login session, Compute's discovery, and the listing of hosts.
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import { lifetimeMs } from '../../producers/prisma-cloud/auth.ts'
import { computeHosts } from '../../producers/prisma-cloud/compute-hosts.ts'
import { prismaCloudConnector } from '../../producers/prisma-cloud/connector.ts'
import { vendorWords } from '../../producers/prisma-cloud/errors.ts'
import { sleepMs } from '../../runtime/http-retry.ts'
import { PROVOKE } from '../../simulator/provoke.ts'
import { connectPrisma, pullAll } from '../support/connect.ts'
import { type Received, reply, serve } from '../support/http-server.ts'
import { listHosts, runSimulator } from '../support/simulator.ts'

const KEY = { accessKeyId: 'ak-1', secretKey: 'canary-prisma-secret' }
const FREE = { computeRequestsPer30s: 100_000 }
type Host = { readonly _id?: string; readonly type?: string; readonly n?: number }

const failing = async (work: Promise<unknown>): Promise<PipelineError> => {
  const error = await work.then(
    () => null,
    (e: unknown) => e as PipelineError,
  )
  expect(error).not.toBeNull()
  return error as PipelineError
}

/** CSPM and Compute on one server; `hosts` answers the listing. */
async function vendor(
  hosts: (query: { offset: number; limit: number }, response: ServerResponse) => void,
  login: (response: ServerResponse, number: number) => void = (response) =>
    reply(response, 200, { token: randomUUID(), customerNames: [{ prismaId: 'p-7' }] }),
) {
  let logins = 0
  const calls: Received[] = []
  const server = await serve((request, response) => {
    const url = new URL(request.url, 'http://x')
    if (url.pathname === '/login') return login(response, ++logins)
    if (url.pathname === '/meta_info') {
      return reply(response, 200, { twistlockUrl: `http://${request.headers.host}/t-1` })
    }
    calls.push(request)
    const number = (name: string) => Number(url.searchParams.get(name))
    return hosts({ offset: number('offset'), limit: number('limit') }, response)
  })
  const logged = () => logins
  return { ...connectPrisma({ url: server.url, ...KEY }, FREE), server, calls, logged }
}

const page = (rows: readonly Host[], offset: number, limit: number) => {
  const part = rows.slice(offset, offset + limit)
  return part.length === 0 ? null : part
}
const named = (count: number): Host[] =>
  Array.from({ length: count }, (_, n) => ({
    _id: `h-${String(n).padStart(4, '0')}`,
    type: 'host',
    n,
  }))

describe('the session', () => {
  it('logs in once for 20 calls at a time, and once more after all of them got 401', async () => {
    let valid = ''
    let logins = 0
    const { url } = await serve((request, response) => {
      if (request.url === '/login') {
        logins += 1
        valid = `token-${logins}`
        setImmediate(() => reply(response, 200, { token: valid }))
      } else reply(response, request.headers['x-redlock-auth'] === valid ? 200 : 401, {})
    })
    const { client } = connectPrisma({ url, ...KEY })
    const many = () =>
      Promise.all(Array.from({ length: 20 }, () => client.cspm.json('GET', '/check')))
    await many()
    expect(logins).toBe(1)
    valid = 'expired'
    await many()
    expect(logins).toBe(2)
  }, 60_000)

  it('is renewed before its token ends, by the times in the token', async () => {
    let nowMs = 1_700_000_000_000
    const claims = { iat: 1_000_000, exp: 1_000_600 }
    const part = Buffer.from(JSON.stringify(claims)).toString('base64url')
    let logins = 0
    const { url } = await serve((request, response) => {
      if (request.url === '/login') logins += 1
      reply(response, 200, { token: `x.${part}.y` })
    })
    const { client } = connectPrisma({ url, ...KEY }, {}, { nowMs: () => nowMs })
    await client.session.headers()
    nowMs += 479_000
    await client.session.headers()
    expect(logins).toBe(1)
    nowMs += 2_000
    await client.session.headers()
    expect(logins).toBe(2)
    expect(lifetimeMs('no-jwt', nowMs)).toBe(600_000)
  })

  it('reads the secret again after a 401', async () => {
    const { url, received } = await serve((request, response) => {
      if (request.url !== '/login') return reply(response, logins === 1 ? 401 : 200, {})
      logins += 1
      return reply(response, 200, { token: `t-${logins}` })
    })
    let logins = 0
    const { client, config } = connectPrisma({ url, ...KEY })
    await client.session.headers()
    process.env[config.secretKey.slice('env:'.length)] = 'another-secret'
    await client.cspm.json('GET', '/check')
    expect(received.filter((r) => r.url === '/login').map((r) => r.body)).toEqual([
      JSON.stringify({ username: 'ak-1', password: 'canary-prisma-secret' }),
      JSON.stringify({ username: 'ak-1', password: 'another-secret' }),
    ])
  })

  it.each([
    ['401', 401, { message: 'invalid_credentials' }],
    ['a 200 without token', 200, { message: 'sso_enabled canary-prisma-secret' }],
  ])(
    'fails with AUTHORIZATION_FAILURE at AUTH for %s, and tells no secret',
    async (_, status, body) => {
      const { url, received } = await serve((_request, response) => reply(response, status, body))
      const { client } = connectPrisma({ url, ...KEY })
      const error = await failing(client.session.headers())
      expect(error).toMatchObject({ failure: 'AUTHORIZATION_FAILURE', stage: 'AUTH' })
      expect(JSON.stringify([error.message, error.details, String(error.cause)])).not.toContain(
        'canary',
      )
      expect(received).toHaveLength(1)
    },
  )

  it('ends in AUTHORIZATION_FAILURE when a fresh token is refused too', async () => {
    const { client, logged } = await vendor((_, response) =>
      reply(response, 401, { err: 'invalid' }),
    )
    const error = await failing(pullAll(computeHosts, client))
    expect(error).toMatchObject({ failure: 'AUTHORIZATION_FAILURE', stage: 'FETCH' })
    expect(logged()).toBe(2)
  })
})

describe('the listing of hosts', () => {
  it('gives every host of the simulator in its own bytes, and is COMPLETE', async () => {
    const simulator = await runSimulator({ machines: 160 })
    const { client, faults } = connectPrisma(simulator.prisma, FREE)
    const expected = await listHosts(simulator)
    const { units, end, chunks } = await pullAll(computeHosts, client)
    expect(units.map((u) => u.unit)).toEqual(expected.map((h) => h['_id']))
    expect(units.map((u) => u.assetNativeId)).toEqual(
      expected.map((h) => `host|${String(h['_id'])}`),
    )
    expect(units.map((u) => u.body?.toString())).toEqual(expected.map((h) => JSON.stringify(h)))
    expect(end).toEqual({ verdict: 'COMPLETE', declared: expected.length, reason: null })
    expect(chunks.map((c) => c.page)).toEqual(chunks.map((_, i) => i + 1))
    expect(chunks[0]?.endpoint).toBe('/api/v1/hosts')
    expect(await prismaCloudConnector.resolveTenant(client)).toBe(simulator.prisma.prismaId)
    expect(faults).toEqual([])
  })

  it('survives a token that ends in the middle of a run', async () => {
    const simulator = await runSimulator({ machines: 160 })
    const { client } = connectPrisma(simulator.prisma, FREE)
    const { end, units } = await pullAll(computeHosts, client, null, (chunk) => {
      if (chunk.page === 1) simulator.faults.set({ vendor: 'prisma-cloud', kind: 'expire-token' })
    })
    expect(end).toMatchObject({ verdict: 'COMPLETE', declared: units.length })
  })

  it.each([
    ['a reset in the body', { kind: 'reset' }],
    ['a cut body', { kind: 'truncate', form: 'json' }],
    ['a body shorter than declared', { kind: 'truncate', form: 'length' }],
    ['a web page with status 200', { kind: 'status', answer: 'html-ok' }],
    ['429 as a web page', { kind: 'status', answer: 'too-many-requests-html' }],
    ['503', { kind: 'status', answer: 'unavailable' }],
  ] as const)('gives each host once despite %s', async (_, fault) => {
    const simulator = await runSimulator({ machines: 100 })
    const { client, faults } = connectPrisma(simulator.prisma, FREE)
    const set = { vendor: 'prisma-cloud', endpoint: 'compute.hosts', skip: 1, times: 1 } as const
    simulator.faults.set({ ...set, ...fault })
    const { units, end } = await pullAll(computeHosts, client)
    expect(end.verdict).toBe('COMPLETE')
    expect(new Set(units.map((u) => u.unit)).size).toBe(units.length)
    expect(units).toHaveLength(end.declared ?? -1)
    expect(faults).not.toEqual([])
  })

  it('goes on after the last unit of any chunk', async () => {
    const rows = named(130)
    const { client } = await vendor(({ offset, limit }, response) =>
      reply(response, 200, page(rows, offset, limit), { 'total-count': String(rows.length) }),
    )
    const whole = await pullAll(computeHosts, client)
    for (const [i, { checkpoint }] of whole.chunks.entries()) {
      const saved = computeHosts.checkpoint.parse({ ...checkpoint, fromANewerVersion: 1 })
      const rest = await pullAll(computeHosts, client, saved)
      const left = whole.chunks.slice(i + 1).flatMap((c) => c.units.map((u) => u.unit))
      expect(rest.units.map((u) => u.unit)).toEqual(left)
      expect(rest.end).toEqual(whole.end)
    }
  })

  it('ends at null without Total-Count, whatever the console caps a page to', async () => {
    const rows = named(45)
    const { client, calls } = await vendor(({ offset }, response) =>
      reply(response, 200, page(rows, offset, 20)),
    )
    const { units, end } = await pullAll(computeHosts, client)
    expect(units).toHaveLength(45)
    expect(end).toEqual({ verdict: 'COMPLETE', declared: null, reason: null })
    expect(calls.map((c) => new URL(c.url, 'http://x').searchParams.get('offset'))).toEqual([
      '0',
      '19',
      '38',
      '44',
    ])
    expect(calls[0]?.url).toBe('/t-1/api/v1/hosts?limit=50&offset=0&normalizedSeverity=true')
  })

  it('reads again what slipped past when hosts vanish meanwhile, and is DRIFTED', async () => {
    let rows = named(400)
    const { client } = await vendor(({ offset, limit }, response) => {
      if (offset === 98) rows = rows.filter((r) => r._id !== 'h-0003')
      reply(response, 200, page(rows, offset, limit), { 'total-count': String(rows.length) })
    })
    const { units, end } = await pullAll(computeHosts, client)
    const ids = units.map((u) => u.unit)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { _id } of rows) expect(ids).toContain(_id)
    expect(end).toMatchObject({ verdict: 'DRIFTED', declared: 399 })
  })

  it('is PARTIAL when the listing moves by more than 1 %', async () => {
    let rows = named(120)
    const { client } = await vendor(({ offset, limit }, response) => {
      if (offset === 49) rows = [{ _id: 'a-new', type: 'host' }, { _id: 'b-new' }, ...rows]
      reply(response, 200, page(rows, offset, limit), { 'total-count': String(rows.length) })
    })
    const { end, units } = await pullAll(computeHosts, client)
    expect(end).toMatchObject({ verdict: 'PARTIAL', declared: 122 })
    expect(units).toHaveLength(120)
  })

  it('is PARTIAL when fewer hosts come than declared, or the same page again', async () => {
    const fewer = await vendor(({ offset, limit }, response) =>
      reply(response, 200, page(named(60), offset, limit), { 'total-count': '70' }),
    )
    const first = await pullAll(computeHosts, fewer.client)
    expect(first.end).toEqual({
      verdict: 'PARTIAL',
      declared: 70,
      reason: '60 items listed, 70 declared',
    })
    const same = await vendor((_, response) => reply(response, 200, named(50)))
    const second = await pullAll(computeHosts, same.client)
    expect(second.units).toHaveLength(50)
    expect(second.end).toMatchObject({
      verdict: 'PARTIAL',
      reason: expect.stringContaining('again'),
    })
  })

  it('rejects items without an id in their bytes, and goes on', async () => {
    const rows: Host[] = [{ n: 1 }, ...named(2), { _id: '' }]
    const { client } = await vendor(({ offset, limit }, response) =>
      reply(response, 200, page(rows, offset, limit), { 'total-count': '4' }),
    )
    const { chunks, units, end } = await pullAll(computeHosts, client)
    expect(units).toHaveLength(2)
    expect(chunks.flatMap((c) => c.rejected.map((r) => r.body.toString()))).toEqual([
      '{"n":1}',
      '{"_id":""}',
    ])
    expect(end.verdict).toBe('COMPLETE')
  })

  it('cuts a page into chunks of at most 8 MiB and marks a unit above 8 MiB', async () => {
    const rows = [
      ...Array.from({ length: 4 }, (_, n) => ({ _id: `h-${n}`, pad: 'x'.repeat(3_000_000) })),
      { _id: 'giant', type: 'vm', pad: 'x'.repeat(8_500_000) },
    ]
    const { client } = await vendor(({ offset, limit }, response) =>
      reply(response, 200, page(rows, offset, limit), { 'total-count': '5' }),
    )
    const { chunks, units, end } = await pullAll(computeHosts, client)
    expect(chunks.map((c) => c.units.length)).toEqual([2, 3])
    expect(units[4]).toMatchObject({ unit: 'giant', assetNativeId: 'vm|giant', body: null })
    expect(units[4]?.sizeBytes).toBe(JSON.stringify(rows[4]).length)
    expect(end.verdict).toBe('PARTIAL')
    const rest = await pullAll(computeHosts, client, chunks[0]?.checkpoint ?? null)
    expect(rest.units.map((u) => u.unit)).toEqual(['h-2', 'h-3', 'giant'])
  })
})

describe('what can go wrong', () => {
  it.each(['ACCESS_FORBIDDEN', 'NOT_FOUND', 'NOT_LICENSED', 'AUTHORIZATION_FAILURE'] as const)(
    'is told as %s, by the pull and by the check',
    async (failure) => {
      const simulator = await runSimulator()
      const { client } = connectPrisma(simulator.prisma, FREE)
      simulator.faults.set(...PROVOKE['prisma-cloud'][failure])
      expect(await failing(pullAll(computeHosts, client))).toMatchObject({ failure })
      const answers = await prismaCloudConnector.check(client)
      const errors = answers.map((answer) => answer.error).filter((error) => error !== null)
      expect(errors[0]).toMatchObject({ failure })
    },
  )

  it('is nothing when all is well', async () => {
    const simulator = await runSimulator()
    const { client } = connectPrisma(simulator.prisma, FREE)
    const answers = await prismaCloudConnector.check(client)
    expect(answers.map((answer) => answer.step)).toEqual(
      expect.arrayContaining(['log in', 'find the Compute console', 'read compute.hosts']),
    )
    expect(answers.filter((answer) => answer.error !== null)).toEqual([])
  })

  it('includes no 429: only so many requests start in 30 s, and a stop ends the wait', async () => {
    const simulator = await runSimulator({ machines: 60, rateLimits: true })
    const stop = new AbortController()
    const waitsMs: number[] = []
    const sleep = (ms: number, signal: AbortSignal) => {
      waitsMs.push(ms)
      stop.abort()
      return sleepMs(ms, signal)
    }
    const settings = { pageSize: 2, computeRequestsPer30s: 5 }
    const { client, faults } = connectPrisma(simulator.prisma, settings, { retry: { sleep } })
    const context = { signal: stop.signal, nowMs: Date.now, report: () => {} }
    const pull = computeHosts.pull(client, null, context)
    for (let n = 0; n < 5; n += 1) expect((await pull.next()).done).toBe(false)
    const error = await failing(pull.next())
    expect(error).toMatchObject({ message: expect.stringContaining('stop') })
    expect(waitsMs).toHaveLength(1)
    expect(waitsMs[0]).toBeGreaterThan(20_000)
    const site = simulator.stats().sites.find((s) => s.vendor === 'prisma-cloud')
    expect(site?.endpoints['compute.hosts']?.requests).toBe(5)
    expect(faults).toEqual([])
  })
})

describe('the words of an error', () => {
  it.each([
    ['[{"i18nKey":"invalid_id","severity":"error","subject":null}]', '', 'invalid_id'],
    [undefined, '{"error":{"code":"BadArgument","message":"m1"}}', 'm1'],
    [undefined, '{"code":"c","message":"m2","target":"t"}', 'm2'],
    [undefined, '{"err":"invalid credentials"}', 'invalid credentials'],
    [undefined, '{"title":"m3","detail":"d","status":{"statusCode":4}}', 'm3'],
    [
      undefined,
      '{"timestamp":"x","status":406,"error":"Not Acceptable","message":""}',
      'Not Acceptable',
    ],
    [undefined, '<html>', null],
  ])('are found in %s %s', (header, text, message) => {
    const headers = header === undefined ? {} : { 'x-redlock-status': header }
    expect(vendorWords({ headers, text }).vendorMessage).toBe(message)
  })
})
