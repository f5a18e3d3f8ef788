// Xpanse, the CVE dictionary and licences through the whole product: the store holds the truth.
import { describe, expect, it } from 'vitest'
import { CORTEX_STREAMS } from '../../producers/cortex/config.ts'
import { startProduct } from '../support/product.ts'

const WANTED = ['xdr.endpoints', 'xpanse.assets', 'xpanse.services', 'cloud.vulnerabilities']
const streams = Object.fromEntries(
  CORTEX_STREAMS.filter((stream) => !WANTED.includes(stream)).map((stream) => [
    stream,
    { enabled: false },
  ]),
)

describe('Xpanse and the CVE dictionary', () => {
  it('fill the store, skip what a tenant has not bought, and then add nothing', async () => {
    const product = await startProduct({
      simulator: {
        machines: 80,
        cortexTenants: [{ pageRowsMax: 7 }, { licences: ['xdr'], unlicensed: 'payment-required' }],
      },
      connections: ['alpha', 'beta'],
      connection: { streams },
    })
    const first = await product.once()
    expect(first.stderr).toBe('')
    expect(first.code).toBe(0)
    const verdicts = first.summary?.runs.map((r) => `${r.connection} ${r.stream} ${r.verdict}`)
    expect(verdicts?.toSorted()).toEqual(
      WANTED.flatMap((stream) => [
        `alpha ${stream} COMPLETE`,
        `beta ${stream} ${stream === 'xdr.endpoints' ? 'COMPLETE' : 'SKIPPED'}`,
      ]).toSorted(),
    )
    expect(first.summary?.connectorErrors).toEqual({ NOT_LICENSED: 3 })

    const truth = product.simulator.truth()
    const told = (stream: string) => truth.assets.filter((a) => a.stream === stream)
    const counts = await product.query<{ stream: string; count: number }>(
      'select stream, count(*)::int as count from exposure.asset group by 1 order by 1',
    )
    expect(counts).toEqual(
      ['xdr.endpoints', 'xpanse.assets', 'xpanse.services'].map((stream) => ({
        stream,
        count: told(stream).length,
      })),
    )
    const findings = await product.query<{ line: string }>(
      `select concat_ws('|', vuln_id, state->'locator'->>'service_id') as line
       from exposure.finding`,
    )
    expect(findings.map((row) => row.line).toSorted()).toEqual(
      truth.findings
        .filter((f) => f.stream === 'xpanse.services')
        .map((f) => `${f.vulnId}|${f.assetNativeId}`)
        .toSorted(),
    )
    const entries = await product.query<{ line: string }>(
      `select concat_ws('|', vuln_id, severity_id, coalesce(cvss_score::text, '-')) as line
       from exposure.vulnerability`,
    )
    expect(entries.map((row) => row.line).toSorted()).toEqual(
      truth.vulnerabilities.map((v) => `${v.vulnId}|${v.severityId}|${v.cvss ?? '-'}`).toSorted(),
    )
    // A finding is read beside what the dictionary says of its weakness.
    const unknown = await product.query(
      `select 1 from exposure.finding left join exposure.vulnerability v using (vuln_id)
       where v.vuln_id is null`,
    )
    expect(unknown).toEqual([])
    const shared = await product.query(
      'select entity_uid from exposure.asset group by 1 having count(distinct product) > 1',
    )
    expect(shared.length).toBeGreaterThan(0)

    const second = await product.once()
    expect(second.summary?.connectorErrors).toEqual({})
    const events = Object.values(second.summary?.streams ?? {}).map((stream) => stream.events)
    expect(events).toEqual(events.map(() => 0))
  })
})
