// Words for writing an Avro record as a zod schema: TypeScript types, validation and .avsc all come
// from it.
import { z } from 'zod'

/** The Avro form of a schema: a type name, a union, or a complex type. */
export type Avro = string | readonly Avro[] | { readonly [key: string]: unknown }
type AvroMeta = { readonly avro: Avro; readonly default?: unknown }

const avroForms = new WeakMap<z.ZodType, AvroMeta>()

function named<T extends z.ZodType>(schema: T, avro: Avro, rest: { default?: unknown } = {}): T {
  avroForms.set(schema, { avro, ...rest })
  return schema
}

function formOf(schema: z.ZodType): AvroMeta {
  const form = avroForms.get(schema)
  if (!form) throw new Error('a schema outside contracts/schema-dsl.ts has no Avro form')
  return form
}

export const text = () => named(z.string(), 'string')
export const int = () =>
  named(
    z
      .int()
      .min(-(2 ** 31))
      .max(2 ** 31 - 1),
    'int',
  )
export const long = () => named(z.int(), 'long')
export const double = () => named(z.number(), 'double')
export const bool = () => named(z.boolean(), 'boolean')
/** Epoch milliseconds, UTC. */
export const timestampMs = () =>
  named(z.int(), { type: 'long', logicalType: 'timestamp-millis' } as const)

/** Optional in the Avro way: null comes first and is the default. */
export const optional = <T extends z.ZodType>(schema: T) =>
  named(schema.nullable(), ['null', formOf(schema).avro], { default: null })
export const list = <T extends z.ZodType>(schema: T) =>
  named(z.array(schema), { type: 'array', items: formOf(schema).avro }, { default: [] })
export const textMap = () =>
  named(z.record(z.string(), z.string()), { type: 'map', values: 'string' }, { default: {} })
/** A default other than the type's own, so that the field may be left out by older writers. */
export const withDefault = <T extends z.ZodType>(schema: T, value: unknown): T =>
  named(schema.clone() as T, formOf(schema).avro, { default: value })

/** The first symbol is the default: a reader that does not know a newer symbol reads it instead. */
export const enumeration = <const S extends readonly [string, ...string[]]>(
  name: string,
  doc: string,
  symbols: S,
) => named(z.enum(symbols), { type: 'enum', name, doc, symbols, default: symbols[0] })

type Field = readonly [schema: z.ZodType, doc: string]
type Shape<F extends Record<string, Field>> = { [K in keyof F]: F[K][0] }

/** A record; each field is `[schema, doc]`, in the order in which Avro writes it. */
export function record<const F extends Record<string, Field>>(
  name: string,
  doc: string,
  fields: F,
) {
  const entries = Object.entries(fields)
  const shape = Object.fromEntries(entries.map(([key, [schema]]) => [key, schema])) as Shape<F>
  const avroFields = entries.map(([key, [schema, fieldDoc]]) => {
    const form = formOf(schema)
    const type = form.avro
    return 'default' in form
      ? { name: key, type, default: form.default, doc: fieldDoc }
      : { name: key, type, doc: fieldDoc }
  })
  return named(z.strictObject(shape), { type: 'record', name, doc, fields: avroFields })
}

/**
 * The schema as a registered document: a named type is written whole where it is met first and by
 * its name afterwards, as Avro asks.
 */
export function avroDocument(schema: z.ZodType, namespace: string): Avro {
  const met = new Set<string>()
  const walk = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(walk)
    if (typeof node !== 'object' || node === null) return node
    const { name, type } = node as { name?: string; type?: unknown }
    if (name !== undefined && (type === 'record' || type === 'enum')) {
      if (met.has(name)) return name
      met.add(name)
    }
    return Object.fromEntries(
      Object.entries(node).map(([k, v]) => [k, k === 'default' || k === 'symbols' ? v : walk(v)]),
    )
  }
  const root = walk(formOf(schema).avro) as Record<string, unknown>
  const { type, ...rest } = root
  return { type, namespace, ...rest }
}
