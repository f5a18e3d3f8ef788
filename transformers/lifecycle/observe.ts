// One unit's observation against what is known: which entities are new, changed, gone or back.
import type { RawFacts } from '../../contracts/envelope.ts'
import type { ChangeCause } from '../../contracts/event-meta.ts'
import type { Observation } from '../../contracts/ports.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import { type Rules, type View, type Work, advance, withdraw, workOn } from './advance.ts'
import type { Origin } from './events.ts'
import type { Contribution, Entity, UnitState } from './state.ts'

/**
 * A unit that loses more findings than both of these is believed only when its next sight agrees.
 */
export const DOUBT_FINDINGS = 20
export const DOUBT_SHARE = 0.8

/**
 * What one unit changes; nothing is in the draft yet, so that a unit that fails leaves no trace.
 */
export type Staged = {
  readonly unit: Omit<UnitState, 'ordinal'>
  readonly entities: Map<string, Entity>
  readonly outputs: OutRecord[]
}

/** `replayed`: the record was written again, so that it is the same sight read anew. */
export type SightOrigin = Origin & { readonly facts: RawFacts; readonly replayed: boolean }

/** Why a record that was written again changes nothing. */
export type NotAgain = 'unknown' | 'older' | 'gone' | 'doubted'

/**
 * Null: it may be read again. What is forgotten or gone is not brought back by an old sight, and a
 * doubted one does not confirm itself.
 */
export function notAgain(previous: UnitState | undefined, facts: RawFacts): NotAgain | null {
  if (previous === undefined) return 'unknown'
  if (previous.outcome === 'gone') return 'gone'
  if (facts.fetchedAtMs < previous.observedAtMs) return 'older'
  return previous.doubted ? 'doubted' : null
}

/** @throws PipelineError SERIALIZATION when an event does not fit its schema */
export function stage(
  view: View,
  unitKey: string,
  previous: UnitState | undefined,
  observation: Observation,
  origin: SightOrigin,
  rank: number,
  rawHash: string,
  rules: Rules,
): Staged {
  const work = workOn(view, origin, rules, causeOf(previous, rawHash, origin.replayed))
  const shown = new Set<string>()
  // Assets first: findings carry the entity_uid that their asset has then.
  for (const state of observation.assets) {
    shown.add(state.asset_uid)
    const { assetNativeId, unit } = origin.facts
    const nativeId = assetNativeId === unit ? {} : { nativeId: assetNativeId }
    contribute(work, 'asset', state.asset_uid, { unit: unitKey, ...nativeId, rank, state })
  }
  for (const state of observation.vulnerabilities ?? []) {
    shown.add(state.vulnerability_uid)
    const id = state.vulnerability_uid
    contribute(work, 'vulnerability', id, { unit: unitKey, rank, state })
  }
  for (const state of observation.findings) {
    shown.add(state.finding_uid)
    contribute(work, 'finding', state.finding_uid, { unit: unitKey, rank, state })
  }
  const { kept, doubted } = withdrawMissing(
    work,
    unitKey,
    previous,
    shown,
    observation.findingsKnown,
  )
  const unit = {
    runId: newestRun(previous, origin.facts),
    observedAtMs: origin.facts.fetchedAtMs,
    rawHash,
    entities: [...shown, ...kept],
    outcome: 'ok' as const,
    doubted,
  }
  return { unit, entities: work.entities, outputs: work.outputs }
}

/** After a clock was put right, a run before the unit's last may tell the newer time. */
export const newestRun = (previous: UnitState | undefined, { runId }: RawFacts): string =>
  previous !== undefined && previous.runId > runId ? previous.runId : runId

/**
 * The same bytes read by another mapping: what changes then is ours, not the vendor's. So it is
 * with the same sight read again, whose bytes may differ from the hash by what is no change.
 */
function causeOf(previous: UnitState | undefined, rawHash: string, replayed: boolean): ChangeCause {
  if (replayed && previous?.outcome === 'ok') return 'MAPPING'
  const [bytes, version] = rawHash.split('@')
  const [bytesBefore, versionBefore] = previous?.rawHash.split('@') ?? []
  return bytes === bytesBefore && version !== versionBefore ? 'MAPPING' : 'VENDOR'
}

function contribute(
  work: Work,
  kind: Entity['kind'],
  id: string,
  contribution: Contribution,
): void {
  const current = work.view.entity(id)
  const others =
    current === undefined || current.closed
      ? []
      : current.contributions.filter((c) => c.unit !== contribution.unit)
  advance(work, kind, id, current, [...others, contribution], null)
}

/** Entities that the unit showed before and shows no more; held back when too many at once. */
function withdrawMissing(
  work: Work,
  unitKey: string,
  previous: UnitState | undefined,
  shown: ReadonlySet<string>,
  findingsKnown: boolean,
): { kept: string[]; doubted: boolean } {
  const missing = (previous?.entities ?? []).filter((id) => !shown.has(id))
  const isFinding = (id: string) => work.view.entity(id)?.kind === 'finding'
  const open = missing.filter((id) => isFinding(id) && work.view.entity(id)?.closed === false)
  const before = (previous?.entities ?? []).filter(isFinding).length
  const many = open.length > DOUBT_FINDINGS && open.length > before * DOUBT_SHARE
  const doubted = findingsKnown && many && previous?.doubted !== true
  const kept: string[] = []
  for (const id of missing) {
    if (isFinding(id) && (!findingsKnown || doubted)) kept.push(id)
    else withdraw(work, id, (unit) => unit === unitKey)
  }
  return { kept, doubted }
}
