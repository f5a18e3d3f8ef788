// Stream xpanse.assets: everything of ours that is seen from the internet, by Xpanse.
import type { ProbedSource } from '../../runtime/connector.ts'
import type { ItemIds } from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { type Probe, XPANSE_LICENCES, availability, probedBy } from './licence.ts'
import { type TokenCheckpoint, pullByToken, tokenCheckpoint } from './token-listing.ts'

const PATH = '/public_api/v1/assets/get_assets_internet_exposure/'
/** There is no filter by time: every run lists everything. */
const EVERYTHING = { filters: [] } as const

const xpanseAssetsProbe: Probe = {
  path: PATH,
  data: { ...EVERYTHING, search_from: 0, search_to: 1 },
}

/** `{"reply":{"total_count":9999,"assets_internet_exposure":[{"asm_ids":["..."]}]}}` */
export const xpanseAssets: ProbedSource<CortexClient, TokenCheckpoint> = {
  vendor: 'cortex',
  product: 'cortex-xpanse',
  stream: 'xpanse.assets',
  kind: 'SNAPSHOT',
  entities: 'assets',
  checkpoint: tokenCheckpoint,
  available: availability('xpanse.assets', XPANSE_LICENCES, xpanseAssetsProbe),
  probe: probedBy('xpanse.assets', XPANSE_LICENCES, xpanseAssetsProbe),
  pull: (client, from, context) =>
    pullByToken(
      client,
      { path: PATH, at: ['reply', 'assets_internet_exposure'], request: EVERYTHING, identify },
      from,
      context,
    ),
}

/** A list of ids, one id as text, or under the name that some tenants have for it. */
function identify(item: Readonly<Record<string, unknown>>): ItemIds | string {
  const given = item['asm_ids'] ?? item['asset_id']
  const id: unknown = Array.isArray(given) ? given[0] : given
  if (typeof id !== 'string' || id === '') return 'asm_ids: must have a text that is not empty'
  return { unit: id, assetNativeId: id }
}
