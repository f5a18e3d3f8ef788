// Compute's listings through the real client: every stream, its faults, and a console of one's own.
import { describe, expect, it } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import { prismaCloudConnector } from '../../producers/prisma-cloud/connector.ts'
import { prismaCloudConnection } from '../../producers/prisma-cloud/config.ts'
import { classify } from '../../producers/prisma-cloud/errors.ts'
import { PROVOKE } from '../../simulator/provoke.ts'
import type { Simulator } from '../../simulator/simulator.ts'
import { connectPrisma, problemsOf, pullAll, secret } from '../support/connect.ts'
import { type Received, reply, serve } from '../support/http-server.ts'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { runSimulator } from '../support/simulator.ts'

const FREE = { computeRequestsPer30s: 100_000 }
const SOURCES = prismaCloudConnector.sources.filter((s) => s.product === 'prisma-compute')
const STREAMS = SOURCES.map((source) => source.stream)
const sourceOf = (stream: string) => {
  const found = SOURCES.find((source) => source.stream === stream)
  if (found === undefined) throw new Error(`no source of ${stream}`)
  return found
}
const failing = async (work: Promise<unknown>): Promise<PipelineError> => {
  const error = await work.then(
    () => null,
    (e: unknown) => e as PipelineError,
  )
  expect(error).not.toBeNull()
  return error as PipelineError
}
const requestsTo = (simulator: Simulator) => (endpoint: string) =>
  simulator.stats().sites[0]?.endpoints[endpoint]?.requests ?? 0
type Told = { readonly stream: string; readonly alsoIn?: readonly string[] }
const isToldIn = (stream: string) => (of: Told) =>
  of.stream === stream || of.alsoIn?.includes(stream) === true

describe('a stream of Compute', () => {
  it('is one of seven', () => {
    expect(STREAMS).toEqual([
      'compute.hosts',
      'compute.images',
      'compute.registry',
      'compute.vms',
      'compute.serverless',
      'compute.containers',
      'compute.cloud-vms',
    ])
  })

  it.each(STREAMS)(
    '%s lists what is true, as COMPLETE, and the same after a step',
    async (stream) => {
      const simulator = await runSimulator({ machines: 300 })
      const { client, faults } = connectPrisma(simulator.prisma, { ...FREE, pageSize: 7 })
      for (let step = 0; step < 2; step += 1) {
        const expected = simulator.truth().assets.filter(isToldIn(stream))
        const { units, end, chunks } = await pullAll(sourceOf(stream), client)
        expect(units.map((unit) => unit.assetNativeId).toSorted()).toEqual(
          expected.map((asset) => asset.nativeId).toSorted(),
        )
        expect(new Set(units.map((unit) => unit.unit)).size).toBe(units.length)
        expect(end).toEqual({ verdict: 'COMPLETE', declared: expected.length, reason: null })
        // Each page but the first begins with the last record of the page before.
        expect(chunks.length).toBe(Math.ceil((expected.length - 1) / 6))
        simulator.evolve(4)
      }
      expect(faults).toEqual([])
    },
  )

  it.each(STREAMS)('%s goes on after the last unit of any chunk', async (stream) => {
    const simulator = await runSimulator({ machines: 80 })
    const { client } = connectPrisma(simulator.prisma, { ...FREE, pageSize: 3 })
    const source = sourceOf(stream)
    const whole = await pullAll(source, client)
    expect(whole.chunks.length).toBeGreaterThan(1)
    for (const [i, { checkpoint }] of whole.chunks.entries()) {
      const saved = source.checkpoint.parse(JSON.parse(JSON.stringify(checkpoint)))
      const rest = await pullAll(source, client, saved)
      expect(rest.units.map((u) => u.unit)).toEqual(
        whole.chunks.slice(i + 1).flatMap((c) => c.units.map((u) => u.unit)),
      )
      expect(rest.end.verdict).toBe('COMPLETE')
    }
  })

  it.each(STREAMS)('%s survives a reset, a cut page, a web page, 429 and 502', async (stream) => {
    const simulator = await runSimulator({ machines: 60 })
    const { client, faults } = connectPrisma(simulator.prisma, { ...FREE, pageSize: 5 })
    const set = { vendor: 'prisma-cloud', endpoint: stream, times: 1 } as const
    simulator.faults.set(
      { ...set, kind: 'reset' },
      { ...set, kind: 'truncate', form: 'json', skip: 1 },
      { ...set, kind: 'status', answer: 'html-ok', skip: 2 },
      { ...set, kind: 'status', answer: 'too-many-requests' },
      { ...set, kind: 'status', answer: 'bad-gateway' },
    )
    const { units, end } = await pullAll(sourceOf(stream), client)
    expect(simulator.faults.list()).toEqual([])
    expect(end).toEqual({ verdict: 'COMPLETE', declared: units.length, reason: null })
    expect(faults.length).toBeGreaterThanOrEqual(4)
  })

  it.each(STREAMS)('%s is PARTIAL when rows are missing, and rejects one without id', async (s) => {
    const simulator = await runSimulator({ machines: 60 })
    const { client } = connectPrisma(simulator.prisma, { ...FREE })
    const set = { vendor: 'prisma-cloud', endpoint: s, times: 'forever' } as const
    simulator.faults.set({ ...set, kind: 'missing-rows', declared: 'all' })
    expect((await pullAll(sourceOf(s), client)).end.verdict).toBe('PARTIAL')
    simulator.faults.clear()
    simulator.faults.set({ ...set, kind: 'drop-field', field: '_id' })
    const { chunks } = await pullAll(sourceOf(s), client)
    const violations = chunks.flatMap((c) => c.rejected.flatMap((r) => r.violations))
    expect(violations[0]).toContain('_id')
  })

  it.each(STREAMS)('%s is ACCESS_FORBIDDEN where the role may not read it', async (stream) => {
    const simulator = await runSimulator()
    const { client } = connectPrisma(simulator.prisma, FREE)
    const set = { vendor: 'prisma-cloud', endpoint: stream, times: 'forever' } as const
    simulator.faults.set({ ...set, kind: 'status', answer: 'forbidden' })
    expect(await failing(pullAll(sourceOf(stream), client))).toMatchObject({
      failure: 'ACCESS_FORBIDDEN',
    })
    const answers = await prismaCloudConnector.check(client)
    expect(answers.filter((a) => a.error !== null).map((a) => a.step)).toEqual([`read ${stream}`])
  })

  it.each(STREAMS)('%s is not licensed, and no failure, without Compute', async (stream) => {
    const simulator = await runSimulator()
    const { client } = connectPrisma(simulator.prisma, FREE)
    const context = {
      signal: new AbortController().signal,
      nowMs: Date.now,
      report: () => {},
    }
    const available = () => sourceOf(stream).available?.(client, context)
    simulator.faults.set(...PROVOKE['prisma-cloud'].NOT_LICENSED)
    expect(await available()).toMatchObject({ failure: 'NOT_LICENSED' })
    simulator.faults.clear()
    expect(await available()).toBeNull()
  })

  it.each(STREAMS)('%s is COMPLETE and empty where nothing is listed', async (stream) => {
    const simulator = await runSimulator({ machines: 0 })
    const { client } = connectPrisma(simulator.prisma, FREE)
    const { units, end } = await pullAll(sourceOf(stream), client)
    expect([units, end]).toEqual([[], { verdict: 'COMPLETE', declared: 0, reason: null }])
  })
})

describe.skipIf(!samplesPresent)('the recorded answers without a row', () => {
  it.each([
    ['empty.GET_registry.json', 'compute.registry'],
    ['empty.GET_vms.json', 'compute.vms'],
    ['empty.GET_serverless.json', 'compute.serverless'],
    ['empty.GET_cloud_discovery.json', 'compute.cloud-vms'],
  ])('%s ends %s as COMPLETE', async (sample, stream) => {
    const answer = sampleJson(`prisma-cloud/compute/${sample}`)
    const { url } = await serve((_, response) => reply(response, 200, answer))
    const { client } = ownConsole(url, 'basic')
    const { units, end } = await pullAll(sourceOf(stream), client)
    expect([units, end.verdict]).toEqual([[], 'COMPLETE'])
  })
})

/** A console without CSPM. */
function ownConsole(computeUrl: string, auth: string, more: Record<string, unknown> = {}) {
  return connectPrisma(
    { url: '', accessKeyId: 'admin', secretKey: 'canary-password' },
    { ...FREE, url: undefined, computeUrl, compute: { auth, ...more } },
  )
}

describe('a Compute console of one’s own', () => {
  it.each(['basic', 'authenticate'] as const)('is read by %s, without CSPM', async (auth) => {
    const simulator = await runSimulator({ machines: 60 })
    const { prisma } = simulator
    const { client } = connectPrisma(prisma, {
      ...FREE,
      url: undefined,
      computeUrl: `${prisma.url}/us-sim-1`,
      compute: { auth },
    })
    const expected = simulator.truth().assets.filter(isToldIn('compute.images'))
    const { units, end } = await pullAll(sourceOf('compute.images'), client)
    expect(end).toMatchObject({ verdict: 'COMPLETE', declared: expected.length })
    expect(units).toHaveLength(expected.length)
    expect(await prismaCloudConnector.resolveTenant(client)).toBe(new URL(prisma.url).host)
    const requests = requestsTo(simulator)
    expect(requests('cspm.login')).toBe(0)
    expect(requests('compute.authenticate')).toBe(auth === 'basic' ? 0 : 1)
    const answers = await prismaCloudConnector.check(client)
    expect(answers.filter((a) => a.error !== null && a.step.includes('compute'))).toEqual([])
    const noCspm = await failing(client.cspm.json('GET', '/check'))
    expect(noCspm.failure).toBe('NOT_LICENSED')
  })

  it('gives its own token as a bearer, and logs in once more after a 401', async () => {
    let logins = 0
    const seen: (string | undefined)[] = []
    const { url } = await serve((request, response) => {
      if (request.url === '/api/v1/authenticate') {
        logins += 1
        return reply(response, 200, { token: `t-${logins}` })
      }
      seen.push(request.headers.authorization)
      return reply(response, seen.length === 1 ? 401 : 200, null)
    })
    const { client } = ownConsole(url, 'authenticate')
    const { end } = await pullAll(sourceOf('compute.vms'), client)
    expect(end.verdict).toBe('COMPLETE')
    expect(seen).toEqual(['Bearer t-1', 'Bearer t-2'])
  })

  it('logs in at the console where CSPM is there too', async () => {
    const simulator = await runSimulator()
    const { client } = connectPrisma(simulator.prisma, {
      ...FREE,
      compute: { auth: 'authenticate' },
    })
    expect((await pullAll(sourceOf('compute.vms'), client)).end.verdict).toBe('COMPLETE')
    const requests = requestsTo(simulator)
    expect(requests('compute.authenticate')).toBe(1)
    expect(requests('cspm.login')).toBe(1)
  })

  it('names its project with every page, and tells no password', async () => {
    const calls: Received[] = []
    const { url } = await serve((request, response) => {
      calls.push(request)
      reply(response, 403, {
        err: `no rights for canary-password ${request.headers.authorization}`,
      })
    })
    const { client } = ownConsole(url, 'basic', { project: 'Central Console' })
    const error = await failing(pullAll(sourceOf('compute.images'), client))
    expect(calls[0]?.url).toContain('project=Central+Console')
    const basic = Buffer.from('admin:canary-password').toString('base64')
    expect(calls[0]?.headers.authorization).toBe(`Basic ${basic}`)
    expect(error.failure).toBe('ACCESS_FORBIDDEN')
    const text = JSON.stringify([error.message, error.details])
    expect(text).not.toContain('canary')
    expect(text).not.toContain(basic)
  })

  it('takes a changed password after a 401, and stops at the second one', async () => {
    const { url, received } = await serve((_, response) =>
      reply(response, 401, { err: 'invalid credentials' }),
    )
    const { client } = ownConsole(url, 'basic')
    const error = await failing(pullAll(sourceOf('compute.images'), client))
    expect(error.failure).toBe('AUTHORIZATION_FAILURE')
    expect(received).toHaveLength(2)
  })

  it('needs a way to log in and an address', () => {
    const base = {
      name: 'own',
      type: 'prisma-cloud',
      accessKeyId: secret('admin'),
      secretKey: secret('x'),
    }
    expect(problemsOf(prismaCloudConnection, base).join()).toContain('url: must be given')
    const computeUrl = 'https://console.example:8083'
    expect(problemsOf(prismaCloudConnection, { ...base, computeUrl })).toEqual([
      'compute.auth: must be authenticate or basic where url is not given',
    ])
    const own = { ...base, computeUrl, compute: { auth: 'basic' } }
    expect(problemsOf(prismaCloudConnection, own)).toEqual([])
    expect(prismaCloudConnector.apiHost(prismaCloudConnection.parse(own))).toBe(
      'console.example:8083',
    )
  })
})

type Recorded = { readonly status: number; readonly operation: string; readonly body: string }
const recorded = samplesPresent
  ? (sampleJson('prisma-cloud/compute/errors.recorded.json') as Recorded[])
  : []

describe.skipIf(!samplesPresent)('the recorded errors of a console', () => {
  const FAILURES: Readonly<Record<number, string | null>> = {
    200: null,
    400: 'BAD_REQUEST',
    404: 'NOT_FOUND',
    500: 'TEMPORARY_FAILURE',
  }

  it.each(recorded.map((r) => [r.status, r.operation, r.body] as const))(
    '%i of %s are classified, with the words of the console',
    (status, _operation, text) => {
      const refusal = classify({
        method: 'GET',
        path: '/api/v1/x',
        status,
        headers: { 'content-type': 'application/json' },
        text,
        complete: true,
      })
      expect(refusal?.failure ?? null).toBe(FAILURES[status])
      if (refusal === null) return
      const words = text === '' ? null : (JSON.parse(text) as { err: string }).err
      expect(refusal.vendorMessage).toBe(words)
    },
  )

  it('are 39', () => {
    expect(recorded).toHaveLength(39)
  })
})
