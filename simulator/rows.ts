// Rows of an answer: made only when they are sent, so that ten thousand machines cost one page.
import type { SetFault } from './faults.ts'
import { shareOf } from './random.ts'

export type Value = Readonly<Record<string, unknown>>
export type Row = {
  readonly id: string
  value(): Value
  /** JSON of it; for a row from a file the file's own bytes. */
  bytes(): Buffer
}

/** A row whose value is made when asked for. */
export const rowOf = (id: string, value: () => Value): Row => ({
  id,
  value,
  bytes: () => Buffer.from(JSON.stringify(value())),
})

/** What a listing shows, and how many rows its totals speak of. */
export type Shown = { readonly rows: readonly Row[]; readonly declared: number }

/** Applies `empty`, `missing-rows` and `shift-rows`; other faults leave the rows as they are. */
export function shownRows(rows: readonly Row[], fault: SetFault | null): Shown {
  if (fault?.kind === 'empty') return { rows: [], declared: 0 }
  if (fault?.kind === 'shift-rows') {
    const moved = rows.slice(fault.by)
    return { rows: moved, declared: moved.length }
  }
  if (fault?.kind !== 'missing-rows') return { rows, declared: rows.length }
  const kept = rows.filter((row) => shareOf(row.id) >= fault.share)
  // Of few rows chance may keep all: then the last one goes, so that the fault shows.
  const left = kept.length === rows.length && fault.share > 0 ? kept.slice(0, -1) : kept
  return { rows: left, declared: fault.declared === 'all' ? rows.length : left.length }
}

/** Applies `drop-field`, `jitter` and the kinds of drift to a page. */
export function pageRows(page: readonly Row[], fault: SetFault | null): readonly Row[] {
  if (fault?.kind === 'drop-field') {
    return page.map((row, i) => (i === fault.nth ? without(row, fault.field) : row))
  }
  if (fault?.kind === 'jitter') {
    return page.map((row) => rowOf(row.id, () => jittered(row.value()) as Value))
  }
  const change = fault === null ? null : changeOf(fault)
  return change === null ? page : page.map((row) => changed(row, change))
}

/** Less than any score or price means. */
const HAIR = 1e-9

function jittered(value: unknown): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? value : value + HAIR
  if (Array.isArray(value)) return value.map(jittered).toReversed()
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, jittered(inner)]))
}

type Change = { readonly field: string; readonly change: (value: unknown) => unknown }

function changeOf(fault: SetFault): Change | null {
  if (fault.kind === 'new-field') return { ...fault, change: () => 'nobody knows it' }
  if (fault.kind === 'new-value') return { ...fault, change: () => fault.value }
  return fault.kind === 'type-change' ? { ...fault, change: otherType } : null
}

const changed = (row: Row, { field, change }: Change): Row =>
  rowOf(row.id, () => withChange(row.value(), field.split('/'), change) as Value)

/** `value` with what stands at `path` changed, in each element where there are lists on the way. */
function withChange(
  value: unknown,
  path: readonly string[],
  change: (value: unknown) => unknown,
): unknown {
  const [key, ...rest] = path
  if (key === undefined) return change(value)
  if (Array.isArray(value)) return value.map((element) => withChange(element, path, change))
  if (typeof value !== 'object' || value === null) return value
  const fields = value as Value
  return { ...fields, [key]: withChange(fields[key], rest, change) }
}

/** What another version of the vendor might send in its place. */
function otherType(value: unknown): unknown {
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string') return { text: value }
  return value === null || value === undefined ? { text: null } : [value].flat().length
}

/** `value` without `field`. */
export const withoutField = (value: Value, field: string): Value =>
  Object.fromEntries(Object.entries(value).filter(([key]) => key !== field))

const without = (row: Row, field: string): Row =>
  rowOf(row.id, () => withoutField(row.value(), field))

/** The rows as a JSON array. */
export function jsonArray(rows: readonly Row[]): Buffer {
  const parts = rows.flatMap((row, i) => (i === 0 ? [row.bytes()] : [COMMA, row.bytes()]))
  return Buffer.concat([Buffer.from('['), ...parts, Buffer.from(']')])
}
const COMMA = Buffer.from(',')

/**
 * JSON of `value` in which `rows` stand for the one place that holds `ROWS_HERE`: so that rows keep
 * their own bytes.
 */
export function jsonAround(value: Value, rows: readonly Row[]): Buffer {
  const [before = '', after = ''] = JSON.stringify(value).split(`"${ROWS_HERE}"`)
  return Buffer.concat([Buffer.from(before), jsonArray(rows), Buffer.from(after)])
}
export const ROWS_HERE = 'rows-stand-here'
