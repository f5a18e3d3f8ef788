// What all listings of Compute share: paging, limits, ids. A stream adds its path and its type.
import { PipelineError } from '../../contracts/errors.ts'
import type { PullContext } from '../../contracts/ports.ts'
import { PROBE_ATTEMPTS_MAX, type ProbedSource } from '../../runtime/connector.ts'
import {
  type PageElement,
  type PageEnd,
  missingList,
  pageElements,
} from '../../runtime/http-elements.ts'
import {
  type ItemIds,
  type OffsetCheckpoint,
  type OffsetPageEnd,
  offsetCheckpoint,
  pullByOffset,
} from '../../runtime/offset-listing.ts'
import type { PrismaCloudClient } from './client.ts'

/** 10,000 pages of 50: half a million records. */
const PAGES_MAX = 10_000

type Query = Readonly<Record<string, string | number | boolean>>

export type ComputeListing = {
  readonly stream: string
  /** After the version, e.g. `hosts`. */
  readonly path: string
  readonly entities: 'assets' | 'both'
  /**
   * First half of the asset's native id, as `_id` is unique among things of one kind only. `type`
   * is the record's own, '' where it has none.
   */
  readonly kindOf: (type: string) => string
  /** True where an account that sees anything sees something: an empty probe is then a fault. */
  readonly neverEmpty?: boolean
  /** True where records can be asked for without their vulnerabilities. */
  readonly hasCompact?: boolean
  /** Sent with every page. */
  readonly query: Query
}

export type ComputeSource = ProbedSource<PrismaCloudClient, OffsetCheckpoint>

/** Severities in one form, whatever words the sources of the console have. */
export const SCAN_QUERY: Query = { normalizedSeverity: true }

/**
 * `GET <path>?limit&offset`: a bare array, `null` past the end, `Total-Count` in a header. The
 * offset counts records.
 * @see https://pan.dev/prisma-cloud/api/cwpp/get-hosts/ (read 2026-11)
 */
export const computeSource = (listing: ComputeListing): ComputeSource => ({
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  stream: listing.stream,
  kind: 'SNAPSHOT',
  entities: listing.entities,
  checkpoint: offsetCheckpoint,
  available: computeMissing,
  pull: (client, from, context) =>
    pullByOffset(
      {
        endpoint: endpointOf(client, listing),
        pageSize: client.config.pageSize,
        pagesMax: PAGES_MAX,
        page: (offset) => listingPage(client, listing, offset, context),
        identify: (item) => identify(item, listing.kindOf),
      },
      from,
      context,
    ),
  probe: async (client, ask) => {
    await ask(null, () => oneRecord(client, listing))
  },
})

/** @throws PipelineError */
async function oneRecord(client: PrismaCloudClient, listing: ComputeListing): Promise<void> {
  const compute = await client.compute()
  const { value } = await compute.json('GET', endpointOf(client, listing), {
    query: {
      limit: 1,
      offset: 0,
      ...(listing.hasCompact === true ? { compact: true } : {}),
      ...projectOf(client),
    },
    limiter: client.computeLimiter(listing.path),
    attemptsMax: PROBE_ATTEMPTS_MAX,
  })
  // Past its end, and so where nothing is to be seen, a listing is `null`.
  const isEmpty = value === null || (Array.isArray(value) && value.length === 0)
  if (listing.neverEmpty !== true || !isEmpty) return
  throw new PipelineError('MISSING_DATA', 'FETCH', `this account sees no ${listing.path}`)
}

/** A tenant without Compute has none of its streams. Other trouble is told by the pull itself. */
async function computeMissing(client: PrismaCloudClient): Promise<PipelineError | null> {
  try {
    await client.compute()
    return null
  } catch (error) {
    const isMissing = error instanceof PipelineError && error.failure === 'NOT_LICENSED'
    return isMissing ? error : null
  }
}

const endpointOf = (client: PrismaCloudClient, { path }: ComputeListing): string =>
  `/api/${client.config.computeVersion}/${path}`

function projectOf({ config }: PrismaCloudClient): Query {
  const { project } = config.compute
  return project === undefined ? {} : { project }
}

async function* listingPage(
  client: PrismaCloudClient,
  listing: ComputeListing,
  offset: number,
  context: PullContext,
): AsyncGenerator<PageElement, OffsetPageEnd> {
  const compute = await client.compute()
  const end = yield* pageElements(compute, {
    method: 'GET',
    path: endpointOf(client, listing),
    options: {
      query: { limit: client.config.pageSize, offset, ...listing.query, ...projectOf(client) },
      limiter: client.computeLimiter(listing.path),
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

function identify(
  item: Readonly<Record<string, unknown>>,
  kindOf: ComputeListing['kindOf'],
): ItemIds | string {
  const { _id: id, type } = item
  if (typeof id !== 'string' || id === '') return '_id: must be a text that is not empty'
  return { unit: id, assetNativeId: `${kindOf(typeof type === 'string' ? type : '')}|${id}` }
}
