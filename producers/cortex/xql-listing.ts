// A listing read by XQL: as one query, or in slices by key where one result would not hold it.
import { z } from 'zod'
import type { Chunk, PullContext, PullEnd, RejectedItem, Unit } from '../../contracts/ports.ts'
import { UNIT_BYTES_MAX } from '../../contracts/topics.ts'
import { ChunkBuilder } from '../../runtime/chunks.ts'
import type { ProbedSource } from '../../runtime/connector.ts'
import type { PageElement } from '../../runtime/http-elements.ts'
import { cutObject } from '../../runtime/json-elements.ts'
import { isObject } from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { SeenIds } from './seen-ids.ts'
import { type Dataset, sourceOf } from './xql-datasets.ts'
import { RESULTS_PATH, RESULT_ROWS_MAX, type XqlEnd, xqlRows } from './xql.ts'

/** Where a listing in slices goes on. A single query has no such place. */
export const xqlCheckpoint = z.object({
  dataset: z.string().min(1),
  fields: z.array(z.string()).max(100),
  /** Key of the last row taken. */
  after: z.string().nullable(),
  /** Units of that key, the last thousand: they come once more where rows share a key. */
  recent: z.array(z.string()).max(1_000),
  slices: z.int().min(0),
  tooLarge: z.int().min(0),
  /** False once some tenant of several did not answer. */
  whole: z.boolean(),
})
export type XqlCheckpoint = z.infer<typeof xqlCheckpoint>
export type XqlSource = ProbedSource<CortexClient, XqlCheckpoint>

export type XqlListing = {
  readonly dataset: Dataset
  /** Fields asked for; empty asks for all. */
  readonly fields: readonly string[]
  /** Rows of one slice; null reads all by one query. */
  readonly sliceRows: number | null
  /** The unit's bytes out of the row's; default: these. */
  readonly bodyOf?: (row: Readonly<Record<string, unknown>>, bytes: Buffer) => Buffer
}

const RECENT_UNITS_MAX = 1_000
const SLICES_MAX = 1_000
const UNIT_CHARACTERS_MAX = 1_024

/** Pulls the whole listing, or what comes after `from`. @throws PipelineError as XQL does */
export const pullXql = (
  client: CortexClient,
  listing: XqlListing,
  from: XqlCheckpoint | null,
  context: PullContext,
): AsyncGenerator<Chunk<XqlCheckpoint>, PullEnd> =>
  new XqlRun(listing, from, context).slices(client)

/** The query for the rows after `after`. */
function queryOf(listing: XqlListing, after: string | null): string {
  const { dataset, fields, sliceRows } = listing
  const { field, unique } = dataset.key
  const parts = [sourceOf(dataset)]
  if (after !== null) {
    const text = after.replaceAll('\\', '\\\\').replaceAll('"', '\\"')
    parts.push(`filter ${field} ${unique ? '>' : '>='} "${text}"`)
  }
  if (fields.length > 0) parts.push(`fields ${fields.join(', ')}`)
  if (sliceRows !== null) parts.push(`sort asc ${field}`, `limit ${sliceRows}`)
  return parts.join(' | ')
}

type Progress = { -readonly [K in keyof XqlCheckpoint]: XqlCheckpoint[K] }
type Row =
  | { readonly unit: Unit; readonly key: string | null; readonly rejected: null }
  | { readonly unit: null; readonly rejected: RejectedItem }

class XqlRun {
  readonly #listing: XqlListing
  readonly #context: PullContext
  readonly #progress: Progress
  readonly #endpoint: string
  readonly #builder = new ChunkBuilder()
  /** Of this slice: a stream read again must not give its rows twice. */
  #seen = new SeenIds()
  #rejectedMax = 0
  #rejectedOfAttempt = 0
  #rowsOfAttempt = 0
  /** Rows of this slice that were new. */
  #fresh = 0

  constructor(listing: XqlListing, from: XqlCheckpoint | null, context: PullContext) {
    this.#listing = listing
    this.#context = context
    this.#endpoint = `${RESULTS_PATH} dataset=${listing.dataset.name}`
    this.#progress = from === null ? startOf(listing) : { ...from }
  }

  async *slices(client: CortexClient): AsyncGenerator<Chunk<XqlCheckpoint>, PullEnd> {
    const progress = this.#progress
    const { sliceRows } = this.#listing
    while (progress.slices < SLICES_MAX) {
      const { declared, whole } = yield* this.#slice(client)
      progress.whole &&= whole
      const rows = Math.max(declared ?? 0, this.#rowsOfAttempt)
      if (sliceRows === null) return this.#end(declared, cutAt(rows))
      if (rows < sliceRows) return this.#end(null, null)
      if (rows >= RESULT_ROWS_MAX) return this.#end(null, cutAt(rows))
      // More rows share one key than a slice holds.
      if (this.#fresh === 0) return this.#end(null, 'a slice gives the same rows again')
    }
    return this.#end(null, `more than ${SLICES_MAX} slices`)
  }

  async *#slice(client: CortexClient): AsyncGenerator<Chunk<XqlCheckpoint>, XqlEnd> {
    const progress = this.#progress
    const xql = {
      query: queryOf(this.#listing, progress.after),
      windowMs: client.config.findingsWindow,
    }
    this.#seen = new SeenIds()
    for (const unit of progress.recent) this.#seen.add(unit)
    progress.slices += 1
    this.#fresh = 0
    this.#rejectedMax = 0
    this.#startAttempt()
    const rows = xqlRows(client, xql, this.#context)
    let fetchedAtMs = this.#context.nowMs()
    let attempt = 1
    try {
      for (;;) {
        const next = await rows.next()
        if (next.done === true) {
          if (!this.#builder.isEmpty) yield this.#chunk(fetchedAtMs)
          return next.value
        }
        if (next.value.attempt !== attempt) this.#startAttempt()
        ;({ attempt, fetchedAtMs } = next.value)
        this.#rowsOfAttempt += 1
        const row = this.#newRow(next.value)
        if (row === null) continue
        const bytes = (row.unit?.body ?? row.rejected?.body)?.length ?? 0
        if (!this.#builder.hasRoomFor(bytes)) yield this.#chunk(fetchedAtMs)
        this.#take(row)
      }
    } finally {
      await rows.return({ declared: null, whole: false, endpoint: RESULTS_PATH })
    }
  }

  #startAttempt(): void {
    this.#rejectedOfAttempt = 0
    this.#rowsOfAttempt = 0
  }

  #chunk(fetchedAtMs: number): Chunk<XqlCheckpoint> {
    const progress = this.#progress
    const checkpoint =
      this.#listing.sliceRows === null
        ? null
        : { ...progress, slices: progress.slices - 1, recent: [...progress.recent] }
    return this.#builder.take({
      endpoint: this.#endpoint,
      fetchedAtMs,
      page: progress.slices,
      checkpoint,
    })
  }

  #take(row: Row): void {
    const progress = this.#progress
    if (row.unit === null) {
      this.#builder.reject(row.rejected)
      return
    }
    this.#builder.add(row.unit)
    this.#fresh += 1
    if (row.unit.body === null) progress.tooLarge += 1
    if (this.#listing.sliceRows === null) return
    if (row.key !== progress.after) progress.recent = []
    progress.after = row.key
    progress.recent.push(row.unit.unit)
    if (progress.recent.length > RECENT_UNITS_MAX) progress.recent.shift()
  }

  /** The row, unless it was given already. */
  #newRow({ element }: PageElement): Row | null {
    const { bytes, sizeBytes, head, value } = element
    const { dataset, bodyOf } = this.#listing
    const row = bytes === null ? cutObject(head) : value
    const ids = isObject(row) ? dataset.identify(row) : ['(root): is no object']
    if (!('unit' in ids) || ids.unit.length > UNIT_CHARACTERS_MAX) {
      this.#rejectedOfAttempt += 1
      if (this.#rejectedOfAttempt <= this.#rejectedMax) return null
      this.#rejectedMax = this.#rejectedOfAttempt
      const violations = 'unit' in ids ? [`id: longer than ${UNIT_CHARACTERS_MAX}`] : ids
      return { unit: null, rejected: { body: bytes ?? head, violations } }
    }
    if (!this.#seen.add(ids.unit)) return null
    const whole = bytes === null || !isObject(row) ? bytes : (bodyOf?.(row, bytes) ?? bytes)
    const fits = whole !== null && whole.length <= UNIT_BYTES_MAX
    const unit = {
      ...ids,
      body: fits ? whole : null,
      sizeBytes: whole?.length ?? sizeBytes,
      contentType: 'application/json',
      columns: null,
    }
    const key = isObject(row) ? row[dataset.key.field] : null
    return { unit, key: typeof key === 'string' ? key : null, rejected: null }
  }

  /** `declared`: null for slices, between which rows come and go. */
  #end(declared: number | null, stopped: string | null): PullEnd {
    const { whole, tooLarge } = this.#progress
    const reasons: string[] = stopped === null ? [] : [stopped]
    if (!whole) reasons.push('the vendor says PARTIAL_SUCCESS: not every tenant answered')
    if (tooLarge > 0) reasons.push(`${tooLarge} units above the largest size`)
    if (reasons.length === 0) return { verdict: 'COMPLETE', declared, reason: null }
    return { verdict: 'PARTIAL', declared, reason: reasons.join('; ') }
  }
}

const startOf = ({ dataset, fields }: XqlListing): Progress => ({
  dataset: dataset.name,
  fields: [...fields],
  after: null,
  recent: [],
  slices: 0,
  tooLarge: 0,
  whole: true,
})

/** The vendor gives no more than this, and does not say that there are more. */
const cutAt = (rows: number): string | null =>
  rows < RESULT_ROWS_MAX ? null : `the result is cut at ${RESULT_ROWS_MAX} rows`
