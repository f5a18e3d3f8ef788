// Single members of an answer of which nothing is certain.
import { isObject } from './offset-listing.ts'

/** The member at `path`; undefined when a step of it is missing. */
export const memberAt = (value: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>((member, key) => (isObject(member) ? member[key] : undefined), value)

/** A count, written as a number or as text; null for anything else. */
export function countOf(value: unknown): number | null {
  const count = typeof value === 'string' && /^\d{1,12}$/.test(value) ? Number(value) : value
  return Number.isSafeInteger(count) && Number(count) >= 0 ? Number(count) : null
}
