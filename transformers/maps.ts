// Maps of text that survive every store: keys cleaned, sorted, and never the prototype.
import { TEXT_CHARACTERS_MAX, cleanText, cutText } from './text.ts'

/** Most keys of one map; what sorts after them is left out. */
export const MAP_KEYS_MAX = 256
const KEY_CHARACTERS_MAX = 256

/** Avro's JavaScript writer drops `__proto__` silently, so it is prefixed, as is the empty key. */
export function safeKey(key: string): string {
  const clean = cutText(cleanText(key).trim(), KEY_CHARACTERS_MAX)
  return clean === '' || clean === '__proto__' ? `_${clean}` : clean
}

/** A key that occurs with several values keeps them all, sorted and joined by `, `. */
export function textMapOf(pairs: Iterable<readonly [string, string]>): Record<string, string> {
  const values = new Map<string, Set<string>>()
  for (const [key, value] of pairs) {
    const name = safeKey(key)
    const known = values.get(name)
    if (known) known.add(value)
    else values.set(name, new Set([value]))
  }
  const sorted = [...values].toSorted(([a], [b]) => (a < b ? -1 : 1)).slice(0, MAP_KEYS_MAX)
  return Object.fromEntries(
    sorted.map(([key, set]) => [key, cutText([...set].toSorted().join(', '), TEXT_CHARACTERS_MAX)]),
  )
}

/** `k:v` labels as pairs; a label without a colon is a key with an empty value. */
export function labelPairs(labels: readonly string[]): [string, string][] {
  return labels.map((label) => {
    const colon = label.indexOf(':')
    return colon < 0 ? [label, ''] : [label.slice(0, colon), label.slice(colon + 1)]
  })
}
