// Contract drift: what a vendor sends beside, or in another form than, what is known of a record.
import { PipelineError } from '../contracts/errors.ts'
import type { Drift } from '../contracts/ports.ts'
import { cutText, isObject } from './text.ts'

const WORDS = ['string', 'number', 'boolean', 'object', 'array', 'any'] as const
type Word = (typeof WORDS)[number]

/**
 * A word, several of them (`string|array`), the fields of an object, or those of a list's elements
 * (`[{ … }]`). `object` and `array` stand for whatever is inside, `any` for every type.
 */
export type Form = string | Fields | readonly [Fields]
export type Fields = { readonly [name: string]: Form }

export type RecordSpec = {
  readonly fields: Fields
  /** Known words by path (`vulnerabilities[].severity`); upper and lower case count as one. */
  readonly values?: Readonly<Record<string, readonly string[]>>
}
/** Total and pure; what is known costs no memory: then it is always the same empty list. */
export type DriftOf = (record: unknown) => readonly Drift[]

/** Of one record at most so many differences are told. */
export const DRIFT_ITEMS_MAX = 20
const DETAIL_CHARACTERS_MAX = 100
const NAME_CHARACTERS_MAX = 100
const DEPTH_MAX = 8
const NONE: readonly Drift[] = Object.freeze([])

type Node = {
  readonly path: string
  readonly expected: string
  readonly words: ReadonlySet<Word>
  readonly members: ReadonlyMap<string, Node> | null
  readonly elements: Node | null
  readonly values: ReadonlySet<string> | null
}
/** By kind and path. Made for the first difference. */
type Found = Map<string, Drift>

/** The same form for many names, divided by white space. */
export const each = (form: Form, names: string): Fields =>
  Object.fromEntries(
    names
      .trim()
      .split(/\s+/)
      .map((name) => [name, form]),
  )

/**
 * What is known of one stream's records, as the vendor sends them. Null and the empty text are
 * never another type, and a field that is missing is no difference.
 * @throws PipelineError INTERNAL for a word or a path of `values` that there is not
 */
export function defineRecord({ fields, values = {} }: RecordSpec): DriftOf {
  const unused = new Map(
    Object.entries(values).map(([path, words]) => [path, new Set(words.map(lower))]),
  )
  const root = compile(fields, '', unused, 0)
  const [path] = unused.keys()
  if (path !== undefined) throw wrong(`no field has the path ${path}`)
  return (record) => {
    const found = visit(root, record, null)
    return found === null ? NONE : [...found.values()]
  }
}

const lower = (text: string): string => text.toLowerCase()
const wrong = (what: string): PipelineError =>
  new PipelineError('INTERNAL', 'CONFIG', `a record is defined wrongly: ${what}`)

function compile(form: Form, path: string, values: Map<string, Set<string>>, depth: number): Node {
  if (depth > DEPTH_MAX) throw wrong(`${path} is nested too deeply`)
  const own = { path, members: null, elements: null, values: values.get(path) ?? null }
  values.delete(path)
  if (typeof form === 'string') {
    const words = new Set(form.split('|').map((word) => wordOf(word, path)))
    return { ...own, expected: form, words }
  }
  if (isList(form)) {
    const elements = compile(form[0], `${path}[]`, values, depth + 1)
    return { ...own, expected: 'array', words: new Set(['array']), elements }
  }
  const members = new Map(
    Object.entries(form).map(([name, inner]) => [
      name,
      compile(inner, memberPath(path, name), values, depth + 1),
    ]),
  )
  return { ...own, expected: 'object', words: new Set(['object']), members }
}

const isList = (form: Form): form is readonly [Fields] => Array.isArray(form)
const memberPath = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`)

function wordOf(text: string, path: string): Word {
  const word = WORDS.find((known) => known === text)
  if (word === undefined) throw wrong(`${path} is "${text}"`)
  return word
}

/** Adds what differs in `value` to `found`. */
function visit(node: Node, value: unknown, found: Found | null): Found | null {
  if (value === null || value === undefined || value === '') return found
  const type = typeOf(value)
  if (!node.words.has(type) && !node.words.has('any')) {
    return note(found, 'type-change', node.path, `${node.expected} -> ${type}`)
  }
  if (typeof value === 'string') return visitText(node, value, found)
  if (Array.isArray(value)) return visitList(node.elements, value, found)
  return node.members !== null && isObject(value)
    ? visitMembers(node, node.members, value, found)
    : found
}

function visitText({ values, path }: Node, text: string, found: Found | null): Found | null {
  // Most are written as they are known, so that no lower-case copy has to be made.
  if (values === null || values.has(text) || values.has(lower(text))) return found
  return note(found, 'new-value', path, cutText(text, DETAIL_CHARACTERS_MAX))
}

function visitList(node: Node | null, list: readonly unknown[], before: Found | null) {
  let found = before
  if (node !== null) for (const element of list) found = visit(node, element, found)
  return found
}

function visitMembers(
  node: Node,
  members: ReadonlyMap<string, Node>,
  record: Readonly<Record<string, unknown>>,
  before: Found | null,
): Found | null {
  let found = before
  for (const name in record) {
    const value = record[name]
    const known = members.get(name)
    if (known !== undefined) found = visit(known, value, found)
    // Without a value nobody can say what it is.
    else if (value !== null) {
      const path = memberPath(node.path, cutText(name, NAME_CHARACTERS_MAX))
      found = note(found, 'new-field', path, typeOf(value))
    }
  }
  return found
}

function note(before: Found | null, kind: Drift['kind'], path: string, detail: string): Found {
  const found = before ?? new Map<string, Drift>()
  const key = `${kind} ${path}`
  if (found.size < DRIFT_ITEMS_MAX && !found.has(key)) found.set(key, { kind, path, detail })
  return found
}

function typeOf(value: unknown): Word {
  if (Array.isArray(value)) return 'array'
  const type = typeof value
  return type === 'string' || type === 'number' || type === 'boolean' ? type : 'object'
}
