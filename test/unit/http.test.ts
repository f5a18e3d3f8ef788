// The HTTP client's layers against a real server: gate, limiter, authentication, retry, body.
import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { redactor } from '../../runtime/http-errors.ts'
import { pageElements } from '../../runtime/http-elements.ts'
import { limiterFor } from '../../runtime/http-limiter.ts'
import { DEFAULT_RETRY } from '../../runtime/http-retry.ts'
import { type HttpOptions, type Refusal, createHttpClient } from '../../runtime/http.ts'
import { reply, serve } from '../support/http-server.ts'

const SECRET = 'canary-secret-1'
const FAST = { ...DEFAULT_RETRY, baseMs: 2, capMs: 20 }
const words = { vendorCode: null, vendorExtra: null }

function table(status: number, text: string): Refusal | null {
  if (status < 300)
    return /^\s*</.test(text)
      ? { failure: 'TEMPORARY_FAILURE', ...words, vendorMessage: 'HTML' }
      : null
  const failure =
    status === 401
      ? 'AUTHORIZATION_FAILURE'
      : status === 429
        ? 'TOO_MANY_REQUESTS'
        : status >= 500
          ? 'TEMPORARY_FAILURE'
          : 'BAD_REQUEST'
  return { failure, ...words, vendorMessage: text }
}

function client(baseUrl: string, options: Partial<HttpOptions> = {}) {
  const faults: PipelineError[] = []
  const limiter = limiterFor(randomUUID(), { concurrentMax: 20, gapMs: 0, window: null })
  const http = createHttpClient({
    connection: 'test',
    baseUrl,
    connectionsMax: 20,
    proxy: null,
    caPem: null,
    limiter,
    authenticate: () => Promise.resolve({ authorization: SECRET }),
    onUnauthorized: () => Promise.resolve(),
    classify: ({ status, text }) => table(status, text),
    requestIdHeaders: ['x-request-id'],
    redact: redactor(() => [SECRET]),
    retry: FAST,
    nowMs: Date.now,
    onFault: (error) => faults.push(error),
    onSuccess: () => {},
    signal: new AbortController().signal,
    ...options,
  })
  onTestFinished(() => http.close())
  return { http, faults, limiter }
}

const failing = (work: Promise<unknown>): Promise<PipelineError> =>
  work.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: unknown) => {
      expect(error).toBeInstanceOf(PipelineError)
      return error as PipelineError
    },
  )

async function all<T>(elements: AsyncGenerator<T, unknown>): Promise<T[]> {
  const list: T[] = []
  for await (const element of elements) list.push(element)
  return list
}

describe('a call', () => {
  it('sends query, JSON body and authentication, and parses the answer', async () => {
    const { url, received } = await serve((_, response) => reply(response, 200, { ok: 1 }))
    const { http } = client(`${url}/tenant/`)
    const answer = await http.json('POST', '/hosts', { query: { limit: 1 }, body: { a: 'é' } })
    expect(answer.value).toEqual({ ok: 1 })
    expect(received[0]).toMatchObject({
      method: 'POST',
      url: '/tenant/hosts?limit=1',
      body: '{"a":"é"}',
    })
    expect(received[0]?.headers).toMatchObject({ authorization: SECRET, 'accept-encoding': 'gzip' })
  })

  it('reads an answer that is gzipped in transport', async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      response.end(gzipSync('{"a":[1,2]}'))
    })
    expect((await client(url).http.json('GET', '/')).value).toEqual({ a: [1, 2] })
  })

  it('is made again after 503 and a broken connection, and reports each fault', async () => {
    const { url, received } = await serve((_, response, number) => {
      if (number === 1) reply(response, 503, 'later')
      else if (number === 2) response.destroy()
      else reply(response, 200, 'well')
    })
    const { http, faults } = client(url)
    expect((await http.json('POST', '/x')).value).toBe('well')
    expect(received).toHaveLength(3)
    expect(faults.map((f) => f.failure)).toEqual(['TEMPORARY_FAILURE', 'TEMPORARY_FAILURE'])
  })

  it('gives up after the bound, with the vendor’s words but no secret or query', async () => {
    const { url, received } = await serve((_, response) =>
      reply(response, 502, `bad ${SECRET} ${Buffer.from(SECRET).toString('base64')}`, {
        'x-request-id': 'r-1',
      }),
    )
    const error = await failing(client(url).http.json('GET', '/a', { query: { token: SECRET } }))
    expect(received).toHaveLength(FAST.attemptsMax.TEMPORARY_FAILURE ?? 0)
    expect(error).toMatchObject({ failure: 'TEMPORARY_FAILURE', stage: 'FETCH' })
    expect(error.details.http).toMatchObject({
      method: 'GET',
      url: `${url}/a`,
      status: 502,
      requestId: 'r-1',
    })
    expect(error.details.http?.vendorMessage).toContain('[redacted]')
    expect(JSON.stringify([error.message, error.details])).not.toContain('canary')
  })

  it('is not made again after 400', async () => {
    const { url, received } = await serve((_, response) => reply(response, 400, 'no'))
    expect(await failing(client(url).http.json('GET', '/'))).toMatchObject({
      failure: 'BAD_REQUEST',
    })
    expect(received).toHaveLength(1)
  })

  it('is TEMPORARY_FAILURE for a web page with 200, INVALID_RESPONSE for cut JSON', async () => {
    const { url } = await serve((request, response) => {
      response.writeHead(200)
      response.end(request.url === '/html' ? '<html>log in</html>' : '{"canary":[1,')
    })
    const { http } = client(url)
    expect(await failing(http.json('GET', '/html'))).toMatchObject({ failure: 'TEMPORARY_FAILURE' })
    const cut = await failing(http.json('GET', '/cut'))
    expect(cut).toMatchObject({ failure: 'INVALID_RESPONSE' })
    expect(String(cut.stack) + String(cut.cause)).not.toContain('canary')
  })

  it('refuses an answer above its bound', async () => {
    const { url } = await serve((_, response) => reply(response, 200, 'x'.repeat(5_000)))
    const error = await failing(client(url).http.json('GET', '/', { bodyBytesMax: 1_000 }))
    expect(error).toMatchObject({ failure: 'INVALID_RESPONSE' })
  })

  it('ends at once when the signal comes, also while it waits', async () => {
    const { url } = await serve((_, response) => reply(response, 503, 'later'))
    const stop = new AbortController()
    const { http, faults } = client(url, {
      signal: stop.signal,
      retry: { ...FAST, baseMs: 600_000, capMs: 600_000 },
      onFault: () => stop.abort(),
    })
    expect((await failing(http.json('GET', '/'))).message).toContain('told to stop')
    expect(faults).toEqual([])
  })
})

describe('a 401', () => {
  it('renews once and replays once', async () => {
    let secret = 'old-secret'
    const { url, received } = await serve(({ headers }, response) =>
      reply(response, headers['authorization'] === 'new-secret' ? 200 : 401, 'x'),
    )
    const { http } = client(url, {
      authenticate: () => Promise.resolve({ authorization: secret }),
      onUnauthorized: (used) => {
        expect(used).toEqual({ authorization: 'old-secret' })
        secret = 'new-secret'
        return Promise.resolve()
      },
    })
    await http.json('GET', '/')
    expect(received).toHaveLength(2)
  })

  it('twice is AUTHORIZATION_FAILURE', async () => {
    const { url, received } = await serve((_, response) => reply(response, 401, 'no'))
    expect(await failing(client(url).http.json('GET', '/'))).toMatchObject({
      failure: 'AUTHORIZATION_FAILURE',
    })
    expect(received).toHaveLength(2)
  })
})

describe('a 429', () => {
  it('with Retry-After closes the gate for every call of the limit until that time', async () => {
    const later: Promise<unknown>[] = []
    const { url, received } = await serve((_, response, number) => {
      if (number === 1) reply(response, 429, 'x', { 'retry-after': '1' })
      else reply(response, 200, 'well')
    })
    const { http, faults } = client(url, {
      onFault: (error) => {
        faults.push(error)
        // A call that begins only now must wait at the gate as well.
        later.push(Promise.resolve().then(() => http.json('GET', '/later')))
      },
    })
    await http.json('GET', '/first')
    await Promise.all(later)
    const [first, ...rest] = received.map((r) => r.atMs)
    expect(rest).toHaveLength(2)
    for (const atMs of rest) expect(atMs - (first ?? 0)).toBeGreaterThan(950)
    expect(faults[0]).toMatchObject({
      failure: 'TOO_MANY_REQUESTS',
      details: { retryAfterMs: 1_000 },
    })
  })

  it('without Retry-After backs off with growing waits', async () => {
    const waits: number[] = []
    const { url, received } = await serve((_, response, number) =>
      reply(response, number < 4 ? 429 : 200, 'x'),
    )
    const { http } = client(url, {
      retry: {
        ...FAST,
        baseMs: 1_000,
        capMs: 60_000,
        sleep: (ms) => {
          waits.push(ms)
          now.ms += ms
          return Promise.resolve()
        },
      },
      limiter: {
        acquire: () => Promise.resolve(() => {}),
        pause: (ms) => waits.push(ms),
      },
    })
    const now = { ms: 0 }
    await http.json('GET', '/')
    expect(received).toHaveLength(4)
    expect(waits).toHaveLength(3)
    waits.forEach((ms, i) => {
      expect(ms).toBeGreaterThanOrEqual(750 * 2 ** i)
      expect(ms).toBeLessThanOrEqual(1_250 * 2 ** i)
    })
  })
})

describe('the limiter', () => {
  it('is one per key, holds concurrency and spacing, and admits a window at a time', async () => {
    let [running, most] = [0, 0]
    const { url, received } = await serve(async (_, response) => {
      running += 1
      most = Math.max(most, running)
      await new Promise((done) => setImmediate(done))
      running -= 1
      reply(response, 200, 1)
    })
    const key = randomUUID()
    const options = { concurrentMax: 2, gapMs: 10, window: { requestsMax: 5, windowMs: 400 } }
    const limiter = limiterFor(key, options)
    expect(limiterFor(key, { concurrentMax: 99, gapMs: 0, window: null })).toBe(limiter)
    const { http } = client(url, { limiter })
    await Promise.all(Array.from({ length: 12 }, (_, i) => http.json('GET', `/${i}`)))
    expect(most).toBeLessThanOrEqual(2)
    const at = received.map((r) => r.atMs)
    for (let i = 5; i < at.length; i += 1) {
      expect((at[i] ?? 0) - (at[i - 5] ?? 0)).toBeGreaterThan(350)
    }
  })
})

describe('a fault of the network', () => {
  it('is NOT_FOUND for a name that does not resolve', async () => {
    const error = await failing(client('http://no-such-host.invalid').http.json('GET', '/'))
    // A resolver that cannot be reached says "try again" instead.
    expect(['NOT_FOUND', 'TEMPORARY_FAILURE']).toContain(error.failure)
    expect(error.message).toMatch(/ENOTFOUND|EAI_AGAIN/)
  })

  it('is TEMPORARY_FAILURE for a refused connection', async () => {
    const { url, server } = await serve(() => {})
    await new Promise((done) => server.close(done))
    const error = await failing(client(url).http.json('GET', '/'))
    expect(error).toMatchObject({ failure: 'TEMPORARY_FAILURE' })
    expect(error.message).toContain('ECONNREFUSED')
  })

  it('is NOT_FOUND with a hint to caFile when TLS fails', async () => {
    const { url } = await serve(() => {})
    const error = await failing(client(url.replace('http:', 'https:')).http.json('GET', '/'))
    expect(error).toMatchObject({ failure: 'NOT_FOUND' })
    expect(error.remediation).toContain('caFile')
  })
})

describe('a page', () => {
  const request = { method: 'GET', path: '/', options: {}, at: [], nowMs: Date.now } as const

  it('that breaks in its body is fetched again, its elements under the next attempt', async () => {
    const { url } = await serve((_, response, number) => {
      if (number > 1) return reply(response, 200, ['a', 'b', 'c'], { 'total-count': '3' })
      response.writeHead(200)
      response.write(`["a","b",${' '.repeat(5_000)}`, () => setImmediate(() => response.destroy()))
    })
    const { http, faults } = client(url)
    const elements = await all(pageElements(http, request))
    expect(elements.map((e) => [e.attempt, e.element.value])).toEqual([
      [1, 'a'],
      [1, 'b'],
      [2, 'a'],
      [2, 'b'],
      [2, 'c'],
    ])
    expect(faults.map((f) => f.failure)).toEqual(['TEMPORARY_FAILURE'])
  })

  it('that is cut but closed well is fetched again and then INVALID_RESPONSE', async () => {
    const { url, received } = await serve((_, response) => {
      response.writeHead(200)
      response.end('[{"a":1},{"b":')
    })
    const error = await failing(all(pageElements(client(url).http, request)))
    expect(error).toMatchObject({ failure: 'INVALID_RESPONSE' })
    expect(received).toHaveLength(FAST.attemptsMax.INVALID_RESPONSE ?? 0)
  })

  it('gives its turn back when its reader leaves early', async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(200)
      response.write(`[1,2,${' '.repeat(100_000)}`)
    })
    const limiter = limiterFor(randomUUID(), { concurrentMax: 1, gapMs: 0, window: null })
    const { http } = client(url, { limiter })
    for (let i = 0; i < 3; i += 1) {
      for await (const { element } of pageElements(http, request)) {
        expect(element.value).toBe(1)
        break
      }
    }
  })
})

describe('a proxy', () => {
  async function proxy(credentials: string) {
    const seen: { target: string; authorization: string | undefined }[] = []
    const server = createServer()
    server.on('connect', (request, socket, head) => {
      const authorization = request.headers['proxy-authorization']
      seen.push({ target: request.url ?? '', authorization })
      if (authorization !== `Basic ${Buffer.from(credentials).toString('base64')}`) {
        socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
        return
      }
      const [host = '', port] = (request.url ?? '').split(':')
      const target = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
        target.write(head)
        target.pipe(socket).pipe(target)
      })
      target.on('error', () => socket.destroy())
      socket.on('error', () => target.destroy())
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
  }

  it('is passed by CONNECT with basic authentication', async () => {
    const { url } = await serve((_, response) => reply(response, 200, 'through'))
    const through = await proxy('user:canary-pass')
    const settings = { url: through.url, username: 'user', password: 'canary-pass' }
    const { http } = client(url, { proxy: settings })
    expect((await http.json('GET', '/')).value).toBe('through')
    expect(through.seen[0]?.target).toBe(new URL(url).host)
  })

  it('that refuses is AUTHORIZATION_FAILURE of the proxy, without its password', async () => {
    const { url } = await serve((_, response) => reply(response, 200, 'through'))
    const through = await proxy('user:right')
    const settings = { url: through.url, username: 'user', password: 'canary-pass' }
    const error = await failing(client(url, { proxy: settings }).http.json('GET', '/'))
    expect(error).toMatchObject({ failure: 'AUTHORIZATION_FAILURE' })
    expect(error.remediation).toContain('proxy')
    expect(error.message + String(error.cause)).not.toContain('canary')
  })
})
