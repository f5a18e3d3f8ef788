// Which units the end of a run shows to be gone: listings that agree, the scope, the fuse.
import type { RunEnd } from '../../contracts/envelope.ts'
import type { Held, LifecycleStore, Listing, StreamState, UnitState } from './state.ts'

export type ClosingRules = {
  /** So many complete listings in a row must lack a unit; 1 to CLOSE_AFTER_RUNS_MAX. */
  readonly closeAfterRuns: number
  /** So long after its closing an entity is forgotten. */
  readonly purgeAfterMs: number
  /** Closures are held when more than this share, 0 to 1, of a partition's units would close ... */
  readonly fuseShare: number
  /** ... and more than this many. */
  readonly fuseUnits: number
  /** Entities and units that one transaction of a long walk closes or forgets. */
  readonly walkStepMax: number
}

export const CLOSE_AFTER_RUNS_MAX = 10
export const CLOSING_DEFAULTS: ClosingRules = {
  closeAfterRuns: 1,
  purgeAfterMs: 90 * 86_400_000,
  fuseShare: 0.3,
  fuseUnits: 10,
  walkStepMax: 1_000,
}
/** Two listings that drifted count as one complete one. */
const DRIFTED_WEIGHT = 0.5

/** What a run's end means for the units of its stream in one partition. */
export type Judgement = {
  readonly unitsSeen: number
  readonly deadLettered: number
  /** Keys of the units to close now, sorted. */
  readonly closing: readonly string[]
  /** Keys of the units that would be closed, were they not held back, sorted. */
  readonly held: readonly string[]
  readonly hold: string | null
  /** The stream as it is after this run. */
  readonly stream: StreamState
}

export function judge(
  store: LifecycleStore,
  streamName: string,
  end: RunEnd,
  endOffset: bigint,
  rules: ClosingRules,
): Judgement {
  const known = store.streams.get(streamName)
  const sameScope = known === undefined || known.scope === end.scope
  const scopeSince = sameScope ? (known?.scopeSince ?? '') : end.runId
  const listings = listingsWith(sameScope ? (known?.listings ?? []) : [], end)
  // A record of this run may have been a sight of one of the absent.
  const blind = store.blindOffset > (known?.endOffset ?? -1)
  const listed = end.kind === 'SNAPSHOT' && isListing(end)
  const before = listed ? thresholdOf(listings, rules.closeAfterRuns) : null
  const { unitsSeen, deadLettered, units, absent, outside } = survey(
    store,
    `${streamName}|`,
    end.runId,
    before ?? '',
    scopeSince,
  )
  const reason = absent.length === 0 ? null : holdReason(blind, end, absent.length, units, rules)
  // A listing that says nothing yet leaves held what an earlier one has held.
  const still = listed && before === null ? heldStill(store, streamName, known?.held ?? null) : []
  const held = [...(reason === null ? [] : absent), ...outside, ...still]
  const reasons = [
    reason,
    outside.length === 0 ? null : outsideReason(outside.length),
    still.length === 0 ? null : `held back since run ${known?.held?.runId}`,
  ]
  const hold = reasons.filter((text) => text !== null).join('; ')
  const stream: StreamState = {
    completeRunId: end.verdict === 'COMPLETE' ? end.runId : (known?.completeRunId ?? null),
    scope: end.scope,
    scopeSince,
    // Who was absent from a blind run may have been there: later runs must not count it.
    listings: blind && listed ? listings.slice(0, -1) : listings,
    held: heldAfter(known?.held ?? null, end, listed, before, held.length),
    walk: null,
    endOffset: Number(endOffset),
  }
  return {
    unitsSeen,
    deadLettered,
    closing: reason === null ? absent.toSorted() : [],
    held: held.toSorted(),
    hold: hold === '' ? null : hold,
    stream,
  }
}

/** The newest run that holds back, and what; a run that lists nothing leaves it as it was. */
function heldAfter(
  known: Held | null,
  { runId, startedAtMs }: RunEnd,
  listed: boolean,
  before: string | null,
  units: number,
): Held | null {
  if (!listed) return known
  if (units === 0) return null
  if (before !== null) return { runId, before, startedAtMs }
  return known && { ...known, runId }
}

/** Units of a hold that nobody has seen since. */
function heldStill(store: LifecycleStore, streamName: string, held: Held | null): string[] {
  return held === null ? [] : [...heldUnits(store, streamName, held)]
}

/** Keys of the units that a release of this hold closes. */
export function* heldUnits(
  store: LifecycleStore,
  streamName: string,
  { before }: Held,
): Generator<string> {
  for (const [key, unit] of unitsOf(store, `${streamName}|`)) {
    if (unit.outcome !== 'gone' && unit.runId < before) yield key
  }
}

const isListing = ({ verdict }: RunEnd): boolean => verdict === 'COMPLETE' || verdict === 'DRIFTED'

/** A run that did not list everything ends a row of drifted ones: what it lacks says nothing. */
function listingsWith(before: readonly Listing[], end: RunEnd): Listing[] {
  if (end.kind !== 'SNAPSHOT') return [...before]
  if (!isListing(end)) {
    const sure = before.findLastIndex(({ drifted }) => !drifted)
    return before.slice(0, sure + 1)
  }
  const all = [...before, { runId: end.runId, drifted: end.verdict === 'DRIFTED' }]
  return all.slice(-2 * CLOSE_AFTER_RUNS_MAX)
}

/**
 * A unit last seen before the run named here is absent from enough listings; null: there are not
 * enough yet.
 */
export function thresholdOf(listings: readonly Listing[], closeAfterRuns: number): string | null {
  let weight = 0
  for (const { runId, drifted } of listings.toReversed()) {
    weight += drifted ? DRIFTED_WEIGHT : 1
    if (weight >= closeAfterRuns) return runId
  }
  return null
}

type Survey = {
  unitsSeen: number
  deadLettered: number
  /** Units of this scope that are not gone yet. */
  units: number
  /** Of these, the ones last seen before the threshold. */
  absent: string[]
  /** Units that only runs under other filters have seen. */
  outside: string[]
}

function survey(
  store: LifecycleStore,
  prefix: string,
  runId: string,
  before: string,
  scopeSince: string,
): Survey {
  const found: Survey = { unitsSeen: 0, deadLettered: 0, units: 0, absent: [], outside: [] }
  for (const [key, unit] of unitsOf(store, prefix)) {
    if (unit.outcome === 'gone') continue
    if (unit.runId === runId) {
      found.unitsSeen += 1
      if (unit.outcome === 'dead-lettered') found.deadLettered += 1
    }
    const isAbsent = unit.runId < before
    if (isAbsent && unit.runId < scopeSince) {
      found.outside.push(key)
      continue
    }
    found.units += 1
    if (isAbsent) found.absent.push(key)
  }
  return found
}

export function* unitsOf(
  store: LifecycleStore,
  prefix: string,
): Generator<readonly [string, UnitState]> {
  for (const entry of store.units) if (entry[0].startsWith(prefix)) yield entry
}

function holdReason(
  blind: boolean,
  end: RunEnd,
  absent: number,
  units: number,
  rules: ClosingRules,
): string | null {
  if (end.hold !== null) return end.hold
  if (blind) return 'a dead letter of this run does not say which unit it was'
  if (absent > rules.fuseUnits && absent > units * rules.fuseShare) {
    return `${absent} of the ${units} units of a partition would close at once`
  }
  return null
}

const outsideReason = (count: number): string => `${count} units were last seen under other filters`
