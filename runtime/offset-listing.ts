// A listing paged by offset, which drifts while it is read. Each page begins with the last row of
// the page before: where it does not, rows may have slipped past and are read again, what comes
// twice is dropped, and the verdict says how far the listing can be trusted.
import { z } from 'zod'
import type { Chunk, PullContext, PullEnd, RejectedItem, Unit } from '../contracts/ports.ts'
import { ChunkBuilder } from './chunks.ts'
import type { PageElement } from './http-elements.ts'
import { type JsonElement, cutObject } from './json-elements.ts'
import { ID_CHARACTERS_MAX, rejectedKey } from './listing.ts'
import { STEPS_BACK_MAX, offsetEnd } from './offset-verdict.ts'

/** Where to go on, and what was counted so far. */
export const offsetCheckpoint = z.object({
  /** Position in the vendor's listing after the last unit of the chunk. */
  offset: z.int().min(0),
  pages: z.int().min(0),
  /** Distinct items so far, rejected ones included. */
  listed: z.int().min(0),
  repeats: z.int().min(0),
  /** Times the listing stepped back by a page. */
  rereads: z.int().min(0),
  /** Pages taken although they do not follow what was read, after all steps back. */
  unjoined: z.int().min(0).default(0),
  /** By how many places rows moved between two pages, at most; 0 when each page joined. */
  moved: z.int().min(0).default(0),
  /** Rows of the largest page so far. Older checkpoints do not say; theirs had several. */
  widest: z.int().min(0).default(2),
  tooLarge: z.int().min(0),
  /** What the vendor declared: on the first page, on the last one, and how far it moved. */
  totalFirst: z.int().nullable(),
  totalLast: z.int().nullable(),
  totalMoved: z.int().min(0),
  /** Ids of the rows read last, at most a page of them: `offset` comes after the last one. */
  recent: z.array(z.string()).max(1_000),
})
export type OffsetCheckpoint = z.infer<typeof offsetCheckpoint>

export type OffsetPageEnd = {
  /** What the vendor declares for the whole listing; null when it does not. */
  readonly total: number | null
  /** Places of the listing that the page covers: its elements, and rows that are not shown. */
  readonly count: number
  /** Rows that are not shown and that no page before has named; default 0. */
  readonly hidden?: number
  /** What the listing has at least, where `total` would say too much; default 0. */
  readonly atLeast?: number
}

export type ItemIds = { readonly unit: string; readonly assetNativeId: string }

export type OffsetListing = {
  readonly endpoint: string
  /** Elements per page, as asked for. */
  readonly pageSize: number
  readonly pagesMax: number
  /** The page at `offset`: never more than `pageSize` elements. */
  page(offset: number): AsyncGenerator<PageElement, OffsetPageEnd>
  /** True when the page at hand follows the one before by rows that both of them do not show. */
  readonly joinsUnseen?: () => boolean
  /** The ids of an item, or what it lacks. Several where it is one unit for each of its assets. */
  identify(item: Readonly<Record<string, unknown>>): ItemIds | readonly ItemIds[] | string
}

const RECENT_IDS_MAX = 1_000

const START: OffsetCheckpoint = {
  offset: 0,
  pages: 0,
  listed: 0,
  repeats: 0,
  rereads: 0,
  unjoined: 0,
  moved: 0,
  widest: 0,
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

/** A page that was read, and how many rows of it the page before had. */
type Page = OffsetPageEnd & { readonly overlap: number }

class OffsetRun {
  readonly #listing: OffsetListing
  readonly #context: PullContext
  readonly #progress: Progress
  readonly #seen: Set<string>
  readonly #builder = new ChunkBuilder()
  /** What `recent` was when this page began, and the place after it. */
  #before: readonly string[] = []
  #beforeTo = 0
  /** Items taken from this page in the order of reading, with the attempt that gave them last. */
  #ofPage = new Map<string, number>()
  #fresh = 0
  #position = 0
  /** This page is read after a step back. */
  #isBack = false
  /** This page does not begin where the one before ended. */
  #isMoved = false
  #isMeasured = false
  /** The place after the last one of `recent` when that was read. */
  #readTo: number
  /** Steps back since the listing last led further than before. */
  #stepsInVain = 0
  #isUnjoined = false
  #furthest: number
  /** Pages in a row that brought nothing new. */
  #barren = 0
  #atLeast = 0

  constructor(listing: OffsetListing, from: OffsetCheckpoint, context: PullContext) {
    this.#listing = listing
    this.#context = context
    this.#progress = { ...from }
    this.#seen = new Set(from.recent)
    this.#readTo = from.offset
    this.#furthest = from.offset
  }

  async *pages(): AsyncGenerator<Chunk<OffsetCheckpoint>, PullEnd> {
    const { pagesMax } = this.#listing
    while (this.#progress.pages < pagesMax) {
      const page = yield* this.#page()
      const end = page === null ? this.#stepBack() : this.#afterPage(page)
      if (end !== null) return end
    }
    return this.#end(`more than ${pagesMax} pages`)
  }

  /** Null: the page does not follow what was read before it. */
  async *#page(): AsyncGenerator<Chunk<OffsetCheckpoint>, Page | null> {
    const progress = this.#progress
    const overlap = this.#overlap()
    const start = progress.offset - overlap
    this.#beginPage()
    let attempt = 1
    let fetchedAtMs = this.#context.nowMs()
    const elements = this.#listing.page(start)
    try {
      for (;;) {
        const next = await elements.next()
        if (next.done !== true && next.value.attempt !== attempt) this.#position = 0
        if (next.done !== true) ({ attempt, fetchedAtMs } = next.value)
        const item = next.done === true ? null : this.#itemOf(next.value.element)
        const isFirst = next.done === true ? next.value.count === 0 : this.#position === 0
        if (overlap > 0 && isFirst && !this.#joins(item) && this.#leadsBack(item)) {
          if (!this.#builder.isEmpty) yield this.#chunk(fetchedAtMs)
          progress.offset = start
          return null
        }
        if (next.done === true) {
          progress.offset = start + next.value.count
          progress.widest = Math.max(progress.widest, next.value.count)
          if (!this.#builder.isEmpty) yield this.#chunk(fetchedAtMs)
          return { ...next.value, overlap }
        }
        if (item === null) continue
        if (this.#isMoved && !this.#isMeasured) this.#measure(item, start + this.#position)
        progress.widest = Math.max(progress.widest, this.#position + 1)
        if (overlap === 0 || this.#position > 0 || item.key !== this.#before.at(-1)) {
          if (!this.#hasRoomFor(item)) yield this.#chunk(fetchedAtMs)
          this.#take(item, attempt)
        }
        this.#position += 1
        progress.offset = start + this.#position
      }
    } finally {
      await elements.return({ total: null, count: 0 })
    }
  }

  /** Rows that the next page has in common with what was read. */
  #overlap(): number {
    const { offset, widest, recent } = this.#progress
    // With one row to a page there would be no way on.
    const isPossible = Math.min(widest, this.#listing.pageSize) > 1
    return offset > 0 && recent.length > 0 && isPossible ? 1 : 0
  }

  #beginPage(): void {
    this.#progress.pages += 1
    this.#before = this.#progress.recent
    this.#beforeTo = this.#readTo
    this.#ofPage = new Map()
    this.#fresh = 0
    this.#position = 0
    this.#isMoved = this.#isBack
    this.#isMeasured = false
    this.#isUnjoined = false
  }

  /**
   * Whether a page that begins with `first` (null: it has no rows) follows what was read. What was
   * there before a row that was read has been read as well: so any such row will do.
   */
  #joins(first: Item | null): boolean {
    if (first?.key === this.#before.at(-1) && !this.#isBack) return true
    if (this.#listing.joinsUnseen?.() === true) return true
    this.#isMoved = true
    this.#noteMove(1)
    return first !== null && (this.#seen.has(first.key) || this.#before.includes(first.key))
  }

  /** False: no step back has helped, and the page is taken as it comes. */
  #leadsBack(first: Item | null): boolean {
    // Where nothing comes there is no way on.
    if (first === null || this.#stepsInVain < STEPS_BACK_MAX) return true
    if (!this.#isUnjoined) this.#progress.unjoined += 1
    this.#isUnjoined = true
    return false
  }

  /** How far a row that was read before stands from its place of then. */
  #measure({ key }: Item, place: number): void {
    const index = this.#before.lastIndexOf(key)
    if (index === -1) return
    this.#isMeasured = true
    this.#noteMove(Math.abs(this.#beforeTo - this.#before.length + index - place))
  }

  #noteMove(places: number): void {
    this.#progress.moved = Math.max(this.#progress.moved, places)
  }

  /** What was read last, and where it stood. */
  #remember(): void {
    const idsMax = Math.min(this.#listing.pageSize, RECENT_IDS_MAX)
    // As many as a step back goes past, so that it finds one of them after a restart too.
    const ids = [...this.#before, ...this.#ofPage.keys()].slice(-idsMax)
    this.#progress.recent = ids
    this.#readTo = this.#progress.offset
  }

  /** Rows have moved to before this page: it is read again with the page before. */
  #stepBack(): PullEnd | null {
    const progress = this.#progress
    if (this.#stepsInVain >= STEPS_BACK_MAX) {
      return this.#end(`nothing comes any more after ${STEPS_BACK_MAX} steps back`)
    }
    this.#stepsInVain += 1
    progress.rereads += 1
    this.#isBack = true
    const start = Math.max(0, progress.offset - (this.#listing.pageSize - 1))
    // The overlap leads from there to `start` itself.
    progress.offset = start === 0 ? 0 : start + 1
    return null
  }

  #hasRoomFor(item: Item): boolean {
    if (item.kind === 'rejected') return this.#builder.hasRoomFor(item.item.body.length)
    const { units } = item
    return this.#builder.hasRoomFor(units.length * (units[0]?.body?.length ?? 0), units.length)
  }

  #chunk(fetchedAtMs: number): Chunk<OffsetCheckpoint> {
    this.#remember()
    const checkpoint = { ...this.#progress }
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
      const key = rejectedKey(body)
      return { kind: 'rejected', key, item: { body, violations: [violation] } }
    }
    const contentType = 'application/json'
    const facts = { body: bytes, sizeBytes, contentType, columns: null }
    return { kind: 'units', units: all.map((ids) => ({ ...ids, ...facts })), key: first.unit }
  }

  #take(item: Item, attempt: number): void {
    const progress = this.#progress
    const before = this.#ofPage.get(item.key)
    // Anew, so that the ids are in the order of the last attempt.
    this.#ofPage.delete(item.key)
    this.#ofPage.set(item.key, attempt)
    // The page was fetched again: this item of it has been taken.
    if (before !== undefined && before < attempt) return
    if (this.#isRepeat(item)) {
      progress.repeats += 1
      return
    }
    if (item.kind === 'units') {
      this.#seen.add(item.key)
      for (const unit of item.units) this.#builder.add(unit)
      if (item.units.some((unit) => unit.body === null)) progress.tooLarge += 1
    } else this.#builder.reject(item.item)
    progress.listed += 1
    this.#fresh += 1
  }

  /** Rejected items may be alike: one comes twice only where the page itself does. */
  #isRepeat({ kind, key }: Item): boolean {
    return kind === 'units' ? this.#seen.has(key) : this.#isMoved && this.#before.includes(key)
  }

  /** Moves on to the next page; the end of the pull when there is none. */
  #afterPage({ total, count, overlap, hidden = 0, atLeast = 0 }: Page): PullEnd | null {
    const progress = this.#progress
    // None of the rows read last is there any more.
    if (this.#isMoved && !this.#isMeasured) this.#noteMove(this.#before.length)
    this.#remember()
    this.#isBack = false
    this.#atLeast = atLeast
    this.#noteTotal(total)
    this.#noteProgress()
    const fresh = this.#fresh + hidden
    // A short page alone proves nothing: the end is where no further row comes.
    if (count <= overlap || (hidden === 0 && this.#position <= overlap)) return this.#end(null)
    // A total may be too low: rows that still come in full pages are worth more.
    const isFull = count >= this.#listing.pageSize && fresh > 0
    if (total !== null && progress.offset >= total && !isFull) return this.#end(null)
    this.#barren = fresh > 0 ? 0 : this.#barren + 1
    if (this.#barren > this.#barrenMax()) return this.#end('the vendor gives the same page again')
    return null
  }

  /** A page that joins and leads further gives all steps back anew. */
  #noteProgress(): void {
    if (this.#progress.offset <= this.#furthest) return
    this.#furthest = this.#progress.offset
    if (!this.#isUnjoined) this.#stepsInVain = 0
  }

  /** Pages in a row that may bring nothing new, since the listing is known to have moved. */
  #barrenMax(): number {
    const { pages, rereads, totalMoved } = this.#progress
    // The total ends these.
    if (totalMoved > 0) return this.#listing.pagesMax
    return pages === 1 || rereads > 0 ? STEPS_BACK_MAX : 0
  }

  /** Notes what the vendor declares now. */
  #noteTotal(total: number | null): void {
    if (total === null) return
    const progress = this.#progress
    progress.totalFirst ??= total
    progress.totalLast = total
    progress.totalMoved = Math.max(progress.totalMoved, Math.abs(total - progress.totalFirst))
  }

  #end(stopped: string | null): PullEnd {
    return offsetEnd(this.#progress, this.#atLeast, this.#listing.pageSize, stopped)
  }
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
