// How a table says where each field of an event comes from; docs/mapping.md is written from them.
import { z } from 'zod'
import { asset } from '../../contracts/asset.ts'
import { finding } from '../../contracts/finding.ts'
import { vulnerability } from '../../contracts/vulnerability.ts'

/** Where one field comes from. A field that stands in no table is always empty. */
export type FieldSource = {
  /** Paths of the vendor's record, `[]` for the elements of a list. What lies below one counts. */
  readonly from: readonly string[]
  /** Other fields that it is made of; `asset:name` in a finding is the asset's. */
  readonly like: readonly string[]
  /** In words, where the paths alone do not say it. */
  readonly rule: string | null
}
export type FieldTable = Readonly<Record<string, FieldSource>>

export const ENTITIES = ['asset', 'finding', 'vulnerability'] as const
export type Entity = (typeof ENTITIES)[number]

export type StreamMapping = {
  readonly stream: string
  readonly product: string
  /** Method and path of what is called, or the query. */
  readonly call: string
  /** What one raw record is. */
  readonly unit: string
  /** Objects of the record whose fields are named as if they stood beside them. */
  readonly lifted: readonly string[]
  /** The list whose elements are the findings; null: the record is one, or none. */
  readonly each: string | null
  /** Paths that decide how the record is read, and so move fields of other paths; and why. */
  readonly deciding: Readonly<Record<string, string>>
  /** Of what the stream tells. */
  readonly tables: Readonly<Partial<Record<Entity, FieldTable>>>
  /** What users of the replaced integrations may miss, and why: PROPERTIES by name. */
  readonly nothing: Readonly<Record<string, string>>
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '')

/** Paths divided by white space, and the rule. */
export const from = (paths: string, rule: string | null = null): FieldSource => ({
  from: words(paths),
  like: [],
  rule,
})

/** The same for every record. */
export const always = (rule: string): FieldSource => ({ from: [], like: [], rule })

/** Made of other fields, divided by white space, perhaps of paths too. */
export const like = (fields: string, rule: string, paths = ''): FieldSource => ({
  from: words(paths),
  like: words(fields),
  rule,
})

/** Paths below `prefix`, divided by white space. */
export const below = (prefix: string, paths: string): string =>
  words(paths)
    .map((path) => `${prefix}.${path}`)
    .join(' ')

/** Entity and field of a name in `like`: `asset:name` in a finding is the asset's. */
export function targetOf(entity: Entity, name: string): readonly [Entity, string] {
  const other = ENTITIES.find((one) => name.startsWith(`${one}:`))
  return other === undefined ? [entity, name] : [other, name.slice(other.length + 1)]
}

/** Kept beside what has a field of ours. */
export const REST = always('fields without a home')

/** Records inside records that are told as one field. */
const WHOLE = new Set(['asset', 'correlation_keys', 'finding_counts'])
const SHAPES = {
  asset: asset.omit({ meta: true }).shape,
  finding: finding.omit({ meta: true }).shape,
  vulnerability: vulnerability.omit({ meta: true }).shape,
}

/** Every field of an entity in the order of the contract; records inside give one level more. */
export const fieldsOf = (entity: Entity): string[] =>
  Object.entries(SHAPES[entity]).flatMap(([name, schema]) => {
    const inner = WHOLE.has(name) ? null : recordIn(schema)
    return inner === null ? [name] : Object.keys(inner.shape).map((member) => `${name}.${member}`)
  })

function recordIn(schema: unknown): z.ZodObject | null {
  if (schema instanceof z.ZodObject) return schema
  if (schema instanceof z.ZodNullable) return recordIn(schema.unwrap())
  return schema instanceof z.ZodArray ? recordIn(schema.element) : null
}

/** All paths of a field, those of the fields that it is made of included. */
export function pathsOf(
  mapping: StreamMapping,
  entity: Entity,
  field: string,
  seen: ReadonlySet<string> = new Set(),
): string[] {
  const source = mapping.tables[entity]?.[field]
  const name = `${entity}.${field}`
  if (source === undefined || seen.has(name)) return []
  const inner = source.like.flatMap((other) => {
    const [target, rest] = targetOf(entity, other)
    return pathsOf(mapping, target, rest, new Set([...seen, name]))
  })
  return [...new Set([...source.from, ...inner])]
}
