// Documents for stores say only what is known: nothing, and empty lists, are left out.

/** What JSON can say, or nothing. */
export type Said =
  | string
  | number
  | boolean
  | null
  | undefined
  | readonly Said[]
  | { readonly [name: string]: Said }

/** The object without nulls, empty lists and empty objects, at any depth; empty text stays. */
export function said<T extends Readonly<Record<string, Said>>>(value: T): T {
  // What is required is never nothing, so that the type holds for what is left.
  return (sifted(value) ?? {}) as T
}

function sifted(value: Said): Said {
  if (value === null || typeof value !== 'object') return value
  return isList(value) ? siftedList(value) : siftedObject(value)
}

// Loops, since every field of every document passes here.
function siftedList(value: readonly Said[]): Said {
  const left: Said[] = []
  for (const given of value) {
    const inner = sifted(given)
    if (isSaid(inner)) left.push(inner)
  }
  return left.length === 0 ? null : left
}

function siftedObject(value: { readonly [name: string]: Said }): Said {
  const left: Record<string, Said> = {}
  let count = 0
  for (const name of Object.keys(value)) {
    const inner = sifted(value[name])
    if (!isSaid(inner)) continue
    count += 1
    // An assignment would make no field of it.
    if (name === '__proto__') Object.defineProperty(left, name, { ...FIELD, value: inner })
    else left[name] = inner
  }
  return count === 0 ? null : left
}
const FIELD = { enumerable: true, writable: true, configurable: true }

const isSaid = (value: Said): boolean => value !== null && value !== undefined
const isList = (value: object): value is readonly Said[] => Array.isArray(value)

/** The text, or null where it is empty. */
export const textOrNull = (text: string | null | undefined): string | null =>
  text === undefined || text === '' ? null : text
