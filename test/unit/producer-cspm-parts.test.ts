// Stream cspm.vulnerabilities: downloads that are cut without a word, read in parts that are all.
import { describe, expect, it } from 'vitest'
import type { Unit } from '../../contracts/ports.ts'
import { connectPrisma } from '../support/connect.ts'
import { KEEP, downloads, idsOf, pull, vendor } from '../support/cspm-downloads.ts'
import { runSimulator } from '../support/simulator.ts'

const TYPE_WORDS = 'package iac host deployedImage registryImage serverlessFunction vmImage'.split(
  ' ',
)

describe('a download that is cut', () => {
  it.each([60, 25, 9])('reads all in parts when downloads are cut at %i rows', async (rowsMax) => {
    const cspm = { downloadRowsMax: rowsMax }
    const simulator = await runSimulator({ machines: 40, cspm })
    const settings = { ...KEEP, downloadRowsMax: rowsMax }
    const { client } = connectPrisma(simulator.prisma, settings)
    const { units, end, reports } = await pull(client)
    const found = new Set(units.map((u) => u.unit))
    const expected = idsOf(simulator, 'keep')
    // One CVE on more assets than a download holds is told by asset, without its packages.
    const byAsset = units.filter((u) => u.contentType === 'application/json')
    const covered = new Set(byAsset.map((u) => u.unit.slice(0, u.unit.lastIndexOf('|'))))
    const missing = expected.filter((id) => {
      return !found.has(id) && !covered.has(id.slice(0, id.lastIndexOf('|')))
    })
    expect(missing).toEqual([])
    expect(units.filter((u) => u.contentType === 'text/csv').map((u) => u.unit)).toEqual(
      expect.not.arrayContaining(['']),
    )
    expect(found.size).toBe(units.length)
    expect([end.verdict, reports]).toEqual(['COMPLETE', []])
    expect(downloads(simulator)).toBeGreaterThan(7)
  })

  it('tells one CVE on too many assets asset by asset, page by page', async () => {
    const cspm = { downloadRowsMax: 3, searchRowsMax: 2 }
    const simulator = await runSimulator({ machines: 60, cspm })
    const settings = { ...KEEP, downloadRowsMax: 3 }
    const { client } = connectPrisma(simulator.prisma, settings)
    const { units, end } = await pull(client)
    expect(end.verdict).toBe('COMPLETE')
    const byAsset = units.filter((u) => u.contentType === 'application/json')
    expect(byAsset.length).toBeGreaterThan(3)
    const pairs = new Set(idsOf(simulator, 'keep').map((id) => id.slice(0, id.lastIndexOf('|'))))
    for (const { unit, body } of byAsset) {
      const { sources, asset_type, vulnerability, asset } = JSON.parse(body?.toString() ?? '')
      expect(unit).toBe(`${asset.id}|${vulnerability.cveId}|`)
      expect(pairs.has(`${asset.id}|${vulnerability.cveId}`)).toBe(true)
      expect(Object.keys(sources)).toEqual(['vulnerability', 'asset'])
      expect(units.length).toBeGreaterThan(byAsset.length)
      expect(TYPE_WORDS).toContain(asset_type)
    }
  })

  it('is PARTIAL, gives what came, and says why, when parts cannot be made', async () => {
    const rows = Array.from({ length: 4 }, (_, n) => `a-${n},host,CVE-2026-0001,p,high,x\n`)
    const { client } = await vendor(
      (query) =>
        /'Host'\)/.test(query) && !/low|medium|critical/.test(query) ? rows.join('') : '',
      { downloadRowsMax: 4 },
    )
    const { units, end, reports } = await pull(client)
    expect(units.map((u) => u.unit)).toEqual(rows.map((_, n) => `a-${n}|CVE-2026-0001|p`))
    expect(end.verdict).toBe('PARTIAL')
    expect(end.reason).toContain('Host: cut at 4 rows, and cannot be read by CVE')
    expect(end.reason).toContain('Host, high: cut at 4 rows, and cannot be read in parts')
    expect(reports.map((e) => e.failure)).toEqual(['ACCESS_FORBIDDEN', 'ACCESS_FORBIDDEN'])
  })

  it('never loses a row that no part shows: it is given, and the run is PARTIAL', async () => {
    const odd = 'a-9,host,CVE-2026-0002,p,strange,x\n'
    const rows = [0, 1, 2].map((n) => `a-${n},host,CVE-2026-0001,p,high,x\n`)
    const { client } = await vendor(
      (query) => {
        if (!/'Host'\)/.test(query)) return ''
        if (!query.includes('severity')) return [...rows, odd].join('')
        return query.includes("'high'") ? rows.join('') : ''
      },
      { downloadRowsMax: 4 },
    )
    const { units, end } = await pull(client)
    expect(units.map((u) => u.unit)).toContain('a-9|CVE-2026-0002|p')
    expect(units).toHaveLength(4)
    expect(end).toMatchObject({ verdict: 'PARTIAL', reason: expect.stringContaining('1 of 4') })
  })

  it('reads rows of every severity and of none beyond the cut', async () => {
    const cspm = { downloadRowsMax: 10 }
    const simulator = await runSimulator({ machines: 60, seed: 4, cspm })
    const { client } = connectPrisma(simulator.prisma, { downloadRowsMax: 10 })
    const { units, end } = await pull(client)
    const word = (unit: Unit) => /,(informational|none|N\/A),[^,]*$/.exec(String(unit.body))?.[1]
    expect(new Set(units.map(word))).toEqual(new Set([undefined, 'informational', 'none', 'N/A']))
    expect(units.map((u) => u.unit).toSorted()).toEqual(idsOf(simulator, 'drop'))
    expect(end.verdict).toBe('COMPLETE')
  })

  it('is PARTIAL where the search lists fewer CVEs than it counts', async () => {
    const rows = ['critical', 'high', 'strange'].map(
      (word, n) => `a-${n},host,CVE-2026-000${n},p,${word},x\n`,
    )
    const { client } = await vendor(
      (query) => {
        if (!/'Host'\)/.test(query)) return ''
        return rows
          .filter((row) => !/severity/.test(query) || query.includes(row.split(',')[4] ?? ''))
          .slice(0, 2)
          .join('')
      },
      { downloadRowsMax: 2 },
      () => ({ data: { totalRows: 3, items: [{ cveId: 'CVE-2026-0000' }] } }),
    )
    const { units, end, reports } = await pull(client)
    expect(units.map((u) => u.assetNativeId).toSorted()).toEqual(['a-0', 'a-1'])
    expect(end).toMatchObject({
      verdict: 'PARTIAL',
      reason: expect.stringContaining('Host: cut at 2 rows, and cannot be read by CVE'),
    })
    expect(reports.map((e) => e.failure)).toContain('MISSING_DATA')
  })

  it('asks for a CVE that a cut download has and the search does not list', async () => {
    const rows = [0, 1, 2].flatMap((n) => [
      `a-${n},host,CVE-2026-0001,p,high,x\n`,
      `a-${n},host,CVE-2026-0002,p,high,x\n`,
    ])
    const listed = { data: { totalRows: 1, items: [{ cveId: 'CVE-2026-0001' }] } }
    const { client } = await vendor(
      (query) => {
        if (!/'Host'\)/.test(query)) return ''
        const cves = query.match(/CVE-[0-9-]+/g)
        return rows
          .filter((row) => cves?.some((cve) => row.includes(cve)) ?? true)
          .slice(0, 4)
          .join('')
      },
      { downloadRowsMax: 4 },
      (query) => (query.includes("'Host'") ? listed : { data: { items: [] } }),
    )
    const { units, end } = await pull(client)
    expect(units).toHaveLength(rows.length)
    expect(end.verdict).toBe('COMPLETE')
  })

  it('rejects rows of a cut download that no part can be asked for', async () => {
    const odd = 'a-9,host,,p,high,x'
    const row = 'a-1,host,CVE-2026-0001,p,high,x'
    const { client } = await vendor(
      (query) => (query.endsWith("'Host')") ? `${odd}\n${row}\n` : /'Host'/.test(query) ? row : ''),
      { downloadRowsMax: 2 },
      () => ({ data: { totalRows: 1, items: [{ cveId: 'CVE-2026-0001' }] } }),
    )
    const { rejected, units } = await pull(client)
    expect(units.map((u) => u.unit)).toEqual(['a-1|CVE-2026-0001|p'])
    expect(rejected).toEqual([
      { body: Buffer.from(odd), violations: ['CVE_ID: must not be empty'] },
    ])
  })

  it('gives assets of a CVE that only its own cut download has', async () => {
    const row = (asset: string, cve: string) => `${asset},host,${cve},p,high,x\n`
    const search = (_query: string, path: string) =>
      path.endsWith('/asset')
        ? { value: [{ id: 'a-1' }, { id: 'a-2' }] }
        : {
            data: {
              items: [
                { cveId: 'CVE-2026-0001', totalImpactedAssets: 4 },
                { cveId: 'CVE-2026-0002', totalImpactedAssets: 1 },
              ],
            },
          }
    const { client } = await vendor(
      (query) => {
        if (!/'Host'\)/.test(query)) return ''
        if (query.includes('CVE-2026-0001')) {
          return row('a-8', 'CVE-2026-0001') + row('a-9', 'CVE-2026-0001')
        }
        const other = row('a-1', 'CVE-2026-0002')
        return query.includes('cve.id') ? other : row('a-1', 'CVE-2026-0001') + other
      },
      { downloadRowsMax: 2 },
      (query, path) => (query.includes("'Host'") ? search(query, path) : { data: { items: [] } }),
    )
    const { units, end } = await pull(client)
    expect(units.map(({ unit }) => unit)).toEqual([
      'a-1|CVE-2026-0001|',
      'a-2|CVE-2026-0001|',
      'a-8|CVE-2026-0001|p',
      'a-9|CVE-2026-0001|p',
      'a-1|CVE-2026-0002|p',
    ])
    expect(end).toEqual({ verdict: 'COMPLETE', declared: null, reason: null })
  })

  it('is PARTIAL where fewer assets of a CVE are listed than the search counts', async () => {
    const cspm = { downloadRowsMax: 3, searchRowsMax: 2 }
    const simulator = await runSimulator({ machines: 60, cspm })
    const assets = { vendor: 'prisma-cloud', endpoint: 'cspm.vulnerability-assets' } as const
    simulator.faults.set({ ...assets, kind: 'missing-rows', share: 0.5, times: 'forever' })
    const settings = { ...KEEP, downloadRowsMax: 3 }
    const { units, end, reports } = await pull(connectPrisma(simulator.prisma, settings).client)
    expect(end.verdict).toBe('PARTIAL')
    const [, found, all] =
      /, CVE-[^;]*: (\d+) of (\d+) assets were listed/.exec(`${end.reason}`) ?? []
    expect(Number(found)).toBeLessThan(Number(all))
    expect(new Set(reports.map((e) => e.failure))).toEqual(new Set(['MISSING_DATA']))
    // What the cut download told of the others is given all the same.
    expect(units.some((u) => u.contentType === 'text/csv')).toBe(true)
    expect(new Set(units.map((u) => u.unit)).size).toBe(units.length)
  })
})
