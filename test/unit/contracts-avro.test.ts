// The registered schemas: as generated, readable by older and newer readers, equal to zod.
import { readFileSync, readdirSync } from 'node:fs'
import avsc from 'avsc'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { NAMESPACE, SCHEMAS, type SchemaName, avroOf } from '../../contracts/schemas.ts'
import { TOPICS } from '../../contracts/topics.ts'
import { assetEvent, errorEvent, findingEvent, runEvent } from '../support/events.ts'
import { avroType } from '../support/transform.ts'

type Node = { readonly [key: string]: unknown }
type Field = { name: string; type: unknown; default?: unknown; doc?: string }

/** Avro doubles a long to write its sign: beyond this avsc loses digits. Ours are far below. */
const LONG_MAX = 2 ** 52 - 1
const NAMES = Object.keys(SCHEMAS) as SchemaName[]
const AVRO_FOLDER = new URL('../../contracts/avro/', import.meta.url)
const fileOf = (name: SchemaName) => new URL(`${NAMESPACE}.${name}.avsc`, AVRO_FOLDER)
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Every complex type of a document, depth first. */
function nodesOf(node: unknown): Node[] {
  if (Array.isArray(node)) return node.flatMap(nodesOf)
  if (!isNode(node)) return []
  const children = ['type', 'items', 'values', 'fields'].flatMap((key) => nodesOf(node[key]))
  return [node, ...children]
}

const fieldsOf = (document: unknown): Field[] =>
  nodesOf(document)
    .filter((node) => node['type'] === 'record')
    .flatMap((node) => node['fields'] as Field[])

describe.each(NAMES)('the schema %s', (name) => {
  const document = avroOf(name)

  it('is written in contracts/avro as it is generated', () => {
    expect(readFileSync(fileOf(name), 'utf8')).toBe(`${JSON.stringify(document, null, 1)}\n`)
  })

  it('is named in the namespace that is never changed', () => {
    expect(document).toMatchObject({ type: 'record', namespace: 'exposure.v1', name })
  })

  it('gives every enum its first symbol as the default for newer symbols', () => {
    const enums = nodesOf(document).filter((node) => node['type'] === 'enum')
    expect(enums.length).toBeGreaterThan(0)
    for (const node of enums) {
      const symbols = node['symbols'] as string[]
      expect(node['default'], String(node['name'])).toBe(symbols[0])
      expect(symbols[0]).toBe('UNKNOWN')
    }
  })

  it('writes what is optional as null first with null for default, and no other union', () => {
    for (const { name: field, type, ...rest } of fieldsOf(document)) {
      if (!Array.isArray(type)) continue
      expect(type, field).toHaveLength(2)
      expect(type[0], field).toBe('null')
      expect(rest.default, field).toBeNull()
    }
  })

  it('gives lists, maps and enums a default, so that they may be added and left out', () => {
    for (const field of fieldsOf(document)) {
      const kind = isNode(field.type) ? field.type['type'] : field.type
      if (kind === 'array') expect(field.default, field.name).toEqual([])
      if (kind === 'map') expect(field.default, field.name).toEqual({})
      if (kind === 'enum') expect(field.default, field.name).toBe('UNKNOWN')
    }
  })

  it('documents every field and uses no type that stores disagree on', () => {
    for (const field of fieldsOf(document)) expect(field.doc?.length, field.name).toBeGreaterThan(2)
    const types = nodesOf(document).map((node) => node['type'])
    expect(types).not.toContain('fixed')
    expect(types).not.toContain('bytes')
    const logical = nodesOf(document).flatMap((node) => node['logicalType'] ?? [])
    expect(new Set(logical)).toEqual(new Set(['timestamp-millis']))
  })

  it('defines each named type once', () => {
    const named = nodesOf(document)
      .filter((node) => node['type'] === 'record' || node['type'] === 'enum')
      .map((node) => node['name'])
    expect(new Set(named).size).toBe(named.length)
  })

  it('carries any valid value unchanged', () => {
    const type = avroType(name)
    fc.assert(
      fc.property(arbitraryOf(document), (value) => {
        expect(SCHEMAS[name].safeParse(value).error).toBeUndefined()
        expect(type.isValid(value, { noUndeclaredFields: true })).toBe(true)
        expect(plain(type.fromBuffer(type.toBuffer(value)))).toEqual(plain(value))
      }),
      { numRuns: 40 },
    )
  })
})

describe('the schemas together', () => {
  it('are all the files in contracts/avro', () => {
    expect(readdirSync(AVRO_FOLDER).toSorted()).toEqual(
      NAMES.map((name) => `${NAMESPACE}.${name}.avsc`).toSorted(),
    )
  })

  it('are each the schema of a topic', () => {
    const used = Object.values(TOPICS).map((topic) => topic.schema)
    for (const name of NAMES) expect(used).toContain(name)
  })

  it('refuse what the contract does not name', () => {
    expect(SCHEMAS.Asset.safeParse({ ...assetEvent('a'), more: 1 }).success).toBe(false)
    const { name: _name, ...incomplete } = assetEvent('a')
    expect(SCHEMAS.Asset.safeParse(incomplete).success).toBe(false)
  })

  it.each([
    ['Asset', assetEvent('ast_a')],
    ['Finding', findingEvent('fnd_a')],
    ['ConnectorError', errorEvent('error-1', 'fingerprint-1')],
    ['Run', runEvent('run-1')],
  ] as const)('carry an ordinary %s', (name, event) => {
    const type = avroType(name)
    expect(plain(type.fromBuffer(type.toBuffer(event)))).toEqual(plain(event))
  })
})

describe('another version of a schema', () => {
  const changed = (change: (fields: Field[], document: Node) => void): avsc.Type => {
    const document = structuredClone(avroOf('Asset')) as Node
    change(document['fields'] as Field[], document)
    return avsc.Type.forSchema(document as avsc.Schema)
  }
  const today = avroType('Asset')
  const event = assetEvent('ast_a')

  it('with a new optional field is read by today, and reads today', () => {
    const newer = changed((fields) => fields.push({ name: 'extra', type: ['null', 'string'] }))
    const optional = changed((fields) =>
      fields.push({ name: 'extra', type: ['null', 'string'], default: null }),
    )
    const written = optional.toBuffer({ ...event, extra: 'x' })
    expect(plain(today.fromBuffer(written, today.createResolver(optional)))).toEqual(plain(event))
    const read = optional.fromBuffer(today.toBuffer(event), optional.createResolver(today))
    expect(plain(read)).toEqual({ ...(plain(event) as object), extra: null })
    // Without the default it is the change that a registry must refuse.
    expect(() => newer.createResolver(today)).toThrow(/extra/)
  })

  it('with a new symbol is read as UNKNOWN by today', () => {
    const newer = changed((_fields, document) => {
      const status = nodesOf(document).filter((node) => node['name'] === 'AssetStatus')
      for (const node of status) (node['symbols'] as string[]).push('RETIRED')
    })
    const written = newer.toBuffer({ ...event, status: 'RETIRED' })
    expect(today.fromBuffer(written, today.createResolver(newer))).toMatchObject({
      status: 'UNKNOWN',
    })
  })
})

/** Values of an Avro document, edges of every type included. */
function arbitraryOf(document: unknown): fc.Arbitrary<unknown> {
  const named = new Map<string, fc.Arbitrary<unknown>>()
  const walk = (node: unknown): fc.Arbitrary<unknown> => {
    if (Array.isArray(node)) return fc.option(walk(node[1]), { nil: null })
    if (typeof node === 'string') return primitive(node) ?? named.get(node) ?? unknownType(node)
    if (!isNode(node)) return unknownType(node)
    const made = complex(node)
    if (typeof node['name'] === 'string') named.set(node['name'], made)
    return made
  }
  const complex = (node: Node): fc.Arbitrary<unknown> => {
    switch (node['type']) {
      case 'record':
        return fc.record(
          Object.fromEntries((node['fields'] as Field[]).map((f) => [f.name, walk(f.type)])),
          { noNullPrototype: true },
        )
      case 'enum':
        return fc.constantFrom(...(node['symbols'] as string[]))
      case 'array':
        return fc.array(walk(node['items']), { maxLength: 3 })
      case 'map':
        // Avro's JavaScript writer loses this one key; the transformers never write it.
        return fc.dictionary(
          fc.string().filter((key) => key !== '__proto__'),
          walk(node['values']),
          { maxKeys: 3, noNullPrototype: true },
        )
      default:
        return walk(node['type'])
    }
  }
  return walk(document)
}

function primitive(type: string): fc.Arbitrary<unknown> | undefined {
  switch (type) {
    case 'string':
      return fc.string({ unit: 'binary', maxLength: 12 })
    case 'int':
      return fc.integer()
    case 'long':
      return fc.integer({ min: -LONG_MAX, max: LONG_MAX })
    case 'double':
      return fc.double({ noNaN: true, noDefaultInfinity: true })
    case 'boolean':
      return fc.boolean()
    default:
      return undefined
  }
}

function unknownType(node: unknown): never {
  throw new Error(`no values for the type ${JSON.stringify(node)}`)
}
