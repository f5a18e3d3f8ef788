// Times of vendors as epoch milliseconds: seconds, milliseconds, ISO, and the nulls in disguise.
import { fullTextOf, numberOf } from './text.ts'

const EARLIEST_MS = Date.UTC(1990, 0, 1)
const DAY_MS = 86_400_000
/** `2022-08-10T20:15:00Z`, also without seconds, zone or time; Go writes nine decimals. */
const ISO =
  /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/i

/** What a bare number means in the field at hand. */
export type TimeUnit = 'seconds' | 'milliseconds'

/**
 * Epoch milliseconds, or null for what is no time: nothing, 0, -1, `0001-01-01T00:00:00Z`, any year
 * before 1990, and anything more than a day after `nowMs` (the time at which we fetched it).
 */
export function timeOf(value: unknown, unit: TimeUnit, nowMs: number): number | null {
  const number = numberOf(value)
  const text = fullTextOf(value)
  const ms =
    number === null ? isoMs(text ?? '') : Math.trunc(unit === 'seconds' ? number * 1000 : number)
  return ms !== null && ms >= EARLIEST_MS && ms <= nowMs + DAY_MS ? ms : null
}

/** The end of a grace period: whole days, so that the hour of the scan does not move it. */
export function dueAfterDays(fromMs: number, days: number | null): number | null {
  if (days === null || days < 0 || days > 36_500) return null
  return Math.floor((fromMs + days * DAY_MS) / DAY_MS) * DAY_MS
}

function isoMs(text: string): number | null {
  const match = ISO.exec(text)
  if (!match) return null
  const [, date, minutes = '00:00', seconds = '00', decimals = '', zone = 'Z'] = match
  // Without a zone JavaScript would take that of the machine, and a replay elsewhere would differ.
  const ms = Date.parse(`${date}T${minutes}:${seconds}${decimals.slice(0, 4)}${zone.toUpperCase()}`)
  return Number.isNaN(ms) ? null : ms
}
