// Stream cspm.inventory: every resource with the result of its policies, but those of cspm.config.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import type { Chunk, PullContext, PullEnd } from '../../contracts/ports.ts'
import { PROBE_ATTEMPTS_MAX } from '../../runtime/connector.ts'
import { type PageElement, missingList, pageElements } from '../../runtime/http-elements.ts'
import type { JsonElement } from '../../runtime/json-elements.ts'
import { countOf } from '../../runtime/json-members.ts'
import { type PrismaCloudClient, cspmMissing } from './client.ts'
import { itemOf, memberOf } from './cspm-config-page.ts'
import { ASSET_PATH, Enrichment, assetQuery } from './cspm-enrichment.ts'
import { type CspmSource, isEnabled } from './cspm-source.ts'
import {
  type Read,
  START,
  type Token,
  type TokenPageEnd,
  type TokenPlace,
  pullTokens,
  tokenOf,
  tokenPlace,
} from './cspm-token-listing.ts'

const SCAN_PATH = '/v2/resource/scan_info'
/** Ten million resources at 1,000 a page. */
const PAGES_MAX = 10_000
/** A page that takes too long is asked for with half of the rows, down to this many. */
export const PAGE_SIZE_MIN = 50
/** Tries of a page that may still be made smaller. */
const LARGE_PAGE_ATTEMPTS_MAX = 2

/** Asset types that a search of cspm.config tells in full, in lower case. */
const TOLD_BY_CONFIG: Readonly<Record<string, readonly string[]>> = {
  'aws-ec2-describe-instances': ['ec2 instance'],
  'azure-vm-list': ['azure virtual machine'],
  'gcloud-compute-instances-list': ['compute instance', 'google compute instance'],
}

const inventoryCheckpoint = z.object({
  place: tokenPlace,
  /** Rows per page as far as the vendor manages them. */
  pageSize: z.int().min(1),
  /** Assets for which details may still be asked. */
  budgetLeft: z.int().min(0),
})
type InventoryCheckpoint = z.infer<typeof inventoryCheckpoint>

export const cspmInventory: CspmSource<InventoryCheckpoint> = {
  vendor: 'prisma-cloud',
  product: 'prisma-cspm',
  stream: 'cspm.inventory',
  kind: 'SNAPSHOT',
  entities: 'assets',
  checkpoint: inventoryCheckpoint,
  available: (client) => Promise.resolve(cspmMissing(client)),
  pull: (client, from, context) => new InventoryRun(client, from, context).pages(),
  probe: async ({ cspm, config: { enrichment } }, ask) => {
    const post = (path: string, body: unknown) =>
      cspm.json('POST', path, { body, attemptsMax: PROBE_ATTEMPTS_MAX })
    const scan = await ask(null, () => post(SCAN_PATH, scanBody(1, null)))
    const resources = memberOf(scan?.value, 'resources')
    const id = memberOf(Array.isArray(resources) ? resources[0] : null, 'unifiedAssetId')
    if (enrichment.budget === 0 || typeof id !== 'string') return
    await ask('enrichment', () => post(ASSET_PATH, assetQuery(id)))
  },
}

/**
 * By POST: a token in a URL may be too long for it.
 * @see https://pan.dev/prisma-cloud/api/cspm/post-resource-scan-info-v-2/ (read 2026-11)
 */
const scanBody = (limit: number, token: Token | null) => ({
  filters: [{ name: 'scan.status', operator: '=', value: 'all' }],
  limit,
  ...(token === null ? {} : { pageToken: token }),
})

class InventoryRun {
  readonly #client: PrismaCloudClient
  readonly #context: PullContext
  readonly #from: InventoryCheckpoint | null
  readonly #toldElsewhere: ReadonlySet<string>
  readonly #enrichment: Enrichment
  #pageSize: number

  constructor(client: PrismaCloudClient, from: InventoryCheckpoint | null, context: PullContext) {
    this.#client = client
    this.#context = context
    this.#from = from
    this.#toldElsewhere = toldElsewhere(client)
    const { inventoryPageSize, enrichment } = client.config
    this.#pageSize = Math.min(from?.pageSize ?? inventoryPageSize, inventoryPageSize)
    this.#enrichment = new Enrichment(client, from?.budgetLeft ?? enrichment.budget, context)
  }

  async *pages(): AsyncGenerator<Chunk<InventoryCheckpoint>, PullEnd> {
    const listing = {
      pagesMax: PAGES_MAX,
      endpoint: () => SCAN_PATH,
      page: (token: Token | null) => this.#page(token),
      read: (element: JsonElement) => this.#read(element),
      checkpoint: (place: TokenPlace): InventoryCheckpoint => ({
        place,
        pageSize: this.#pageSize,
        budgetLeft: this.#enrichment.budgetLeft,
      }),
    }
    const from = this.#from?.place ?? START
    const { place, problem, drift } = yield* pullTokens(listing, from, this.#context)
    const declared = place.total === null ? null : Math.max(0, place.total - place.leftOut)
    if (problem !== null) return { verdict: 'PARTIAL', declared, reason: problem }
    if (drift !== null) return { verdict: 'DRIFTED', declared, reason: drift }
    return { verdict: 'COMPLETE', declared, reason: null }
  }

  /** The page, in fewer rows where the vendor takes too long for as many. */
  async *#page(token: Token | null): AsyncGenerator<PageElement, TokenPageEnd> {
    let isFirstTry = true
    for (;;) {
      const isLarge = this.#pageSize > PAGE_SIZE_MIN
      try {
        return yield* this.#onePage(token, isLarge && isFirstTry)
      } catch (error) {
        const mayPass = error instanceof PipelineError && error.retriable
        if (!mayPass || this.#context.signal.aborted || !isLarge) throw error
        if (error.failure === 'TEMPORARY_FAILURE') {
          this.#pageSize = Math.max(PAGE_SIZE_MIN, Math.floor(this.#pageSize / 2))
          isFirstTry = true
        } else if (isFirstTry) isFirstTry = false
        // What has nothing to do with the size has had all its tries.
        else throw error
      }
    }
  }

  async *#onePage(
    token: Token | null,
    isBrief: boolean,
  ): AsyncGenerator<PageElement, TokenPageEnd> {
    const { signal, nowMs } = this.#context
    const elements = pageElements(this.#client.cspm, {
      method: 'POST',
      path: SCAN_PATH,
      options: {
        body: scanBody(this.#pageSize, token),
        signal,
        ...(isBrief ? { attemptsMax: LARGE_PAGE_ATTEMPTS_MAX } : {}),
      },
      at: ['resources'],
      nowMs,
      verify: ({ beside }) => {
        const isNull = memberOf(beside.value, 'resources') === null
        if (!beside.found && !isNull) throw missingList(['resources'])
      },
    })
    const isWanted = (element: JsonElement) => this.#read(element).kind === 'unit'
    const end = yield* this.#enrichment.enriched(elements, isWanted)
    const { value } = end.beside
    return {
      next: tokenOf(memberOf(value, 'nextPageToken')),
      total: countOf(memberOf(value, 'totalMatchedCount')),
      count: end.count,
    }
  }

  #read(element: JsonElement): Read {
    const outer = itemOf(element)
    const inner = memberOf(outer, 'item') ?? outer
    const id = memberOf(inner, 'unifiedAssetId')
    if (typeof id !== 'string' || id === '') {
      return { kind: 'rejected', violation: 'unifiedAssetId: must be a text that is not empty' }
    }
    const type = memberOf(inner, 'assetType')
    if (typeof type === 'string' && this.#toldElsewhere.has(type.toLowerCase())) {
      return { kind: 'left-out', key: id }
    }
    const { bytes, sizeBytes } = element
    const contentType = 'application/json'
    const ids = { unit: id, assetNativeId: id }
    return { kind: 'unit', unit: { ...ids, body: bytes, sizeBytes, contentType, columns: null } }
  }
}

/** Asset types in lower case that cspm.config reads on this connection. */
function toldElsewhere(client: PrismaCloudClient): ReadonlySet<string> {
  if (!isEnabled(client, 'cspm.config')) return new Set()
  return new Set(client.config.configApis.flatMap((apiName) => TOLD_BY_CONFIG[apiName] ?? []))
}
