// Stream xdr.endpoints: every endpoint with an agent.
import type { ProbedSource } from '../../runtime/connector.ts'
import {
  type ItemIds,
  type OffsetCheckpoint,
  offsetCheckpoint,
  pullByOffset,
} from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { ENDPOINT_LICENCES, type Probe, availability, probedBy } from './licence.ts'
import { windowPage } from './window-page.ts'

const ENDPOINTS_PATH = '/public_api/v1/endpoints/get_endpoint/'
/** The vendor's largest window; a larger one is a 500. */
const PAGE_SIZE = 100
const PAGES_MAX = 10_000

/** `request_data` of the window. The order is by what never changes, upper-case as documented. */
const endpointsWindow = (from: number, to: number): Readonly<Record<string, unknown>> => ({
  filters: [],
  search_from: from,
  search_to: to,
  sort: { field: 'endpoint_id', keyword: 'ASC' },
})

const endpointsProbe: Probe = {
  path: ENDPOINTS_PATH,
  data: endpointsWindow(0, 1),
  rows: 'endpoints',
}

/**
 * `{"reply":{"total_count":1,"result_count":1,"endpoints":[{"endpoint_id":"..."}]}}`; `total_count`
 * may be absent.
 */
export const xdrEndpoints: ProbedSource<CortexClient, OffsetCheckpoint> = {
  vendor: 'cortex',
  product: 'cortex-xdr',
  stream: 'xdr.endpoints',
  kind: 'SNAPSHOT',
  entities: 'assets',
  checkpoint: offsetCheckpoint,
  available: availability('xdr.endpoints', ENDPOINT_LICENCES, endpointsProbe),
  probe: probedBy('xdr.endpoints', ENDPOINT_LICENCES, endpointsProbe),
  async *pull(client, from, context) {
    const listing = {
      endpoint: ENDPOINTS_PATH,
      pageSize: PAGE_SIZE,
      pagesMax: PAGES_MAX,
      page: (offset: number) =>
        windowPage(
          client,
          {
            path: ENDPOINTS_PATH,
            data: endpointsWindow(offset, offset + PAGE_SIZE),
            at: ['reply', 'endpoints'],
            totalAt: ['reply', 'total_count'],
          },
          context,
        ),
      identify,
    }
    return yield* pullByOffset(listing, from, context)
  },
}

function identify(item: Readonly<Record<string, unknown>>): ItemIds | string {
  // Some tenants wrap scalars in lists of one.
  const given = item['endpoint_id']
  const id: unknown = Array.isArray(given) && given.length === 1 ? given[0] : given
  if (typeof id !== 'string' || id === '') return 'endpoint_id: must be a text that is not empty'
  return { unit: id, assetNativeId: id }
}
