// A listing paged by offset, which drifts while it is read: what is listed twice is dropped, what
// slipped past is read again, and the verdict says how far the listing can be trusted.
import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Chunk, PullContext, PullEnd, RejectedItem, Unit } from '../contracts/ports.ts'
import { ChunkBuilder } from './chunks.ts'
import type { PageElement } from './http-elements.ts'
import { type JsonElement, cutObject } from './json-elements.ts'

/** Where to go on, and what was counted so far. */
export const offsetCheckpoint = z.object({
  /** Position in the vendor's listing after the last unit of the chunk. */
  offset: z.int().min(0),
  pages: z.int().min(0),
  /** Distinct items so far, rejected ones included. */
  listed: z.int().min(0),
  repeats: z.int().min(0),
  rereads: z.int().min(0),
  tooLarge: z.int().min(0),
  /** What the vendor declared: on the first page, on the last one, and how far it moved. */
  totalFirst: z.int().nullable(),
  totalLast: z.int().nullable(),
  totalMoved: z.int().min(0),
  /** Ids of the last page, so that a page listed again after a restart is known. */
  recent: z.array(z.string()).max(1_000),
})
export type OffsetCheckpoint = z.infer<typeof offsetCheckpoint>

export type OffsetPageEnd = {
  /** What the vendor declares for the whole listing; null when it does not. */
  readonly total: number | null
  /** Elements of the page. */
  readonly count: number
}

export type ItemIds = { readonly unit: string; readonly assetNativeId: string }

export type OffsetListing = {
  readonly endpoint: string
  /** Elements per page, as asked for. */
  readonly pageSize: number
  readonly pagesMax: number
  /** False where a page may be short although more follows, as long as no total tells. */
  readonly shortPageEnds: boolean
  page(offset: number): AsyncGenerator<PageElement, OffsetPageEnd>
  /** The ids of an item, or what it lacks. Several where it is one unit for each of its assets. */
  identify(item: Readonly<Record<string, unknown>>): ItemIds | readonly ItemIds[] | string
}

/** Times the listing steps back because items vanished from it. */
const REREADS_MAX = 20
const RECENT_IDS_MAX = 1_000
const DRIFT_SHARE_MAX = 0.01
const ID_CHARACTERS_MAX = 1_024

const START: OffsetCheckpoint = {
  offset: 0,
  pages: 0,
  listed: 0,
  repeats: 0,
  rereads: 0,
  tooLarge: 0,
  totalFirst: null,
  totalLast: null,
  totalMoved: 0,
  recent: [],
}

/** Pulls the whole listing, from where `from` stands. @throws PipelineError as the pages do */
export async function* pullByOffset(
  listing: OffsetListing,
  from: OffsetCheckpoint | null,
  context: PullContext,
): AsyncGenerator<Chunk<OffsetCheckpoint>, PullEnd> {
  return yield* new OffsetRun(listing, from ?? START, context).pages()
}

type Progress = { -readonly [K in keyof OffsetCheckpoint]: OffsetCheckpoint[K] }
type Item =
  | { readonly kind: 'units'; readonly units: readonly Unit[]; readonly key: string }
  | { readonly kind: 'rejected'; readonly item: RejectedItem; readonly key: string }

class OffsetRun {
  readonly #listing: OffsetListing
  readonly #context: PullContext
  readonly #progress: Progress
  readonly #seen: Set<string>
  readonly #builder = new ChunkBuilder()
  /** Items taken from this page, with the attempt that gave them last. */
  #ofPage = new Map<string, number>()
  #fresh = 0
  #position = 0

  constructor(listing: OffsetListing, from: OffsetCheckpoint, context: PullContext) {
    this.#listing = listing
    this.#context = context
    this.#progress = { ...from }
    this.#seen = new Set(from.recent)
  }

  async *pages(): AsyncGenerator<Chunk<OffsetCheckpoint>, PullEnd> {
    const { pagesMax } = this.#listing
    while (this.#progress.pages < pagesMax) {
      const page = yield* this.#page()
      const end = this.#afterPage(page)
      if (end !== null) return end
    }
    return this.#end(`more than ${pagesMax} pages`)
  }

  async *#page(): AsyncGenerator<Chunk<OffsetCheckpoint>, OffsetPageEnd> {
    const progress = this.#progress
    const start = progress.offset
    progress.pages += 1
    this.#ofPage = new Map()
    this.#fresh = 0
    this.#position = 0
    let attempt = 1
    let fetchedAtMs = this.#context.nowMs()
    const elements = this.#listing.page(start)
    try {
      for (;;) {
        const next = await elements.next()
        if (next.done === true) {
          progress.offset = start + next.value.count
          if (!this.#builder.isEmpty) yield this.#chunk(fetchedAtMs)
          return next.value
        }
        if (next.value.attempt !== attempt) this.#position = 0
        ;({ attempt, fetchedAtMs } = next.value)
        const item = this.#itemOf(next.value.element)
        if (!this.#hasRoomFor(item)) yield this.#chunk(fetchedAtMs)
        this.#take(item, attempt)
        this.#position += 1
        progress.offset = start + this.#position
      }
    } finally {
      await elements.return({ total: null, count: 0 })
    }
  }

  #hasRoomFor(item: Item): boolean {
    if (item.kind === 'rejected') return this.#builder.hasRoomFor(item.item.body.length)
    const { units } = item
    return this.#builder.hasRoomFor(units.length * (units[0]?.body?.length ?? 0), units.length)
  }

  #chunk(fetchedAtMs: number): Chunk<OffsetCheckpoint> {
    const checkpoint = {
      ...this.#progress,
      recent: [...this.#ofPage.keys()].slice(-RECENT_IDS_MAX),
    }
    const { endpoint } = this.#listing
    return this.#builder.take({ endpoint, fetchedAtMs, page: this.#progress.pages, checkpoint })
  }

  #itemOf(element: JsonElement): Item {
    const { bytes, sizeBytes, head, value } = element
    const item = bytes === null ? cutObject(head) : value
    const found = isObject(item) ? this.#listing.identify(item) : '(root): is no object'
    const all = typeof found === 'string' ? [] : [found].flat()
    const [first] = all
    if (first === undefined || all.some((ids) => ids.unit.length > ID_CHARACTERS_MAX)) {
      const violation = typeof found === 'string' ? found : `id: longer than ${ID_CHARACTERS_MAX}`
      const body = bytes ?? head
      const key = `rejected:${createHash('sha256').update(body).digest('hex')}`
      return { kind: 'rejected', key, item: { body, violations: [violation] } }
    }
    const contentType = 'application/json'
    const facts = { body: bytes, sizeBytes, contentType, columns: null }
    return { kind: 'units', units: all.map((ids) => ({ ...ids, ...facts })), key: first.unit }
  }

  #take(item: Item, attempt: number): void {
    const progress = this.#progress
    const before = this.#ofPage.get(item.key)
    this.#ofPage.set(item.key, attempt)
    // The page was fetched again: this item of it has been taken.
    if (before !== undefined && before < attempt) return
    if (item.kind === 'units') {
      if (this.#seen.has(item.key)) {
        progress.repeats += 1
        return
      }
      this.#seen.add(item.key)
      for (const unit of item.units) this.#builder.add(unit)
      if (item.units.some((unit) => unit.body === null)) progress.tooLarge += 1
    } else this.#builder.reject(item.item)
    progress.listed += 1
    this.#fresh += 1
  }

  /** Moves on to the next page; the end of the pull when there is none. */
  #afterPage({ total, count }: OffsetPageEnd): PullEnd | null {
    const progress = this.#progress
    const start = progress.offset - count
    const vanished = this.#noteTotal(total)
    if (vanished > 0 && start > 0 && progress.rereads < REREADS_MAX) {
      // What stood behind the vanished items has moved to before this page.
      progress.offset = Math.max(0, start - vanished)
      progress.rereads += 1
      return null
    }
    if (count === 0) return this.#end(null)
    const isAtEnd = total !== null && progress.offset >= total
    const isShort = total === null && this.#listing.shortPageEnds && count < this.#listing.pageSize
    if (isAtEnd || isShort) return this.#end(null)
    const isRereading = vanished > 0 || progress.rereads > 0
    if (this.#fresh === 0 && !isRereading && progress.totalMoved === 0 && progress.pages > 1) {
      return this.#end('the vendor gives the same page again')
    }
    return null
  }

  /** Notes what the vendor declares now; by how many items the listing shrank since. */
  #noteTotal(total: number | null): number {
    if (total === null) return 0
    const progress = this.#progress
    const last = progress.totalLast ?? total
    progress.totalFirst ??= total
    progress.totalLast = total
    progress.totalMoved = Math.max(progress.totalMoved, Math.abs(total - progress.totalFirst))
    return Math.max(0, last - total)
  }

  #end(stopped: string | null): PullEnd {
    const { listed, repeats, tooLarge, totalFirst, totalLast, totalMoved } = this.#progress
    const declared = totalLast
    if (stopped !== null) return { verdict: 'PARTIAL', declared, reason: stopped }
    if (tooLarge > 0) {
      return { verdict: 'PARTIAL', declared, reason: `${tooLarge} units above the largest size` }
    }
    const gap = declared === null ? 0 : Math.abs(declared - listed)
    const drifted = totalMoved > 0 || repeats > 0
    if (!drifted && gap === 0) return { verdict: 'COMPLETE', declared, reason: null }
    const reason = drifted
      ? `declared ${totalFirst} at first, ${declared} at last; ${listed} listed, ${repeats} twice`
      : `${listed} items listed, ${declared} declared`
    const bound = DRIFT_SHARE_MAX * Math.max(totalFirst ?? 0, declared ?? 0, listed)
    const isSmall = drifted && Math.max(totalMoved, gap) < bound
    return { verdict: isSmall ? 'DRIFTED' : 'PARTIAL', declared, reason }
  }
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
