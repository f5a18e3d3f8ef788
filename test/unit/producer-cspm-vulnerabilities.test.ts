// Stream cspm.vulnerabilities over HTTP: whole sets out of downloads, and what can go wrong.
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import type { Unit } from '../../contracts/ports.ts'
import { prismaCloudConnector } from '../../producers/prisma-cloud/connector.ts'
import { classify } from '../../producers/prisma-cloud/errors.ts'
import { sleepMs } from '../../runtime/http-retry.ts'
import { connectPrisma } from '../support/connect.ts'
import { COLUMNS, KEEP, downloads, idsOf, pull, vendor } from '../support/cspm-downloads.ts'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { runSimulator } from '../support/simulator.ts'

const failing = async (work: Promise<unknown>): Promise<PipelineError> => {
  const error = await work.then(
    () => null,
    (e: unknown) => e as PipelineError,
  )
  expect(error).not.toBeNull()
  return error as PipelineError
}

describe('the download of vulnerabilities', () => {
  it('gives every row as its own text with the header row beside it, and is COMPLETE', async () => {
    const simulator = await runSimulator({ machines: 40 })
    const { client, faults } = connectPrisma(simulator.prisma, KEEP)
    const { units, end } = await pull(client)
    expect(units.map((u) => u.unit).toSorted()).toEqual(idsOf(simulator, 'keep'))
    expect(end).toEqual({ verdict: 'COMPLETE', declared: null, reason: null })
    expect(units.every((u) => u.assetNativeId === u.unit.split('|')[0])).toBe(true)
    const [first] = units
    expect(first?.contentType).toBe('text/csv')
    expect(first?.columns?.split(',').slice(0, 3)).toEqual([
      '3RD_PARTY_EXPLOIT_SOURCE',
      'ASSET_ID',
      'ASSET_TYPE',
    ])
    expect(units.some((u) => u.body?.includes('"registry ""eu"",\nregistry ""us"""'))).toBe(true)
    expect(downloads(simulator)).toBe(7)
    expect(faults).toEqual([])
  })

  it('leaves out what enabled streams of Compute read, and nothing else', async () => {
    const simulator = await runSimulator({ machines: 40 })
    const { units } = await pull(connectPrisma(simulator.prisma).client)
    expect(units.map((u) => u.unit).toSorted()).toEqual(idsOf(simulator, 'drop'))
    const streams = { 'compute.hosts': { enabled: false } }
    const withHosts = await pull(connectPrisma(simulator.prisma, { streams }).client)
    const hosts = simulator.truth().assets.filter((a) => a.stream === 'cspm.config')
    const isHost = (u: Unit) => hosts.some((a) => a.nativeId === u.assetNativeId)
    expect(units.some(isHost)).toBe(false)
    expect(withHosts.units.some(isHost)).toBe(true)
  })

  it('leaves nothing out where the tenant has no Compute', async () => {
    const { client, queries } = await vendor(() => '')
    await pull(client)
    expect(queries).toHaveLength(7)
    expect(queries[2]).toBe("vulnerability where asset.type IN ('Host')")
  })

  it('doubts a type without rows that the search has, and rows of another query', async () => {
    const simulator = await runSimulator({ machines: 40 })
    const rows = { vendor: 'prisma-cloud', endpoint: 'cspm.vulnerabilities', skip: 1 } as const
    simulator.faults.set({ ...rows, kind: 'empty' })
    const emptied = await pull(connectPrisma(simulator.prisma, KEEP).client)
    expect(emptied.end).toMatchObject({
      verdict: 'PARTIAL',
      reason: 'IaC: the download is empty, and the search is not',
    })
    const first = 'a-1,package,CVE-2026-0001,p,high,x\n'
    const { client } = await vendor(() => first)
    const repeated = await pull(client)
    expect(repeated.units).toHaveLength(1)
    expect(repeated.end.verdict).toBe('PARTIAL')
    expect(repeated.end.reason).toContain('Host: the rows of another query came')
  })

  it('waits for a download that is not ready', async () => {
    const waitsMs: number[] = []
    const sleep = (ms: number, signal: AbortSignal) => {
      waitsMs.push(ms)
      return sleepMs(1, signal)
    }
    const simulator = await runSimulator({ cspm: { downloadNotReady: 3 } })
    const { client, faults } = connectPrisma(simulator.prisma, {}, { retry: { sleep } })
    const { units, end } = await pull(client)
    expect(units.map((u) => u.unit).toSorted()).toEqual(idsOf(simulator, 'drop'))
    expect(end.verdict).toBe('COMPLETE')
    expect(waitsMs.slice(0, 3)).toEqual([2_000, 3_000, 4_500])
    expect(faults).toEqual([])
  })

  it('gives up a download that is never ready, after ten minutes of waiting', async () => {
    let waitedMs = 0
    const sleep = (ms: number, signal: AbortSignal) => {
      waitedMs += ms
      return sleepMs(0, signal)
    }
    const simulator = await runSimulator({ cspm: { downloadNotReady: 1_000 } })
    const { client } = connectPrisma(simulator.prisma, {}, { retry: { sleep } })
    expect(await failing(pull(client))).toMatchObject({ failure: 'TEMPORARY_FAILURE' })
    expect(waitedMs).toBeGreaterThan(600_000)
    expect(waitedMs).toBeLessThan(630_000)
  })

  it.each(['header', 'nothing'] as const)('takes %s for a download without rows', async (form) => {
    const simulator = await runSimulator({ machines: 0, cspm: { emptyDownload: form } })
    const { client } = connectPrisma(simulator.prisma, KEEP)
    const { units, end } = await pull(client)
    expect(units).toEqual([])
    expect(end).toEqual({ verdict: 'COMPLETE', declared: null, reason: null })
  })

  it('keeps line breaks within a field, and numbers rows that share an id', async () => {
    const twice = 'a-1,host,CVE-2026-0001,p,high,"one\r\ntwo ""x"""\r\n'
    const other = 'a-1,host,CVE-2026-0001,p,high,zzz\r\n'
    const { client } = await vendor((query) => (/Host/.test(query) ? twice + other + twice : ''))
    const { units } = await pull(client)
    expect(units.map((u) => [u.unit, u.body?.toString(), u.columns])).toEqual([
      ['a-1|CVE-2026-0001|p', twice.trimEnd(), COLUMNS],
      ['a-1|CVE-2026-0001|p|2', other.trimEnd(), COLUMNS],
    ])
  })

  it('rejects rows that lack an id or a field, in their own text', async () => {
    const rows = ['N/A,host,CVE-1,p,high,x', 'a-1,host,,p,high,x', 'a-2,host', 'a-3,host,C,p,low,x']
    const { client, accepts } = await vendor((query) => (/Host/.test(query) ? rows.join('\n') : ''))
    const { rejected, units } = await pull(client)
    expect(rejected).toEqual([
      { body: Buffer.from(rows[0] ?? ''), violations: ['ASSET_ID: must not be empty'] },
      { body: Buffer.from(rows[1] ?? ''), violations: ['CVE_ID: must not be empty'] },
      { body: Buffer.from(rows[2] ?? ''), violations: ['(root): has 2 fields instead of 6'] },
    ])
    expect(units.map((u) => u.unit)).toEqual(['a-3|C|p'])
    expect(new Set(accepts)).toEqual(new Set(['application/octet-stream, */*']))
  })

  it('goes on with the other types when one is refused, and is PARTIAL', async () => {
    const { client } = await vendor((query) => (/IaC/.test(query) ? 400 : ''))
    const { end, reports } = await pull(client)
    expect(end).toMatchObject({ verdict: 'PARTIAL', reason: 'IaC: the download is refused' })
    expect(reports).toHaveLength(1)
  })

  it('fails when every type is refused, or the role may not read them', async () => {
    for (const [status, failure] of [
      [400, 'BAD_REQUEST'],
      [403, 'ACCESS_FORBIDDEN'],
    ] as const) {
      const { client } = await vendor(() => status)
      expect(await failing(pull(client))).toMatchObject({ failure })
    }
  })

  it('takes something else than the CSV for an invalid answer, and tries again', async () => {
    const other = gzipSync('A,B\n1,2\n')
    const { client, faults } = await vendor((_, n) => (n === 1 ? other : ''))
    expect((await pull(client)).end.verdict).toBe('COMPLETE')
    expect(faults.map((e) => e.failure)).toEqual(['INVALID_RESPONSE'])
  })

  it.each([
    ['a reset in the body', { kind: 'reset' }],
    ['a body that ends early', { kind: 'truncate', form: 'json' }],
    ['an expired token', { kind: 'expire-token' }],
    ['a web page with status 200', { kind: 'status', answer: 'html-ok' }],
    ['503', { kind: 'status', answer: 'unavailable' }],
  ] as const)('gives each row once despite %s', async (_, fault) => {
    const simulator = await runSimulator({ machines: 40 })
    const { client } = connectPrisma(simulator.prisma, KEEP)
    simulator.faults.set({ vendor: 'prisma-cloud', endpoint: 'cspm.vulnerabilities', ...fault })
    const { units, end } = await pull(client)
    expect(units.map((u) => u.unit).toSorted()).toEqual(idsOf(simulator, 'keep'))
    expect(end.verdict).toBe('COMPLETE')
  })
})

describe('the check of the vulnerabilities', () => {
  const streams = Object.fromEntries(
    prismaCloudConnector.sources.map(({ stream }) => [
      stream,
      { enabled: stream === 'cspm.vulnerabilities' },
    ]),
  )
  /** What is asked of a tenant that has one CVE, on assets of `type`. */
  const checked = async (type: string, settings: Record<string, unknown>) => {
    const searched: string[] = []
    const { client, queries } = await vendor(
      () => '',
      settings,
      (query, path) => {
        searched.push(query)
        if (path.endsWith('/asset')) return 403
        return { data: { items: query.includes(`'${type}'`) ? [{ cveId: 'CVE-2026-0001' }] : [] } }
      },
    )
    const answers = await prismaCloudConnector.check(client)
    const failed = answers.filter(({ error }) => error !== null)
    return { queries, searched, failed: failed.map(({ step, error }) => [step, error?.failure]) }
  }
  const DENIED = [['read cspm.vulnerabilities (assets of a CVE)', 'ACCESS_FORBIDDEN']]

  it('asks for the assets of a CVE of whichever type has one', async () => {
    const { queries, searched, failed } = await checked('Host', { streams, ...KEEP })
    expect(failed).toEqual(DENIED)
    expect(queries).toHaveLength(1)
    // Package, IaC, Host, and then the assets of the CVE on hosts.
    const host = "vulnerability where asset.type IN ('Host')"
    expect(searched.slice(2)).toEqual([host, host])
  })

  it.each([
    ['drop', 2],
    ['keep', 7],
  ])('with overlap %s asks for %i types where none has a CVE', async (overlap, types) => {
    const simulator = await runSimulator({ machines: 0 })
    const { client } = connectPrisma(simulator.prisma, { overlap })
    const answers = await prismaCloudConnector.check(client)
    const own = answers.filter(({ step }) => step.startsWith('read cspm.vulnerabilities'))
    expect(own.map(({ error }) => error)).toEqual([null, null])
    const site = simulator.stats().sites.find((one) => one.vendor === 'prisma-cloud')
    expect(site?.endpoints['cspm.vulnerability-search']?.requests).toBe(types)
  })
})

type Known = {
  readonly status: number
  readonly body?: unknown
  readonly header?: string
  readonly bodyOrHeader?: string
  readonly contentType?: string
}
const FAILURES: Readonly<Record<number, string>> = {
  200: 'TEMPORARY_FAILURE',
  400: 'BAD_REQUEST',
  401: 'AUTHORIZATION_FAILURE',
  404: 'NOT_FOUND',
  406: 'BAD_REQUEST',
  429: 'TOO_MANY_REQUESTS',
  503: 'TEMPORARY_FAILURE',
}

describe.runIf(samplesPresent)('the errors that CSPM is known for', () => {
  it('are all told apart', () => {
    const known = sampleJson('prisma-cloud/cspm/errors.known.json') as Known[]
    expect(known.length).toBeGreaterThan(9)
    for (const { status, body, header, bodyOrHeader, contentType } of known) {
      const key = /i18nKey (\w+)/.exec(bodyOrHeader ?? '')?.[1]
      const named = key === undefined ? null : JSON.stringify([{ i18nKey: key }])
      const redlock = header?.replace(/^x-redlock-status: /, '') ?? named
      const text = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body)
      const refusal = classify({
        method: 'POST',
        path: '/x',
        status,
        headers: {
          ...(redlock === null ? {} : { 'x-redlock-status': redlock }),
          ...(contentType === undefined ? {} : { 'content-type': contentType }),
        },
        text,
        complete: true,
      })
      expect([status, refusal?.failure]).toEqual([status, FAILURES[status]])
      if (key !== undefined) expect(refusal?.vendorCode).toBe(key)
      if (header !== undefined) expect(refusal?.vendorCode).toBe('invalid_id')
      if (status === 406) expect(refusal?.vendorMessage).toBe('Not Acceptable')
    }
  })
})
