// The searches behind the console's views of vulnerabilities: which CVEs, and who has one.
import { PipelineError } from '../../contracts/errors.ts'
import type { PullContext } from '../../contracts/ports.ts'
import { PROBE_ATTEMPTS_MAX } from '../../runtime/connector.ts'
import { missingList, pageElements } from '../../runtime/http-elements.ts'
import type { JsonElement } from '../../runtime/json-elements.ts'
import { memberAt } from '../../runtime/json-members.ts'
import type { PrismaCloudClient } from './client.ts'
import { itemOf } from './cspm-config-page.ts'

const SEARCH_PATH = '/uve/api/v1/vulnerabilities/search'
export const ASSETS_PATH = '/uve/api/v1/vulnerabilities/search/asset'
const PAGES_MAX = 10_000

/** Types as queries name them, as these searches do, and where in its life such an asset is. */
export const ASSET_TYPES = [
  { name: 'Package', word: 'package', lifecycles: ['code'] },
  { name: 'IaC', word: 'iac', lifecycles: ['code'] },
  { name: 'Host', word: 'host', lifecycles: ['run'] },
  { name: 'Deployed Image', word: 'deployedImage', lifecycles: ['run'] },
  { name: 'Container Registry Image', word: 'registryImage', lifecycles: ['deploy', 'build'] },
  { name: 'Serverless Function', word: 'serverlessFunction', lifecycles: ['run', 'build'] },
  { name: 'VM Image', word: 'vmImage', lifecycles: ['deploy'] },
] as const
export type AssetType = (typeof ASSET_TYPES)[number]

/** One CVE of the search, in its own bytes. */
export type Cve = {
  readonly id: string
  /** Assets that have it, at least 1; 1 too where the search does not count them. */
  readonly assets: number
  /** Null where only a download tells that it is there. */
  readonly bytes: Buffer | null
}
export type WeakAsset = { readonly id: string; readonly bytes: Buffer }

/**
 * All CVEs that match, of every severity and of none.
 * @throws PipelineError also when it cannot be known that these are all
 */
export async function listCves(
  client: PrismaCloudClient,
  query: string,
  context: PullContext,
): Promise<Cve[]> {
  const request = { path: SEARCH_PATH, query: { view: 'cve' }, body: { query }, under: ['data'] }
  const { found, total } = await listAll(client, { ...request, list: 'items' }, 'cveId', context)
  if (total !== null && found.size < total) {
    const text = `${SEARCH_PATH}: ${found.size} of ${total} CVEs were listed`
    throw new PipelineError('MISSING_DATA', 'FETCH', text)
  }
  return [...found].map(([id, element]) => {
    const assets = Number(itemOf(element)['totalImpactedAssets'])
    const bytes = element.bytes ?? Buffer.from('null')
    return { id, assets: Number.isFinite(assets) ? Math.max(1, assets) : 1, bytes }
  })
}

/** True when the search finds something. False also where it cannot be asked: it is no proof. */
export async function hasCves(
  client: PrismaCloudClient,
  query: string,
  context: PullContext,
): Promise<boolean> {
  try {
    const { value } = await client.cspm.json('POST', SEARCH_PATH, {
      query: { view: 'cve' },
      body: { query },
      signal: context.signal,
    })
    const items = memberAt(value, ['data', 'items'])
    return Array.isArray(items) && items.length > 0
  } catch (error) {
    const isOurs = !(error instanceof PipelineError) || error.failure === 'AUTHORIZATION_FAILURE'
    if (isOurs || context.signal.aborted) throw error
    return false
  }
}

/** One CVE of the search; null where it finds none. A probe. @throws PipelineError */
export async function someCve(client: PrismaCloudClient, query: string): Promise<string | null> {
  const { value } = await client.cspm.json('POST', SEARCH_PATH, {
    query: { view: 'cve' },
    body: { query },
    attemptsMax: PROBE_ATTEMPTS_MAX,
  })
  const items = memberAt(value, ['data', 'items'])
  const id = Array.isArray(items) ? memberAt(items[0], ['cveId']) : null
  return typeof id === 'string' ? id : null
}

/** One page of the assets that have the CVE. A probe. @throws PipelineError */
export async function tryWeakAssets(
  client: PrismaCloudClient,
  query: string,
  cveId: string,
  { word: assetType, lifecycles: [assetLifecycle] }: AssetType,
): Promise<void> {
  const body = { query, cveId, assetLifecycle, assetType }
  await client.cspm.json('POST', ASSETS_PATH, { body, attemptsMax: PROBE_ATTEMPTS_MAX })
}

/** All assets of one type that have the CVE. @throws PipelineError as listCves does */
export async function listWeakAssets(
  client: PrismaCloudClient,
  query: string,
  cveId: string,
  type: AssetType,
  context: PullContext,
): Promise<WeakAsset[]> {
  const assets = new Map<string, JsonElement>()
  for (const assetLifecycle of type.lifecycles) {
    const body = { query, cveId, assetLifecycle, assetType: type.word }
    const request = { path: ASSETS_PATH, query: {}, body, under: [], list: 'value' }
    const { found } = await listAll(client, request, 'id', context)
    for (const [id, element] of found) assets.set(id, element)
  }
  return [...assets].map(([id, { bytes }]) => ({ id, bytes: bytes ?? Buffer.from('null') }))
}

type Request = {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly body: unknown
  /** Path of the object that holds list and token. */
  readonly under: readonly string[]
  readonly list: string
}

type Listed = {
  readonly found: Map<string, JsonElement>
  /** `totalRows` of the last page; null where it is not told. */
  readonly total: number | null
}

/** Every element by its id, page by page; the token goes into the query. */
async function listAll(
  client: PrismaCloudClient,
  request: Request,
  idField: string,
  context: PullContext,
): Promise<Listed> {
  const found = new Map<string, JsonElement>()
  let token: string | null = null
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const before = found.size
    const { next, total }: Page = await onePage(client, request, token, context, (element) => {
      const id = itemOf(element)[idField]
      if (typeof id === 'string' && id !== '') found.set(id, element)
      else throw cannotTell(request.path, `an item has no ${idField}`)
    })
    if (next === null) return { found, total }
    if (next === token || found.size === before) {
      throw cannotTell(request.path, 'the same page comes again')
    }
    token = next
  }
  throw cannotTell(request.path, `more than ${PAGES_MAX} pages`)
}

type Page = {
  /** The next page's token; null after the last one. */
  readonly next: string | null
  readonly total: number | null
}

async function onePage(
  client: PrismaCloudClient,
  { path, query, body, under, list }: Request,
  token: string | null,
  context: PullContext,
  onElement: (element: JsonElement) => void,
): Promise<Page> {
  const at = [...under, list]
  const elements = pageElements(client.cspm, {
    method: 'POST',
    path,
    options: {
      query: token === null ? query : { ...query, page_token: token },
      body,
      signal: context.signal,
    },
    at,
    nowMs: context.nowMs,
    verify: ({ beside }) => {
      if (!beside.found && memberAt(beside.value, at) !== null) throw missingList(at)
    },
  })
  for (;;) {
    const step = await elements.next()
    if (step.done === true) {
      const { value } = step.value.beside
      const next = memberAt(value, [...under, 'nextPageToken'])
      const total = memberAt(value, [...under, 'totalRows'])
      return {
        next: typeof next === 'string' && next !== '' ? next : null,
        total: typeof total === 'number' ? total : null,
      }
    }
    onElement(step.value.element)
  }
}

const cannotTell = (path: string, why: string): PipelineError =>
  new PipelineError('INVALID_RESPONSE', 'FETCH', `${path}: ${why}`)
