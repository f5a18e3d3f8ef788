// One entity out of its contributions: content of the first, versions and paths of all.
import type { AssetState } from '../../contracts/asset.ts'
import type { FindingState } from '../../contracts/finding.ts'
import { uid } from '../../contracts/identity.ts'
import { EPSS_STEP } from './hash.ts'
import type { Contribution, Entity, EntityState } from './state.ts'
import type { VulnerabilityState } from '../../contracts/vulnerability.ts'

/** Lowest rank first, then by unit, so that the order of arrival has no say. */
export function byRank(contributions: readonly Contribution[]): Contribution[] {
  return contributions.toSorted(
    (a, b) => a.rank - b.rank || (a.unit < b.unit ? -1 : Number(a.unit > b.unit)),
  )
}

/** What the lifecycle knows beside the contributions. */
export type Overlay = {
  readonly closed: boolean
  readonly closedAtMs: number | null
  readonly closedAs?: Entity['closedAs']
  readonly firstSeenMs: number | null
  readonly reopenCount: number
  readonly entityUid: string | null
  readonly epssScore: number | null
}

export function mergedAsset(contributions: readonly Contribution[], over: Overlay): AssetState {
  const state = byRank(contributions)[0]?.state as AssetState
  return {
    ...state,
    first_seen: over.firstSeenMs,
    status: over.closed ? 'GONE' : state.status,
    gone_at: over.closedAtMs,
    reopen_count: over.reopenCount,
  }
}

function mergedVulnerability(
  contributions: readonly Contribution[],
  over: Overlay,
): VulnerabilityState {
  const state = byRank(contributions)[0]?.state as VulnerabilityState
  return { ...state, first_seen: over.firstSeenMs, status: over.closed ? 'GONE' : state.status }
}

export function mergedFinding(contributions: readonly Contribution[], over: Overlay): FindingState {
  const ordered = openFirst(byRank(contributions).map((c) => c.state as FindingState))
  const first = ordered[0] as FindingState
  const worst = ordered.reduce((a, b) => (b.severity_id > a.severity_id ? b : a), first)
  const pick = first.package
  const entityUid = over.entityUid
  const open = over.reopenCount > 0 && first.status === 'OPEN' ? 'REOPENED' : first.status
  return {
    ...first,
    entity_uid: entityUid,
    correlation_uid:
      entityUid === null ? null : uid('cor_', [entityUid, first.vuln_id, pick?.name ?? '']),
    severity: worst.severity,
    severity_id: worst.severity_id,
    severity_raw: worst.severity_raw,
    package: pick && {
      ...pick,
      versions: union(ordered.map((f) => f.package?.versions ?? [])),
      paths: union(ordered.map((f) => f.package?.paths ?? [])),
    },
    first_seen: over.firstSeenMs ?? first.first_seen,
    status: over.closed ? 'RESOLVED' : open,
    resolution:
      over.closed && first.resolution === 'NONE'
        ? (over.closedAs ?? 'ABSENT_FROM_SNAPSHOT')
        : first.resolution,
    resolved_at: over.closedAtMs,
    reopen_count: over.reopenCount,
  }
}

/** One contributor that the vendor has closed does not close what another still shows. */
function openFirst(states: readonly FindingState[]): FindingState[] {
  const isClosed = ({ status }: FindingState) => status === 'RESOLVED'
  return [...states.filter((state) => !isClosed(state)), ...states.filter(isClosed)]
}

/** The content of an entity with its EPSS held where it was until it really moves. */
export function withSteadyEpss(state: EntityState, emitted: number | null): EntityState {
  if (!('epss' in state) || state.epss === null || emitted === null) return state
  const moved = Math.abs(state.epss.score - emitted) >= EPSS_STEP
  return moved ? state : { ...state, epss: { ...state.epss, score: emitted } }
}

export function merged(entity: Pick<Entity, 'kind' | 'contributions'> & Overlay): EntityState {
  const { contributions } = entity
  switch (entity.kind) {
    case 'asset':
      return mergedAsset(contributions, entity)
    case 'finding':
      return mergedFinding(contributions, entity)
    case 'vulnerability':
      return mergedVulnerability(contributions, entity)
  }
}

const union = (lists: readonly (readonly string[])[]): string[] =>
  [...new Set(lists.flat())].toSorted()
