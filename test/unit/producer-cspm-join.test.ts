// Azure machines beside their interfaces: what moves while those are listed shows in the verdict.
import { describe, expect, it } from 'vitest'
import { cspmConfig } from '../../producers/prisma-cloud/cspm-config.ts'
import { connectPrisma, pullAll } from '../support/connect.ts'
import { reply, serve } from '../support/http-server.ts'

const COUNT = 200
const PAGE = 100
const GROUP = '/subscriptions/s/resourceGroups/g'
type Row = { readonly assetId: string }

const rowsOf = (kind: string, more: (n: number) => object = () => ({})): Row[] =>
  Array.from({ length: COUNT }, (_, n) => {
    const id = `${GROUP}/${kind}${n}`
    return { assetId: `${kind}-${n}`, data: { id, ...more(n) } }
  })
const machines = rowsOf('vm')
const nics = rowsOf('nic', (n) => ({ properties: { virtualMachine: { id: `${GROUP}/vm${n}` } } }))

/** A run over a tenant that lists these interfaces, in two pages of each kind. */
async function run(shownNics: readonly Row[], shownMachines: readonly Row[] = machines) {
  const server = await serve((call, response) => {
    if (call.url === '/login') return reply(response, 200, { token: 't-1' })
    const { query, pageToken } = JSON.parse(call.body) as { query?: string; pageToken?: string }
    const kind = pageToken ?? (/nic-list/.test(query ?? '') ? 'nic' : 'vm')
    const isIps = /public-ip/.test(query ?? '')
    const rows = kind === 'nic' ? shownNics : shownMachines
    const from = pageToken === undefined ? 0 : PAGE
    return reply(response, 200, {
      totalRows: isIps ? 0 : COUNT,
      items: isIps ? [] : rows.slice(from, from + PAGE),
      ...(from > 0 || isIps ? {} : { nextPageToken: kind }),
    })
  })
  const access = { url: server.url, accessKeyId: 'ak-1', secretKey: 'sk-1' }
  const { client } = connectPrisma(access, { configApis: ['azure-vm-list'] })
  const { units, end } = await pullAll(cspmConfig, client)
  const bare = units.filter(({ body }) => body?.includes('"nics":[]') === true)
  return { end, bare: bare.map(({ unit }) => unit) }
}

/** One row of the second page has slipped out, and one of the first comes again. */
const slipped = (rows: readonly Row[]): Row[] =>
  rows.map((row, n) => rows[n === PAGE ? 99 : n] ?? row)

describe('the interfaces of Azure machines', () => {
  it('that are all listed leave the run COMPLETE', async () => {
    const { end, bare } = await run(nics)
    expect([end.verdict, bare]).toEqual(['COMPLETE', []])
  })

  it('of which one slips out while they are listed make the run DRIFTED', async () => {
    const { end, bare } = await run(slipped(nics))
    expect(bare).toEqual(['vm-100'])
    expect(end).toMatchObject({ verdict: 'DRIFTED', declared: COUNT })
    expect(end.reason).toContain('azure-network-nic-list: 199 items listed, 200 declared')
  })

  it('that drift hide no drift of the machines, nor what is missing hide of either', async () => {
    const both = await run(slipped(nics), slipped(machines))
    expect(both.end.verdict).toBe('DRIFTED')
    expect(both.end.reason?.match(/199 items listed/g)).toHaveLength(2)
    const short = await run(nics.slice(0, 150), machines.slice(0, 150))
    expect(short.end.verdict).toBe('PARTIAL')
    expect(short.end.reason?.match(/150 items listed/g)).toHaveLength(2)
  })
})
