// The simulated Prisma Cloud: tokens, paging, limits and errors as the vendor's users know them.
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { ask, askHosts, logIn, runSimulator } from '../support/simulator.ts'

describe('login', () => {
  it('gives a token for the key and names the tenant', async () => {
    const { prisma } = await runSimulator()
    const body = JSON.stringify({ username: prisma.accessKeyId, password: prisma.secretKey })
    const reply = await ask(`${prisma.url}/login`, { method: 'POST', body })
    expect(reply.status).toBe(200)
    const value = JSON.parse(reply.text)
    expect(value.message).toBe('login_successful')
    expect(value.token.split('.')).toHaveLength(3)
    expect(value.customerNames[0].prismaId).toBe(prisma.prismaId)
  })

  it('refuses a wrong secret with the key in x-redlock-status', async () => {
    const { prisma } = await runSimulator()
    const body = JSON.stringify({ username: prisma.accessKeyId, password: 'wrong' })
    const reply = await ask(`${prisma.url}/login`, { method: 'POST', body })
    expect(reply.status).toBe(401)
    expect(JSON.parse(String(reply.headers['x-redlock-status']))[0].i18nKey).toBe(
      'invalid_credentials',
    )
  })

  it('ends a token when its time is over, and does not extend it then', async () => {
    let nowMs = 1_750_000_000_000
    const simulator = await runSimulator({ clock: () => nowMs, tokenTtlMs: 600_000 })
    const token = await logIn(simulator)
    nowMs += 599_999
    expect((await askHosts(simulator, token, 'limit=1')).status).toBe(200)
    nowMs += 1
    const late = await askHosts(simulator, token, 'limit=1')
    expect([late.status, late.text]).toEqual([401, '{"err":"invalid credentials"}'])
    const headers = { 'x-redlock-auth': token }
    expect((await ask(`${simulator.prisma.url}/auth_token/extend`, { headers })).status).toBe(401)
  })

  it('extends a living token beyond its first end', async () => {
    let nowMs = 1_750_000_000_000
    const simulator = await runSimulator({ clock: () => nowMs })
    const headers = { 'x-redlock-auth': await logIn(simulator) }
    nowMs += 500_000
    const extended = await ask(`${simulator.prisma.url}/auth_token/extend`, { headers })
    nowMs += 500_000
    const { token } = JSON.parse(extended.text)
    expect((await askHosts(simulator, token, 'limit=1')).status).toBe(200)
  })

  it('accepts no token that was tampered with', async () => {
    const simulator = await runSimulator()
    const [header, payload, signature] = (await logIn(simulator)).split('.')
    const claims = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString())
    const longer = Buffer.from(JSON.stringify({ ...claims, endsMs: claims.endsMs + 1 }))
    const forged = `${header}.${longer.toString('base64url')}.${signature}`
    expect((await askHosts(simulator, forged, 'limit=1')).status).toBe(401)
  })
})

describe('compute', () => {
  it('is found through meta_info and takes its own bearer token', async () => {
    const simulator = await runSimulator()
    const token = await logIn(simulator)
    const headers = { 'x-redlock-auth': token }
    const meta = await ask(`${simulator.prisma.url}/meta_info`, { headers })
    const base = `${JSON.parse(meta.text).twistlockUrl}/api/v34.04`
    const body = JSON.stringify({ token })
    const own = await ask(`${base}/authenticate`, { method: 'POST', body })
    const bearer = { authorization: `Bearer ${JSON.parse(own.text).token}` }
    const version = await ask(`${base}/version`, { headers: bearer })
    expect([version.status, JSON.parse(version.text)]).toEqual([200, '34.04.145'])
    expect((await ask(`${base}/hosts`, { headers: bearer })).status).toBe(200)
    expect((await ask(`${base}/hosts`, { headers: { authorization: 'Bearer x' } })).status).toBe(
      401,
    )
  })

  it('pages by offset, counts in Total-Count, and says null past the end', async () => {
    const simulator = await runSimulator({ pageLimits: { computeHosts: 6 } })
    const token = await logIn(simulator)
    const first = await askHosts(simulator, token, 'limit=50&offset=0')
    const third = await askHosts(simulator, token, 'limit=50&offset=12')
    const past = await askHosts(simulator, token, 'limit=50&offset=16')
    expect(first.headers['total-count']).toBe('16')
    expect([JSON.parse(first.text).length, JSON.parse(third.text).length]).toEqual([6, 4])
    expect([past.status, past.text]).toEqual([200, 'null\n'])
    expect((await askHosts(simulator, token, 'offset=-1')).status).toBe(400)
  })

  it('answers the 31st listing within 30 seconds with 429, and the next window again', async () => {
    let nowMs = 1_750_000_000_000
    const simulator = await runSimulator({ rateLimits: true, clock: () => nowMs, machines: 1 })
    const token = await logIn(simulator)
    const statuses: number[] = []
    for (let i = 0; i < 31; i++) {
      statuses.push((await askHosts(simulator, token, 'limit=1')).status)
    }
    expect(statuses.slice(0, 30).every((status) => status === 200)).toBe(true)
    expect(statuses[30]).toBe(429)
    nowMs += 30_000
    expect((await askHosts(simulator, token, 'limit=1')).status).toBe(200)
  })

  it('answers an unknown version or listing with an empty 404', async () => {
    const simulator = await runSimulator()
    for (const path of ['/us-sim-1/api/v9/hosts', '/us-sim-1/api/v1/nothing']) {
      const reply = await ask(`${simulator.prisma.url}${path}`)
      expect([reply.status, reply.text]).toEqual([404, ''])
    }
  })

  it('gzips when the client accepts it', async () => {
    const simulator = await runSimulator()
    const token = await logIn(simulator)
    const plain = await askHosts(simulator, token, 'limit=5')
    const zipped = await askHosts(simulator, token, 'limit=5', { 'accept-encoding': 'gzip' })
    expect(zipped.headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(zipped.bytes).equals(plain.bytes)).toBe(true)
  })

  it('leaves vulnerabilities out when compact, and evens severity words when asked', async () => {
    const simulator = await runSimulator()
    const token = await logIn(simulator)
    const words = async (query: string) => {
      const hosts = JSON.parse((await askHosts(simulator, token, query)).text)
      return hosts.flatMap((h: { vulnerabilities?: { severity: string }[] }) =>
        (h.vulnerabilities ?? []).map((v) => v.severity),
      )
    }
    const normal = new Set(['low', 'medium', 'high', 'critical'])
    expect(await words('compact=true')).toEqual([])
    const own: string[] = await words('limit=50')
    const evened: string[] = await words('limit=50&normalizedSeverity=true')
    expect(own.some((word) => !normal.has(word))).toBe(true)
    expect(evened.length).toBe(own.length)
    expect(evened.every((word) => normal.has(word))).toBe(true)
  })
})
