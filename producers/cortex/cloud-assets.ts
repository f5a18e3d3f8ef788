// Stream cloud.assets: the unified inventory of Cortex Cloud.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import type { PullContext } from '../../contracts/ports.ts'
import type { ProbedSource } from '../../runtime/connector.ts'
import { memberAt } from '../../runtime/json-members.ts'
import {
  type ItemIds,
  type OffsetCheckpoint,
  offsetCheckpoint,
  pullByOffset,
} from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { CLOUD_LICENCES, type Probe, availability, probedBy } from './licence.ts'
import { windowPage } from './window-page.ts'

const ASSETS_PATH = '/public_api/v1/assets'
const SCHEMA_PATH = '/public_api/v1/assets/schema'
const PAGE_SIZE = 1_000
const PAGES_MAX = 2_000

/** Fields that come only when asked for, and that we have a place for. */
const WANTED_FIELDS = [
  'xdm.host.ipv4_addresses',
  'xdm.host.ipv6_addresses',
  'xdm.host.mac_addresses',
  'xdm.host.fqdn',
  'xdm.host.os_family',
  'xdm.host.os_distribution',
  'xdm.host.os_release',
  'xdm.network.internet_exposed',
] as const
/** Known from the vendor's own examples, where the schema cannot be read. */
const SAFE_FIELDS = ['xdm.host.ipv4_addresses'] as const

/** `request_data` of the window, sorted by what never changes. */
const assetsWindow = (
  from: number,
  to: number,
  fields: readonly string[] = SAFE_FIELDS,
): Readonly<Record<string, unknown>> => ({
  on_demand_fields: fields,
  sort: [{ FIELD: 'xdm.asset.id', ORDER: 'ASC' }],
  search_from: from,
  search_to: to,
})

const assetsProbe: Probe = {
  path: ASSETS_PATH,
  data: assetsWindow(0, 1),
  rows: 'data',
}

/** `{"reply":{"data":[{"xdm.asset.id":"..."}],"metadata":{"filter_count":1,"total_count":915}}}` */
export const cloudAssets: ProbedSource<CortexClient, OffsetCheckpoint> = {
  vendor: 'cortex',
  product: 'cortex-cloud',
  stream: 'cloud.assets',
  kind: 'SNAPSHOT',
  entities: 'assets',
  checkpoint: offsetCheckpoint,
  available: availability('cloud.assets', CLOUD_LICENCES, assetsProbe),
  probe: probedBy('cloud.assets', CLOUD_LICENCES, assetsProbe),
  async *pull(client, from, context) {
    const fields = await onDemandFields(client, context)
    const listing = {
      endpoint: ASSETS_PATH,
      pageSize: PAGE_SIZE,
      pagesMax: PAGES_MAX,
      page: (offset: number) =>
        windowPage(
          client,
          {
            path: ASSETS_PATH,
            data: assetsWindow(offset, offset + PAGE_SIZE, fields),
            at: ['reply', 'data'],
            // It may ignore filters; there are none here.
            totalAt: ['reply', 'metadata', 'total_count'],
          },
          context,
        ),
      identify,
    }
    return yield* pullByOffset(listing, from, context)
  },
}

const schemaRow = z.looseObject({ field_name: z.string() })

/** Those wanted that the tenant knows: an unknown one would fail the whole listing. */
async function onDemandFields(
  client: CortexClient,
  { signal }: Pick<PullContext, 'signal'>,
): Promise<readonly string[]> {
  try {
    const quietly = { signal, quiet: true, attemptsMax: 1 }
    const { value } = await client.http.json('GET', SCHEMA_PATH, quietly)
    const rows = memberAt(value, ['reply', 'data']) ?? memberAt(value, ['reply', 'DATA'])
    const known = new Set(
      (Array.isArray(rows) ? rows : []).flatMap((row) => {
        const parsed = schemaRow.safeParse(row)
        return parsed.success ? [parsed.data.field_name] : []
      }),
    )
    const fields = WANTED_FIELDS.filter((name) => known.has(name))
    return fields.length === 0 ? SAFE_FIELDS : fields
  } catch (error) {
    // Not every tenant has it. What else may be wrong shows at the listing itself.
    if (error instanceof PipelineError && !signal.aborted) return SAFE_FIELDS
    throw error
  }
}

function identify(item: Readonly<Record<string, unknown>>): ItemIds | string {
  const id = item['xdm.asset.id']
  if (typeof id !== 'string' || id === '') return 'xdm.asset.id: must be a text that is not empty'
  return { unit: id, assetNativeId: id }
}
