// One unit's observation against what is known: which entities are new, changed, gone or back.
import type { AssetState } from '../../contracts/asset.ts'
import type { ChangeCause, ChangeType, FieldChange } from '../../contracts/event-meta.ts'
import type { FindingState } from '../../contracts/finding.ts'
import type { Observation } from '../../contracts/ports.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import type { Draft } from './draft.ts'
import {
  type Encode,
  type Origin,
  assetRecord,
  findingRecord,
  metaOf,
  vulnerabilityRecord,
} from './events.ts'
import type { VulnerabilityState } from '../../contracts/vulnerability.ts'
import { changesBetween, comparable, hashOf } from './hash.ts'
import { merged, withSteadyEpss } from './merge.ts'
import type { Contribution, Entity, EntityState, UnitState } from './state.ts'

/**
 * A unit that loses more findings than both of these is believed only when its next sight agrees.
 */
export const DOUBT_FINDINGS = 20
export const DOUBT_SHARE = 0.8

export type Rules = {
  readonly prefix: string
  readonly mappingVersion: string
  readonly encode: Encode
}

/**
 * What one unit changes; nothing is in the draft yet, so that a unit that fails leaves no trace.
 */
export type Staged = {
  readonly unit: Omit<UnitState, 'ordinal'>
  readonly entities: Map<string, Entity>
  readonly outputs: OutRecord[]
}

type View = Pick<Draft, 'entity' | 'stream'>

/** @throws PipelineError SERIALIZATION when an event does not fit its schema */
export function stage(
  view: View,
  unitKey: string,
  previous: UnitState | undefined,
  observation: Observation,
  origin: Origin,
  rank: number,
  rawHash: string,
  rules: Rules,
): Staged {
  const entities = new Map<string, Entity>()
  const outputs: OutRecord[] = []
  const work: Work = {
    view: {
      stream: (key) => view.stream(key),
      entity: (id) => entities.get(id) ?? view.entity(id),
    },
    entities,
    outputs,
    unitKey,
    origin,
    rules,
    cause: causeOf(previous, rawHash),
  }
  const shown = new Set<string>()
  // Assets first: findings carry the entity_uid that their asset has then.
  for (const state of observation.assets) {
    shown.add(state.asset_uid)
    contribute(work, 'asset', state.asset_uid, { unit: unitKey, rank, state })
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
  const { kept, doubted } = withdrawMissing(work, previous, shown, observation.findingsKnown)
  const unit = {
    runId: origin.facts.runId,
    observedAtMs: origin.facts.fetchedAtMs,
    rawHash,
    entities: [...shown, ...kept],
    outcome: 'ok' as const,
    doubted,
  }
  return { unit, entities, outputs }
}

type Work = {
  readonly view: View
  readonly entities: Map<string, Entity>
  readonly outputs: OutRecord[]
  readonly unitKey: string
  readonly origin: Origin
  readonly rules: Rules
  readonly cause: ChangeCause
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
  advance(work, kind, id, current, [...others, contribution], false)
}

/** Entities that the unit showed before and shows no more; held back when too many at once. */
function withdrawMissing(
  work: Work,
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
    else withdraw(work, id)
  }
  return { kept, doubted }
}

function withdraw(work: Work, id: string): void {
  const current = work.view.entity(id)
  if (current === undefined || current.closed) return
  const others = current.contributions.filter((c) => c.unit !== work.unitKey)
  // The last contribution stays: the closing event tells the whole state.
  const last = others.length === 0
  advance(work, current.kind, id, current, last ? current.contributions : others, last)
}

function advance(
  work: Work,
  kind: Entity['kind'],
  id: string,
  current: Entity | undefined,
  contributions: readonly Contribution[],
  withdrawn: boolean,
): void {
  const next = nextEntity(work, kind, current, contributions, withdrawn)
  const steady = withSteadyEpss(merged(next), current?.epssScore ?? null)
  const type = changeType(kind, current, next, hashOf(comparable(steady)))
  if (type === null) {
    // No event; the log is told only when a contributor came, went, or says something else.
    if (current && sameContributions(current.contributions, contributions)) return
    if (current) work.entities.set(id, { ...current, contributions })
    return
  }
  const state = merged(next)
  const after = comparable(state)
  const revision = Math.max((current?.revision ?? 0) + 1, work.origin.facts.fetchedAtMs)
  const changes = current ? changesBetween(comparable(merged(current)), after) : []
  const epssScore = 'epss' in state ? (state.epss?.score ?? null) : null
  const entity: Entity = { ...next, revision, hash: hashOf(after), epssScore }
  work.entities.set(id, entity)
  work.outputs.push(event(work, id, kind, state, type, entity, changes))
}

function nextEntity(
  work: Work,
  kind: Entity['kind'],
  current: Entity | undefined,
  contributions: readonly Contribution[],
  withdrawn: boolean,
): Entity {
  const now = work.origin.facts.fetchedAtMs
  const states = contributions.map((c) => c.state)
  const vendorClosed = states.every((s) => s.status === 'RESOLVED' || s.status === 'GONE')
  const closed = withdrawn || vendorClosed
  const seen = states.map((s) => s.first_seen).filter((t) => t !== null)
  const first = [...seen, ...(current?.firstSeenMs == null ? [] : [current.firstSeenMs])]
  const back = current?.closed === true && !closed
  const asset =
    kind === 'finding' ? work.view.entity((states[0] as FindingState).asset_uid) : undefined
  const firstAsset = asset?.contributions[0]?.state as AssetState | undefined
  return {
    kind,
    revision: 0,
    hash: '',
    closed,
    closedAtMs: closed ? (current?.closedAtMs ?? now) : null,
    firstSeenMs: first.length === 0 ? now : Math.min(...first),
    reopenCount: (current?.reopenCount ?? 0) + (back ? 1 : 0),
    entityUid: firstAsset?.entity_uid ?? null,
    epssScore: current?.epssScore ?? null,
    contributions,
  }
}

function changeType(
  kind: Entity['kind'],
  current: Entity | undefined,
  next: Entity,
  hash: string,
): ChangeType | null {
  if (current === undefined) return 'CREATED'
  if (!current.closed && next.closed) return kind === 'finding' ? 'RESOLVED' : 'GONE'
  if (current.closed && !next.closed) return 'REOPENED'
  return current.hash === hash ? null : 'UPDATED'
}

function sameContributions(a: readonly Contribution[], b: readonly Contribution[]): boolean {
  if (a.length !== b.length) return false
  // A single contributor says what the entity says, and that has just been found unchanged.
  if (a.length === 1) return a[0]?.unit === b[0]?.unit && a[0]?.rank === b[0]?.rank
  const known = new Map(a.map((c) => [c.unit, c]))
  return b.every((c) => {
    const old = known.get(c.unit)
    return old !== undefined && old.rank === c.rank && sameState(old.state, c.state)
  })
}

const sameState = (a: object, b: object): boolean =>
  a === b || JSON.stringify(comparable(a)) === JSON.stringify(comparable(b))

function event(
  work: Work,
  id: string,
  kind: Entity['kind'],
  state: EntityState,
  type: ChangeType,
  entity: Entity,
  changes: readonly FieldChange[],
): OutRecord {
  const { facts } = work.origin
  const moved = changes.some((c) => c.path === 'entity_uid')
  const cause = moved ? 'IDENTITY' : entity.closed ? 'LIFECYCLE' : work.cause
  const change = {
    type,
    cause,
    revision: entity.revision,
    changes,
    contentHash: entity.hash,
    backfill: work.view.stream(`${facts.connection}|${facts.stream}`) === undefined,
  } as const
  const nativeId = kind === 'asset' ? facts.assetNativeId : facts.unit
  const meta = metaOf(id, nativeId, work.origin, change, work.rules.mappingVersion)
  const { prefix, encode } = work.rules
  switch (kind) {
    case 'asset':
      return assetRecord(state as AssetState, meta, prefix, encode)
    case 'finding':
      return findingRecord(state as FindingState, meta, prefix, encode)
    case 'vulnerability':
      return vulnerabilityRecord(state as VulnerabilityState, meta, prefix, encode)
  }
}
