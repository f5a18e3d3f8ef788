// Stream cloud.issues: what a policy made of weaknesses, for tenants without XQL findings.
import { PipelineError } from '../../contracts/errors.ts'
import type { PullContext } from '../../contracts/ports.ts'
import { PROBE_ATTEMPTS_MAX, type ProbedSource } from '../../runtime/connector.ts'
import { countOf, memberAt } from '../../runtime/json-members.ts'
import {
  type ItemIds,
  type OffsetCheckpoint,
  offsetCheckpoint,
  pullByOffset,
} from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { tryProbe } from './licence.ts'
import { declaredOf, windowPage } from './window-page.ts'
import { presentDatasets } from './xql-datasets.ts'

export const ISSUES_PATH = '/public_api/v1/issue/search/'
/** The documented default; whether more would be given is not known. */
const PAGE_SIZE = 100
const PAGES_MAX = 100_000
/** An issue is one unit per asset, so that each meets what else is known of its asset. */
const ASSETS_PER_ISSUE_MAX = 1_000

/**
 * `request_data` of the window. It holds the paging as well: beside it the specification's own
 * examples have it, where nobody has seen it work.
 */
export const issuesWindow = (from: number, to: number): Readonly<Record<string, unknown>> => ({
  filters: [{ field: 'category', operator: 'in', value: ['VULNERABILITY'] }],
  search_from: from,
  search_to: to,
  sort: { field: 'id', keyword: 'asc' },
  include_fields: ['normalized_fields'],
})

/**
 * Tenants answer `{"reply":{"DATA":[…],"FILTER_COUNT":n,"TOTAL_COUNT":n}}`, the specification
 * `{"reply":{"issues":[…],"result_count":n,"total_count":n}}`.
 */
export const cloudIssues: ProbedSource<CortexClient, OffsetCheckpoint> = {
  vendor: 'cortex',
  product: 'cortex-cloud',
  stream: 'cloud.issues',
  kind: 'SNAPSHOT',
  entities: 'findings',
  checkpoint: offsetCheckpoint,
  fallback: true,
  async available(client, context) {
    const elsewhere = await readElsewhere(client, context)
    if (elsewhere !== null || (await hasIssues(client, context))) return elsewhere
    return new PipelineError('NOT_LICENSED', 'FETCH', `the tenant has no ${ISSUES_PATH}`)
  },
  probe: async (client, ask) => {
    await ask(null, async () => {
      const { signal } = new AbortController()
      const elsewhere = await readElsewhere(client, { signal, nowMs: client.nowMs })
      if (elsewhere !== null) throw elsewhere
      await tryProbe(client, 'cloud.issues', [], { path: ISSUES_PATH, data: issuesWindow(0, 1) })
    })
  },
  async *pull(client, from, context) {
    const at = ['reply', await listName(client, context)]
    const listing = {
      endpoint: ISSUES_PATH,
      pageSize: PAGE_SIZE,
      pagesMax: PAGES_MAX,
      page: (offset: number) => issuesPage(client, at, offset, context),
      identify,
    }
    return yield* pullByOffset(listing, from, context)
  },
}

/** Why issues are not wanted; null where they are. */
async function readElsewhere(
  client: CortexClient,
  context: Pick<PullContext, 'signal' | 'nowMs'>,
): Promise<PipelineError | null> {
  if (client.config.issues === 'always') return null
  const [dataset] = await presentDatasets(client, context)
  if (dataset === undefined) return null
  const message = `issues are not read beside dataset ${dataset}, which tells more`
  const remediation = 'Nothing to do. To read issues all the same, set issues: always.'
  return new PipelineError('NOT_LICENSED', 'FETCH', message, { remediation })
}

async function* issuesPage(
  client: CortexClient,
  at: readonly string[],
  offset: number,
  context: PullContext,
) {
  const data = issuesWindow(offset, offset + PAGE_SIZE)
  const totalAt = ['reply', 'FILTER_COUNT']
  const end = yield* windowPage(client, { path: ISSUES_PATH, data, at, totalAt }, context)
  const filtered = memberAt(end.beside, totalAt)
  const all = filtered === undefined ? memberAt(end.beside, ['reply', 'total_count']) : filtered
  const { total, atLeast } = declaredOf(all)
  // Where it says no more than the page itself, it may be the page's own count.
  return { ...end, atLeast, total: total !== null && total > end.count ? total : null }
}

const probeIssues = (client: CortexClient, context: Pick<PullContext, 'signal'>, quiet: boolean) =>
  client.http.json('POST', ISSUES_PATH, {
    body: { request_data: issuesWindow(0, 1) },
    signal: context.signal,
    ...(quiet ? { quiet, attemptsMax: PROBE_ATTEMPTS_MAX } : {}),
  })

/** Whether the tenant has the call. @throws PipelineError when it could not be found out */
export async function hasIssues(
  client: CortexClient,
  context: Pick<PullContext, 'signal'>,
): Promise<boolean> {
  try {
    await probeIssues(client, context, true)
    return true
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error
    // Older tenants answer as for any unknown path; whom the role keeps out sees that it is there.
    if (error.failure === 'NOT_FOUND' || error.failure === 'NOT_LICENSED') return false
    if (error.failure === 'ACCESS_FORBIDDEN') return true
    throw error
  }
}

/** What this tenant calls the list. */
async function listName(client: CortexClient, context: PullContext): Promise<string> {
  const { value } = await probeIssues(client, context, false)
  return Array.isArray(memberAt(value, ['reply', 'issues'])) ? 'issues' : 'DATA'
}

function identify(item: Readonly<Record<string, unknown>>): readonly ItemIds[] | string {
  const { id, asset_ids } = item
  const name = countOf(id) === null ? id : String(id)
  if (typeof name !== 'string' || name === '') return 'id: must be a number or a text'
  const given: unknown[] = Array.isArray(asset_ids) ? asset_ids : [asset_ids]
  const assets = new Set(given.filter((asset) => typeof asset === 'string' && asset !== ''))
  if (assets.size > ASSETS_PER_ISSUE_MAX) return `asset_ids: more than ${ASSETS_PER_ISSUE_MAX}`
  // Without an asset there is nothing to find a weakness on; the record is kept all the same.
  if (assets.size === 0) return [{ unit: name, assetNativeId: `issue|${name}` }]
  return [...assets].map((asset) => ({
    unit: `${name}|${String(asset)}`,
    assetNativeId: String(asset),
  }))
}
