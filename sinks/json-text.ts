// A document as JSON text, or why it cannot be that without being changed.

/** The text, or the reason for which the document is refused. */
export type JsonText =
  | { readonly text: string; readonly refused: null }
  | { readonly text: null; readonly refused: string }

/** JSON writes half of a surrogate pair as an escape; behind a backslash it is only text. */
const HALF_PAIR = /(?<!\\)(?:\\\\)*\\ud[89a-f][0-9a-f]{2}/

/** JSON would turn NaN and the infinities into null, and stores half characters into others. */
export function jsonTextOf(document: unknown): JsonText {
  const text = JSON.stringify(document)
  const refused = changedAs(document, text)
  return refused === null ? { text, refused } : { text: null, refused }
}

/** Why `text`, which JSON made of the document, does not say the same; null when it does. */
export function changedAs(document: unknown, text: string): string | null {
  const bad = badNumberIn(document)
  if (bad !== null) return `a number is ${String(bad)}, which JSON cannot hold`
  // The first look is for the many texts that have none: it costs a tenth.
  const isHalf = text.includes('\\ud') && HALF_PAIR.test(text)
  return isHalf ? 'text holds half of a surrogate pair' : null
}

/** A walk of our own: a replacer of JSON.stringify would make that several times slower. */
function badNumberIn(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? null : value
  if (typeof value !== 'object' || value === null) return null
  if (Array.isArray(value)) {
    for (const inner of value) {
      const bad = badNumberIn(inner)
      if (bad !== null) return bad
    }
    return null
  }
  for (const name of Object.keys(value)) {
    const bad = badNumberIn((value as Readonly<Record<string, unknown>>)[name])
    if (bad !== null) return bad
  }
  return null
}
