// A listing of CSPM paged by tokens: what is listed twice is dropped, what is missing is told.
import { z } from 'zod'
import type { Chunk, PullContext, RejectedItem, Unit } from '../../contracts/ports.ts'
import { ChunkBuilder } from '../../runtime/chunks.ts'
import type { PageElement } from '../../runtime/http-elements.ts'
import type { JsonElement } from '../../runtime/json-elements.ts'
import {
  DRIFT_SHARE_MAX,
  EMPTY_PAGES,
  EMPTY_PAGES_MAX,
  placeLost,
  rejectedKey,
} from '../../runtime/listing.ts'
import { isRefusal } from './cspm-source.ts'

/** Opaque: a text, or on some tenants an object. */
export type Token = z.infer<typeof tokenSchema>
const tokenSchema = z.union([z.string(), z.record(z.string(), z.unknown())])

const RECENT_MAX = 1_000
/** Times a listing begins anew because its token is known no more. */
const RESTARTS_MAX = 2

/** Where to go on, and what was counted so far. */
export const tokenPlace = z.object({
  /** Of the page to read next; null: the first one. */
  token: tokenSchema.nullable(),
  /** True after the last page. */
  ended: z.boolean(),
  pages: z.int().min(0),
  /** Distinct items so far, those left out and rejected ones included. */
  listed: z.int().min(0),
  leftOut: z.int().min(0),
  repeats: z.int().min(0),
  tooLarge: z.int().min(0),
  total: z.int().nullable(),
  /** Why it may have ended too early; counts only where no total shows that everything came. */
  doubt: z.string().nullable().default(null),
  /** Keys of what has been taken of the page that the token leads to. */
  recent: z.array(z.string()).max(RECENT_MAX),
})
export type TokenPlace = z.infer<typeof tokenPlace>

/** The vendor's word on a next page; null for the several ways of saying that there is none. */
export const tokenOf = (value: unknown): Token | null =>
  value === '' ? null : (tokenSchema.safeParse(value).data ?? null)

export type TokenPageEnd = {
  readonly next: Token | null
  /** What the vendor declares for the whole listing; null when it does not. */
  readonly total: number | null
  /** Elements of the page. */
  readonly count: number
}

/** An item as a unit, as none (`left out`, with its key), or what it lacks. */
export type Read =
  | { readonly kind: 'unit'; readonly unit: Unit }
  | { readonly kind: 'left-out'; readonly key: string }
  | { readonly kind: 'rejected'; readonly violation: string }

export type TokenListing<Checkpoint> = {
  readonly pagesMax: number
  /** Path of the call that gives the page. */
  endpoint(token: Token | null): string
  page(token: Token | null): AsyncGenerator<PageElement, TokenPageEnd>
  read(element: JsonElement): Read
  checkpoint(place: TokenPlace): Checkpoint
}

export type TokenEnd = {
  readonly place: TokenPlace
  /** Why it cannot be trusted to be whole; null when it can. */
  readonly problem: string | null
  /** What moved meanwhile, though little; null when nothing did. */
  readonly drift: string | null
}

export const START: TokenPlace = {
  token: null,
  ended: false,
  pages: 0,
  listed: 0,
  leftOut: 0,
  repeats: 0,
  tooLarge: 0,
  total: null,
  doubt: null,
  recent: [],
}

/** Pulls the listing from where `from` stands. @throws PipelineError as its pages do */
export async function* pullTokens<Checkpoint>(
  listing: TokenListing<Checkpoint>,
  from: TokenPlace | null,
  context: Pick<PullContext, 'nowMs'>,
): AsyncGenerator<Chunk<Checkpoint>, TokenEnd> {
  return yield* new TokenRun(listing, from, context.nowMs).pages()
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

class TokenRun<Checkpoint> {
  readonly #listing: TokenListing<Checkpoint>
  readonly #nowMs: () => number
  readonly #place: Mutable<TokenPlace>
  readonly #seen: Set<string>
  readonly #builder = new ChunkBuilder()
  /** Items of this page with the fetch that gave them last. */
  #ofPage: Map<string, number>
  /** The page at hand is read from its middle on. */
  #isWithin: boolean
  /** What came before is not in `seen`. */
  readonly #isResumed: boolean
  #restarts = 0
  #emptyPages = 0
  #fresh = 0
  #fetchedAtMs = 0

  constructor(listing: TokenListing<Checkpoint>, from: TokenPlace | null, nowMs: () => number) {
    this.#listing = listing
    this.#nowMs = nowMs
    this.#place = { ...(from ?? START) }
    this.#seen = new Set(from?.recent)
    this.#ofPage = new Map([...this.#seen].map((key) => [key, 0]))
    this.#isResumed = from !== null && from.pages > 0
    this.#isWithin = this.#isResumed
  }

  async *pages(): AsyncGenerator<Chunk<Checkpoint>, TokenEnd> {
    const place = this.#place
    while (!place.ended) {
      if (place.pages >= this.#listing.pagesMax) {
        return this.#end(`more than ${this.#listing.pagesMax} pages`)
      }
      const used = JSON.stringify(place.token)
      const end = yield* this.#pageOrRestart()
      if (end === null) continue
      // The page's last chunk says where to go on after it: so the place moves first.
      const isAgain = end.next !== null && JSON.stringify(end.next) === used
      // After a restart, or within a page resumed, what comes has been taken before.
      const isNews = this.#fresh > 0 || this.#restarts > 0 || this.#isWithin
      const isSame = isAgain || (end.count > 0 && !isNews && place.pages > 1)
      if (isSame) place.doubt = 'the vendor gives the same page again'
      place.ended = end.next === null || isSame || this.#isEmptyEnd(end)
      const endpoint = this.#listing.endpoint(place.token)
      place.token = end.next
      place.recent = []
      this.#ofPage = new Map()
      this.#isWithin = false
      if (!this.#builder.isEmpty) yield this.#chunk(endpoint, this.#fetchedAtMs)
    }
    return this.#end(null)
  }

  /** Whether a page without rows, though with a token, is the last one. */
  #isEmptyEnd({ count }: TokenPageEnd): boolean {
    this.#emptyPages = count === 0 ? this.#emptyPages + 1 : 0
    if (this.#emptyPages === 0) return false
    if (this.#isAllListed()) return true
    if (this.#emptyPages < EMPTY_PAGES_MAX) return false
    this.#place.doubt = EMPTY_PAGES
    return true
  }

  #isAllListed(): boolean {
    const { total, listed } = this.#place
    return total !== null && listed >= total
  }

  /** One page; null when the listing begins anew or has turned out to be over. */
  async *#pageOrRestart(): AsyncGenerator<Chunk<Checkpoint>, TokenPageEnd | null> {
    const place = this.#place
    try {
      return yield* this.#page()
    } catch (error) {
      if (place.token === null || !isRefusal(error)) throw error
      if (this.#isAllListed() || (place.total === null && this.#emptyPages > 0)) {
        // It gave a token with the last page, and does not know it.
        if (place.total === null) place.doubt = 'the token of an empty page is refused'
        place.ended = true
        return null
      }
      if (this.#isResumed || this.#restarts >= RESTARTS_MAX) {
        throw placeLost('the vendor refuses the token of the page', error)
      }
      this.#restarts += 1
      place.token = null
      return null
    }
  }

  async *#page(): AsyncGenerator<Chunk<Checkpoint>, TokenPageEnd> {
    const place = this.#place
    place.pages += 1
    this.#fresh = 0
    this.#fetchedAtMs = this.#nowMs()
    const elements = this.#listing.page(place.token)
    try {
      for (;;) {
        const next = await elements.next()
        if (next.done === true) {
          const { total, count } = next.value
          // An empty page in the middle may declare nothing: what was declared before it stands.
          if (total !== null && (count > 0 || place.total === null)) place.total = total
          return next.value
        }
        const { element, attempt, fetchedAtMs } = next.value
        this.#fetchedAtMs = fetchedAtMs
        const item = this.#itemOf(element)
        if (!this.#isNew(item.key, attempt)) continue
        if (!this.#builder.hasRoomFor(item.bytes)) {
          place.recent = [...this.#ofPage.keys()].slice(0, -1).slice(-RECENT_MAX)
          yield this.#chunk(this.#listing.endpoint(place.token), fetchedAtMs)
        }
        this.#take(item)
      }
    } finally {
      await elements.return({ next: null, total: null, count: 0 })
    }
  }

  #itemOf(element: JsonElement): Item {
    const read = this.#listing.read(element)
    if (read.kind === 'unit') {
      return { ...read, key: read.unit.unit, bytes: read.unit.body?.length ?? 0 }
    }
    if (read.kind === 'left-out') return { ...read, bytes: 0 }
    const body = element.bytes ?? element.head
    const key = rejectedKey(body)
    const item = { body, violations: [read.violation] }
    return { kind: 'rejected', key, bytes: body.length, item }
  }

  #isNew(key: string, attempt: number): boolean {
    const before = this.#ofPage.get(key)
    this.#ofPage.set(key, attempt)
    if (!this.#seen.has(key)) {
      this.#seen.add(key)
      return true
    }
    // Not when the page was fetched again: this item of it has been taken.
    if (before === undefined || before === attempt) this.#place.repeats += 1
    return false
  }

  #take(item: Item): void {
    const place = this.#place
    if (item.kind === 'unit') this.#builder.add(item.unit)
    else if (item.kind === 'rejected') this.#builder.reject(item.item)
    else place.leftOut += 1
    if (item.kind === 'unit' && item.unit.body === null) place.tooLarge += 1
    place.listed += 1
    this.#fresh += 1
  }

  #chunk(endpoint: string, fetchedAtMs: number): Chunk<Checkpoint> {
    const checkpoint = this.#listing.checkpoint({ ...this.#place })
    return this.#builder.take({ endpoint, fetchedAtMs, page: this.#place.pages, checkpoint })
  }

  #end(stopped: string | null): TokenEnd {
    const place = { ...this.#place }
    const { listed, repeats, tooLarge, total, doubt } = place
    const whole = (drift: string | null): TokenEnd => ({ place, problem: null, drift })
    const short = (problem: string): TokenEnd => ({ place, problem, drift: null })
    if (stopped !== null) return short(stopped)
    if (tooLarge > 0) return short(`${tooLarge} units above the largest size`)
    if (total === null) return doubt === null ? whole(null) : short(doubt)
    const gap = total - listed
    if (gap <= 0) return whole(null)
    const text = `${listed} items listed, ${total} declared, ${repeats} twice`
    const isSmall = repeats > 0 && gap < DRIFT_SHARE_MAX * total
    return isSmall ? whole(text) : short(text)
  }
}

type Item = { readonly key: string; readonly bytes: number } & (
  | { readonly kind: 'unit'; readonly unit: Unit }
  | { readonly kind: 'left-out' }
  | { readonly kind: 'rejected'; readonly item: RejectedItem }
)
