// One page of the configuration search, and what every item of it must have.
import type { PullContext } from '../../contracts/ports.ts'
import { type PageElement, missingList, pageElements } from '../../runtime/http-elements.ts'
import { type JsonElement, cutObject } from '../../runtime/json-elements.ts'
import { countOf } from '../../runtime/json-members.ts'
import { isObject } from '../../runtime/offset-listing.ts'
import type { PrismaCloudClient } from './client.ts'
import { type Read, type Token, type TokenPageEnd, tokenOf } from './cspm-token-listing.ts'

export const CONFIG_PATH = '/search/api/v2/config'
const NEXT_PATH = '/search/config/page'

export const configEndpoint = (token: Token | null): string =>
  token === null ? CONFIG_PATH : NEXT_PATH

/**
 * Without `resource.status`: it would leave out what neither came nor went within the window.
 * @see https://pan.dev/prisma-cloud/api/cspm/search-config-v-2/ (read 2026-11)
 */
export const configQuery = (apiName: string, limit: number) => ({
  query: `config from cloud.resource where api.name = '${apiName}'`,
  limit,
  withResourceJson: true,
  skipSearchCreation: true,
})

/** `{"totalRows":250,"items":[{"assetId":"...","data":{}}],"nextPageToken":"P2"}` */
export async function* configPage(
  client: PrismaCloudClient,
  apiName: string,
  token: Token | null,
  context: Pick<PullContext, 'signal' | 'nowMs'>,
): AsyncGenerator<PageElement, TokenPageEnd> {
  const limit = client.config.configPageSize
  const body =
    token === null
      ? configQuery(apiName, limit)
      : { pageToken: token, limit, withResourceJson: true }
  const end = yield* pageElements(client.cspm, {
    method: 'POST',
    path: configEndpoint(token),
    options: { body, signal: context.signal },
    at: ['items'],
    nowMs: context.nowMs,
    verify: ({ beside }) => {
      if (!beside.found && memberOf(beside.value, 'items') !== null) throw missingList(['items'])
    },
  })
  const { beside, count } = end
  return {
    next: tokenOf(memberOf(beside.value, 'nextPageToken')),
    total: countOf(memberOf(beside.value, 'totalRows')),
    count,
  }
}

/** A member of an object; undefined where there is none. */
export const memberOf = (value: unknown, name: string): unknown =>
  isObject(value) ? value[name] : undefined

/** The item's members: all of them, or of one above the bound those at its beginning. */
export function itemOf({ bytes, head, value }: JsonElement): Readonly<Record<string, unknown>> {
  const item = bytes === null ? cutObject(head) : value
  return isObject(item) ? item : {}
}

/** An item as a unit in its own bytes; what was deleted is left out. */
export function readConfigItem(element: JsonElement): Read {
  const { assetId, deleted } = itemOf(element)
  if (typeof assetId !== 'string' || assetId === '') {
    return { kind: 'rejected', violation: 'assetId: must be a text that is not empty' }
  }
  // Told beside its successor, which may have the same id.
  if (deleted === true) return { kind: 'left-out', key: `deleted:${assetId}` }
  const { bytes, sizeBytes } = element
  const contentType = 'application/json'
  const ids = { unit: assetId, assetNativeId: assetId }
  return { kind: 'unit', unit: { ...ids, body: bytes, sizeBytes, contentType, columns: null } }
}
