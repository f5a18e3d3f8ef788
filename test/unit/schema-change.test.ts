// Changes of a schema: which of them both an older and a newer build can read.
import { describe, expect, it } from 'vitest'
import { SCHEMAS, type SchemaName, avroOf } from '../../contracts/schemas.ts'
import { misfitsBetween } from '../../runtime/schema-change.ts'
import {
  type Document,
  documentOf,
  enumsOf,
  refusedChanges,
  withOptionalField,
  withSymbol,
} from '../support/schema-versions.ts'

const NAMES = Object.keys(SCHEMAS) as SchemaName[]
type Avro = Parameters<typeof misfitsBetween>[0]
const misfits = (older: Document, newer: Document) =>
  misfitsBetween(older as unknown as Avro, newer as unknown as Avro)

describe.each(NAMES)('a change of %s', (name) => {
  const now = documentOf(name)

  it('is none when nothing changed', () => {
    expect(misfitsBetween(avroOf(name), avroOf(name))).toEqual([])
  })

  it('fits both ways when it adds an optional field and a symbol', () => {
    const next = withSymbol(withOptionalField(now))
    expect(misfits(now, next)).toEqual([])
    expect(misfits(next, now).filter(({ reason }) => !/symbol/.test(reason))).toEqual([])
  })

  it.each(refusedChanges(name))('is refused when $what', ({ path, reason, next }) => {
    expect(misfits(now, next)).toContainEqual({ path, reason })
  })
})

describe('what registries let pass', () => {
  const asset = documentOf('Asset')

  it('is refused: a namespace, an alias, another logical type, an enum without default', () => {
    expect(misfits(asset, { ...asset, namespace: 'exposure.v2' })).toContainEqual({
      path: '',
      reason: 'the namespace was exposure.v1 and is exposure.v2',
    })
    const renamed = documentOf('Asset')
    const field = renamed.fields.find((candidate) => candidate.name === 'name')
    Object.assign(field ?? {}, { name: 'title', aliases: ['name'], default: '' })
    const reasons = misfits(asset, renamed).map(({ path, reason }) => `${path}: ${reason}`)
    expect(reasons).toContain('title: an alias: older readers do not know it')
    const timed = documentOf('Asset')
    const seen = timed.fields.find((candidate) => candidate.name === 'gone_at')
    Object.assign(seen ?? {}, { type: ['null', 'long'] })
    expect(misfits(asset, timed)).toContainEqual({
      path: 'gone_at',
      reason: 'the logical type was timestamp-millis and is none',
    })
    const bare = documentOf('Asset')
    delete enumsOf(bare)[0]?.default
    expect(misfits(asset, bare)[0]?.reason).toMatch(/has no default/)
  })
})
