// What `exposure replay raw` says: a line per changed field, then the totals.
import type { Difference } from '../transformers/replay.ts'

const VALUE_CHARACTERS_MAX = 60
const UNREADABLE_SHOWN_MAX = 10

/** Counts of one replay; every unit is in one of the outcomes. */
export type ReplayTotals = {
  units: number
  readonly outcomes: Map<string, number>
  readonly fields: Map<string, number>
  entities: number
  /** Units that would change, but whose bytes this mapping version has read already. */
  versionStands: number
  published: number
}

export const noTotals = (): ReplayTotals => ({
  units: 0,
  outcomes: new Map(),
  fields: new Map(),
  entities: 0,
  versionStands: 0,
  published: 0,
})

export const addTo = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** Prints as it goes, so that nothing but totals is kept. */
export type ReplayReport = {
  difference(unit: string, difference: Difference): void
  unreadable(unit: string, message: string): void
  totals(totals: ReplayTotals, published: { readonly events: number } | null): void
}

export function jsonReport(): ReplayReport {
  const say = (line: object) => console.log(JSON.stringify(line))
  return {
    difference(unit, { kind, key, change, fields }) {
      const entity = { unit, kind, key, change }
      if (fields.length === 0) say({ ...entity, field: null, before: null, after: null })
      for (const { path, before, after } of fields) say({ ...entity, field: path, before, after })
    },
    unreadable: (unit, message) => say({ unit, unreadable: message }),
    totals(totals, published) {
      const { outcomes, fields, ...rest } = totals
      const counts = { outcomes: Object.fromEntries(outcomes), fields: Object.fromEntries(fields) }
      say({ ...rest, ...counts, events: published?.events ?? null })
    },
  }
}

export function textReport(): ReplayReport {
  let unreadable = 0
  return {
    difference(_, { kind, key, change, fields }) {
      const head = `${change.padEnd(8)}  ${kind.padEnd(13)}  ${key}`
      if (fields.length === 0) console.log(head)
      for (const { path, before, after } of fields) {
        console.log(`${head}  ${path}: ${short(before)} -> ${short(after)}`)
      }
    },
    unreadable(unit, message) {
      unreadable += 1
      if (unreadable <= UNREADABLE_SHOWN_MAX) console.log(`unreadable  ${unit}: ${message}`)
    },
    totals(totals, published) {
      for (const line of totalLines(totals, published)) console.log(line)
    },
  }
}

const short = (value: string | null): string => {
  if (value === null) return '(none)'
  const isLong = value.length > VALUE_CHARACTERS_MAX
  return isLong ? `${value.slice(0, VALUE_CHARACTERS_MAX)}...` : value
}

const OUTCOMES: readonly (readonly [string, string])[] = [
  ['changed', 'would change entities'],
  ['same', 'say the same'],
  ['older', 'skipped: older than what is known'],
  ['gone', 'skipped: gone since'],
  ['unknown', 'skipped: forgotten since'],
  ['doubted', 'skipped: their next sight must confirm the last'],
  ['empty', 'skipped: too large, kept without content'],
  ['unreadable', 'cannot be read by this build'],
]

function totalLines(totals: ReplayTotals, published: { events: number } | null): string[] {
  const lines = [`units: ${totals.units}`]
  for (const [outcome, says] of OUTCOMES) {
    const count = totals.outcomes.get(outcome) ?? 0
    if (count > 0) lines.push(`  ${count} ${says}`)
  }
  const fields = [...totals.fields].toSorted((a, b) => b[1] - a[1])
  lines.push(`entities that differ: ${totals.entities}`)
  for (const [field, count] of fields) lines.push(`  ${String(count).padStart(8)}  ${field}`)
  if (totals.versionStands > 0) {
    lines.push(
      `${totals.versionStands} of the units were read by this mapping version before: transformers`,
      '  will not read them again until MAPPING_VERSION is raised',
    )
  }
  if (published !== null) {
    lines.push(`written again: ${totals.published} records; events: ${published.events}`)
  }
  return lines
}
