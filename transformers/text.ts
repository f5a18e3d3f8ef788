// Text of vendors made safe for every store, and scalars that vendors write in several ways.

/** Longest one-line text we keep, in UTF-16 units: names, versions, words. */
export const TEXT_CHARACTERS_MAX = 1_024
/** Longest description we keep, in UTF-16 units. */
export const DESCRIPTION_CHARACTERS_MAX = 4_096
/** Most members of a list of texts; what sorts after them is left out. */
export const LIST_ITEMS_MAX = 1_000

const NOTHING = new Set(['', 'n/a', '[n/a]'])
const DECIMAL = /^-?\d{1,32}(\.\d{1,32})?(e[+-]?\d{1,3})?$/i

/** Without NUL (PostgreSQL refuses it) and lone surrogates (they are no UTF-8). */
export const cleanText = (text: string): string =>
  text.replaceAll('\0', '').replace(/\p{Surrogate}/gu, '')

/** At most `charactersMax` UTF-16 units, never cut inside a character. */
export function cutText(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : cleanText(text.slice(0, charactersMax))
}

/** A text or a number as clean text of any length; null for nothing, `N/A` and other types. */
export function fullTextOf(value: unknown): string | null {
  const one = unwrap(value)
  // A number beyond 2^53 has lost digits in JSON.parse: as an id it would name something else.
  if (typeof one === 'number') {
    return Number.isSafeInteger(one) || (Number.isFinite(one) && !Number.isInteger(one))
      ? String(one)
      : null
  }
  if (typeof one !== 'string') return null
  const text = cleanText(one).trim()
  return NOTHING.has(text.toLowerCase()) ? null : text
}

/** As fullTextOf, at most TEXT_CHARACTERS_MAX. */
export function textOf(value: unknown): string | null {
  const text = fullTextOf(value)
  return text === null ? null : cutText(text, TEXT_CHARACTERS_MAX)
}

/** One line: white space runs become one blank. */
export const lineOf = (text: string): string =>
  cutText(text.replace(/\s+/g, ' ').trim(), TEXT_CHARACTERS_MAX)

/** Sorted and distinct, so that an order without meaning never looks like a change. */
export const sortedTexts = (texts: Iterable<string>): string[] =>
  [...new Set(texts)].toSorted().slice(0, LIST_ITEMS_MAX)

/** The texts of a list, or of one text; sorted and distinct. */
export function textsOf(value: unknown): string[] {
  const texts = (Array.isArray(value) ? value : [value]).map(textOf)
  return sortedTexts(texts.filter((text) => text !== null))
}

/** A finite number, also one written as text (`"5.2"`, `"8.8E-4"`); else null. */
export function numberOf(value: unknown): number | null {
  const one = unwrap(value)
  if (typeof one === 'string' && DECIMAL.test(one.trim())) return finite(Number(one))
  return typeof one === 'number' ? finite(one) : null
}

/** true/false, Y/N, yes/no, 1/0; null when it is not stated. */
export function flagOf(value: unknown): boolean | null {
  const one = unwrap(value)
  if (typeof one === 'boolean') return one
  const word = String(fullTextOf(one)).toLowerCase()
  if (['y', 'yes', 'true', '1'].includes(word)) return true
  return ['n', 'no', 'false', '0'].includes(word) ? false : null
}

/** True for what JSON calls an object. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Some tenants wrap scalars in lists of one. */
function unwrap(value: unknown): unknown {
  return Array.isArray(value) && value.length === 1 ? (value as readonly unknown[])[0] : value
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)
