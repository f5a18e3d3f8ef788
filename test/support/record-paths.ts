// Paths in a vendor's record, named as in the tables of transformers/mapping, and removing them.

type Json = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** `['properties.osProfile']`, as Azure's keys may come, without its brackets. */
const bare = (key: string): string => key.replace(/^\['(.*)'\]$/, '$1')

function memberPath(path: string, key: string, lifted: readonly string[]): string {
  const whole = path === '' ? bare(key) : `${path}.${bare(key)}`
  const outer = lifted.find((prefix) => whole.startsWith(`${prefix}.`))
  return outer === undefined ? whole : whole.slice(outer.length + 1)
}

const isEmpty = (value: unknown): boolean =>
  value === null || value === '' || (Array.isArray(value) && value.length === 0)

/** Paths of everything that has a value: scalars, lists of scalars, empty objects. */
export function leafPaths(record: unknown, lifted: readonly string[]): Set<string> {
  const found = new Set<string>()
  const walk = (value: unknown, path: string): void => {
    if (isEmpty(value)) return
    if (Array.isArray(value) && value.some((item) => typeof item === 'object' && item !== null)) {
      for (const item of value) walk(item, `${path}[]`)
    } else if (isObject(value) && Object.keys(value).length > 0) {
      for (const [key, inner] of Object.entries(value)) walk(inner, memberPath(path, key, lifted))
    } else found.add(path)
  }
  walk(record, '')
  return found
}

/** True where `path` is the named one or lies below it. */
export const isCovered = (path: string, named: readonly string[]): boolean =>
  named.some((name) => path === name || path.startsWith(`${name}.`) || path.startsWith(`${name}[`))

/** A copy without these paths, wherever they occur. */
export function without(
  record: unknown,
  paths: readonly string[],
  lifted: readonly string[],
): unknown {
  const gone = new Set(paths)
  const walk = (value: unknown, path: string): unknown => {
    if (Array.isArray(value)) {
      const element = `${path}[]`
      return gone.has(element) ? [] : value.map((item) => walk(item, element))
    }
    if (!isObject(value)) return value
    return Object.fromEntries(
      Object.entries(value).flatMap(([key, inner]) => {
        const name = memberPath(path, key, lifted)
        return gone.has(name) ? [] : [[key, walk(inner, name)]]
      }),
    )
  }
  return walk(record, '')
}
