// Runs of stream cspm.vulnerabilities: against a vendor written by hand, and what its truth is.
import { gzipSync } from 'node:zlib'
import type { PipelineError } from '../../contracts/errors.ts'
import type { PullEnd, RejectedItem, Unit } from '../../contracts/ports.ts'
import type { PrismaCloudClient } from '../../producers/prisma-cloud/client.ts'
import { cspmVulnerabilities } from '../../producers/prisma-cloud/cspm-vulnerabilities.ts'
import type { Simulator } from '../../simulator/simulator.ts'
import { connectPrisma } from './connect.ts'
import { reply, serve } from './http-server.ts'

const KEY = { accessKeyId: 'ak-1', secretKey: 'sk-1' }
/** Settings with which CSPM tells also what Compute does. */
export const KEEP = { overlap: 'keep' }
/** The header row of `vendor`. */
export const COLUMNS = 'ASSET_ID,ASSET_TYPE,CVE_ID,PACKAGE_NAME,SEVERITY,NOTE'

/**
 * CSPM on one server: `rowsOf` gives the rows of a query, without the header row; `search` answers
 * the searches, or gives a status; without it they may not be asked.
 */
export async function vendor(
  rowsOf: (query: string, n: number) => string | Buffer | number,
  settings: Record<string, unknown> = {},
  search: ((query: string, path: string) => unknown) | null = null,
) {
  const queries: string[] = []
  const accepts: string[] = []
  const server = await serve((request, response) => {
    if (request.url === '/login') return reply(response, 200, { token: 't-1' })
    if (request.url === '/meta_info') return reply(response, 200, {})
    const { query } = JSON.parse(request.body) as { query: string }
    if (!request.url.endsWith('/download')) {
      const answer = search === null ? 403 : search(query, request.url)
      return typeof answer === 'number' ? reply(response, answer, {}) : reply(response, 200, answer)
    }
    queries.push(query)
    accepts.push(request.headers.accept ?? '')
    const rows = rowsOf(query, queries.length)
    const body = typeof rows === 'string' ? gzipSync(`${COLUMNS}\n${rows}`) : rows
    response.writeHead(typeof body === 'number' ? body : 200, {
      'content-type': 'application/octet-stream',
    })
    response.end(typeof body === 'number' ? '' : body)
  })
  return { ...connectPrisma({ url: server.url, ...KEY }, settings), queries, accepts }
}

/** A whole run. @throws PipelineError when it fails */
export async function pull(client: PrismaCloudClient) {
  const reports: PipelineError[] = []
  const context = { signal: new AbortController().signal, nowMs: Date.now }
  const pulling = cspmVulnerabilities.pull(client, null, {
    ...context,
    report: (error) => reports.push(error),
  })
  const units: Unit[] = []
  const rejected: RejectedItem[] = []
  let end: PullEnd
  for (;;) {
    const next = await pulling.next()
    if (next.done === true) {
      end = next.value
      break
    }
    units.push(...next.value.units)
    rejected.push(...next.value.rejected)
  }
  return { units, rejected, end, reports }
}

/** The ids of the truth: asset, CVE and package. */
export const idsOf = (simulator: Simulator, overlap: 'drop' | 'keep') =>
  simulator
    .truth(overlap)
    .findings.filter((f) => f.stream === 'cspm.vulnerabilities')
    .map((f) => `${f.assetNativeId}|${f.vulnId}|${f.packageName}`)
    .toSorted()

/** Downloads asked for so far. */
export const downloads = (simulator: Simulator): number =>
  simulator.stats().sites.find((s) => s.vendor === 'prisma-cloud')?.endpoints[
    'cspm.vulnerabilities'
  ]?.requests ?? 0
