// Stream xdr.findings: a dictionary that is not whole keeps the run from being COMPLETE.
import { describe, expect, it } from 'vitest'
import { xdrFindings } from '../../producers/cortex/xdr-findings.ts'
import { connectCortex, pullAll } from '../support/connect.ts'
import { reply, serve } from '../support/http-server.ts'
import { QUICK } from '../support/sources.ts'

const KEY = { apiKey: 'canary-cortex-key', apiKeyId: 12, securityLevel: 'standard' } as const
const MIB = 1024 * 1024
const endpoint = { endpoint_id: 'e-1', cves: ['CVE-2026-0001'] }
const cve = { name: 'CVE-2026-0001', severity: 'LOW' }

type Result = { readonly status: string; readonly rows: readonly unknown[] }

/** A run over a tenant with one endpoint; the dictionary comes as a stream of `lines`. */
async function run(
  dictionary: { status?: string; lines?: Iterable<string> },
  endpoints = 'SUCCESS',
) {
  const queries: string[] = []
  const { url } = await serve((call, response) => {
    const { request_data: data } = JSON.parse(call.body) as {
      request_data: { query?: string; query_id?: string }
    }
    if (call.url.includes('get_quota')) return reply(response, 403, {})
    if (call.url.includes('start_xql')) {
      queries.push(data.query ?? '')
      return reply(response, 200, { reply: { query_id: `${queries.length - 1}` } })
    }
    if (call.url.includes('results_stream')) {
      response.writeHead(200)
      return void (async () => {
        for (const line of dictionary.lines ?? []) {
          if (!response.write(line)) await new Promise((done) => response.once('drain', done))
        }
        response.end()
      })()
    }
    const isOfCves = queries[Number(data.query_id)]?.includes('va_cves') === true
    const result = (given: Result) => ({ status: given.status, results: { data: given.rows } })
    if (isOfCves && dictionary.lines !== undefined) {
      return reply(response, 200, { reply: { status: 'SUCCESS', results: { stream_id: 's' } } })
    }
    const given = isOfCves
      ? { status: dictionary.status ?? 'SUCCESS', rows: [cve] }
      : { status: endpoints, rows: [endpoint] }
    return reply(response, 200, { reply: result(given) })
  })
  const { client } = connectCortex({ url, ...KEY }, {}, QUICK)
  const { units, end } = await pullAll(xdrFindings, client)
  return { bodies: units.map(({ body }) => JSON.parse(String(body)) as unknown), end }
}

describe('the dictionary of CVEs', () => {
  it('that is whole leaves the run COMPLETE', async () => {
    const { bodies, end } = await run({})
    expect(bodies).toEqual([{ endpoint, cves: [cve] }])
    expect(end).toEqual({ verdict: 'COMPLETE', declared: null, reason: null })
  })

  it('that not every tenant answered makes the run PARTIAL', async () => {
    const { bodies, end } = await run({ status: 'PARTIAL_SUCCESS' })
    expect(bodies).toHaveLength(1)
    expect(end).toMatchObject({
      verdict: 'PARTIAL',
      reason: 'the dictionary of CVEs is PARTIAL_SUCCESS: not every tenant answered',
    })
    const both = await run({ status: 'PARTIAL_SUCCESS' }, 'PARTIAL_SUCCESS')
    expect(both.end.reason?.match(/PARTIAL_SUCCESS/g)).toHaveLength(2)
  })

  it('above 128 MiB is used as far as it goes, and the run is PARTIAL', async () => {
    const pad = 'x'.repeat(7 * MIB)
    const lines = function* () {
      yield `${JSON.stringify(cve)}\n`
      for (let n = 0; n < 40; n += 1) yield `${JSON.stringify({ name: `CVE-2025-${n}`, pad })}\n`
    }
    const { bodies, end } = await run({ lines: lines() })
    expect(bodies).toEqual([{ endpoint, cves: [cve] }])
    expect(end).toMatchObject({
      verdict: 'PARTIAL',
      reason: 'the dictionary of CVEs exceeds 128 MiB',
    })
  })
})
