// Stream compute.hosts: every host that Compute scans, with its vulnerabilities in the record.
import type { Source } from '../../contracts/ports.ts'
import {
  type PageElement,
  type PageEnd,
  missingList,
  pageElements,
} from '../../runtime/http-elements.ts'
import type { HttpClient } from '../../runtime/http.ts'
import {
  type ItemIds,
  type OffsetCheckpoint,
  type OffsetPageEnd,
  offsetCheckpoint,
  pullByOffset,
} from '../../runtime/offset-listing.ts'
import type { PrismaCloudClient } from './client.ts'

/** 10,000 pages of 50: half a million hosts. */
const PAGES_MAX = 10_000

/** Path of the listing, for the version that the connection names. */
export const hostsPath = (client: PrismaCloudClient): string =>
  `/api/${client.config.computeVersion}/hosts`

/**
 * `GET hosts?limit&offset`: a bare array, `null` past the end, `Total-Count` in a header. The
 * offset counts records.
 * @see https://pan.dev/prisma-cloud/api/cwpp/get-hosts/ (read 2026-11)
 */
export const computeHosts: Source<PrismaCloudClient, OffsetCheckpoint> = {
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  stream: 'compute.hosts',
  kind: 'SNAPSHOT',
  entities: 'both',
  checkpoint: offsetCheckpoint,
  async *pull(client, from, context) {
    const compute = await client.compute()
    const { pageSize } = client.config
    const listing = {
      endpoint: hostsPath(client),
      pageSize,
      pagesMax: PAGES_MAX,
      // The console may cap a page below what is asked for.
      shortPageEnds: false,
      page: (offset: number) => hostsPage(compute, client, offset, context),
      identify,
    }
    return yield* pullByOffset(listing, from, context)
  },
}

async function* hostsPage(
  compute: HttpClient,
  client: PrismaCloudClient,
  offset: number,
  context: { readonly signal: AbortSignal; readonly nowMs: () => number },
): AsyncGenerator<PageElement, OffsetPageEnd> {
  const end = yield* pageElements(compute, {
    method: 'GET',
    path: hostsPath(client),
    options: {
      query: { limit: client.config.pageSize, offset, normalizedSeverity: true },
      limiter: client.computeLimiter('hosts'),
      signal: context.signal,
    },
    at: [],
    nowMs: context.nowMs,
    verify: ({ beside }: PageEnd) => {
      if (!beside.found && beside.value !== null) throw missingList([])
    },
  })
  return { total: totalCountOf(end.headers), count: end.count }
}

function totalCountOf(headers: Readonly<Record<string, string>>): number | null {
  const text = headers['total-count'] ?? ''
  return /^\d{1,12}$/.test(text) ? Number(text) : null
}

/** The console's own key is `_id`; images and functions have their own, so the type goes first. */
function identify(item: Readonly<Record<string, unknown>>): ItemIds | string {
  const { _id: id, type } = item
  if (typeof id !== 'string' || id === '') return '_id: must be a text that is not empty'
  return {
    unit: id,
    assetNativeId: `${typeof type === 'string' && type !== '' ? type : 'host'}|${id}`,
  }
}
