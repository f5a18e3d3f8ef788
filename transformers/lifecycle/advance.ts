// One step of one entity: from what is known to what is known next, and its event.
import type { AssetState } from '../../contracts/asset.ts'
import { streamKey } from '../../contracts/envelope.ts'
import type { ChangeCause, ChangeType, FieldChange } from '../../contracts/event-meta.ts'
import type { FindingState } from '../../contracts/finding.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import type { VulnerabilityState } from '../../contracts/vulnerability.ts'
import type { Draft } from './draft.ts'
import {
  type Encode,
  type Origin,
  assetRecord,
  findingRecord,
  metaOf,
  vulnerabilityRecord,
} from './events.ts'
import { changesBetween, comparable, hashOf } from './hash.ts'
import { byRank, merged, withSteadyEpss } from './merge.ts'
import type { Contribution, Entity, EntityState } from './state.ts'

export type Rules = {
  readonly prefix: string
  readonly mappingVersion: string
  readonly encode: Encode
}

export type View = Pick<Draft, 'entity' | 'stream'>

/** Where a step reads, what it has changed so far, and what stands behind it. */
export type Work = {
  readonly view: View
  readonly entities: Map<string, Entity>
  readonly outputs: OutRecord[]
  readonly origin: Origin
  readonly rules: Rules
  readonly cause: ChangeCause
}

/** A view of `view` with the entities changed so far in front. */
export function workOn(view: View, origin: Origin, rules: Rules, cause: ChangeCause): Work {
  const entities = new Map<string, Entity>()
  return {
    view: {
      stream: (key) => view.stream(key),
      entity: (id) => entities.get(id) ?? view.entity(id),
    },
    entities,
    outputs: [],
    origin,
    rules,
    cause,
  }
}

/**
 * Takes the units' contributions away. The last one stays: the closing event tells the whole state.
 * @throws PipelineError SERIALIZATION when an event does not fit its schema
 */
export function withdraw(
  work: Work,
  id: string,
  isGone: (unitKey: string) => boolean,
  closedAs?: Entity['closedAs'],
): void {
  const current = work.view.entity(id)
  if (current === undefined || current.closed) return
  const others = current.contributions.filter((c) => !isGone(c.unit))
  if (others.length === current.contributions.length) return
  const last = others.length === 0
  const contributions = last ? current.contributions : others
  advance(work, current.kind, id, current, contributions, last ? { closedAs } : null)
}

/** The unit's own part of a key `connection|stream|unit`. */
export const unitOf = (unitKey: string): string => unitKey.split('|').slice(2).join('|')

/** @throws PipelineError SERIALIZATION when the event does not fit its schema */
export function advance(
  work: Work,
  kind: Entity['kind'],
  id: string,
  current: Entity | undefined,
  contributions: readonly Contribution[],
  withdrawn: { readonly closedAs?: Entity['closedAs'] } | null,
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
  withdrawn: { readonly closedAs?: Entity['closedAs'] } | null,
): Entity {
  const now = work.origin.facts.fetchedAtMs
  const states = contributions.map((c) => c.state)
  const vendorClosed = states.every((s) => s.status === 'RESOLVED' || s.status === 'GONE')
  const closed = withdrawn !== null || vendorClosed
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
    closedAs: closed ? (withdrawn?.closedAs ?? current?.closedAs) : undefined,
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
  const closing = entity.closed && work.cause === 'VENDOR'
  const cause = moved ? 'IDENTITY' : closing ? 'LIFECYCLE' : work.cause
  const change = {
    type,
    cause,
    revision: entity.revision,
    changes,
    contentHash: entity.hash,
    backfill: (work.view.stream(streamKey(facts))?.completeRunId ?? null) === null,
  } as const
  const nativeId = nativeIdOf(entity, streamKey(facts))
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

/** As the vendor calls it in the stream behind the event, else in that which gives the content. */
function nativeIdOf({ contributions }: Entity, stream: string): string {
  const ordered = byRank(contributions)
  const own = ordered.find((c) => c.unit.startsWith(`${stream}|`)) ?? ordered[0]
  return own === undefined ? '' : (own.nativeId ?? unitOf(own.unit))
}
