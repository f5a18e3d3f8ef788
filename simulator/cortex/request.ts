// Reads a request body: `request_data`, the window of a page, and both dialects of filters.
import { z } from 'zod'
import type { Row, Value } from '../rows.ts'

/** The body's `request_data`, or the text of what is wrong with the JSON. */
export type RequestData = { readonly data: Value } | { readonly invalid: string }

const object = z.record(z.string(), z.unknown())

/** An object without `request_data` is taken as it is where `bare` allows it. */
export function requestData(body: Buffer, bare: boolean): RequestData | null {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return { invalid: 'Expecting value: line 1 column 1 (char 0)' }
  }
  const outer = object.safeParse(value)
  if (!outer.success) return null
  const inner = object.safeParse(outer.data['request_data'])
  if (inner.success) return { data: inner.data }
  return bare && outer.data['request_data'] === undefined ? { data: outer.data } : null
}

const bound = z.int().min(0).optional()

/** Half-open window [from, to); null where its span is not within 1..`spanMax`. */
export function windowOf(data: Value, spanMax: number): { from: number; to: number } | null {
  const given = z.object({ search_from: bound, search_to: bound }).safeParse(data)
  if (!given.success) return null
  const from = given.data.search_from ?? 0
  const to = given.data.search_to ?? from + spanMax
  return to > from && to - from <= spanMax ? { from, to } : null
}

export type Test = (value: Value) => boolean
type Comparison = (field: unknown, wanted: unknown) => boolean

const asNumber = (value: unknown): number => (typeof value === 'number' ? value : Number(value))
const anyOf = (field: unknown): unknown[] => (Array.isArray(field) ? field : [field])
const oneOf: Comparison = (field, wanted) =>
  anyOf(field).some((f) => anyOf(wanted).some((w) => String(f) === String(w)))
const contains: Comparison = (field, wanted) => String(field).includes(String(wanted))
const present = (field: unknown): boolean => field !== null && field !== undefined && field !== ''

const STANDARD: Readonly<Record<string, Comparison>> = {
  in: oneOf,
  gte: (field, wanted) => present(field) && asNumber(field) >= asNumber(wanted),
  lte: (field, wanted) => present(field) && asNumber(field) <= asNumber(wanted),
}
const INVENTORY: Readonly<Record<string, Comparison>> = {
  EQ: (field, wanted) => String(field) === String(wanted),
  NEQ: (field, wanted) => String(field) !== String(wanted),
  IN: oneOf,
  NIN: (field, wanted) => !oneOf(field, wanted),
  GT: (field, wanted) => present(field) && asNumber(field) > asNumber(wanted),
  GTE: (field, wanted) => present(field) && asNumber(field) >= asNumber(wanted),
  LT: (field, wanted) => present(field) && asNumber(field) < asNumber(wanted),
  LTE: (field, wanted) => present(field) && asNumber(field) <= asNumber(wanted),
  CONTAINS: contains,
  NCONTAINS: (field, wanted) => !contains(field, wanted),
  IS_EMPTY: (field) => !present(field),
  NIS_EMPTY: (field) => present(field),
}

const standardFilters = z
  .array(z.object({ field: z.string(), operator: z.string(), value: z.unknown() }))
  .default([])

/** `fields` maps a filter's name to the row's; null for a filter the vendor does not know. */
export function standardTest(
  filters: unknown,
  fields: Readonly<Record<string, string>>,
): Test | null {
  const given = standardFilters.safeParse(filters)
  if (!given.success) return null
  return allOf(
    given.data.map(({ field, operator, value }) => {
      const compare = STANDARD[operator]
      const name = fields[field]
      if (compare === undefined || name === undefined) return null
      return (row) => compare(row[name], value)
    }),
  )
}

const condition = z.object({
  SEARCH_FIELD: z.string(),
  SEARCH_TYPE: z.string(),
  SEARCH_VALUE: z.unknown().optional(),
})
const inventoryFilters = z
  .object({ AND: z.array(condition).optional(), OR: z.array(condition).optional() })
  .default({})

/** The asset dialect; null for a form or a field the vendor does not know. */
export function inventoryTest(filters: unknown, knows: (field: string) => boolean): Test | null {
  const given = inventoryFilters.safeParse(filters)
  if (!given.success) return null
  const testOf = ({ SEARCH_FIELD, SEARCH_TYPE, SEARCH_VALUE }: z.infer<typeof condition>) => {
    const compare = INVENTORY[SEARCH_TYPE]
    if (compare === undefined || !knows(SEARCH_FIELD)) return null
    return (row: Value) => compare(row[SEARCH_FIELD], SEARCH_VALUE)
  }
  const { AND = [], OR = [] } = given.data
  const all = allOf(AND.map(testOf))
  const alternatives = OR.map(testOf)
  if (all === null || alternatives.includes(null)) return null
  return (row) => all(row) && (OR.length === 0 || alternatives.some((test) => test?.(row)))
}

function allOf(tests: readonly (Test | null)[]): Test | null {
  const known = tests.filter((test) => test !== null)
  return known.length === tests.length ? (row) => known.every((test) => test(row)) : null
}

/** Rows in the order of `field`; equal ones keep their order. */
export function sortRows(rows: readonly Row[], field: string, descending: boolean): Row[] {
  const keyed = rows.map((row) => ({ row, key: row.value()[field] }))
  keyed.sort((a, b) => compareValues(a.key, b.key) * (descending ? -1 : 1))
  return keyed.map(({ row }) => row)
}

/** Nulls first, numbers as numbers, all else as text by code unit. */
export function compareValues(a: unknown, b: unknown): number {
  if (!present(a) || !present(b)) return Number(present(a)) - Number(present(b))
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [left, right] = [String(a), String(b)]
  return left < right ? -1 : left > right ? 1 : 0
}
