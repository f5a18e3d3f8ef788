// What counts as a change: the state without its noise, its hash, and the difference of two states.
import { createHash } from 'node:crypto'
import type { FieldChange } from '../../contracts/event-meta.ts'

/** An EPSS score that moved by less is the same score. */
export const EPSS_STEP = 0.05
const SCORE_DECIMALS = 3
const CHANGE_TEXT_BYTES_MAX = 1_024
const CHANGES_MAX = 64

/**
 * Not compared: times of sight and heartbeat, the agent's state, vendor counts, EPSS percentile,
 * the
 * asset's summary inside a finding, and vendor fields without a home (scan ids live there).
 */
const NOISE = new Set([
  'last_seen',
  'finding_counts',
  'asset',
  'unmapped',
  'agent.status',
  'agent.last_seen',
  'epss.percentile',
  'epss.as_of',
])

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/**
 * The state in the one form that is hashed and compared: no noise, arrays sorted, scores rounded.
 */
export function comparable(state: object): { [key: string]: Json } {
  const view = canonical(state as { [key: string]: Json }, '') as { [key: string]: Json }
  // An agent that goes off and comes back is not news; one that is uninstalled is.
  if (view['status'] === 'INACTIVE') view['status'] = 'ACTIVE'
  return view
}

export const hashOf = (view: object): string =>
  createHash('sha256').update(JSON.stringify(view)).digest('hex')

/** Of a raw record's bytes, 64 hex. */
export const sha256Of = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** What was read, and by which mapping: the form of `UnitState.rawHash`. */
export const rawHashOf = (sha256: string, mappingVersion: string): string =>
  `${sha256.slice(0, 22)}@${mappingVersion}`

function canonical(value: Json, path: string): Json {
  if (typeof value === 'number') {
    return Number.isInteger(value) ? value : Number(value.toFixed(SCORE_DECIMALS))
  }
  if (Array.isArray(value)) {
    // Order has no meaning in any list of ours; identical elements are one.
    const texts = new Set(value.map((element) => JSON.stringify(canonical(element, path))))
    return [...texts].toSorted().map((text) => JSON.parse(text) as Json)
  }
  if (value === null || typeof value !== 'object') return value
  const result: { [key: string]: Json } = Object.create(null)
  for (const key of Object.keys(value).toSorted()) {
    const inner = path === '' ? key : `${path}.${key}`
    if (!NOISE.has(inner)) result[key] = canonical(value[key] ?? null, inner)
  }
  return result
}

/** The fields in which two comparable states differ: dotted paths, one level into records. */
export function changesBetween(before: object, after: object): FieldChange[] {
  const changes: FieldChange[] = []
  compare(before as Record<string, Json>, after as Record<string, Json>, '', changes)
  return changes.slice(0, CHANGES_MAX)
}

function compare(
  before: Record<string, Json>,
  after: Record<string, Json>,
  prefix: string,
  into: FieldChange[],
): void {
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [a, b] = [before[key] ?? null, after[key] ?? null]
    const [textA, textB] = [JSON.stringify(a), JSON.stringify(b)]
    if (textA === textB) continue
    const path = prefix === '' ? key : `${prefix}.${key}`
    if (prefix === '' && isRecord(a) && isRecord(b)) compare(a, b, path, into)
    else into.push({ path, before: bounded(a, textA), after: bounded(b, textB) })
  }
}

const isRecord = (value: Json): value is { [key: string]: Json } =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

const bounded = (value: Json, text: string): string | null =>
  value === null || Buffer.byteLength(text) > CHANGE_TEXT_BYTES_MAX ? null : text
