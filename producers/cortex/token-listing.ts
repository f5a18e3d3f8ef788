// A listing paged by tokens: the vendor keeps what was found and hands it out page by page.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import type { Chunk, PullContext, PullEnd, RejectedItem, Unit } from '../../contracts/ports.ts'
import { ChunkBuilder } from '../../runtime/chunks.ts'
import { type PageEnd, missingList, pageElements } from '../../runtime/http-elements.ts'
import { type JsonElement, cutObject } from '../../runtime/json-elements.ts'
import { countOf, memberAt } from '../../runtime/json-members.ts'
import {
  DRIFT_SHARE_MAX,
  EMPTY_PAGES,
  EMPTY_PAGES_MAX,
  ID_CHARACTERS_MAX,
  placeLost,
  rejectedKey,
} from '../../runtime/listing.ts'
import { type ItemIds, isObject } from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { TOTAL_SATURATED } from './window-page.ts'

/** The largest page the vendor gives by token. */
export const TOKEN_PAGE_SIZE = 500
const PAGES_MAX = 20_000
/** A page is held as a whole; its rows have one or two kB. */
const PAGE_BYTES_MAX = 64 * 1024 * 1024
const TAKEN_IDS_MAX = 1_000
/** Answers to a token that is known no more. */
const TOKEN_REFUSED: ReadonlySet<number | null> = new Set([400, 404, 422, 500])

const count = z.int().min(0)
/** Where to go on, and what was counted so far. */
export const tokenCheckpoint = z.object({
  /** Leads to the page to read next; null: the first one. */
  token: z.string().nullable(),
  /** JSON of the filters and the order that the token belongs to. */
  request: z.string(),
  pages: count,
  /** Distinct items so far, rejected ones included. */
  listed: count,
  repeats: count,
  tooLarge: count,
  /** Items without the details that they should have. */
  lacking: count,
  total: count.nullable(),
  /** Of the page that the token leads to: what has been taken of it. */
  taken: z.array(z.string()).max(TAKEN_IDS_MAX),
})
export type TokenCheckpoint = z.infer<typeof tokenCheckpoint>

export type CompletedUnit = { readonly unit: Unit; readonly isWhole: boolean }

export type TokenListing = {
  readonly path: string
  /** Path of the list in the answer. */
  readonly at: readonly string[]
  /** Filters and order: a token belongs to them. */
  readonly request: Readonly<Record<string, unknown>>
  /** The ids of an item, or what it lacks. */
  identify(item: Readonly<Record<string, unknown>>): ItemIds | string
  /** Adds what another call tells of the items of a page. Gives each unit once, in their order. */
  complete?(units: readonly Unit[]): AsyncGenerator<CompletedUnit>
}

/** `request_data` of a page. `token` null: the first. */
export const tokenPage = (
  request: Readonly<Record<string, unknown>>,
  token: string | null,
): Readonly<Record<string, unknown>> => ({
  ...request,
  search_from: 0,
  search_to: TOKEN_PAGE_SIZE,
  use_page_token: true,
  ...(token === null ? {} : { next_page_token: token }),
})

/** Pulls the whole listing, from where `from` stands. @throws PipelineError as the pages do */
export async function* pullByToken(
  client: CortexClient,
  listing: TokenListing,
  from: TokenCheckpoint | null,
  context: PullContext,
): AsyncGenerator<Chunk<TokenCheckpoint>, PullEnd> {
  return yield* new TokenRun(client, listing, from, context).pages()
}

type Progress = { -readonly [K in keyof TokenCheckpoint]: TokenCheckpoint[K] }
type Item =
  | { readonly key: string; readonly unit: Unit; readonly rejected: null }
  | { readonly key: string; readonly unit: null; readonly rejected: RejectedItem }
type Page = {
  readonly items: readonly Item[]
  readonly token: string | null
  readonly total: number | null
  readonly fetchedAtMs: number
}
type Stop = { readonly reason: string | null }

const START: Omit<TokenCheckpoint, 'request'> = {
  token: null,
  pages: 0,
  listed: 0,
  repeats: 0,
  tooLarge: 0,
  lacking: 0,
  total: null,
  taken: [],
}

class TokenRun {
  readonly #client: CortexClient
  readonly #listing: TokenListing
  readonly #context: PullContext
  readonly #progress: Progress
  /** Ids so far: the vendor's own copy has none twice, yet nothing promises it. */
  readonly #seen: Set<string>
  readonly #builder = new ChunkBuilder()
  #isResumed: boolean
  #emptyPages = 0

  constructor(
    client: CortexClient,
    listing: TokenListing,
    from: TokenCheckpoint | null,
    context: PullContext,
  ) {
    const request = JSON.stringify(listing.request)
    if (from !== null && from.request !== request) throw placeLost('the filters have changed')
    this.#client = client
    this.#listing = listing
    this.#context = context
    this.#progress = { ...(from ?? { ...START, request }) }
    this.#seen = new Set(from?.taken)
    this.#isResumed = from !== null
  }

  async *pages(): AsyncGenerator<Chunk<TokenCheckpoint>, PullEnd> {
    const progress = this.#progress
    while (progress.pages < PAGES_MAX) {
      const page = await this.#page()
      this.#isResumed = false
      progress.pages += 1
      progress.total = page.total ?? progress.total
      const isNews = yield* this.#take(page)
      const stop = this.#stopAfter(page, isNews)
      if (stop === null) {
        progress.token = page.token
        progress.taken = []
      }
      if (!this.#builder.isEmpty) yield this.#chunk(page.fetchedAtMs)
      if (stop !== null) return this.#end(stop.reason)
    }
    return this.#end(`more than ${PAGES_MAX} pages`)
  }

  /** The page that the token leads to, complete in memory: no call waits for another's body. */
  async #page(): Promise<Page> {
    const { token } = this.#progress
    try {
      return await this.#fetch(token)
    } catch (error) {
      const status = statusOf(error)
      if (token === null && status === 500 && !isUnlicensed(error)) {
        // Some tenants want the token named in the first call too.
        return this.#fetch('')
      }
      if (!this.#isResumed || !TOKEN_REFUSED.has(status)) throw error
      throw placeLost('the vendor refuses the token of the page', error)
    }
  }

  async #fetch(token: string | null): Promise<Page> {
    const { path, at, request } = this.#listing
    const elements = pageElements(this.#client.http, {
      method: 'POST',
      path,
      options: {
        body: { request_data: tokenPage(request, token) },
        signal: this.#context.signal,
      },
      at,
      nowMs: this.#context.nowMs,
      verify: ({ beside }) => {
        if (!beside.found && memberAt(beside.value, at) !== null) throw missingList(at)
      },
    })
    let items: Item[] = []
    let bytes = 0
    let attempt = 1
    try {
      for (;;) {
        const next = await elements.next()
        if (next.done === true) return { items, ...endOf(next.value, at[0] ?? '') }
        // The page was fetched again: all its elements come once more.
        if (next.value.attempt !== attempt) [items, bytes] = [[], 0]
        attempt = next.value.attempt
        const { element } = next.value
        bytes += (element.bytes ?? element.head).length
        if (bytes > PAGE_BYTES_MAX) throw pageTooLarge(path)
        items.push(itemOf(element, this.#listing))
      }
    } finally {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a return value nobody reads
      await elements.return(undefined as never)
    }
  }

  /** Fills chunks with what is new on the page. True when there was something. */
  async *#take(page: Page): AsyncGenerator<Chunk<TokenCheckpoint>, boolean> {
    const progress = this.#progress
    const done = new Set(progress.taken)
    const left = page.items.filter((item) => !done.has(item.key))
    const fresh = left.filter((item) => this.#isFirst(item))
    for (const { key, rejected } of fresh) {
      if (rejected === null) continue
      if (!this.#builder.hasRoomFor(rejected.body.length)) yield this.#chunk(page.fetchedAtMs)
      this.#builder.reject(rejected)
      this.#taken(key)
    }
    const units = fresh.map(({ unit }) => unit).filter((unit) => unit !== null)
    for await (const { unit, isWhole } of this.#completed(units)) {
      if (!this.#builder.hasRoomFor(unit.body?.length ?? 0)) yield this.#chunk(page.fetchedAtMs)
      this.#builder.add(unit)
      if (unit.body === null) progress.tooLarge += 1
      else if (!isWhole) progress.lacking += 1
      this.#taken(unit.unit)
    }
    return fresh.length > 0 || left.length < page.items.length
  }

  #isFirst({ key }: Item): boolean {
    if (this.#seen.has(key)) {
      this.#progress.repeats += 1
      return false
    }
    this.#seen.add(key)
    return true
  }

  #taken(key: string): void {
    this.#progress.listed += 1
    this.#progress.taken = [...this.#progress.taken, key].slice(-TAKEN_IDS_MAX)
  }

  async *#completed(units: readonly Unit[]): AsyncGenerator<CompletedUnit> {
    if (this.#listing.complete !== undefined) yield* this.#listing.complete(units)
    else for (const unit of units) yield { unit, isWhole: true }
  }

  /** Why the listing ends after this page; null when it goes on. */
  #stopAfter(page: Page, isNews: boolean): Stop | null {
    const { token, pages, listed, total } = this.#progress
    const size = page.items.length
    if (page.token === null) {
      const isCut = pages === 1 && size >= TOKEN_PAGE_SIZE && isUnknown(total)
      return { reason: isCut ? 'a full page came without a token for the next one' : null }
    }
    if (page.token === token) {
      // Only a count that is met tells that this was the end.
      const isAll = !isUnknown(total) && listed === total
      return { reason: isAll ? null : 'the vendor gives the same page token again' }
    }
    this.#emptyPages = size === 0 ? this.#emptyPages + 1 : 0
    if (this.#emptyPages >= EMPTY_PAGES_MAX) {
      return { reason: EMPTY_PAGES }
    }
    if (size > 0 && !isNews) return { reason: 'the vendor gives the same rows again' }
    return null
  }

  #chunk(fetchedAtMs: number): Chunk<TokenCheckpoint> {
    const checkpoint = { ...this.#progress }
    const { path: endpoint } = this.#listing
    return this.#builder.take({ endpoint, fetchedAtMs, page: checkpoint.pages, checkpoint })
  }

  #end(stopped: string | null): PullEnd {
    const { total, listed, repeats, tooLarge, lacking } = this.#progress
    const declared = isUnknown(total) ? null : total
    const partial = (reason: string): PullEnd => ({ verdict: 'PARTIAL', declared, reason })
    if (stopped !== null) return partial(stopped)
    if (tooLarge > 0) return partial(`${tooLarge} units above the largest size`)
    if (total === TOTAL_SATURATED && listed < total) {
      return partial(`${listed} items listed, at least ${total} declared, ${repeats} twice`)
    }
    if (declared !== null && declared !== listed) {
      return partial(`${listed} items listed, ${declared} declared, ${repeats} twice`)
    }
    if (lacking === 0) return { verdict: 'COMPLETE', declared, reason: null }
    const reason = `${lacking} of ${listed} items came without their details`
    // Below that share they have vanished meanwhile.
    if (lacking >= DRIFT_SHARE_MAX * listed) return partial(reason)
    return { verdict: 'DRIFTED', declared, reason }
  }
}

const isUnknown = (total: number | null): total is null =>
  total === null || total === TOTAL_SATURATED

/** The next page's token is null where it is missing, null or empty. */
function endOf({ beside, fetchedAtMs }: PageEnd, root: string): Omit<Page, 'items'> {
  const token = memberAt(beside.value, [root, 'next_page_token'])
  return {
    token: typeof token === 'string' && token !== '' ? token : null,
    total: countOf(memberAt(beside.value, [root, 'total_count'])),
    fetchedAtMs,
  }
}

function itemOf(element: JsonElement, listing: TokenListing): Item {
  const { bytes, sizeBytes, head, value } = element
  const item = bytes === null ? cutObject(head) : value
  const ids = isObject(item) ? listing.identify(item) : '(root): is no object'
  if (typeof ids === 'string' || ids.unit.length > ID_CHARACTERS_MAX) {
    const violation = typeof ids === 'string' ? ids : `id: longer than ${ID_CHARACTERS_MAX}`
    const body = bytes ?? head
    const key = rejectedKey(body)
    return { key, unit: null, rejected: { body, violations: [violation] } }
  }
  const contentType = 'application/json'
  const unit = { ...ids, body: bytes, sizeBytes, contentType, columns: null }
  return { key: ids.unit, unit, rejected: null }
}

const statusOf = (error: unknown): number | null =>
  error instanceof PipelineError ? (error.details.http?.status ?? null) : null

const isUnlicensed = (error: unknown): boolean =>
  error instanceof PipelineError && error.failure === 'NOT_LICENSED'

const pageTooLarge = (path: string): PipelineError =>
  new PipelineError(
    'INVALID_RESPONSE',
    'PARSE',
    `a page of ${path} exceeds ${PAGE_BYTES_MAX / 1024 / 1024} MiB`,
  )
