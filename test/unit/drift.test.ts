// Contract drift: what differs from what is known of a record is told, and what is known is not.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { DRIFT_ITEMS_MAX, defineRecord, each } from '../../transformers/drift.ts'
import { scanResultDrift } from '../../transformers/prisma-cloud/compute-drift.ts'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { observe } from '../support/transform.ts'

const driftOf = defineRecord({
  fields: {
    ...each('string', 'id severity'),
    count: 'number',
    seen: 'number|string',
    labels: 'object',
    extra: 'any',
    host: each('string', 'name'),
    'a.dotted.name': 'boolean',
    packages: [{ name: 'string', tags: [{ key: 'string' }] }],
  },
  values: { severity: ['low', 'High'], 'packages[].tags[].key': ['env'] },
})

const known = {
  id: 'x',
  severity: 'HIGH',
  count: 1,
  seen: '2026',
  labels: { whatever: [1, { deep: true }] },
  extra: [[{}]],
  host: { name: 'web-1' },
  'a.dotted.name': true,
  packages: [{ name: 'bash', tags: [{ key: 'env' }] }, { name: 'zlib' }],
}

describe('a record', () => {
  it('as it is known gives no drift, and no list of its own either', () => {
    expect(driftOf(known)).toEqual([])
    expect(driftOf(known)).toBe(driftOf({ id: 'another' }))
  })

  it.each([[null], [undefined], [''], ['text'], [5], [[]]])('that is %j does no harm', (record) => {
    expect(() => driftOf(record)).not.toThrow()
  })

  it('with nulls, empty texts and missing fields gives no drift', () => {
    const nothing = { id: null, count: '', labels: null, packages: null, new: null, host: '' }
    expect(driftOf({ ...nothing })).toEqual([])
    expect(driftOf({ packages: [null, { name: null }] })).toEqual([])
  })
})

describe('a difference', () => {
  it.each([
    ['a new field', { fresh: 1 }, 'new-field', 'fresh', 'number'],
    ['a new field with a list', { fresh: [1] }, 'new-field', 'fresh', 'array'],
    ['a new inner field', { host: { os: 'linux' } }, 'new-field', 'host.os', 'string'],
    [
      'a new field of an element',
      { packages: [{ name: 'a' }, { cpe: {} }] },
      'new-field',
      'packages[].cpe',
      'object',
    ],
    ['a new word', { severity: 'Fatal' }, 'new-value', 'severity', 'Fatal'],
    [
      'a new word deep inside',
      { packages: [{ tags: [{ key: 'team' }] }] },
      'new-value',
      'packages[].tags[].key',
      'team',
    ],
    ['another type', { count: '1' }, 'type-change', 'count', 'number -> string'],
    ['none of several types', { seen: true }, 'type-change', 'seen', 'number|string -> boolean'],
    ['a text for an object', { labels: 'x' }, 'type-change', 'labels', 'object -> string'],
    ['a list for an object', { host: [{}] }, 'type-change', 'host', 'object -> array'],
    ['an object for a list', { packages: {} }, 'type-change', 'packages', 'array -> object'],
    ['a text among objects', { packages: ['x'] }, 'type-change', 'packages[]', 'object -> string'],
  ] as const)('is told with its path: %s', (_, change, kind, path, detail) => {
    expect(driftOf({ ...known, ...change })).toEqual([{ kind, path, detail }])
  })

  it('that many elements share is told once', () => {
    const packages = Array.from({ length: 500 }, (_, n) => ({ name: `p-${n}`, cpe: 'x' }))
    expect(driftOf({ packages })).toHaveLength(1)
  })

  it('is cut to a bound, in number and in length', () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`new-${n}`, 1]))
    expect(driftOf(many)).toHaveLength(DRIFT_ITEMS_MAX)
    const [word] = driftOf({ severity: 'x'.repeat(5_000) })
    expect(word?.detail).toHaveLength(100)
    const [field] = driftOf({ ['n'.repeat(5_000)]: 1 })
    expect(field?.path).toHaveLength(100)
  })
})

describe('a definition', () => {
  it.each([
    ['an unknown word', { fields: { id: 'text' } }],
    ['values of no field', { fields: { id: 'string' }, values: { name: ['x'] } }],
  ])('with %s is refused', (_, spec) => {
    expect(() => defineRecord(spec)).toThrow(PipelineError)
  })
})

/** Rows of a sample file, or of the list at a path in it. */
function rowsOf(file: string, ...path: string[]): unknown[] {
  const found = path.reduce<unknown>(
    (value, key) => (value as Record<string, unknown>)[key],
    sampleJson(file),
  )
  return found as unknown[]
}

const drifts = (stream: string, rows: readonly unknown[]) =>
  rows.flatMap((row) => observe(stream, row).drift ?? [])

describe.runIf(samplesPresent)('the samples', () => {
  const compute = 'prisma-cloud/compute'
  const constructed = 'cortex/constructed/rows.json'
  it.each([
    ['compute.hosts', [`${compute}/hosts.recorded-23.01.735.json`]],
    ['compute.hosts', [`${compute}/hosts.windows-no-vulnerabilities-key.json`]],
    ['xdr.endpoints', ['cortex/xdr.get_endpoint.reply.json', 'reply', 'endpoints']],
    ['cloud.assets', [constructed, 'asset_inventory']],
    ['cloud.assets', [constructed, 'assets_live_wire']],
    ['cloud.findings', [constructed, 'findings']],
  ] as const)('of %s give no drift', (stream, [file, ...path]) => {
    const rows = rowsOf(file, ...path)
    expect(rows.length).toBeGreaterThan(0)
    expect(drifts(stream, rows)).toEqual([])
  })

  it.each(['images.recorded-23.01.735.0.json', 'images.debian9-appembedded.json'])(
    'of images have the shape of hosts: %s',
    (name) => {
      expect(rowsOf(`${compute}/${name}`).flatMap((row) => scanResultDrift(row))).toEqual([])
    },
  )
})
