// Listings by offset that move while they are read: nothing that stays is missed, nothing comes
// twice, and a listing at rest costs one row more for each page.
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { Chunk, PullEnd } from '../../contracts/ports.ts'
import type { PageElement } from '../../runtime/http-elements.ts'
import { jsonElements } from '../../runtime/json-elements.ts'
import {
  type OffsetCheckpoint,
  type OffsetListing,
  type OffsetPageEnd,
  offsetCheckpoint,
  pullByOffset,
} from '../../runtime/offset-listing.ts'
import { offsetEnd } from '../../runtime/offset-verdict.ts'

const ROWS = 400
const PAGE_SIZE = 50
const REQUESTS_MAX = 300

type Row = { readonly id?: string; readonly n?: number }
type Vendor = {
  rows: Row[]
  /** Changes `rows` before the answer to a request, counted from 1. */
  before?: (request: number, rows: readonly Row[]) => readonly Row[]
  /** False: it declares no total. A number: it declares this one, whatever there is. */
  readonly counts?: boolean | number
  readonly pageRowsMax?: number
}

const named = (count: number): Row[] =>
  Array.from({ length: count }, (_, n) => ({ id: `row-${String(n).padStart(5, '0')}` }))
const without = (rows: readonly Row[], ...ns: readonly number[]): Row[] => {
  const ids = new Set(ns.map((n) => named(n + 1)[n]?.id))
  return rows.filter(({ id }) => !ids.has(id))
}
const idsOf = (rows: readonly Row[]) => rows.map(({ id }) => id)

/** The vendor's listing as a source would ask for it, and every offset that was asked for. */
function listingOf(vendor: Vendor, more: Partial<OffsetListing> = {}) {
  const asked: number[] = []
  const listing: OffsetListing = {
    endpoint: '/rows',
    pageSize: PAGE_SIZE,
    pagesMax: 1_000,
    page: (offset) => {
      asked.push(offset)
      if (asked.length > REQUESTS_MAX) throw new Error(`more than ${REQUESTS_MAX} requests`)
      vendor.rows = [...(vendor.before?.(asked.length, vendor.rows) ?? vendor.rows)]
      const size = Math.min(PAGE_SIZE, vendor.pageRowsMax ?? PAGE_SIZE)
      const counted = vendor.counts === false ? null : vendor.rows.length
      const total = typeof vendor.counts === 'number' ? vendor.counts : counted
      return pageOf(vendor.rows.slice(offset, offset + size), total)
    },
    identify: ({ id }) =>
      typeof id === 'string' ? { unit: id, assetNativeId: id } : 'id: must be a text',
    ...more,
  }
  return { listing, asked }
}

async function* pageOf(
  rows: readonly Row[],
  total: number | null,
): AsyncGenerator<PageElement, OffsetPageEnd> {
  const body = Buffer.from(JSON.stringify(rows))
  let count = 0
  for await (const element of jsonElements(Readable.from([body]), [])) {
    count += 1
    yield { element, attempt: 1, fetchedAtMs: 1 }
  }
  return { total, count }
}

type Ended = {
  readonly chunks: readonly Chunk<OffsetCheckpoint>[]
  readonly ids: readonly string[]
  readonly end: PullEnd | null
}

/** Reads to the end, or as many chunks as `chunksMax` says. */
async function read(
  listing: OffsetListing,
  from: OffsetCheckpoint | null = null,
  chunksMax = Infinity,
): Promise<Ended> {
  const context = { signal: new AbortController().signal, nowMs: () => 1, report: () => {} }
  const pull = pullByOffset(listing, from, context)
  const chunks: Chunk<OffsetCheckpoint>[] = []
  const ended = (end: PullEnd | null): Ended => ({
    chunks,
    ids: chunks.flatMap(({ units }) => units.map(({ unit }) => unit)),
    end,
  })
  while (chunks.length < chunksMax) {
    const next = await pull.next()
    if (next.done === true) return ended(next.value)
    chunks.push(next.value)
  }
  return ended(null)
}

/** As the log gives it back. */
const saved = ({ chunks }: Ended): OffsetCheckpoint =>
  offsetCheckpoint.parse(JSON.parse(JSON.stringify(chunks.at(-1)?.checkpoint)))

const expectAllOnce = (ids: readonly string[], rows: readonly Row[]): void => {
  expect(new Set(ids).size).toBe(ids.length)
  expect(idsOf(rows).filter((id) => !ids.includes(id ?? ''))).toEqual([])
}

describe('a listing at rest', () => {
  it.each([
    ['a total', true, []],
    ['no total, with one request more,', false, [399]],
  ])('is COMPLETE with one row more for each page, by %s', async (_, counts, more) => {
    const { listing, asked } = listingOf({ rows: named(ROWS), counts })
    const { ids, end } = await read(listing)
    expect(ids).toEqual(idsOf(named(ROWS)))
    expect(end).toMatchObject({ verdict: 'COMPLETE', reason: null })
    expect(asked).toEqual([0, 49, 98, 147, 196, 245, 294, 343, 392, ...more])
  })

  it.each([0, 1, 2, 49, 50, 51, 99, 100])('of %i rows is COMPLETE', async (count) => {
    for (const counts of [true, false]) {
      const { listing, asked } = listingOf({ rows: named(count), counts })
      const { ids, end } = await read(listing)
      expect(ids).toEqual(idsOf(named(count)))
      expect(end?.verdict).toBe('COMPLETE')
      expect(asked.length).toBeLessThanOrEqual(Math.ceil(count / (PAGE_SIZE - 1)) + 1)
    }
  })

  it('is read to its end where the vendor gives one row to a page', async () => {
    const { listing } = listingOf({ rows: named(20), counts: false, pageRowsMax: 1 })
    const { ids, end } = await read(listing)
    expect(ids).toEqual(idsOf(named(20)))
    expect(end?.verdict).toBe('COMPLETE')
  })

  it('is read on after a page that is short, where no total tells', async () => {
    const vendor: Vendor = { rows: named(ROWS), counts: false }
    const { listing } = listingOf(vendor)
    const page: OffsetListing['page'] = (offset) =>
      offset === PAGE_SIZE - 1
        ? pageOf(vendor.rows.slice(offset, offset + PAGE_SIZE - 1), null)
        : listing.page(offset)
    const { ids, end } = await read({ ...listing, page })
    expect(ids).toEqual(idsOf(named(ROWS)))
    expect(end).toMatchObject({ verdict: 'COMPLETE', reason: null })
  })

  it('is read to its end where the total is too low, and is PARTIAL', async () => {
    const { listing } = listingOf({ rows: named(ROWS), counts: 120 })
    const { ids, end } = await read(listing)
    expect(ids).toEqual(idsOf(named(ROWS)))
    expect(end).toMatchObject({ verdict: 'PARTIAL', reason: '400 items listed, 120 declared' })
  })

  it.each([
    ['COMPLETE', 390],
    ['PARTIAL', 401],
  ])('is %s where it has at least %i rows, and more are not counted', async (verdict, atLeast) => {
    const vendor: Vendor = { rows: named(ROWS), counts: false }
    const { listing } = listingOf(vendor)
    const page: OffsetListing['page'] = async function* (offset) {
      return { ...(yield* listing.page(offset)), atLeast }
    }
    const { ids, end } = await read({ ...listing, page })
    expect(ids).toEqual(idsOf(named(ROWS)))
    expect(end).toMatchObject({ verdict, declared: null })
  })

  it('rejects what has no id once, also at the end of a page', async () => {
    const rows: Row[] = named(120)
    rows[PAGE_SIZE - 1] = { n: 1 }
    const { listing } = listingOf({ rows })
    const { chunks, ids, end } = await read(listing)
    expect(chunks.flatMap(({ rejected }) => rejected)).toHaveLength(1)
    expect(ids).toHaveLength(119)
    expect(end).toMatchObject({ verdict: 'COMPLETE', declared: 120 })
  })
})

describe('a listing that moves', () => {
  const gone = (...ns: readonly number[]) => ({
    before: (request: number, rows: readonly Row[]) =>
      request === 3 ? [...without(rows, ...ns), ...named(ROWS + ns.length).slice(ROWS)] : rows,
  })

  it.each([
    ['one row', [3], 'DRIFTED'],
    ['two rows', [3, 60], 'DRIFTED'],
    ['the last row of the page before', [98], 'DRIFTED'],
    ['the last rows of the page before', [97, 98], 'DRIFTED'],
    ['the rows around the boundary', [96, 97, 98, 99, 100], 'DRIFTED'],
    ['twenty rows', Array.from({ length: 20 }, (_, n) => n), 'PARTIAL'],
    ['a page of rows', Array.from({ length: PAGE_SIZE }, (_, n) => n), 'PARTIAL'],
    ['more than a page of rows', Array.from({ length: 90 }, (_, n) => n), 'PARTIAL'],
  ])('misses nothing when %s went and as many were added', async (_, ns, verdict) => {
    for (const counts of [true, false]) {
      const vendor = { rows: named(ROWS), counts, ...gone(...ns) }
      const { ids, end } = await read(listingOf(vendor).listing)
      expectAllOnce(ids, vendor.rows)
      expect(end?.verdict).toBe(verdict)
    }
  })

  it('is PARTIAL, and whole, when more than 1 % of it went', async () => {
    const before = (request: number, rows: readonly Row[]) =>
      request === 3 ? rows.slice(70) : rows
    const vendor = { rows: named(ROWS), before }
    const { ids, end } = await read(listingOf(vendor).listing)
    expectAllOnce(ids, vendor.rows)
    expect(end).toMatchObject({ verdict: 'PARTIAL', declared: 330 })
  })

  it('steps back for nothing where rows were added before', async () => {
    const before = (request: number, rows: readonly Row[]) =>
      request === 3 ? [{ id: 'a-1' }, { id: 'a-2' }, ...rows] : rows
    const vendor = { rows: named(ROWS), before }
    const { listing, asked } = listingOf(vendor)
    const { ids, end } = await read(listing)
    expectAllOnce(ids, named(ROWS))
    expect(end).toMatchObject({ verdict: 'DRIFTED', declared: ROWS + 2 })
    expect(asked).toEqual([0, 49, 98, 147, 196, 245, 294, 343, 392])
  })

  it('reads on after an empty page in the middle', async () => {
    const rows = named(ROWS)
    const before = (request: number) => (request === 3 ? [] : rows)
    const { listing } = listingOf({ rows, before, counts: false })
    const { ids, end } = await read(listing)
    expectAllOnce(ids, rows)
    expect(end?.verdict).toBe('DRIFTED')
  })

  it('that never stands still ends as PARTIAL after so many steps back', async () => {
    const before = (request: number) =>
      Array.from({ length: ROWS * 4 }, (_, n) => ({ id: `${request}-${n}` }))
    for (const counts of [true, false]) {
      const { listing } = listingOf({ rows: [], before, counts })
      const { end } = await read(listing)
      expect(end).toMatchObject({
        verdict: 'PARTIAL',
        reason: expect.stringContaining('20 steps back'),
      })
    }
  })

  it('is DRIFTED, and whole, however often rows went, as long as they are few', async () => {
    let gone = 0
    const before = (request: number, rows: readonly Row[]) => {
      if (request % 4 > 0 || gone === 30) return rows
      gone += 1
      return rows.slice(1)
    }
    for (const counts of [true, false]) {
      gone = 0
      const vendor: Vendor = { rows: named(5_000), counts, before }
      const { ids, end } = await read(listingOf(vendor).listing)
      expectAllOnce(ids, vendor.rows)
      expect([gone, end?.verdict]).toEqual([30, 'DRIFTED'])
    }
  })

  it('ends where no step back brings a row any more', async () => {
    const before = (request: number, rows: readonly Row[]) => (request > 30 ? [] : rows)
    const vendor = { rows: named(5_000), before, counts: false }
    const { end } = await read(listingOf(vendor).listing)
    expect(end).toMatchObject({
      verdict: 'PARTIAL',
      reason: 'nothing comes any more after 20 steps back',
    })
  })

  it('does not reject the same row again when it steps back', async () => {
    const rows: Row[] = named(ROWS)
    rows[90] = { n: 1 }
    const vendor = { rows, ...gone(3, 4) }
    const { chunks } = await read(listingOf(vendor).listing)
    expect(chunks.flatMap(({ rejected }) => rejected)).toHaveLength(1)
  })
})

describe('the verdict on a listing that moved', () => {
  const counts = {
    listed: 100_000,
    repeats: 0,
    tooLarge: 0,
    totalFirst: null,
    totalLast: null,
    totalMoved: 0,
    moved: 50,
    widest: 50,
    unjoined: 0,
  }

  it('takes all pages of the steps back for unknown where none of them joined', () => {
    expect(offsetEnd(counts, 0, PAGE_SIZE, null).verdict).toBe('DRIFTED')
    expect(offsetEnd({ ...counts, unjoined: 1 }, 0, PAGE_SIZE, null)).toMatchObject({
      verdict: 'PARTIAL',
      reason: expect.stringContaining('1 pages joined nothing'),
    })
    expect(offsetEnd({ ...counts, unjoined: 1 }, 200_000, PAGE_SIZE, null).verdict).toBe('PARTIAL')
  })
})

describe('a run that goes on', () => {
  it.each([1, 2, 5, 8])('after chunk %i misses nothing of what moved meanwhile', async (n) => {
    for (const ns of [[3], [3, 4], [48, 49], Array.from({ length: 40 }, (_, i) => i)]) {
      const vendor: Vendor = { rows: named(ROWS) }
      const first = await read(listingOf(vendor).listing, null, n)
      const last = Number(first.ids.at(-1)?.slice('row-'.length))
      vendor.rows = [
        ...without(vendor.rows, ...ns.map((back) => last - back)),
        ...named(ROWS + ns.length).slice(ROWS),
      ]
      const rest = await read(listingOf(vendor).listing, saved(first))
      expectAllOnce([...first.ids, ...rest.ids], vendor.rows)
      expect(rest.end?.verdict).not.toBe('COMPLETE')
    }
  })

  it('of an older version goes on as well', async () => {
    const vendor: Vendor = { rows: named(ROWS) }
    const first = await read(listingOf(vendor).listing, null, 2)
    const { moved, widest, ...older } = saved(first)
    expect([moved, widest]).toEqual([0, PAGE_SIZE])
    vendor.rows = [...without(vendor.rows, 60, 61), ...named(ROWS + 2).slice(ROWS)]
    const rest = await read(listingOf(vendor).listing, offsetCheckpoint.parse(older))
    expectAllOnce([...first.ids, ...rest.ids], vendor.rows)
    expect(rest.end?.verdict).toBe('DRIFTED')
  })

  it('keeps no more ids than a page has', async () => {
    const { chunks } = await read(listingOf({ rows: named(ROWS) }).listing)
    const sizes = chunks.map(({ checkpoint }) => checkpoint?.recent.length)
    expect(new Set(sizes)).toEqual(new Set([PAGE_SIZE]))
  })
})
