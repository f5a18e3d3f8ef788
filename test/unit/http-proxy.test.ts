// Both vendors behind a company's proxy and a private authority: logging in, pulling, failing well.
import { inspect } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { cortexConnector } from '../../producers/cortex/connector.ts'
import { xdrEndpoints } from '../../producers/cortex/xdr-endpoints.ts'
import { computeHosts } from '../../producers/prisma-cloud/compute-hosts.ts'
import { prismaCloudConnector } from '../../producers/prisma-cloud/connector.ts'
import type { Simulator } from '../../simulator/simulator.ts'
import { connectCortex, connectPrisma, pullAll, secret } from '../support/connect.ts'
import { type ProxyOptions, type TestProxy, runProxy } from '../support/proxy.ts'
import { runSimulator } from '../support/simulator.ts'
import { QUICK, thrownBy } from '../support/sources.ts'
import { type Authority, createAuthority, serveTls } from '../support/tls.ts'

const USER = 'canary-proxy-user'
const PASSWORD = 'canary-proxy-password'
/** Names that no resolver has: who reaches them was led there by the proxy. */
const PRISMA_HOST = 'prisma.vendor.test'
const CORTEX_HOSTS = ['cortex.vendor.test', 'advanced.vendor.test'] as const
const PROXY_HOST = 'localhost'

type Company = {
  readonly simulator: Simulator
  readonly authority: Authority
  readonly proxy: TestProxy
  /** The fields of a connection that lead through the proxy. */
  readonly settings: Settings
}
type Settings = {
  readonly caFile?: string
  readonly proxy: { readonly url: string; readonly username: string; readonly password: string }
}

/** A simulator behind TLS of a private authority, reached by the proxy alone. */
async function company(
  options: Partial<ProxyOptions> & { readonly overTls?: boolean } = {},
  nameOf: (host: string) => string = (host) => host,
): Promise<Company> {
  const simulator = await runSimulator({ machines: 60 })
  const authority = await createAuthority()
  const front = async (host: string, target: string) => {
    const { port } = await serveTls(target, await authority.sign(nameOf(host)))
    return [`${host}:443`, port] as const
  }
  const fronts = await Promise.all([
    front(PRISMA_HOST, simulator.prisma.url),
    front(CORTEX_HOSTS[0], simulator.cortex[0].url),
    front(CORTEX_HOSTS[1], simulator.cortex[1].url),
  ])
  const { overTls, ...given } = options
  const routes = Object.fromEntries(fronts)
  const tls = overTls === true ? { tls: await authority.sign(PROXY_HOST) } : {}
  const proxy = await runProxy({ username: USER, password: PASSWORD, routes, ...tls, ...given })
  const scheme = overTls === true ? 'https' : 'http'
  const url = `${scheme}://${PROXY_HOST}:${proxy.port}`
  const settings = {
    caFile: authority.caFile,
    proxy: { url, username: secret(USER), password: secret(PASSWORD) },
  }
  return { simulator, authority, proxy, settings }
}

const prismaThrough = ({ simulator, settings }: Company, more: Record<string, unknown> = {}) =>
  connectPrisma(
    { ...simulator.prisma, url: `https://${PRISMA_HOST}` },
    { ...settings, computeRequestsPer30s: 100_000, ...more },
    QUICK,
  )
const cortexThrough = (
  { simulator, settings }: Company,
  slot: 0 | 1 = 0,
  more: Record<string, unknown> = {},
) =>
  connectCortex(
    { ...simulator.cortex[slot], url: `https://${CORTEX_HOSTS[slot]}` },
    { ...settings, ...more },
    QUICK,
  )

type Units = readonly { readonly unit: string; readonly body: Buffer | null }[]
const textsOf = (units: Units): string[] =>
  units.map(({ unit, body }) => `${unit} ${body?.toString() ?? ''}`).toSorted()

/** Everything that an operator may get to see of an error, causes included. */
function expectNoSecret(error: unknown, simulator: Simulator): void {
  const shown = inspect(error, { depth: 20 })
  const { accessKeyId, secretKey } = simulator.prisma
  const keys = simulator.cortex.map((access) => access.apiKey)
  const basic = Buffer.from(`${USER}:${PASSWORD}`).toString('base64')
  for (const word of ['canary', basic, basic.slice(0, 20), accessKeyId, secretKey, ...keys]) {
    expect(shown).not.toContain(word)
  }
}

async function errorOf(work: Promise<unknown>, { simulator }: Company): Promise<PipelineError> {
  const error = await thrownBy(work)
  expect(error).toBeInstanceOf(PipelineError)
  expectNoSecret(error, simulator)
  return error as PipelineError
}

/** Sets variables that other programs read, for this test. */
function withEnvironment(values: Readonly<Record<string, string>>): void {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const)
  Object.assign(process.env, values)
  onTestFinished(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  })
}

describe('a proxy before a vendor of a private authority', () => {
  it('is passed by login, discovery and every page of compute.hosts', async () => {
    const here = await company()
    const direct = connectPrisma(here.simulator.prisma, { computeRequestsPer30s: 100_000 }, QUICK)
    const expected = await pullAll(computeHosts, direct.client)
    const { client, faults } = prismaThrough(here, { pageSize: 10 })
    const { units, end, chunks } = await pullAll(computeHosts, client)
    expect(end.verdict).toBe('COMPLETE')
    expect(chunks.at(-1)?.page).toBeGreaterThan(2)
    expect(units.length).toBeGreaterThan(20)
    expect(textsOf(units)).toEqual(textsOf(expected.units))
    expect(faults).toEqual([])
    expect(new Set(here.proxy.targets)).toEqual(new Set([`${PRISMA_HOST}:443`]))
  })

  it.each([0, 1] as const)('is passed by every page of xdr.endpoints, key %i', async (slot) => {
    const here = await company()
    const direct = connectCortex(here.simulator.cortex[slot], {}, QUICK)
    const expected = await pullAll(xdrEndpoints, direct.client)
    const { client, faults } = cortexThrough(here, slot)
    const { units, end } = await pullAll(xdrEndpoints, client)
    expect(end.verdict).toBe('COMPLETE')
    expect(units.length).toBeGreaterThan(5)
    expect(textsOf(units)).toEqual(textsOf(expected.units))
    expect(faults).toEqual([])
    expect(new Set(here.proxy.targets)).toEqual(new Set([`${CORTEX_HOSTS[slot]}:443`]))
  })

  it('is passed by the connection tests of both vendors', async () => {
    const here = await company()
    const prisma = await prismaCloudConnector.check(prismaThrough(here).client)
    const cortex = await cortexConnector.check(cortexThrough(here).client)
    expect(prisma.length).toBeGreaterThan(2)
    expect(cortex.length).toBeGreaterThan(2)
    expect([...prisma, ...cortex].filter((answer) => answer.error !== null)).toEqual([])
  })

  it('may speak TLS itself, with a certificate of the same authority', async () => {
    const here = await company({ overTls: true })
    const { client } = prismaThrough(here)
    const { units, end } = await pullAll(computeHosts, client)
    expect(end.verdict).toBe('COMPLETE')
    expect(units.length).toBeGreaterThan(20)
    expect(here.proxy.targets.length).toBeGreaterThan(0)
  })

  it('that breaks a tunnel amid a page costs no record', async () => {
    const here = await company({ breakAfterBytes: [Infinity, 8_000, 12_000] })
    const { client, faults } = prismaThrough(here, { pageSize: 20 })
    const { units, end } = await pullAll(computeHosts, client)
    const direct = connectPrisma(here.simulator.prisma, { computeRequestsPer30s: 100_000 }, QUICK)
    const expected = await pullAll(computeHosts, direct.client)
    expect(end.verdict).toBe('COMPLETE')
    expect(textsOf(units)).toEqual(textsOf(expected.units))
    expect(here.proxy.targets.length).toBeGreaterThan(3)
    expect(new Set(faults.map((fault) => fault.failure))).toEqual(new Set(['TEMPORARY_FAILURE']))
    for (const fault of faults) expectNoSecret(fault, here.simulator)
  })

  it('is the one of the connection, whatever the environment says', async () => {
    withEnvironment({
      NO_PROXY: '*',
      no_proxy: '*',
      HTTPS_PROXY: 'http://127.0.0.1:1',
      HTTP_PROXY: 'http://127.0.0.1:1',
      https_proxy: 'http://127.0.0.1:1',
      http_proxy: 'http://127.0.0.1:1',
    })
    const here = await company()
    const { end } = await pullAll(computeHosts, prismaThrough(here).client)
    expect(end.verdict).toBe('COMPLETE')
    expect(here.proxy.targets.length).toBeGreaterThan(0)
    const direct = connectCortex(here.simulator.cortex[0], {}, QUICK)
    expect((await pullAll(xdrEndpoints, direct.client)).end.verdict).toBe('COMPLETE')
  })
})

describe('a proxy that refuses', () => {
  it('the password is AUTHORIZATION_FAILURE at once, without showing it', async () => {
    const here = await company({ password: 'another' })
    for (const pull of [
      () => pullAll(computeHosts, prismaThrough(here).client),
      () => pullAll(xdrEndpoints, cortexThrough(here).client),
    ]) {
      const error = await errorOf(pull(), here)
      expect(error.failure).toBe('AUTHORIZATION_FAILURE')
      expect(error.message).toContain('the proxy refused the credentials (407)')
      expect(error.remediation).toContain('proxy.password')
    }
    expect(here.proxy.targets.length).toBeLessThanOrEqual(4)
    expect(here.simulator.stats().sites.map((site) => site.endpoints)).toEqual([{}, {}, {}])
  })

  it('the password is told by the connection test in its first step', async () => {
    const here = await company({ password: 'another' })
    for (const answers of [
      await prismaCloudConnector.check(prismaThrough(here).client),
      await cortexConnector.check(cortexThrough(here).client),
    ]) {
      expect(answers.map((answer) => answer.error?.failure)).toEqual(['AUTHORIZATION_FAILURE'])
      expect(answers[0]?.error?.remediation).toContain('proxy.username')
      expectNoSecret(answers, here.simulator)
    }
  })

  it('the host is TEMPORARY_FAILURE that names the proxy', async () => {
    const here = await company({ routes: {} })
    const error = await errorOf(pullAll(computeHosts, prismaThrough(here).client), here)
    expect(error.failure).toBe('TEMPORARY_FAILURE')
    expect(error.message).toContain('the proxy answered 502')
  })
})

describe('a proxy that cannot be reached', () => {
  it('is TEMPORARY_FAILURE that names the proxy when nobody listens', async () => {
    const here = await company()
    const proxy = { ...here.settings.proxy, url: 'http://127.0.0.1:1' }
    const error = await errorOf(pullAll(computeHosts, prismaThrough(here, { proxy }).client), here)
    expect(error.failure).toBe('TEMPORARY_FAILURE')
    expect(error.message).toContain('the proxy 127.0.0.1:1 does not answer (ECONNREFUSED)')
    expect(error.remediation).toContain('proxy.url')
  })

  it('is a failure that names the proxy when its name does not resolve', async () => {
    const here = await company()
    const proxy = { ...here.settings.proxy, url: 'http://no-such-proxy.invalid:3128' }
    const error = await errorOf(pullAll(computeHosts, prismaThrough(here, { proxy }).client), here)
    // A resolver that cannot be reached says "try again" instead.
    expect(['NOT_FOUND', 'TEMPORARY_FAILURE']).toContain(error.failure)
    expect(error.message).toContain('the proxy no-such-proxy.invalid:3128')
    expect(error.remediation).toContain('proxy.url')
  })

  it('is TEMPORARY_FAILURE within a minute when it takes CONNECT and never answers', async () => {
    const here = await company({ silent: true })
    const retry = { ...QUICK.retry, attemptsMax: { TEMPORARY_FAILURE: 1 } }
    const access = { ...here.simulator.prisma, url: `https://${PRISMA_HOST}` }
    const { client } = connectPrisma(access, here.settings, { retry })
    const error = await errorOf(pullAll(computeHosts, client), here)
    expect(error.failure).toBe('TEMPORARY_FAILURE')
    expect(error.message).toContain(`the proxy ${PROXY_HOST}:`)
    expect(here.proxy.targets).toEqual([`${PRISMA_HOST}:443`])
  })
})

describe('a certificate of a private authority', () => {
  const untrusted = [
    ['without caFile', () => Promise.resolve({})],
    [
      'with another authority in caFile',
      async () => ({ caFile: (await createAuthority()).caFile }),
    ],
  ] as const

  it.each(untrusted)('is a TLS failure with the way out, %s', async (_, settingsOf) => {
    const here = await company()
    const { caFile: _caFile, ...rest } = here.settings
    const settings = { ...rest, ...(await settingsOf()) }
    const there = { ...here, settings }
    for (const pull of [
      () => pullAll(computeHosts, prismaThrough(there).client),
      () => pullAll(xdrEndpoints, cortexThrough(there).client),
    ]) {
      const error = await errorOf(pull(), here)
      expect(error.failure).toBe('NOT_FOUND')
      expect(error.message).toContain('the TLS handshake failed')
      expect(error.remediation).toContain('caFile')
    }
    expect(here.simulator.stats().sites.map((site) => site.endpoints)).toEqual([{}, {}, {}])
  })

  it('for another host is a TLS failure, too', async () => {
    const here = await company({}, () => 'elsewhere.vendor.test')
    const error = await errorOf(pullAll(computeHosts, prismaThrough(here).client), here)
    expect(error.failure).toBe('NOT_FOUND')
    expect(error.message).toContain('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  it('of the proxy itself is a TLS failure, too', async () => {
    const here = await company({ overTls: true })
    const { caFile } = await createAuthority()
    const error = await errorOf(pullAll(computeHosts, prismaThrough(here, { caFile }).client), here)
    expect(error.failure).toBe('NOT_FOUND')
    expect(error.message).toMatch(/the TLS handshake with the proxy localhost:\d+ failed/)
    expect(here.proxy.targets).toEqual([])
  })

  it('is trusted without a proxy as well', async () => {
    const simulator = await runSimulator()
    const authority = await createAuthority()
    const { port } = await serveTls(simulator.prisma.url, await authority.sign('localhost'))
    const access = { ...simulator.prisma, url: `https://localhost:${port}` }
    const trusting = connectPrisma(access, { caFile: authority.caFile }, QUICK)
    expect((await pullAll(computeHosts, trusting.client)).end.verdict).toBe('COMPLETE')
    const error = await thrownBy(pullAll(computeHosts, connectPrisma(access, {}, QUICK).client))
    expect(error).toMatchObject({ failure: 'NOT_FOUND' })
    expect((error as PipelineError).remediation).toContain('caFile')
    expectNoSecret(error, simulator)
  })
})
