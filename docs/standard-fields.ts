// Finds, by changing one field of an event after the other, where a mapping to a standard puts it.
import { z } from 'zod'

type Json = Readonly<Record<string, unknown>>
/** A mapping from an event of ours to a document. */
export type Mapping<T> = (event: T) => Json
/** Values where a text that merely differs would say nothing: first the event's, then others. */
export type Words = Readonly<Record<string, readonly unknown[]>>

type Leaf = { readonly path: string; readonly values: readonly unknown[] }
/** Of a map: any name. */
const ANY = '*'

/** Dotted paths of the fields that hold values, lists without brackets, in the schema's order. */
export function leavesOf(schema: z.core.$ZodType, words: Words, path = ''): Leaf[] {
  if (schema instanceof z.ZodNullable) {
    return leavesOf(schema.unwrap() as z.core.$ZodType, words, path)
  }
  if (schema instanceof z.ZodArray) {
    return leavesOf(schema.element as z.core.$ZodType, words, path)
  }
  if (schema instanceof z.ZodObject) {
    const shape = Object.entries(schema.shape as z.core.$ZodShape)
    return shape.flatMap(([name, inner]) =>
      leavesOf(inner, words, path === '' ? name : `${path}.${name}`),
    )
  }
  return [{ path, values: words[path] ?? valuesOf(schema, path) }]
}

function valuesOf(schema: z.core.$ZodType, path: string): readonly unknown[] {
  if (schema instanceof z.ZodEnum) return schema.options.toReversed()
  if (schema instanceof z.ZodBoolean) return [true, false]
  if (schema instanceof z.ZodNumber) return [path.length, path.length + 1_000]
  if (schema instanceof z.ZodRecord) return [{ [ANY]: path }, { [ANY]: `other ${path}` }]
  return [path, `other ${path}`]
}

/** An event in which every field says something; lists hold one element. */
export function eventOf(schema: z.core.$ZodType, words: Words, path = ''): unknown {
  if (schema instanceof z.ZodNullable) {
    return eventOf(schema.unwrap() as z.core.$ZodType, words, path)
  }
  if (schema instanceof z.ZodArray) {
    return [eventOf(schema.element as z.core.$ZodType, words, path)]
  }
  if (!(schema instanceof z.ZodObject)) return (words[path] ?? valuesOf(schema, path))[0]
  const shape = Object.entries(schema.shape as z.core.$ZodShape)
  return Object.fromEntries(
    shape.map(([name, inner]) => [
      name,
      eventOf(inner, words, path === '' ? name : `${path}.${name}`),
    ]),
  )
}

/** The event with another value at a path, through lists. */
function withValue(event: unknown, path: readonly string[], value: unknown): unknown {
  const [name, ...rest] = path
  if (Array.isArray(event)) return event.map((one) => withValue(one, path, value))
  if (name === undefined) return value
  return { ...(event as Json), [name]: withValue((event as Json)[name], rest, value) }
}

/** For each field of the schema the paths of the document that change with it, sorted. */
export function placesOf<T>(
  schema: z.ZodType<T>,
  mapping: Mapping<T>,
  words: Words,
): ReadonlyMap<string, readonly string[]> {
  const event = eventOf(schema, words)
  const before = flat(mapping(event as T))
  return new Map(
    leavesOf(schema, words).map(({ path, values }) => {
      const changed = values.slice(1).flatMap((value) => {
        const after = flat(mapping(withValue(event, path.split('.'), value) as T))
        // Of another class: that the field decides it is said elsewhere.
        if (after.get('class_uid') !== before.get('class_uid')) return []
        const names = [...new Set([...before.keys(), ...after.keys()])]
        return names.filter((name) => before.get(name) !== after.get(name))
      })
      return [path, [...new Set(changed)].toSorted()] as const
    }),
  )
}

/** Leaves of a document as JSON, `[]` for elements of lists. */
function flat(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  if (Array.isArray(value)) {
    for (const one of value) flat(one, `${path}[]`, into)
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value)) {
      flat(inner, path === '' ? name : `${path}.${name}`, into)
    }
  } else {
    into.set(path, (into.get(path) ?? '') + JSON.stringify(value))
  }
  return into
}
