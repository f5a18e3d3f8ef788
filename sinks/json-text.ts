// A document as JSON text, or why it cannot be that without being changed.

/** The text, or the reason for which the document is refused. */
export type JsonText =
  | { readonly text: string; readonly refused: null }
  | { readonly text: null; readonly refused: string }

/** JSON writes half of a surrogate pair as an escape; behind a backslash it is only text. */
const HALF_PAIR = /(?<!\\)(?:\\\\)*\\ud[89a-f][0-9a-f]{2}/

/** JSON would turn NaN and the infinities into null, and stores half characters into others. */
export function jsonTextOf(document: unknown): JsonText {
  const bad: number[] = []
  const text = JSON.stringify(document, (_name, value: unknown) => {
    if (typeof value === 'number' && !Number.isFinite(value)) bad.push(value)
    return value
  })
  if (bad.length > 0) {
    return { text: null, refused: `a number is ${String(bad[0])}, which JSON cannot hold` }
  }
  if (HALF_PAIR.test(text)) return { text: null, refused: 'text holds half of a surrogate pair' }
  return { text, refused: null }
}
