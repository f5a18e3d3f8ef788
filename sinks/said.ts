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
  if (isList(value)) {
    const left = value.map(sifted).filter(isSaid)
    return left.length === 0 ? null : left
  }
  const left = Object.entries(value)
    .map(([name, inner]) => [name, sifted(inner)] as const)
    .filter(([, inner]) => isSaid(inner))
  // Unlike an assignment this makes a field even of `__proto__`.
  return left.length === 0 ? null : Object.fromEntries(left)
}

const isSaid = (value: Said): boolean => value !== null && value !== undefined
const isList = (value: object): value is readonly Said[] => Array.isArray(value)

/** The text, or null where it is empty. */
export const textOrNull = (text: string | null | undefined): string | null =>
  text === undefined || text === '' ? null : text
