// Stream cloud.vulnerabilities: the vendor's dictionary of CVEs, which names no asset.
import type { ProbedSource } from '../../runtime/connector.ts'
import type { ItemIds } from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { CLOUD_LICENCES, type Probe, availability, probedBy } from './licence.ts'
import { type TokenCheckpoint, pullByToken, tokenCheckpoint } from './token-listing.ts'

const PATH = '/public_api/uvem/v1/get_vulnerabilities/'
/** By what never changes; in small letters there. */
const EVERYTHING = {
  filters: [],
  sort: { field: 'vulnerability_id', keyword: 'asc' },
} as const

const vulnerabilitiesProbe: Probe = {
  path: PATH,
  data: { ...EVERYTHING, search_from: 0, search_to: 1 },
}

/** `{"reply":{"total_count":5428,"vulnerabilities":[{"vulnerability_id":"CVE-..."}]}}` */
export const cloudVulnerabilities: ProbedSource<CortexClient, TokenCheckpoint> = {
  vendor: 'cortex',
  product: 'cortex-cloud',
  stream: 'cloud.vulnerabilities',
  kind: 'SNAPSHOT',
  // Neither needs the other: stores join findings to it by the id.
  entities: 'findings',
  checkpoint: tokenCheckpoint,
  available: availability('cloud.vulnerabilities', CLOUD_LICENCES, vulnerabilitiesProbe),
  probe: probedBy('cloud.vulnerabilities', CLOUD_LICENCES, vulnerabilitiesProbe),
  pull: (client, from, context) =>
    pullByToken(
      client,
      { path: PATH, at: ['reply', 'vulnerabilities'], request: EVERYTHING, identify },
      from,
      context,
    ),
}

function identify(item: Readonly<Record<string, unknown>>): ItemIds | string {
  const id = item['vulnerability_id']
  if (typeof id !== 'string' || id === '') {
    return 'vulnerability_id: must be a text that is not empty'
  }
  // No asset: it is placed by itself.
  return { unit: id, assetNativeId: id }
}
