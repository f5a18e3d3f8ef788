// Whether two Avro schemas can read one another: what a registry finds, and what it lets pass.
import avro from 'avsc'

/** What does not fit; `path` is dotted, `[]` for elements, '' for the whole. */
export type Misfit = { readonly path: string; readonly reason: string }

type Node = string | readonly Node[] | { readonly [key: string]: unknown }
type NamedType = Record<string, unknown> & { readonly name: string; readonly type: string }
type Field = { readonly name: string; readonly type: Node; readonly default?: unknown }

const MISFITS_MAX = 20

/**
 * Why values of `older` cannot be read by `newer`, or the other way round; empty when all fit.
 * Stricter than Avro: a rename by alias, or another namespace, reads as data that is not there.
 */
export function misfitsBetween(older: Node, newer: Node): Misfit[] {
  const misfits: Misfit[] = []
  const comparison = {
    older: namesOf(older),
    newer: namesOf(newer),
    met: new Set<string>(),
    tell: (path: string, reason: string) => {
      if (misfits.length < MISFITS_MAX) misfits.push({ path, reason })
    },
  }
  compare(comparison, older, newer, '')
  if (misfits.length === 0) misfits.push(...unresolved(older, newer))
  return misfits
}

type Comparison = {
  readonly older: ReadonlyMap<string, NamedType>
  readonly newer: ReadonlyMap<string, NamedType>
  /** Named types compared already: one may hold itself. */
  readonly met: Set<string>
  readonly tell: (path: string, reason: string) => void
}

/** The last word: whether the library that reads our topics can, both ways. */
function unresolved(older: Node, newer: Node): Misfit[] {
  try {
    const [a, b] = [older, newer].map((node) => avro.Type.forSchema(node as avro.Schema))
    if (a === undefined || b === undefined) return []
    b.createResolver(a)
    a.createResolver(b)
    return []
  } catch (error) {
    return [{ path: '', reason: error instanceof Error ? error.message : String(error) }]
  }
}

const isNamed = (node: unknown): node is NamedType => {
  const { name, type } = (node ?? {}) as { name?: unknown; type?: unknown }
  return typeof name === 'string' && (type === 'record' || type === 'enum' || type === 'fixed')
}

const isObject = (node: Node): node is { readonly [key: string]: unknown } =>
  typeof node === 'object' && !Array.isArray(node)

/** Named types by name, since Avro writes each whole only where it is met first. */
function namesOf(root: Node): Map<string, NamedType> {
  const names = new Map<string, NamedType>()
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    if (isNamed(node)) names.set(node.name, node)
    for (const inner of Object.values(node)) walk(inner)
  }
  walk(root)
  return names
}

function compare(c: Comparison, older: Node, newer: Node, path: string): void {
  const a = resolved(c.older, older)
  const b = resolved(c.newer, newer)
  if (Array.isArray(a) || Array.isArray(b)) return compareUnions(c, listOf(a), listOf(b), path)
  const [kindA, kindB] = [kindOf(a), kindOf(b)]
  if (kindA !== kindB) return c.tell(path, `the type was ${kindA} and is ${kindB}`)
  compareLogical(c, a, b, path)
  if (!isObject(a) || !isObject(b)) return
  if (isNamed(a) && isNamed(b)) {
    if (c.met.has(a.name)) return
    c.met.add(a.name)
    compareNames(c, a, b, path)
    if (a.type === 'record') compareFields(c, a, b, path)
    else if (a.type === 'enum') compareSymbols(c, a, b, path)
    else if (a['size'] !== b['size'])
      c.tell(path, `the size was ${wordOf(a['size'])} and is ${wordOf(b['size'])}`)
  } else if (kindA === 'array') compare(c, a['items'] as Node, b['items'] as Node, `${path}[]`)
  else if (kindA === 'map') compare(c, a['values'] as Node, b['values'] as Node, `${path}[]`)
}

const wordOf = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : 'none'

const resolved = (names: ReadonlyMap<string, NamedType>, node: Node): Node =>
  typeof node === 'string' ? (names.get(node) ?? node) : node

const listOf = (node: Node): readonly Node[] => (Array.isArray(node) ? (node as Node[]) : [node])

/** `string`, `record Asset`; of a type with attributes the type within. */
function kindOf(node: Node): string {
  if (typeof node === 'string') return node
  if (!isObject(node)) return 'union'
  const { type } = node as { type: Node }
  if (isNamed(node)) return `${node.type} ${node.name}`
  return typeof type === 'string' ? type : kindOf(type)
}

/** The bytes are the same, so that no registry minds; what they say is not. */
function compareLogical(c: Comparison, a: Node, b: Node, path: string): void {
  const [was, is] = [a, b].map((node) => wordOf(isObject(node) ? node['logicalType'] : undefined))
  if (was !== is) c.tell(path, `the logical type was ${was} and is ${is}`)
}

function compareNames(c: Comparison, a: NamedType, b: NamedType, path: string): void {
  const [was, is] = [a['namespace'], b['namespace']].map((name) => wordOf(name))
  if (was !== is) c.tell(path, `the namespace was ${was} and is ${is}`)
  if (b['aliases'] !== undefined) c.tell(path, 'an alias: older readers do not know it')
}

function compareUnions(
  c: Comparison,
  older: readonly Node[],
  newer: readonly Node[],
  path: string,
): void {
  const a = new Map(older.map((node) => [kindOf(resolved(c.older, node)), node]))
  const b = new Map(newer.map((node) => [kindOf(resolved(c.newer, node)), node]))
  for (const [kind, node] of a) {
    const same = b.get(kind)
    if (same === undefined) c.tell(path, `${kind} is no longer among its types`)
    else compare(c, node, same, path)
  }
  for (const kind of b.keys()) {
    if (!a.has(kind)) c.tell(path, `${kind} is new among its types: older readers do not know it`)
  }
}

const fieldsOf = (node: NamedType): Map<string, Field> =>
  new Map((node['fields'] as Field[]).map((field) => [field.name, field]))

function compareFields(c: Comparison, a: NamedType, b: NamedType, path: string): void {
  const [before, after] = [fieldsOf(a), fieldsOf(b)]
  const inner = (name: string) => (path === '' ? name : `${path}.${name}`)
  for (const [name, field] of before) {
    const same = after.get(name)
    if (same !== undefined) compare(c, field.type, same.type, inner(name))
    else if (!('default' in field)) c.tell(inner(name), 'a field without default was removed')
  }
  for (const [name, field] of after) {
    if ('aliases' in field) c.tell(inner(name), 'an alias: older readers do not know it')
    if (before.has(name)) continue
    if (!('default' in field)) c.tell(inner(name), 'a field was added without default')
  }
}

function compareSymbols(c: Comparison, a: NamedType, b: NamedType, path: string): void {
  const [before, after] = [a, b].map((node) => node['symbols'] as string[])
  const isAdded = after?.some((symbol) => before?.includes(symbol) === false)
  for (const symbol of before ?? []) {
    if (after?.includes(symbol) !== true) c.tell(path, `the symbol ${symbol} was removed`)
  }
  if (b['default'] === undefined)
    c.tell(path, 'the enum has no default for symbols it does not know')
  else if (isAdded && a['default'] === undefined) {
    c.tell(path, 'a symbol was added, and the older enum has no default to read it as')
  }
}
