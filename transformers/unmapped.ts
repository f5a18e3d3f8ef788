// What a vendor says and our model has no field for: JSON, in one order, within bounds.
import { safeKey } from './maps.ts'
import { cleanText, isObject } from './text.ts'

/** Most fields kept, the list of omitted ones included. */
export const UNMAPPED_KEYS_MAX = 32
/** Longest value kept, in bytes of JSON. */
export const UNMAPPED_BYTES_MAX = 4_096
/** Deepest nesting kept. Deeper values are omitted: nesting without end would exhaust the stack. */
const DEPTH_MAX = 8
const OMITTED = '_omitted'

/** Names of fields, divided by white space. */
export const fieldNames = (names: string): ReadonlySet<string> => new Set(names.trim().split(/\s+/))

/**
 * The fields of `record` outside `known`, JSON-encoded with sorted keys. Empty ones are left out;
 * too long, too deep and surplus ones are named in `_omitted` (their values are in the raw record).
 */
export function unmappedOf(
  record: Readonly<Record<string, unknown>>,
  known: ReadonlySet<string>,
): Record<string, string> {
  const kept: [string, string][] = []
  const omitted: string[] = []
  const names = Object.keys(record).filter((name) => !known.has(name) && !isEmpty(record[name]))
  for (const name of names.toSorted()) {
    const json = canonicalJson(record[name], 0)
    const fits = json !== null && Buffer.byteLength(json) <= UNMAPPED_BYTES_MAX
    if (fits && kept.length < UNMAPPED_KEYS_MAX - 1) kept.push([safeKey(name), json])
    else omitted.push(safeKey(name))
  }
  if (omitted.length > 0) {
    kept.push([OMITTED, JSON.stringify(omitted.slice(0, UNMAPPED_KEYS_MAX))])
  }
  return Object.fromEntries(kept)
}

/** Null if deeper than DEPTH_MAX. Lists of scalars are sorted: vendors return sets as lists. */
function canonicalJson(value: unknown, depth: number): string | null {
  if (depth > DEPTH_MAX) return null
  if (typeof value === 'string') return JSON.stringify(cleanText(value))
  if (Array.isArray(value)) {
    const items = value.map((item) => canonicalJson(item, depth + 1))
    if (!items.every((item) => item !== null)) return null
    const scalar = value.every((item) => typeof item !== 'object')
    return `[${(scalar ? items.toSorted() : items).join(',')}]`
  }
  if (isObject(value)) {
    const parts: string[] = []
    for (const key of Object.keys(value).toSorted()) {
      const json = canonicalJson(value[key], depth + 1)
      if (json === null) return null
      parts.push(`${JSON.stringify(cleanText(key))}:${json}`)
    }
    return `{${parts.join(',')}}`
  }
  return JSON.stringify(value) ?? 'null'
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true
  if (typeof value === 'string') return value.startsWith('0001-01-01T')
  if (Array.isArray(value)) return value.length === 0
  return isObject(value) && Object.keys(value).length === 0
}
