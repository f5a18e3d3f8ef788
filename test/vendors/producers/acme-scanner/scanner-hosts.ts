// Stream scanner.hosts: every host that the scanner knows, with its weaknesses in the record.
import { PROBE_ATTEMPTS_MAX, type ProbedSource } from '../../../../runtime/connector.ts'
import { missingList, pageElements } from '../../../../runtime/http-elements.ts'
import {
  type ItemIds,
  type OffsetCheckpoint,
  type OffsetListing,
  isObject,
  offsetCheckpoint,
  pullByOffset,
} from '../../../../runtime/offset-listing.ts'
import type { AcmeScannerClient } from './client.ts'

const HOSTS_PATH = '/v2/hosts'
/** 2,000 pages of 200: 400,000 hosts. */
const PAGES_MAX = 2_000

/** `GET /v2/hosts?from=0&size=200` answers `{"total": 1, "hosts": [{"hostId": "h-1"}]}`. */
export const scannerHosts: ProbedSource<AcmeScannerClient, OffsetCheckpoint> = {
  vendor: 'acme-scanner',
  product: 'acme-scanner',
  stream: 'scanner.hosts',
  kind: 'SNAPSHOT',
  entities: 'both',
  checkpoint: offsetCheckpoint,
  pull({ config, http }, from, { signal, nowMs, report }) {
    const listing: OffsetListing = {
      endpoint: HOSTS_PATH,
      pageSize: config.pageSize,
      pagesMax: PAGES_MAX,
      async *page(offset) {
        const { beside, count } = yield* pageElements(http, {
          method: 'GET',
          path: HOSTS_PATH,
          options: { query: { from: offset, size: config.pageSize }, signal },
          at: ['hosts'],
          nowMs,
          verify: (end) => {
            // Without its list it is another answer, and not an account without hosts.
            if (!end.beside.found) throw missingList(['hosts'])
          },
        })
        return { total: totalOf(beside.value), count }
      },
      identify,
    }
    return pullByOffset(listing, from, { signal, nowMs, report })
  },
  async probe({ http }, ask) {
    const options = { query: { from: 0, size: 1 }, attemptsMax: PROBE_ATTEMPTS_MAX }
    await ask(null, () => http.json('GET', HOSTS_PATH, options))
  },
}

function totalOf(answer: unknown): number | null {
  const total = isObject(answer) ? answer['total'] : null
  return Number.isSafeInteger(total) && Number(total) >= 0 ? Number(total) : null
}

function identify({ hostId: id }: Readonly<Record<string, unknown>>): ItemIds | string {
  if (typeof id !== 'string' || id === '') return 'hostId: must be a text that is not empty'
  return { unit: id, assetNativeId: id }
}
