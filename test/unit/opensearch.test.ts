// What needs no OpenSearch: every field has its type, the dashboard knows only such fields.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { assetRows, errorRows, findingRows } from '../../docs/ocsf-text.ts'
import { jsonTextOf } from '../../sinks/json-text.ts'
import { openSearchConfig } from '../../sinks/opensearch/config.ts'
import type { FieldType, Fields } from '../../sinks/opensearch/fields.ts'
import { type Index, indicesOf, templateOf } from '../../sinks/opensearch/indices.ts'

const FULL_TEXT = 'text'
const SUB_FIELD = '.keyword'

/** Dotted paths with their types; a text's own keyword is a field of its own. */
function typesOf(fields: Fields, path = ''): Map<string, FieldType> {
  return new Map(
    Object.entries(fields).flatMap(([name, field]): [string, FieldType][] => {
      const own = path === '' ? name : `${path}.${name}`
      if (typeof field !== 'string') return [...typesOf(field, own)]
      return field === FULL_TEXT
        ? [
            [own, field],
            [own + SUB_FIELD, 'keyword'],
          ]
        : [[own, field]]
    }),
  )
}

const config = openSearchConfig.parse({ url: 'http://127.0.0.1:9200' })
const ocsf = indicesOf(config)
const ecs = indicesOf({ ...config, format: 'ecs' })

describe('the fields of an index', () => {
  const columnOf = (rows: ReadonlyMap<string, readonly (readonly string[])[]>, column: number) =>
    new Set([...rows.values()].flatMap((columns) => columns[column] ?? []))

  it.each([
    ['OCSF finding', ocsf.finding, columnOf(findingRows(), 0)],
    ['OCSF device', ocsf.asset, columnOf(assetRows(), 0)],
    ['OCSF resource', ocsf.asset, columnOf(assetRows(), 1)],
    ['OCSF error', ocsf.errorLog, columnOf(errorRows(), 0)],
    ['ECS finding', ecs.finding, columnOf(findingRows(), 1)],
    ['ECS asset', ecs.asset, columnOf(assetRows(), 2)],
  ])('are all that its documents can have: %s', (_name, index, places) => {
    expect(places.size).toBeGreaterThan(20)
    const types = typesOf(index.fields)
    const flats = [...types].filter(([, type]) => type === 'flat').map(([path]) => `${path}.`)
    const unknown = [...places]
      .map((place) => place.replaceAll('[]', ''))
      .filter((place) => !types.has(place) && !flats.some((flat) => place.startsWith(flat)))
    expect(unknown).toEqual([])
  })
})

describe('a template', () => {
  it('holds a current state under an alias, or a log that only grows', () => {
    expect(templateOf(ocsf.finding, config)).toMatchObject({
      index_patterns: ['exposure-findings-v1'],
      template: { aliases: { 'exposure-findings': {} }, settings: { index: { gc_deletes: '1h' } } },
    })
    expect(templateOf(ocsf.findingLog, config)).toMatchObject({
      index_patterns: ['logs-exposure.finding-default'],
      data_stream: {},
    })
  })

  it('calls a flat field as its server does', () => {
    const unmapped = (flavour: 'opensearch' | 'elasticsearch') => {
      const { template } = templateOf(ocsf.finding, { ...config, flavour })
      return template.mappings.properties['unmapped']
    }
    expect(unmapped('opensearch')).toEqual({ type: 'flat_object' })
    expect(unmapped('elasticsearch')).toMatchObject({ type: 'flattened' })
  })
})

type Saved = {
  readonly id: string
  readonly type: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly references: readonly { readonly type: string; readonly id: string }[]
}
type Chart = {
  readonly aggs: readonly { readonly type: string; readonly params: { readonly field?: string } }[]
}
type Search = { readonly query: { readonly query: string } }

const file = new URL('../../sinks/opensearch/dashboards.ndjson', import.meta.url)
const saved = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Saved)
const parsed = (text: unknown): unknown => JSON.parse(String(text))

/** The index that a data view shows. */
function indexOf({ attributes }: Saved): Index {
  const title = String(attributes['title']).replace('*', config.namespace)
  const index = Object.values(ocsf).find((one) => [one.name, one.alias].includes(title))
  if (index === undefined) throw new Error(`no index is ${title}`)
  return index
}
const viewOf = ({ references }: Saved): Saved => {
  const id = references.find(({ type }) => type === 'index-pattern')?.id
  const view = saved.find((one) => one.type === 'index-pattern' && one.id === id)
  if (view === undefined) throw new Error(`no data view is ${id}`)
  return view
}

const AGGREGATED: Readonly<Record<string, readonly FieldType[]>> = {
  terms: ['keyword', 'long', 'boolean', 'ip'],
  date_histogram: ['date'],
}

describe('the dashboard', () => {
  const charts = saved.filter(({ type }) => type === 'visualization')

  it('has data views of indices there are, by a time they have', () => {
    const views = saved.filter(({ type }) => type === 'index-pattern')
    expect(views).toHaveLength(3)
    for (const view of views) {
      const field = String(view.attributes['timeFieldName'])
      expect(typesOf(indexOf(view).fields).get(field)).toBe('date')
    }
  })

  it.each(charts.map((chart) => [chart.id, chart] as const))(
    'asks for fields that the template has, of types it can count: %s',
    (_id, chart) => {
      const types = typesOf(indexOf(viewOf(chart)).fields)
      const { aggs } = parsed(chart.attributes['visState']) as Chart
      for (const { type, params } of aggs) {
        if (params.field === undefined) expect(type).toBe('count')
        else expect(AGGREGATED[type], params.field).toContain(types.get(params.field))
      }
      const meta = chart.attributes['kibanaSavedObjectMeta'] as Record<string, string>
      const { query } = (parsed(meta['searchSourceJSON']) as Search).query
      const fields = [...query.matchAll(/([\w.@]+) *(?::|>=)/g)].map(([, field]) => field)
      for (const field of fields) expect([...types.keys()]).toContain(field)
    },
  )

  it('shows every chart, and no other', () => {
    const [dashboard, ...more] = saved.filter(({ type }) => type === 'dashboard')
    expect(more).toEqual([])
    expect(dashboard?.references.map(({ id }) => id)).toEqual(charts.map(({ id }) => id))
    const panels = parsed(dashboard?.attributes['panelsJSON']) as unknown[]
    expect(panels).toHaveLength(charts.length)
  })
})

describe('a document as JSON', () => {
  it.each([
    [{ a: 'half \ud800' }, /half of a surrogate pair/],
    [{ a: 'back \\\ud800' }, /half of a surrogate pair/],
    [{ '\udc00': 1 }, /half of a surrogate pair/],
    [{ a: [1, Number.NaN] }, /NaN/],
    [{ a: -Infinity }, /-Infinity/],
  ])('is refused where JSON would change it: %j', (document, reason) => {
    expect(jsonTextOf(document).refused).toMatch(reason)
  })

  it('is kept where it only looks so', () => {
    const document = { a: '\\ud800', b: 'emoji 😀 \u0000', c: Number.MAX_SAFE_INTEGER }
    expect(JSON.parse(jsonTextOf(document).text ?? '')).toEqual(document)
  })
})
