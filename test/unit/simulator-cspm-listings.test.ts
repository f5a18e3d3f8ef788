// CSPM's simulated listings: they show the truth, page by page, in every way a tenant may behave.
import { gunzipSync } from 'node:zlib'
import { parse } from 'csv-parse/sync'
import { describe, expect, it } from 'vitest'
import type { Simulator } from '../../simulator/simulator.ts'
import { type Reply, ask, logIn, runSimulator } from '../support/simulator.ts'

type Row = Record<string, unknown>
const UVE = '/uve/api/v1/vulnerabilities/search'
const PAGES_MAX = 100

async function session(simulator: Simulator) {
  const token = await logIn(simulator)
  const post = (path: string, body: unknown): Promise<Reply> =>
    ask(`${simulator.prisma.url}${path}`, {
      method: 'POST',
      headers: { 'x-redlock-auth': token },
      body: JSON.stringify(body),
    })
  const get = (path: string): Promise<Reply> =>
    ask(`${simulator.prisma.url}${path}`, { headers: { 'x-redlock-auth': token } })
  return { post, get }
}
type Session = Awaited<ReturnType<typeof session>>

const queryOf = (apiName: string) => `config from cloud.resource where api.name = '${apiName}'`
const NAMES = [
  'aws-ec2-describe-instances',
  'azure-vm-list',
  'gcloud-compute-instances-list',
] as const

async function configItems({ post }: Session, apiName: string): Promise<Row[]> {
  const items: Row[] = []
  const first = { query: queryOf(apiName), limit: 7, withResourceJson: true }
  let reply = await post('/search/api/v2/config', first)
  for (let page = 0; page < PAGES_MAX; page++) {
    const value = JSON.parse(reply.text) as { items: Row[]; nextPageToken?: string }
    items.push(...value.items)
    if (!value.nextPageToken) return items
    const next = { pageToken: value.nextPageToken, limit: 7, withResourceJson: true }
    reply = await post('/search/config/page', next)
  }
  throw new Error(`more than ${PAGES_MAX} pages`)
}

async function download({ post }: Session, query: string): Promise<Row[]> {
  const reply = await post(`${UVE}/download`, { query })
  expect(reply.status).toBe(200)
  return parse(gunzipSync(reply.bytes), { columns: true })
}

describe('the simulated CSPM', () => {
  it('lists the machines of the truth, and others as deleted', async () => {
    const simulator = await runSimulator({ machines: 60 })
    const asked = await session(simulator)
    const items = (await Promise.all(NAMES.map((name) => configItems(asked, name)))).flat()
    const alive = items.filter((item) => item['deleted'] === false)
    const expected = simulator.truth().assets.filter((a) => a.stream === 'cspm.config')
    expect(expected.length).toBeGreaterThan(40)
    expect(alive.map((item) => String(item['assetId'])).toSorted()).toEqual(
      expected.map((a) => a.nativeId).toSorted(),
    )
    expect(items.length).toBeGreaterThan(alive.length)
  })

  it('leaves the resource JSON out unless it is asked for', async () => {
    const { post } = await session(await runSimulator())
    const reply = await post('/search/api/v2/config', { query: queryOf(NAMES[0]), limit: 1 })
    expect(Object.keys(JSON.parse(reply.text).items[0])).not.toContain('data')
  })

  it.each(['empty', 'null', 'repeated', 'one-more'] as const)(
    'ends a search with a token that is %s',
    async (lastToken) => {
      const { post } = await session(await runSimulator({ cspm: { lastToken } }))
      const query = queryOf(NAMES[2])
      const reply = await post('/search/api/v2/config', { query, withResourceJson: true })
      const { nextPageToken, items } = JSON.parse(reply.text)
      expect(items.length).toBeGreaterThan(0)
      if (lastToken === 'empty' || lastToken === 'null') {
        expect(nextPageToken).toBe(lastToken === 'empty' ? '' : null)
        return
      }
      const next = await post('/search/config/page', { pageToken: nextPageToken })
      const { length } = JSON.parse(next.text).items
      expect(length).toBe(lastToken === 'repeated' ? items.length : 0)
    },
  )

  it('answers a name that it does not know with 400 and the key in a header', async () => {
    const { post } = await session(await runSimulator())
    const reply = await post('/search/api/v2/config', { query: queryOf('oci-nothing') })
    expect(reply.status).toBe(400)
    expect(String(reply.headers['x-redlock-status'])).toContain('invalid_parameter_value')
  })

  it.each(['text', 'object'] as const)(
    'lists the inventory with page tokens as %s',
    async (scanToken) => {
      const simulator = await runSimulator({ cspm: { scanToken } })
      const { post } = await session(simulator)
      const rows: Row[] = []
      let pageToken: unknown = null
      for (let page = 0; page < PAGES_MAX && pageToken !== undefined; page++) {
        const reply = await post('/v2/resource/scan_info', { limit: 10, pageToken })
        const value = JSON.parse(reply.text)
        expect(value.totalMatchedCount).toBeGreaterThan(20)
        rows.push(...value.resources)
        pageToken = value.nextPageToken
      }
      const machines = ['EC2 Instance', 'Azure Virtual Machine', 'Compute Instance']
      const others = rows.filter((row) => !machines.includes(String(row['assetType'])))
      const expected = simulator.truth().assets.filter((a) => a.stream === 'cspm.inventory')
      expect(others.map((row) => row['unifiedAssetId'])).toEqual(expected.map((a) => a.nativeId))
      expect(rows.length - others.length).toBe(
        simulator.truth().assets.filter((a) => a.stream === 'cspm.config').length,
      )
    },
  )

  it('tells an asset that is not there with status 200', async () => {
    const { post } = await session(await runSimulator())
    const reply = await post('/uai/v1/asset', { assetId: 'nothing', type: 'asset' })
    expect([reply.status, JSON.parse(reply.text).errors[0].extensions.errorType]).toEqual([
      200,
      'NOT_FOUND',
    ])
  })

  it('gives the weaknesses of the truth as zipped CSV, with fields of any content', async () => {
    const simulator = await runSimulator({ machines: 40 })
    const asked = await session(simulator)
    const types = `'Host', 'Package', 'IaC', 'Deployed Image', 'Container Registry Image',
      'Serverless Function', 'VM Image'`.replace(/\s+/g, ' ')
    const rows = await download(asked, `vulnerability where asset.type IN (${types})`)
    const keys = rows.map((r) => [r['ASSET_ID'], r['CVE_ID'], r['PACKAGE_NAME']].join('|'))
    const { findings } = simulator.truth('keep')
    const expected = findings.filter((f) => f.product === 'prisma-cspm')
    expect(keys.toSorted()).toEqual(
      expected.map((f) => [f.assetNativeId, f.vulnId, f.packageName].join('|')).toSorted(),
    )
    expect(rows.some((r) => String(r['REGISTRY']).includes('\n'))).toBe(true)
    const code = simulator.truth().findings.filter((f) => f.product === 'prisma-cspm')
    expect(code.length).toBeGreaterThan(10)
    expect(code.length).toBeLessThan(expected.length)
  })

  it('cuts a download without a word, answers 202 first, and may say nothing at all', async () => {
    const cspm = { downloadRowsMax: 5, downloadNotReady: 1, emptyDownload: 'nothing' } as const
    const asked = await session(await runSimulator({ cspm }))
    const query = "vulnerability where asset.type IN ('Package')"
    expect((await asked.post(`${UVE}/download`, { query })).status).toBe(202)
    expect(await download(asked, query)).toHaveLength(5)
    const none = { query: `${query} AND cve.id IN ('CVE-1')` }
    await asked.post(`${UVE}/download`, none)
    expect((await asked.post(`${UVE}/download`, none)).text).toBe('')
    expect((await asked.post(`${UVE}/download`, { query: 'nonsense' })).status).toBe(400)
  })

  it('limits searches to two a second after a burst of ten, if it limits at all', async () => {
    let nowMs = 1_750_000_000_000
    const simulator = await runSimulator({ rateLimits: true, clock: () => nowMs })
    const { get } = await session(simulator)
    const statuses: number[] = []
    for (let n = 0; n < 11; n++) statuses.push((await get('/v2/resource/scan_info?limit=1')).status)
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 200), 429])
    nowMs += 500
    expect((await get('/v2/resource/scan_info?limit=1')).status).toBe(200)
  })
})
