// The next version of each schema, as a newer build could bring it, and versions that must not be.
import type { SchemaName } from '../../contracts/schemas.ts'
import { avroOf } from '../../contracts/schemas.ts'

export type Field = { name: string; type: unknown; default?: unknown; doc?: string }
export type EnumType = { type: 'enum'; name: string; symbols: string[]; default?: string }
export type Document = { type: string; name: string; namespace: string; fields: Field[] }

export const NEW_FIELD = 'brand_new'
export const NEW_SYMBOL = 'BRAND_NEW'

/** A copy of this build's schema. */
export const documentOf = (name: SchemaName): Document =>
  structuredClone(avroOf(name)) as unknown as Document

/** The enums of a document, each where it is written whole. */
export function enumsOf(node: unknown): EnumType[] {
  if (typeof node !== 'object' || node === null) return []
  const own = (node as { type?: unknown }).type === 'enum' ? [node as EnumType] : []
  return [...own, ...Object.values(node).flatMap(enumsOf)]
}

export function withOptionalField(document: Document): Document {
  const added = { name: NEW_FIELD, type: ['null', 'string'], default: null }
  return { ...structuredClone(document), fields: [...structuredClone(document.fields), added] }
}

/** With one more symbol in its first enum. */
export function withSymbol(document: Document): Document {
  const next = structuredClone(document)
  enumsOf(next)[0]?.symbols.push(NEW_SYMBOL)
  return next
}

/** Where the first enum of a document is: the path to its field. */
export function enumPathOf(document: Document): readonly string[] {
  const inField = (fields: readonly Field[]): readonly string[] | null => {
    for (const { name, type } of fields) {
      if (enumsOf(type).length === 0) continue
      const record = type as { fields?: Field[]; type?: unknown }
      const deeper = record.fields === undefined ? null : inField(record.fields)
      return [name, ...(deeper ?? [])]
    }
    return null
  }
  return inField(document.fields) ?? []
}

/** A plain field that every event must have. */
const requiredIn = ({ fields }: Document): Field => {
  const found = fields.find((field) => field.type === 'string' && !('default' in field))
  if (found === undefined) throw new Error('no required text field')
  return found
}

export type RefusedChange = {
  readonly what: string
  readonly path: string
  readonly reason: string
  readonly next: Document
}

/** Changes that would leave one side unable to read the other. */
export function refusedChanges(name: SchemaName): RefusedChange[] {
  const required = documentOf(name)
  required.fields.push({ name: 'must_have', type: 'string' })
  const removed = documentOf(name)
  const [symbols] = enumsOf(removed)
  const symbol = symbols?.symbols.pop() ?? ''
  const typed = documentOf(name)
  const changed = requiredIn(typed)
  changed.type = 'long'
  const less = documentOf(name)
  const gone = requiredIn(less)
  less.fields = less.fields.filter((field) => field !== gone)
  return [
    {
      what: 'it adds a required field',
      path: 'must_have',
      reason: 'a field was added without default',
      next: required,
    },
    {
      what: 'it removes a symbol',
      path: enumPathOf(removed).join('.'),
      reason: `the symbol ${symbol} was removed`,
      next: removed,
    },
    {
      what: 'it changes a type',
      path: changed.name,
      reason: 'the type was string and is long',
      next: typed,
    },
    {
      what: 'it removes a required field',
      path: gone.name,
      reason: 'a field without default was removed',
      next: less,
    },
  ]
}
