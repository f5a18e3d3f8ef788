// Listings paged by token: what was found is kept, and handed out page by page.
import { z } from 'zod'
import type { Answer } from '../delivery.ts'
import { uuid } from '../estate.ts'
import { createRandom } from '../random.ts'
import { ROWS_HERE, type Row, jsonAround, pageRows, shownRows } from '../rows.ts'
import type { Call } from '../site.ts'
import { invalidJson, waitress } from './answers.ts'
import { type RequestData, requestData, sortRows, standardTest, windowOf } from './request.ts'
import type { TenantBehaviour } from './tenant.ts'

export type TokenOptions = Pick<
  TenantBehaviour,
  'firstToken' | 'lastToken' | 'pageRowsMax' | 'totalMax'
> & { readonly tenantName: string; readonly spanMax: number }

export type TokenListing = {
  /** Name of the list in the answer. */
  readonly name: string
  readonly rows: () => readonly Row[]
  /** The row's field by the name that a filter has for it. */
  readonly filters: Readonly<Record<string, string>>
  readonly sorts: readonly string[]
  readonly isSaturating: boolean
}
/** Answers one page of a listing. */
export type TokenPager = (listing: TokenListing, call: Call) => Answer

type Kept = { readonly query: string; readonly rows: readonly Row[]; readonly total: number }

/** Listings kept; older ones are forgotten, and their tokens with them. */
const KEPT_MAX = 50
const tokenSchema = z.object({ limit: z.int(), metadata_id: z.string(), offset: z.int() })
const pagingSchema = z.object({
  use_page_token: z.boolean().default(false),
  next_page_token: z.string().optional(),
})
const sortSchema = z.object({ field: z.string(), keyword: z.string() }).optional()

/** The pager of one tenant. */
export function createTokenPager(options: TokenOptions): TokenPager {
  const kept = new Map<string, Kept>()
  const ids = createRandom(`${options.tenantName}/page tokens`)
  const keep = (found: Kept): string => {
    const id = uuid(ids)
    kept.set(id, found)
    for (const old of [...kept.keys()].slice(0, -KEPT_MAX)) kept.delete(old)
    return id
  }
  return (listing, call) => {
    const request: RequestData | null = requestData(call.body, false)
    if (request === null) return waitress()
    if ('invalid' in request) return invalidJson(request.invalid)
    const { data } = request
    const paging = pagingSchema.safeParse(data)
    const window = windowOf(data, options.spanMax)
    if (!paging.success || window === null) return waitress()
    const { use_page_token: byToken, next_page_token: token } = paging.data
    const query = JSON.stringify([listing.name, data['filters'] ?? [], data['sort'] ?? null])
    if (byToken && token === undefined && options.firstToken === 'named') return waitress()
    if (!byToken || token === undefined || token === '') {
      const found = foundBy(listing, call, data, query)
      if (found === null) return waitress()
      const limit = window.to - window.from
      const id = byToken ? keep(found) : null
      return page(options, listing, call, found, { id, from: window.from, limit, token: null })
    }
    const place = placeOf(token)
    const found = place === null ? undefined : kept.get(place.metadata_id)
    // A token belongs to its filters.
    if (place === null || found === undefined || found.query !== query) return waitress()
    const { metadata_id: id, offset: from, limit } = place
    return page(options, listing, call, found, { id, from, limit, token })
  }
}

function foundBy(
  listing: TokenListing,
  { fault }: Call,
  data: Readonly<Record<string, unknown>>,
  query: string,
): Kept | null {
  const test = standardTest(data['filters'], listing.filters)
  const sort = sortSchema.safeParse(data['sort'])
  if (test === null || !sort.success) return null
  if (sort.data !== undefined && !listing.sorts.includes(sort.data.field)) return null
  const shown = shownRows(listing.rows(), fault)
  const found = shown.rows.filter((row) => test(row.value()))
  const rows = sort.data
    ? sortRows(found, sort.data.field, sort.data.keyword.toLowerCase() === 'desc')
    : found
  return { query, rows, total: found.length + shown.declared - shown.rows.length }
}

type Place = {
  readonly id: string | null
  readonly from: number
  readonly limit: number
  readonly token: string | null
}

function page(
  options: TokenOptions,
  listing: TokenListing,
  call: Call,
  { rows, total }: Kept,
  { id, from, limit, token }: Place,
): Answer {
  const size = Math.min(limit, options.pageRowsMax)
  // What was found is kept, so that later pages can be empty beside a count that is not.
  const isEmpty = call.fault?.kind === 'empty'
  const shown = isEmpty ? [] : pageRows(rows.slice(from, from + size), call.fault)
  const offset = from + size
  const next = id === null || offset >= rows.length ? null : tokenFor({ limit, id, offset })
  const reply = {
    total_count: listing.isSaturating ? Math.min(total, options.totalMax) : total,
    result_count: shown.length,
    [listing.name]: ROWS_HERE,
    ...(id === null ? {} : nextToken(options, next, token)),
  }
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: jsonAround({ reply }, shown),
  }
}

function nextToken(
  { lastToken }: TokenOptions,
  next: string | null,
  asked: string | null,
): { readonly next_page_token?: string | null } {
  if (next !== null) return { next_page_token: next }
  switch (lastToken) {
    case 'null':
      return { next_page_token: null }
    case 'absent':
      return {}
    case 'empty':
      return { next_page_token: '' }
    case 'repeated':
      return { next_page_token: asked }
  }
}

const tokenFor = (place: { limit: number; id: string; offset: number }): string => {
  const { limit, id: metadata_id, offset } = place
  return Buffer.from(JSON.stringify({ limit, metadata_id, offset })).toString('base64')
}

function placeOf(token: string): z.infer<typeof tokenSchema> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64').toString('utf8'))
    return tokenSchema.safeParse(value).data ?? null
  } catch {
    // Not one of ours: it is refused as an unknown one.
    return null
  }
}
