// Records of one stream, few but of every shape, and what changes when paths are taken out of them.
import { PipelineError } from '../../contracts/errors.ts'
import type { Observation } from '../../contracts/ports.ts'
import {
  type FieldName,
  type Said,
  outerOf,
  outersIn,
  saidIn,
  saysNothing,
} from './mapping-fields.ts'
import type { MappedUnit } from './mapping-units.ts'
import { observedUnit } from './observed.ts'
import { leafPaths, without } from './record-paths.ts'

/** A record with at most one finding, so that taking one away merges no others. */
export type Case = {
  readonly unit: MappedUnit
  readonly said: Said
  readonly leaves: ReadonlySet<string>
}
export type Shape = { readonly lifted: readonly string[]; readonly each: string | null }

/** Elements of a long list that are looked at. */
const ELEMENTS_MAX = 12
const TENANT = 'acme'

/** What the stream's transformer says of the record; null where it refuses it. */
export function saysOf({ stream, assetNativeId, json }: MappedUnit): Observation | null {
  const body = Buffer.from(JSON.stringify(json))
  const unit = { unit: 'u', assetNativeId, body, sizeBytes: body.length, columns: null }
  try {
    return observedUnit(stream, TENANT, { ...unit, contentType: 'application/json' })
  } catch (error) {
    if (error instanceof PipelineError) return null
    throw error
  }
}

/** Records that show a path or a field which none before them has shown; all made-up ones. */
export function casesOf(units: readonly MappedUnit[], shape: Shape): Case[] {
  const shown = new Set<string>()
  return units
    .flatMap((unit) => split(unit, shape.each))
    .flatMap((unit): Case[] => {
      const leaves = leafPaths(unit.json, shape.lifted)
      const observation = saysOf(unit)
      if (observation === null || saysNothing(observation)) return []
      const said = saidIn(observation)
      // Twice each, as some paths count only beside others.
      const news = [...leaves, ...said.keys()].filter((name) => !shown.has(`2 ${name}`))
      for (const name of news) shown.add(shown.has(`1 ${name}`) ? `2 ${name}` : `1 ${name}`)
      return news.length === 0 && !unit.isMadeUp ? [] : [{ unit, said, leaves }]
    })
}

/** One record per element of the list that gives the findings. */
function split(unit: MappedUnit, each: string | null): MappedUnit[] {
  if (each === null) return [unit]
  const steps = each.replace(/\[\]$/, '').split('.')
  const list = steps.reduce<unknown>(
    (value, step) => (value as Record<string, unknown> | null | undefined)?.[step],
    unit.json,
  )
  if (!Array.isArray(list) || list.length < 2) return [unit]
  return list
    .slice(0, ELEMENTS_MAX)
    .map((element) => ({ ...unit, json: replaced(unit.json, steps, [element]) }))
}

function replaced(value: unknown, [step, ...rest]: readonly string[], by: unknown): unknown {
  if (step === undefined) return by
  const record = value as Readonly<Record<string, unknown>>
  return { ...record, [step]: replaced(record[step], rest, by) }
}

/** What taking paths out of a record does. */
export type Effect = {
  /** The record is then refused, or tells nothing, or no finding where it told one. */
  readonly isSilent: boolean
  readonly changed: ReadonlySet<FieldName>
  /** Records inside, e.g. `asset cloud`, that are there only with or only without the paths. */
  readonly moved: ReadonlySet<string>
  readonly said: Said
}
const NONE = new Set<never>()
const SILENT: Effect = { isSilent: true, changed: NONE, moved: NONE, said: new Map() }

export function effectOf(one: Case, paths: readonly string[], shape: Shape): Effect {
  const json = without(one.unit.json, paths, shape.lifted)
  const observation = saysOf({ ...one.unit, json })
  if (observation === null || saysNothing(observation)) return SILENT
  const said = saidIn(observation)
  if (one.said.has('finding vuln_id') && !said.has('finding vuln_id')) return SILENT
  const moved = outersIn(one.said).symmetricDifference(outersIn(said))
  const names = new Set([...one.said.keys(), ...said.keys()])
  const changed = [...names].filter((name) => {
    const outer = outerOf(name)
    return (outer === null || !moved.has(outer)) && one.said.get(name) !== said.get(name)
  })
  return { isSilent: false, changed: new Set(changed), moved, said }
}
