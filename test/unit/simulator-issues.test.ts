// The simulated tenants' issues, incidents, datasets and quota, as the vendor documents them.
import { describe, expect, it } from 'vitest'
import type { FindingsBehaviour } from '../../simulator/cortex/xql-behaviour.ts'
import type { CortexAccess } from '../../simulator/simulator.ts'
import { askCortex, runSimulator, startXql, xqlResult } from '../support/simulator.ts'

type Json = Record<string, unknown>
const tenant = async (behaviour: Partial<FindingsBehaviour> = {}, machines = 120) =>
  (await runSimulator({ machines, cortexFindings: [behaviour, {}] })).cortex[0]
const replyOf = async (access: CortexAccess, call: string, data: unknown): Promise<Json> =>
  (JSON.parse((await askCortex(access, call, data)).text) as { reply: Json }).reply
const rowsOf = async (access: CortexAccess, query: string) =>
  (await xqlResult(access, await startXql(access, query), 1_000)).results.data ?? []

const VULNERABILITY = [{ field: 'category', operator: 'in', value: ['VULNERABILITY'] }]

describe('issue/search', () => {
  const call = 'issue/search'

  it('answers as tenants do, or as specified, with normalized fields on demand', async () => {
    const asked = { filters: VULNERABILITY, include_fields: ['normalized_fields'] }
    const live = await replyOf(await tenant(), call, asked)
    expect(Object.keys(live)).toEqual(['DATA', 'FILTER_COUNT', 'TOTAL_COUNT'])
    const [issue] = live['DATA'] as Json[]
    expect(issue).toMatchObject({ 'status.progress': expect.any(String) })
    expect(issue?.['normalized_fields']).toBeDefined()
    const spec = await replyOf(await tenant({ issues: 'spec' }), call, { filters: VULNERABILITY })
    expect(Object.keys(spec)).toEqual(['total_count', 'result_count', 'issues'])
    const [other] = spec['issues'] as Json[]
    expect(other).toMatchObject({ status: expect.any(String), _insert_time: expect.any(String) })
    expect(other?.['normalized_fields']).toBeUndefined()
  })

  it.each([
    ['a span above 100', { search_from: 0, search_to: 101 }],
    ['an unknown field', { filters: [{ field: 'colour', operator: 'in', value: ['red'] }] }],
    ['an order that is not supported', { sort: { field: 'last_modified', keyword: 'asc' } }],
  ])('does not understand %s', async (_, data) => {
    expect(await askCortex(await tenant(), call, data)).toMatchObject({
      status: 500,
      text: expect.stringContaining('waitress'),
    })
  })

  it('is an unknown path to older tenants', async () => {
    const { status, text } = await askCortex(await tenant({ issues: 'absent' }), call, {})
    expect([status, text]).toEqual([500, expect.stringContaining('waitress')])
  })
})

describe('incidents', () => {
  it('count those that the key may not see, and name them', async () => {
    const access = await tenant({ restrictedIncidents: 2 })
    const reply = await replyOf(access, 'incidents/get_incidents', { search_to: 100 })
    const shown = reply['incidents'] as Json[]
    expect(reply['restricted_incident_ids']).toHaveLength(2)
    expect(reply['total_count']).toBe(shown.length + 2)
    expect(reply['result_count']).toBe(shown.length)
  })

  it('name CVEs in their details alone, and have none for an id that is not there', async () => {
    const access = await tenant()
    const { incidents } = await replyOf(access, 'incidents/get_incidents', {})
    const [asm] = (incidents as Json[]).filter((i) => String(i['incident_sources']) === 'ASM')
    expect(asm).not.toHaveProperty('xpanse_risk_explainer')
    const details = 'incidents/get_incident_extra_data'
    const extra = await replyOf(access, details, { incident_id: asm?.['incident_id'] })
    const { cves } = (extra['incident'] as Json)['xpanse_risk_explainer'] as { cves: Json[] }
    expect(cves[0]?.['cveId']).toMatch(/^CVE-/)
    expect((await askCortex(access, details, { incident_id: 'x' })).status).toBe(404)
  })
})

describe('the datasets', () => {
  it('are listed and asked as the tenant has them', async () => {
    const access = await tenant({ datasets: ['uvm_findings', 'va_cves', 'va_endpoints'] })
    const listed = (await replyOf(access, 'xql/get_datasets', {})) as unknown as Json[]
    expect(listed.map((row) => row['Dataset Name'])).toEqual([
      'uvm_findings',
      'va_cves',
      'va_endpoints',
      'xdr_data',
    ])
    const [flat] = await rowsOf(access, 'dataset = uvm_findings | filter cvss_severity != null')
    expect(flat?.['cvss_severity']).toMatch(/^SEV_0[4-7]0_/)
    const missing = await askCortex(access, 'xql/start_xql_query', { query: 'dataset = findings' })
    expect([missing.status, missing.text]).toEqual([500, expect.stringContaining('findings')])
  })

  it('of Host Insights tell less beside the newer ones', async () => {
    const cves = async (datasets: FindingsBehaviour['datasets']) => {
      const access = await tenant({ datasets })
      const rows = await rowsOf(access, 'dataset = va_endpoints | filter cves != null')
      return rows.reduce((sum, row) => sum + (row['cves'] as string[]).length, 0)
    }
    const alone = await cves(['va_endpoints', 'va_cves'])
    const beside = await cves(['findings', 'va_endpoints', 'va_cves'])
    expect(beside).toBeGreaterThan(0)
    expect(beside).toBeLessThan(alone / 2)
  })

  it('are read in slices by key', async () => {
    const access = await tenant()
    const source = 'dataset = findings | filter xdm.finding.is_active = true'
    const ids = async (after: string) => {
      const slice = `${source} | filter xdm.finding.id > "${after}" | sort asc xdm.finding.id`
      return (await rowsOf(access, `${slice} | limit 10`)).map((row) =>
        String(row['xdm.finding.id']),
      )
    }
    const first = await ids('')
    const second = await ids(first.at(-1) ?? '')
    expect([first.length, second.length]).toEqual([10, 10])
    expect([...first, ...second]).toEqual([...first, ...second].toSorted())
    expect(new Set([...first, ...second]).size).toBe(20)
  })

  it('answer no query once the quota is used up', async () => {
    const access = await tenant({ quotaUnits: 0.003 })
    const start = () => askCortex(access, 'xql/start_xql_query', { query: 'dataset = xdr_data' })
    expect([(await start()).status, (await start()).status]).toEqual([200, 200])
    const refused = await start()
    expect(refused.status).toBe(500)
    expect(JSON.parse(refused.text)).toMatchObject({
      reply: { err_extra: { remaining_quota: 0 } },
    })
    expect(await replyOf(access, 'xql/get_quota', {})).toMatchObject({ license_quota: 0.003 })
  })
})
