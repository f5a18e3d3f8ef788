// Streams cspm.config and cspm.inventory over HTTP: pages by token, joins, drift, resuming, faults.
import { describe, expect, it } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import type { Chunk, Source } from '../../contracts/ports.ts'
import type { PrismaCloudClient } from '../../producers/prisma-cloud/client.ts'
import { cspmConfig } from '../../producers/prisma-cloud/cspm-config.ts'
import { cspmInventory } from '../../producers/prisma-cloud/cspm-inventory.ts'
import type { CspmBehaviour } from '../../simulator/prisma-cloud/cspm-behaviour.ts'
import { connectPrisma, pullAll } from '../support/connect.ts'
import { AWS_ONLY, cspmVendor, items, paged } from '../support/cspm-pages.ts'
import { runSimulator } from '../support/simulator.ts'

const KEY = { accessKeyId: 'ak-1', secretKey: 'sk-1' }

const failing = async (work: Promise<unknown>): Promise<PipelineError> => {
  const error = await work.then(
    () => null,
    (e: unknown) => e as PipelineError,
  )
  expect(error).not.toBeNull()
  return error as PipelineError
}

const unitsOf = (chunks: readonly Chunk<unknown>[]) =>
  chunks.flatMap((chunk) => chunk.units.map((unit) => unit.unit))

/** What is left after each chunk is what a resumed pull gives. */
async function expectResumes<C>(source: Source<PrismaCloudClient, C>, client: PrismaCloudClient) {
  const whole = await pullAll(source, client)
  expect(whole.chunks.length).toBeGreaterThan(1)
  for (const [i, { checkpoint }] of whole.chunks.entries()) {
    const newer = { ...(JSON.parse(JSON.stringify(checkpoint)) as object), fromANewerVersion: 1 }
    const rest = await pullAll(source, client, source.checkpoint.parse(newer))
    expect(unitsOf(rest.chunks)).toEqual(unitsOf(whole.chunks.slice(i + 1)))
    expect(rest.end).toEqual(whole.end)
  }
}

describe('the search of configurations', () => {
  it('gives every machine of the simulator and no deleted one, and is COMPLETE', async () => {
    const simulator = await runSimulator({ machines: 60 })
    const { client, faults } = connectPrisma(simulator.prisma, { configPageSize: 9 })
    const { units, end, chunks } = await pullAll(cspmConfig, client)
    const expected = simulator.truth().assets.filter((a) => a.stream === 'cspm.config')
    expect(units.map((u) => u.unit).toSorted()).toEqual(expected.map((a) => a.nativeId).toSorted())
    expect(units.every((u) => u.assetNativeId === u.unit)).toBe(true)
    expect(end).toEqual({ verdict: 'COMPLETE', declared: units.length, reason: null })
    const endpoints = ['/search/api/v2/config', '/search/config/page']
    expect([...new Set(chunks.map((c) => c.endpoint))]).toEqual(endpoints)
    expect(chunks.map((c) => c.page)).toEqual(chunks.map((c) => c.page).toSorted((a, b) => a - b))
    expect(faults).toEqual([])
  })

  it('asks for the resource JSON, not for a status that hides what did not change', async () => {
    const { client, calls } = await cspmVendor(paged(items(15)))
    await pullAll(cspmConfig, client)
    expect(calls.map((call) => [call.url, JSON.parse(call.body)])).toEqual([
      [
        '/search/api/v2/config',
        {
          query: "config from cloud.resource where api.name = 'aws-ec2-describe-instances'",
          limit: 100,
          withResourceJson: true,
          skipSearchCreation: true,
        },
      ],
      ['/search/config/page', { pageToken: 'p10', limit: 100, withResourceJson: true }],
    ])
  })

  it('puts an Azure machine, its interfaces and addresses side by side', async () => {
    const simulator = await runSimulator({ machines: 60 })
    const { client } = connectPrisma(simulator.prisma, { configApis: ['azure-vm-list'] })
    const { units } = await pullAll(cspmConfig, client)
    expect(units.length).toBeGreaterThan(5)
    const facing = simulator.truth().assets.filter((a) => a.publicIps.length > 0)
    let addresses = 0
    for (const { body, unit } of units) {
      const text = body?.toString() ?? ''
      const { sources, vm, nics, public_ips } = JSON.parse(text)
      expect(sources).toEqual({
        vm: 'azure-vm-list',
        nics: 'azure-network-nic-list',
        public_ips: 'azure-network-public-ip-address-list',
      })
      for (const piece of [vm, ...nics, ...public_ips])
        expect(text).toContain(JSON.stringify(piece))
      expect(nics).toHaveLength(1)
      const isFacing = facing.some((a) => a.stream === 'cspm.config' && a.nativeId === unit)
      expect(public_ips).toHaveLength(isFacing ? 1 : 0)
      addresses += public_ips.length
    }
    expect(addresses).toBeGreaterThan(0)
  })

  it.each(['absent', 'empty', 'null', 'repeated', 'one-more'] as const)(
    'ends well when the last token is %s',
    async (lastToken) => {
      const cspm: Partial<CspmBehaviour> = { lastToken }
      const simulator = await runSimulator({ machines: 60, cspm })
      const { client } = connectPrisma(simulator.prisma, { configPageSize: 9, ...AWS_ONLY })
      const { units, end } = await pullAll(cspmConfig, client)
      expect(end).toEqual({ verdict: 'COMPLETE', declared: units.length, reason: null })
      expect(units.length).toBeGreaterThan(20)
    },
  )

  it('ends well when the token of the last page is refused', async () => {
    const rows = items(20)
    const answer = paged(rows, { nextPageToken: 'p999' })
    const { client } = await cspmVendor((body, call, n) =>
      body['pageToken'] === 'p999' ? 400 : answer(body, call, n),
    )
    const { units, end } = await pullAll(cspmConfig, client)
    expect(units).toHaveLength(20)
    expect(end.verdict).toBe('COMPLETE')
  })

  it('is PARTIAL when a token comes again before all was listed', async () => {
    const { client } = await cspmVendor(() => ({
      totalRows: 40,
      items: items(10),
      nextPageToken: 'p-same',
    }))
    const { units, end } = await pullAll(cspmConfig, client)
    expect(units).toHaveLength(10)
    expect(end).toMatchObject({ verdict: 'PARTIAL', declared: 40 })
    expect(end.reason).toContain('10 items listed, 40 declared')
  })

  it('is PARTIAL when an empty page in the middle declares that there is nothing', async () => {
    const first = { totalRows: 40, items: items(10), nextPageToken: 'p10' }
    const empty = { totalRows: 0, items: [] }
    const { client } = await cspmVendor((body) => (body['pageToken'] === undefined ? first : empty))
    const { end } = await pullAll(cspmConfig, client)
    expect(end).toMatchObject({ verdict: 'PARTIAL', declared: 40 })
  })

  it('is PARTIAL when fewer come than declared, DRIFTED when hardly fewer', async () => {
    const fewer = await cspmVendor(() => ({ totalRows: 12, items: items(10) }))
    expect((await pullAll(cspmConfig, fewer.client)).end.verdict).toBe('PARTIAL')
    const rows = items(300).map((row, n) => (n === 200 ? (items(1)[0] ?? row) : row))
    const drifting = await cspmVendor(paged(rows))
    const { end, units } = await pullAll(cspmConfig, drifting.client)
    expect(units).toHaveLength(299)
    expect(end).toMatchObject({ verdict: 'DRIFTED', declared: 300 })
  })

  it('skips a search that the tenant does not know, says so once, and is PARTIAL', async () => {
    const unknownApis = ['gcloud-compute-instances-list']
    const simulator = await runSimulator({ machines: 40, cspm: { unknownApis } })
    const { client } = connectPrisma(simulator.prisma)
    const reports: PipelineError[] = []
    const context = { signal: new AbortController().signal, nowMs: Date.now }
    const pull = cspmConfig.pull(client, null, { ...context, report: (e) => reports.push(e) })
    let units = 0
    for (;;) {
      const next = await pull.next()
      if (next.done !== true) units += next.value.units.length
      else {
        expect(next.value.verdict).toBe('PARTIAL')
        expect(next.value.reason).toContain('gcloud-compute-instances-list')
        break
      }
    }
    expect(units).toBeGreaterThan(10)
    expect(reports.map((e) => [e.failure, e.details.http?.vendorCode])).toEqual([
      ['BAD_REQUEST', 'invalid_parameter_value'],
    ])
  })

  it('fails when the tenant knows none of the searches', async () => {
    const { client } = await cspmVendor(() => 400)
    expect(await failing(pullAll(cspmConfig, client))).toMatchObject({ failure: 'BAD_REQUEST' })
  })

  it('lists machines without interfaces, and is PARTIAL, where those are refused', async () => {
    const unknownApis = ['azure-network-nic-list']
    const simulator = await runSimulator({ machines: 40, cspm: { unknownApis } })
    const { client } = connectPrisma(simulator.prisma, { configApis: ['azure-vm-list'] })
    const { units, end } = await pullAll(cspmConfig, client)
    expect(units.length).toBeGreaterThan(2)
    expect(units.every((u) => u.body?.includes('"nics":[]'))).toBe(true)
    expect(end.verdict).toBe('PARTIAL')
    expect(end.reason).toContain('azure-network-nic-list')
  })

  it('goes on after any chunk', async () => {
    const simulator = await runSimulator({ machines: 60 })
    const { client } = connectPrisma(simulator.prisma, { configPageSize: 9 })
    await expectResumes(cspmConfig, client)
  })

  it('goes on within a page that was cut into chunks of 8 MiB', async () => {
    const big = items(6).map((item) => ({ ...item, pad: 'x'.repeat(3_000_000) }))
    const { client } = await cspmVendor(() => ({ totalRows: 6, items: big }))
    await expectResumes(cspmConfig, client)
  })

  it('begins again when a token has grown too old, and gives nothing twice', async () => {
    const answer = paged(items(30))
    const { client } = await cspmVendor((body, call, n) => (n === 3 ? 404 : answer(body, call, n)))
    const { units, end } = await pullAll(cspmConfig, client)
    expect(units).toHaveLength(30)
    expect(end).toEqual({ verdict: 'COMPLETE', declared: 30, reason: null })
  })

  it('fails for another try when the token of an interrupted run is refused', async () => {
    const answer = paged(items(30))
    const { client } = await cspmVendor((body, call, n) => (n > 3 ? 400 : answer(body, call, n)))
    const { chunks } = await pullAll(cspmConfig, client)
    const error = await failing(pullAll(cspmConfig, client, chunks[0]?.checkpoint ?? null))
    expect(error).toMatchObject({ failure: 'TEMPORARY_FAILURE' })
  })

  it('rejects items without an id in their bytes, and marks one above 8 MiB', async () => {
    const pad = 'x'.repeat(8_500_000)
    const rows = [{ deleted: false }, { assetId: 'a-1' }, { assetId: 'a-2', pad }]
    const { client } = await cspmVendor(() => ({ totalRows: 3, items: rows }))
    const { chunks, units, end } = await pullAll(cspmConfig, client)
    const rejected = chunks.flatMap((c) => c.rejected.map((r) => r.body.toString()))
    expect(rejected).toEqual(['{"deleted":false}'])
    expect(units.map((u) => [u.unit, u.body === null])).toEqual([
      ['a-1', false],
      ['a-2', true],
    ])
    expect(end.verdict).toBe('PARTIAL')
  })

  it('logs in once more in the middle of a run, and replays the page', async () => {
    const simulator = await runSimulator({ machines: 60 })
    const { client, faults } = connectPrisma(simulator.prisma, { configPageSize: 9 })
    simulator.faults.set({
      vendor: 'prisma-cloud',
      endpoint: 'cspm.config-page',
      kind: 'expire-token',
    })
    const { units, end } = await pullAll(cspmConfig, client)
    expect(end).toMatchObject({ verdict: 'COMPLETE', declared: units.length })
    const site = simulator.stats().sites.find((s) => s.vendor === 'prisma-cloud')
    expect(site?.endpoints['cspm.login']?.requests).toBe(2)
    expect(site?.endpoints['cspm.config-page']?.byStatus['401']).toBe(1)
    expect(faults).toEqual([])
  })

  it.each([
    ['a reset in the body', { kind: 'reset' }],
    ['a cut body', { kind: 'truncate', form: 'json' }],
    ['a web page with status 200', { kind: 'status', answer: 'html-ok' }],
    ['429', { kind: 'status', answer: 'too-many-requests' }],
    ['502', { kind: 'status', answer: 'bad-gateway' }],
  ] as const)('gives each machine once despite %s', async (_, fault) => {
    const simulator = await runSimulator({ machines: 60 })
    const { client, faults } = connectPrisma(simulator.prisma, { configPageSize: 9 })
    simulator.faults.set({ vendor: 'prisma-cloud', endpoint: 'cspm.config*', skip: 2, ...fault })
    const { units, end } = await pullAll(cspmConfig, client)
    expect(end).toMatchObject({ verdict: 'COMPLETE', declared: units.length })
    expect(new Set(units.map((u) => u.unit)).size).toBe(units.length)
    expect(faults).not.toEqual([])
  })

  it('is not there for a connection without CSPM', async () => {
    const settings = { url: undefined, computeUrl: 'https://c.example', compute: { auth: 'basic' } }
    const { client } = connectPrisma({ url: 'https://unused.example', ...KEY }, settings)
    const context = { signal: new AbortController().signal, nowMs: Date.now, report: () => {} }
    for (const source of [cspmConfig, cspmInventory]) {
      const missing = await source.available?.(client, context)
      expect(missing).toMatchObject({ failure: 'NOT_LICENSED' })
    }
  })
})

describe('the inventory', () => {
  it.each(['text', 'object'] as const)(
    'gives all resources that the search does not, with tokens as %s',
    async (scanToken) => {
      const simulator = await runSimulator({ machines: 60, cspm: { scanToken } })
      const { client, faults } = connectPrisma(simulator.prisma, { inventoryPageSize: 25 })
      const { units, end } = await pullAll(cspmInventory, client)
      const expected = simulator.truth().assets.filter((a) => a.stream === 'cspm.inventory')
      expect(units.map((u) => u.unit)).toEqual(expected.map((a) => a.nativeId))
      expect(end).toEqual({ verdict: 'COMPLETE', declared: units.length, reason: null })
      expect(faults).toEqual([])
      await expectResumes(cspmInventory, client)
    },
  )

  it('gives machines too where nobody searches for them', async () => {
    const simulator = await runSimulator()
    const streams = { 'cspm.config': { enabled: false } }
    const { client } = connectPrisma(simulator.prisma, { streams })
    const { units } = await pullAll(cspmInventory, client)
    const { assets } = simulator.truth()
    expect(units).toHaveLength(assets.filter((a) => a.product === 'prisma-cspm').length)
  })

  it('asks for less when the vendor takes too long, and goes on so', async () => {
    const simulator = await runSimulator({ machines: 60, cspm: { scanTimeoutAbove: 300 } })
    const { client } = connectPrisma(simulator.prisma)
    const { units, end } = await pullAll(cspmInventory, client)
    expect(end).toMatchObject({ verdict: 'COMPLETE', declared: units.length })
    const site = simulator.stats().sites.find((s) => s.vendor === 'prisma-cloud')
    // 1,000 and 500 rows twice each, then 250.
    expect(site?.endpoints['cspm.inventory']?.byStatus).toMatchObject({ '504': 4, '200': 1 })
  })

  it('waits as often as ever when the vendor only asks to', async () => {
    const simulator = await runSimulator()
    const { client } = connectPrisma(simulator.prisma)
    const inventory = { vendor: 'prisma-cloud', endpoint: 'cspm.inventory' } as const
    simulator.faults.set({ ...inventory, kind: 'status', answer: 'too-many-requests', times: 5 })
    expect((await pullAll(cspmInventory, client)).end.verdict).toBe('COMPLETE')
  })

  it('fails when even the smallest page takes too long', async () => {
    const simulator = await runSimulator({ cspm: { scanTimeoutAbove: 10 } })
    const { client } = connectPrisma(simulator.prisma, { inventoryPageSize: 100 })
    expect(await failing(pullAll(cspmInventory, client))).toMatchObject({
      failure: 'TEMPORARY_FAILURE',
      details: { http: { status: 504 } },
    })
  })

  it('is PARTIAL when rows are missing from what was declared', async () => {
    const simulator = await runSimulator({ machines: 40 })
    const { client } = connectPrisma(simulator.prisma)
    simulator.faults.set({
      vendor: 'prisma-cloud',
      endpoint: 'cspm.inventory',
      kind: 'missing-rows',
      declared: 'all',
    })
    expect((await pullAll(cspmInventory, client)).end.verdict).toBe('PARTIAL')
  })

  it('adds details to as many assets as the budget allows, in the bytes received', async () => {
    const simulator = await runSimulator({ machines: 40 })
    const settings = { enrichment: { budget: 12 }, inventoryPageSize: 10 }
    const { client } = connectPrisma(simulator.prisma, settings)
    const { units, end } = await pullAll(cspmInventory, client)
    expect(end).toMatchObject({ verdict: 'COMPLETE', declared: units.length })
    const parsed = units.map((u) => JSON.parse(u.body?.toString() ?? ''))
    expect(parsed.filter((value) => 'uai' in value)).toHaveLength(12)
    for (const [n, value] of parsed.slice(0, 12).entries()) {
      expect(Object.keys(value)).toEqual(['item', 'uai'])
      expect(value.item.unifiedAssetId).toBe(units[n]?.unit)
      expect(value.uai.data.asset.id).toBe(units[n]?.unit)
      expect(units[n]?.body?.toString()).toContain(`"item":${JSON.stringify(value.item)}`)
    }
    await expectResumes(cspmInventory, client)
  })

  it('leaves an asset without details as it is, and stops asking when forbidden', async () => {
    const simulator = await runSimulator({ machines: 40 })
    const settings = { enrichment: { budget: 5 } }
    const first = connectPrisma(simulator.prisma, settings)
    const asset = { vendor: 'prisma-cloud', endpoint: 'cspm.asset' } as const
    simulator.faults.set({ ...asset, kind: 'empty', times: 2 })
    const { units } = await pullAll(cspmInventory, first.client)
    const enriched = units.map((u) => u.body?.includes('"uai"') === true)
    expect(enriched.slice(0, 6)).toEqual([false, false, true, true, true, false])
    simulator.faults.set({ ...asset, kind: 'status', answer: 'forbidden', times: 'forever' })
    const second = connectPrisma(simulator.prisma, settings)
    const { end } = await pullAll(cspmInventory, second.client)
    expect(end.verdict).toBe('COMPLETE')
    const site = simulator.stats().sites.find((s) => s.vendor === 'prisma-cloud')
    expect(site?.endpoints['cspm.asset']?.byStatus).toEqual({ '200': 5, '403': 1 })
  })
})
