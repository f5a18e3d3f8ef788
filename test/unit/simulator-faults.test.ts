// Every kind of fault shows to a client, as often as it was set to and where it was set.
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { ERROR_TYPES } from '../../contracts/errors.ts'
import { STATUS_ANSWERS } from '../../simulator/faults.ts'
import { PROVOKE, type Provoked } from '../../simulator/provoke.ts'
import type { Simulator } from '../../simulator/simulator.ts'
import {
  type Reply,
  ask,
  askCortex,
  askHosts,
  cortexHeaders,
  listEndpoints,
  listFindings,
  listHosts,
  logIn,
  runSimulator,
  startXql,
  xqlResult,
} from '../support/simulator.ts'

/** On a slow machine a condition may come late. */
const PATIENCE = { timeout: 30_000 }
const hosts = { vendor: 'prisma-cloud', endpoint: 'compute.hosts' } as const
const endpoints = { vendor: 'cortex', endpoint: 'xdr.endpoints' } as const
const getEndpoints = (simulator: Simulator) =>
  askCortex(simulator.cortex[0], 'endpoints/get_endpoint')
const getHosts = async (simulator: Simulator) =>
  askHosts(simulator, await logIn(simulator), 'limit=50')

/** Code of a connection that broke, or `whole`. */
const outcome = (reply: Promise<Reply>): Promise<string> =>
  reply.then(
    () => 'whole',
    (error: { code?: string; cause?: { code?: string } }) => error.code ?? error.cause?.code ?? '?',
  )

describe('statuses', () => {
  const expected: Record<string, [prisma: number, cortex: number]> = {
    unauthorized: [401, 401],
    forbidden: [403, 403],
    'not-found': [404, 404],
    'too-many-requests': [429, 429],
    'too-many-requests-with-headers': [429, 429],
    'too-many-requests-html': [429, 429],
    waitress: [500, 500],
    'no-identity-threat': [500, 500],
    'bad-gateway': [502, 502],
    unavailable: [503, 503],
    'html-ok': [200, 200],
    'payload-too-large': [413, 413],
    'uri-too-long': [414, 414],
    'parallel-queries': [500, 500],
    'quota-exhausted': [500, 500],
  }

  it.each(STATUS_ANSWERS)('shows %s once, then all is well again', async (answer) => {
    const simulator = await runSimulator()
    simulator.faults.set({ ...hosts, kind: 'status', answer })
    simulator.faults.set({ ...endpoints, kind: 'status', answer })
    const prisma = await getHosts(simulator)
    const cortex = await getEndpoints(simulator)
    expect([prisma.status, cortex.status]).toEqual(expected[answer])
    const html = answer.includes('html')
    if (html) expect(prisma.text + cortex.text).toContain('<html>')
    const retryAfter = answer === 'too-many-requests-with-headers' ? '1' : undefined
    if (answer.startsWith('too-many')) expect(cortex.headers['retry-after']).toBe(retryAfter)
    expect(Array.isArray(JSON.parse((await getHosts(simulator)).text))).toBe(true)
    expect(JSON.parse((await getEndpoints(simulator)).text).reply.result_count).toBe(8)
    expect(simulator.faults.list()).toEqual([])
  })

  it('refuses an address that is longer than gateways take', async () => {
    const simulator = await runSimulator()
    const token = await logIn(simulator)
    const asked = async (characters: number) =>
      (await askHosts(simulator, token, `limit=50&search=${'x'.repeat(characters)}`)).status
    expect([await asked(7_000), await asked(8_000)]).toEqual([200, 414])
  })

  it('lets requests pass first, and keeps to its tenant', async () => {
    const simulator = await runSimulator()
    const [first, second] = simulator.cortex
    const fault = { kind: 'status', answer: 'unavailable', skip: 1, times: 2 } as const
    simulator.faults.set({ ...endpoints, ...fault, tenant: first.tenant })
    const statuses: number[] = []
    for (let i = 0; i < 4; i++) {
      statuses.push((await getEndpoints(simulator)).status)
      expect((await askCortex(second, 'endpoints/get_endpoint')).status).toBe(200)
    }
    expect(statuses).toEqual([200, 503, 503, 200])
  })

  it('lasts for ever until it is cleared, and matches paths by pattern', async () => {
    const simulator = await runSimulator()
    const endpoint = '/public_api/v1/xql/*'
    const fault = { vendor: 'cortex', endpoint, kind: 'status', answer: 'bad-gateway' } as const
    simulator.faults.set({ ...fault, times: 'forever' })
    const quota = async () => (await askCortex(simulator.cortex[0], 'xql/get_quota')).status
    expect([await quota(), await quota(), await quota()]).toEqual([502, 502, 502])
    expect((await getEndpoints(simulator)).status).toBe(200)
    simulator.faults.clear()
    expect(await quota()).toBe(200)
  })
})

describe('broken answers', () => {
  it('resets the connection in the middle of a body', async () => {
    const simulator = await runSimulator()
    simulator.faults.set({ ...hosts, kind: 'reset' })
    const token = await logIn(simulator)
    expect(await outcome(askHosts(simulator, token, 'limit=50'))).not.toBe('whole')
    expect(await outcome(askHosts(simulator, token, 'limit=50'))).toBe('whole')
  })

  it('cuts the JSON while the answer ends well', async () => {
    const simulator = await runSimulator()
    simulator.faults.set({ ...hosts, kind: 'truncate' })
    const cut = await getHosts(simulator)
    expect(cut.status).toBe(200)
    expect(() => JSON.parse(cut.text)).toThrow(SyntaxError)
    expect((await getHosts(simulator)).text.startsWith(cut.text)).toBe(true)
  })

  it('closes before the announced length', async () => {
    const simulator = await runSimulator()
    simulator.faults.set({ ...endpoints, kind: 'truncate', form: 'length' })
    expect(await outcome(getEndpoints(simulator))).not.toBe('whole')
    expect(await outcome(getEndpoints(simulator))).toBe('whole')
  })

  it('breaks and cuts streams too', async () => {
    const simulator = await runSimulator({ pageLimits: { xqlInline: 1 } })
    const [tenant] = simulator.cortex
    const { number_of_results, results } = await xqlResult(
      tenant,
      await startXql(tenant, 'dataset = findings'),
    )
    const stream = () =>
      askCortex(tenant, 'xql/get_query_results_stream', { stream_id: results.stream_id })
    const fault = { vendor: 'cortex', endpoint: 'xql.stream' } as const
    simulator.faults.set({ ...fault, kind: 'reset' })
    expect(await outcome(stream())).not.toBe('whole')
    simulator.faults.set({ ...fault, kind: 'truncate', form: 'length' })
    expect(await outcome(stream())).not.toBe('whole')
    simulator.faults.set({ ...fault, kind: 'truncate' })
    expect((await stream()).text.split('\n').length).toBeLessThan(number_of_results)
    expect((await stream()).text.trimEnd().split('\n')).toHaveLength(number_of_results)
  })

  it('ends well in the middle of its gzip', async () => {
    const simulator = await runSimulator()
    const token = await logIn(simulator)
    const zipped = { 'accept-encoding': 'gzip' }
    simulator.faults.set({ ...hosts, kind: 'truncate', form: 'gzip' })
    const cut = await askHosts(simulator, token, 'limit=50', zipped)
    expect([cut.status, cut.headers['content-encoding']]).toEqual([200, 'gzip'])
    expect(() => gunzipSync(cut.bytes)).toThrow()
    const whole = await askHosts(simulator, token, 'limit=50', zipped)
    expect(() => gunzipSync(whole.bytes)).not.toThrow()
  })

  it('sends a body in pieces', async () => {
    const simulator = await runSimulator()
    const fault = { kind: 'slow-body', delayMs: 5, pieces: 8 } as const
    simulator.faults.set({ ...hosts, ...fault }, { ...endpoints, ...fault })
    const begunMs = performance.now()
    expect(JSON.parse((await getHosts(simulator)).text).length).toBeGreaterThan(1)
    expect(performance.now() - begunMs).toBeGreaterThan(30)
    expect((await getEndpoints(simulator)).status).toBe(200)
  })

  it('answers text where JSON is announced', async () => {
    const simulator = await runSimulator()
    simulator.faults.set({ ...endpoints, kind: 'not-json' })
    const reply = await getEndpoints(simulator)
    expect([reply.status, reply.headers['content-type']]).toEqual([200, 'application/json'])
    expect(() => JSON.parse(reply.text)).toThrow(SyntaxError)
  })

  it('answers late when slow, and a stop does not wait for it', async () => {
    const simulator = await runSimulator()
    simulator.faults.set({ ...endpoints, kind: 'slow', delayMs: 30 })
    const begunMs = performance.now()
    expect((await getEndpoints(simulator)).status).toBe(200)
    expect(performance.now() - begunMs).toBeGreaterThan(25)
    simulator.faults.set({ ...endpoints, kind: 'slow', delayMs: 600_000 })
    const waiting = outcome(getEndpoints(simulator))
    await expect.poll(() => simulator.faults.list(), PATIENCE).toEqual([])
    await simulator.stop()
    expect(await waiting).not.toBe('whole')
  })
})

describe('keys and tokens', () => {
  it('makes every token worthless, and a new login works', async () => {
    const simulator = await runSimulator()
    const token = await logIn(simulator)
    simulator.faults.set({ ...hosts, kind: 'expire-token' })
    const status = async (value: string) => (await askHosts(simulator, value, 'limit=1')).status
    expect([await status(token), await status(token)]).toEqual([401, 401])
    expect(await status(await logIn(simulator))).toBe(200)
  })

  it('takes a key for one of the other level', async () => {
    const simulator = await runSimulator()
    const [standard] = simulator.cortex
    simulator.faults.set({ vendor: 'cortex', kind: 'wrong-level', times: 2 })
    expect((await getEndpoints(simulator)).status).toBe(401)
    const other = { ...standard, securityLevel: 'advanced' } as const
    const headers = cortexHeaders(other)
    const url = `${standard.url}/api_keys/validate`
    expect((await ask(url, { method: 'POST', headers })).status).toBe(200)
  })
})

describe('rows', () => {
  it('shows no row and counts none when empty', async () => {
    const simulator = await runSimulator()
    simulator.faults.set({ ...hosts, kind: 'empty' })
    simulator.faults.set({ ...endpoints, kind: 'empty' })
    const reply = await getHosts(simulator)
    expect([reply.text, reply.headers['total-count']]).toEqual(['null\n', '0'])
    expect(JSON.parse((await getEndpoints(simulator)).text).reply.total_count).toBe(0)
  })

  it('leaves rows out, and totals tell it or not', async () => {
    const simulator = await runSimulator()
    const count = async (declared: 'shown' | 'all') => {
      simulator.faults.set({ ...endpoints, kind: 'missing-rows', share: 0.5, declared })
      const { reply } = JSON.parse((await getEndpoints(simulator)).text)
      return [reply.endpoints.length, reply.total_count]
    }
    const [rows, total] = await count('shown')
    expect(rows).toBeLessThan(8)
    expect(total).toBe(rows)
    expect(await count('all')).toEqual([rows, 8])
  })

  it('leaves rows out of a query, or of its stream alone', async () => {
    const simulator = await runSimulator({ pageLimits: { xqlInline: 1 } })
    const [tenant] = simulator.cortex
    const all = (await listFindings(tenant)).length
    const fault = { vendor: 'cortex', kind: 'missing-rows', share: 0.5 } as const
    simulator.faults.set({ ...fault, endpoint: 'xql.stream' })
    expect((await listFindings(tenant)).length).toBeLessThan(all)
    simulator.faults.set({ ...fault, endpoint: 'xql.start' })
    const query_id = await startXql(tenant, 'dataset = findings')
    const { number_of_results } = await xqlResult(tenant, query_id)
    const whole = await xqlResult(tenant, await startXql(tenant, 'dataset = findings'))
    expect(number_of_results).toBeLessThan(whole.number_of_results)
  })

  it('leaves out the first rows, and counts what is left', async () => {
    const simulator = await runSimulator()
    const rows = await listHosts(simulator)
    simulator.faults.set({ ...hosts, kind: 'shift-rows', by: 2 })
    const reply = await getHosts(simulator)
    const ids = (list: { _id?: unknown }[]) => list.map((row) => row._id)
    expect(ids(JSON.parse(reply.text))).toEqual(ids(rows.slice(2)))
    expect(reply.headers['total-count']).toBe(String(rows.length - 2))
  })

  it('gives every row a new field, a new word, or a field of another type', async () => {
    const simulator = await runSimulator()
    const before = JSON.parse((await getHosts(simulator)).text)
    const shown = async (fault: object) => {
      simulator.faults.set({ ...hosts, ...fault } as never)
      return JSON.parse((await getHosts(simulator)).text)
    }
    const fresh = await shown({ kind: 'new-field', field: 'fresh' })
    expect(fresh).toEqual(before.map((row: object) => ({ ...row, fresh: 'nobody knows it' })))
    const words = await shown({ kind: 'new-value', field: 'vulnerabilities/severity', value: 'X' })
    const severities = words.flatMap((row: { vulnerabilities: { severity: string }[] }) =>
      row.vulnerabilities.map((v) => v.severity),
    )
    expect(new Set(severities)).toEqual(new Set(['X']))
    const typed = await shown({ kind: 'type-change', field: 'scanID' })
    expect(typed).toEqual(before.map((row: object) => ({ ...row, scanID: '0' })))
  })

  it('gives the page before once more', async () => {
    const simulator = await runSimulator()
    const token = await logIn(simulator)
    const page = async (offset: number) =>
      (await askHosts(simulator, token, `limit=2&offset=${offset}`)).text
    const first = await page(0)
    simulator.faults.set({ ...hosts, kind: 'repeat-page' })
    expect(await page(2)).toBe(first)
    expect(await page(2)).not.toBe(first)
  })

  it('takes a field out of one row', async () => {
    const simulator = await runSimulator()
    simulator.faults.set({ ...hosts, kind: 'drop-field', field: '_id', nth: 2 })
    const rows = JSON.parse((await getHosts(simulator)).text)
    expect(rows.map((row: object) => '_id' in row).indexOf(false)).toBe(2)
    expect(rows.filter((row: object) => !('_id' in row))).toHaveLength(1)
  })
})

describe('provoked errors', () => {
  const named = Object.keys(PROVOKE.cortex) as Provoked[]
  const meta = async (simulator: Simulator) => {
    const headers = { 'x-redlock-auth': await logIn(simulator) }
    return (await ask(`${simulator.prisma.url}/meta_info`, { headers })).text
  }

  it('cover the rows of the troubleshooting tables', () => {
    const table = ERROR_TYPES.slice(1, 8)
    expect(table[0]).toBe('AUTHORIZATION_FAILURE')
    expect(table.at(-1)).toBe('MISSING_DATA')
    expect(table.filter((name) => !(named as string[]).includes(name))).toEqual([])
  })

  it.each(named)('have faults for %s at both vendors, and they show', async (failure) => {
    for (const vendor of ['prisma-cloud', 'cortex'] as const) {
      const simulator = await runSimulator()
      const list = async (): Promise<unknown[]> =>
        vendor === 'cortex'
          ? listEndpoints(simulator.cortex[0])
          : [await meta(simulator), ...(await listHosts(simulator))]
      const before = await list()
      simulator.faults.set(...PROVOKE[vendor][failure])
      const after = await list().catch((error: unknown) => error)
      expect(before.length).toBeGreaterThan(1)
      expect(after).not.toEqual(before)
    }
  })
})
