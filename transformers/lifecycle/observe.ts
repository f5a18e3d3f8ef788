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

/** @throws PipelineError SERIALIZATION when an event does not fit its schema */
export function stage(
  view: View,
  unitKey: string,
  previous: UnitState | undefined,
  observation: Observation,
  origin: Origin & { readonly facts: RawFacts },
  rank: number,
  rawHash: string,
  rules: Rules,
): Staged {
  const work = workOn(view, origin, rules, causeOf(previous, rawHash))
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
    runId: origin.facts.runId,
    observedAtMs: origin.facts.fetchedAtMs,
    rawHash,
    entities: [...shown, ...kept],
    outcome: 'ok' as const,
    doubted,
  }
  return { unit, entities: work.entities, outputs: work.outputs }
}

/** The same bytes read by another mapping: what changes then is ours, not the vendor's. */
function causeOf(previous: UnitState | undefined, rawHash: string): ChangeCause {
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
