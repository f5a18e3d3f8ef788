// Holds the tables of transformers/mapping, and the page that is written from them, to the code.
import { readFileSync } from 'node:fs'
import { beforeEach, describe, expect, it } from 'vitest'
import { mappingText } from '../../docs/mapping-text.ts'
import { MAPPINGS, PROPERTIES } from '../../transformers/mapping/mappings.ts'
import {
  ENTITIES,
  type StreamMapping,
  fieldsOf,
  pathsOf,
  targetOf,
} from '../../transformers/mapping/stream-mapping.ts'
import { TRANSFORMERS } from '../../transformers/transformers.ts'
import { type Case, casesOf, effectOf, saysOf } from '../support/mapping-cases.ts'
import { type FieldName, outerOf, saidIn } from '../support/mapping-fields.ts'
import { madeUpUnits } from '../support/mapping-records.ts'
import { type MappedUnit, sampleUnits, simulatedUnits } from '../support/mapping-units.ts'
import { isCovered } from '../support/record-paths.ts'

/** Records in which one path is tried. */
const TRIES_MAX = 4
const PREPARE_MS = 60_000

let units: ReadonlyMap<string, readonly MappedUnit[]> = new Map()
let cases: ReadonlyMap<string, readonly Case[]> = new Map()
beforeEach(async () => {
  if (units.size > 0) return
  // Made-up records first: the others show what these do not.
  const all = [...madeUpUnits(), ...(await simulatedUnits()), ...sampleUnits()]
  units = Map.groupBy(all, ({ stream }) => stream)
  cases = new Map(MAPPINGS.map((m) => [m.stream, casesOf(units.get(m.stream) ?? [], m)]))
}, PREPARE_MS)

/** Every field of every table of a stream. */
const tableFields = ({ tables }: StreamMapping): FieldName[] =>
  ENTITIES.flatMap((entity) =>
    Object.keys(tables[entity] ?? {}).map((field): FieldName => `${entity} ${field}`),
  )
function sourceOf({ tables }: StreamMapping, name: FieldName) {
  const [entity, field] = partsOf(name)
  return tables[entity]?.[field]
}
function partsOf(name: FieldName) {
  const entity = ENTITIES.find((one) => name.startsWith(`${one} `)) ?? 'asset'
  return [entity, name.slice(entity.length + 1)] as const
}
const named = (mapping: StreamMapping, name: FieldName) => pathsOf(mapping, ...partsOf(name))
const isRest = (name: string): boolean => name.endsWith(' unmapped')

describe('docs/mapping.md', () => {
  it('is what the tables say: write it anew with `npm run mapping`', () => {
    const written = readFileSync(new URL('../../docs/mapping.md', import.meta.url), 'utf8')
    expect(written).toBe(mappingText())
  })
})

describe('the tables', () => {
  it('are one for each stream that is read, of its product', () => {
    const facts = (list: readonly { stream: string; product: string }[]) =>
      list.map(({ stream, product }) => `${product} ${stream}`).toSorted()
    expect(facts(MAPPINGS)).toEqual(facts(TRANSFORMERS))
  })

  it('name fields of the events, and refer only to fields that they have', () => {
    const wrong = MAPPINGS.flatMap((mapping) =>
      tableFields(mapping).flatMap((name) => {
        const [entity, field] = partsOf(name)
        const isField = fieldsOf(entity).includes(field)
        const missing = (sourceOf(mapping, name)?.like ?? []).filter((other) => {
          const [target, rest] = targetOf(entity, other)
          return mapping.tables[target]?.[rest] === undefined
        })
        return [
          ...(isField ? [] : [`${mapping.stream}: ${name} is no field`]),
          ...missing.map((other) => `${mapping.stream}: ${name} refers to ${other}`),
        ]
      }),
    )
    expect(wrong).toEqual([])
  })

  it('give every promised property, or say why not', () => {
    const wrong = MAPPINGS.flatMap((mapping) => {
      const fields = new Set<string>(tableFields(mapping))
      return Object.entries(PROPERTIES).flatMap(([property, names]) => {
        // A stream without assets, or of a dictionary, is asked only for what it is.
        const isAsked = property === 'CVE findings' ? true : fields.has('asset asset_uid')
        const isGiven = names.some((name) => fields.has(name))
        const isExcused = mapping.nothing[property] !== undefined
        if (!isAsked || fields.has('vulnerability vuln_id')) return []
        return isGiven === isExcused ? [`${mapping.stream}: ${property}`] : []
      })
    })
    expect(wrong).toEqual([])
  })
})

describe.each(MAPPINGS.map((mapping) => [mapping.stream, mapping] as const))(
  '%s',
  (stream, mapping) => {
    const casesWith = (path: string): readonly Case[] =>
      (cases.get(stream) ?? []).filter(({ leaves }) =>
        [...leaves].some((leaf) => isCovered(leaf, [path])),
      )

    it('comes from the call that is named', () => {
      const plain = (path: string) => path.replace(/\/$/, '').replace(/\/v\d+\//, '/v<n>/')
      const called = mapping.call.startsWith('XQL')
        ? /\/xql\/get_query_results/
        : new RegExp(`${plain(mapping.call.replace('v<version>', 'v1').split(' ')[1] ?? '')}$`)
      const endpoints = (units.get(stream) ?? []).flatMap(({ endpoint }) => endpoint ?? [])
      expect(new Set(endpoints.map(plain)).values().toArray()).toContainEqual(
        expect.stringMatching(called),
      )
    })

    it('has in its table exactly the fields of which some record tells', () => {
      const told = new Set<string>()
      for (const unit of units.get(stream) ?? []) {
        const observation = saysOf(unit)
        if (observation !== null) for (const name of saidIn(observation).keys()) told.add(name)
      }
      const fields = new Set<string>(tableFields(mapping))
      expect([...told.difference(fields)], 'fields told that the table lacks').toEqual([])
      expect([...fields.difference(told)], 'fields of the table never told').toEqual([])
    })

    it('takes no field from a path that the table does not name', () => {
      const deciding = Object.keys(mapping.deciding)
      const everyPath = tableFields(mapping).flatMap((name) => named(mapping, name))
      const wrong = new Set<string>()
      const tries = new Map<string, number>()
      for (const one of cases.get(stream) ?? []) {
        for (const leaf of one.leaves) {
          const tried = tries.get(leaf) ?? 0
          if (tried >= TRIES_MAX || isCovered(leaf, deciding)) continue
          tries.set(leaf, tried + 1)
          const { isSilent, changed, moved } = effectOf(one, [leaf], mapping)
          if (isSilent && !isCovered(leaf, everyPath)) wrong.add(`nothing is told without ${leaf}`)
          for (const name of changed) {
            if (!isRest(name) && !isCovered(leaf, named(mapping, name))) {
              wrong.add(`${name} comes from ${leaf}, too`)
            }
          }
          for (const outer of moved) {
            const inner = tableFields(mapping).filter((name) => outerOf(name) === outer)
            if (!inner.some((name) => isCovered(leaf, named(mapping, name)))) {
              wrong.add(`${outer} comes from ${leaf}, too`)
            }
          }
        }
      }
      expect([...wrong]).toEqual([])
    })

    it('takes each field from every path that the table names', () => {
      const moves = (one: Case, name: FieldName, paths: readonly string[]): boolean => {
        const { isSilent, changed, moved } = effectOf(one, paths, mapping)
        return isSilent || changed.has(name) || moved.has(outerOf(name) ?? '')
      }
      /** Alone, or as the last one that is left: another path may stand in for it. */
      const counts = (one: Case, name: FieldName, path: string, all: readonly string[]) => {
        if (moves(one, name, [path])) return true
        const rest = effectOf(
          one,
          all.filter((other) => other !== path),
          mapping,
        )
        return rest.said.get(name) !== effectOf(one, all, mapping).said.get(name)
      }
      const wrong = tableFields(mapping).flatMap((name) => {
        const source = sourceOf(mapping, name)
        const all = named(mapping, name)
        const idle = (source?.from ?? []).filter(
          (path) => !casesWith(path).some((one) => counts(one, name, path, all)),
        )
        const isMoved =
          all.length === 0 || (cases.get(stream) ?? []).some((one) => moves(one, name, all))
        return [
          ...idle.map((path) =>
            casesWith(path).length === 0
              ? `${name}: no record has ${path}`
              : `${name} is the same without ${path}`,
          ),
          ...(isMoved ? [] : [`${name} is the same without any of its paths`]),
        ]
      })
      expect(wrong).toEqual([])
    })
  },
)
