// What an observation says in each field of the mapping's tables, in a form that can be compared.
import type { Observation } from '../../contracts/ports.ts'
import { ENTITIES, type Entity, fieldsOf } from '../../transformers/mapping/stream-mapping.ts'

/** `entity field`, e.g. `asset cloud.region`. */
export type FieldName = `${Entity} ${string}`
/** JSON of all values that are none of the empty ones, sorted. */
export type Said = ReadonlyMap<FieldName, string>

const FIELDS = ENTITIES.flatMap((entity) =>
  fieldsOf(entity).map((field) => {
    const [outer = field, inner = null] = field.split('.')
    return { entity, name: `${entity} ${field}` as const, outer, inner }
  }),
)
type States = Readonly<Record<Entity, readonly Readonly<Record<string, unknown>>[]>>

const statesOf = (observation: Observation): States => ({
  asset: observation.assets,
  finding: observation.findings,
  vulnerability: observation.vulnerabilities ?? [],
})

/** Also the default of an enumeration, and a count of nothing. */
const isEmpty = (value: unknown): boolean =>
  value === null ||
  value === undefined ||
  value === '' ||
  value === 'UNKNOWN' ||
  value === 0 ||
  (typeof value === 'object' && Object.keys(value).length === 0)

const listed = (value: unknown): unknown[] =>
  Array.isArray(value) ? (value as unknown[]) : [value]
const inside = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : null

/** Only the fields that are not empty. */
export function saidIn(observation: Observation): Said {
  const states = statesOf(observation)
  const said = new Map<FieldName, string>()
  for (const { entity, name, outer, inner } of FIELDS) {
    const values = states[entity]
      .flatMap((state) => listed(state[outer]))
      .flatMap((value) => (inner === null ? [value] : listed(inside(value, inner))))
      .filter((value) => !isEmpty(value))
      .map((value) => JSON.stringify(value))
    if (values.length > 0) said.set(name, JSON.stringify([...new Set(values)].toSorted()))
  }
  return said
}

/** Records inside, e.g. `asset cloud`, of which nothing is said. */
export function outerOf(name: FieldName): FieldName | null {
  const dot = name.indexOf('.')
  return dot < 0 ? null : (name.slice(0, dot) as FieldName)
}

/** Outer records of which something is said. */
export const outersIn = (said: Said): ReadonlySet<FieldName> =>
  new Set([...said.keys()].flatMap((name) => outerOf(name) ?? []))

/** True when the observation tells of nothing at all. */
export const saysNothing = (observation: Observation): boolean =>
  Object.values(statesOf(observation)).every((list) => list.length === 0)
