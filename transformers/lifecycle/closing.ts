// The walk of a control record: what closes, what is forgotten, in steps of bounded size.
import type { ChangeCause } from '../../contracts/event-meta.ts'
import { type Rules, type Work, withdraw, workOn } from './advance.ts'
import { Draft } from './draft.ts'
import { type Origin, tombstoneRecord } from './events.ts'
import { byRank } from './merge.ts'
import { type Entity, type LifecycleStore, type UnitState, withoutMark } from './state.ts'

/** What a walk does to units, and why. */
export type WalkPlan = {
  /** Keys of the units whose contributions go, sorted. */
  readonly closing: readonly string[]
  /** What becomes of such a unit; null forgets it. */
  readonly goneUnit: (unit: UnitState) => Omit<UnitState, 'ordinal'> | null
  readonly cause: ChangeCause
  /** The entity leaves our memory without an event: what was told of it stays as it is. */
  readonly silent: boolean
  /** In place of "absent", for findings that no asset takes along. */
  readonly closedAs?: Entity['closedAs']
  /** Keys of units that stay, whose last sight stands only in marks that are dropped now. */
  readonly rewritten: readonly string[]
  /** Entities closed before this time are forgotten, with a tombstone; null: none. */
  readonly purge: { readonly stream: string; readonly beforeMs: number } | null
  /** What stands behind the event of an entity. */
  readonly originOf: (entity: Entity | undefined) => Origin
}

/** Counts of the whole walk; complete when the generator has ended. */
export type Walked = { closed: number; purged: number }

type Item =
  | { readonly kind: 'entity'; readonly id: string }
  | { readonly kind: 'unit'; readonly key: string }
  | { readonly kind: 'rewrite'; readonly key: string }
  | { readonly kind: 'purge'; readonly id: string }
  | { readonly kind: 'purge-unit'; readonly key: string }

/**
 * One Draft per transaction of `stepMax` items, the last of which the caller completes. A step is
 * computed before the one ahead of it is committed, so none may read what another has changed:
 * each entity and unit is in one item. After a crash the walk begins anew, and finds only what is
 * still there.
 * @throws PipelineError SERIALIZATION when an event does not fit its schema
 */
export function* walk(
  store: LifecycleStore,
  plan: WalkPlan,
  firstOffset: bigint,
  rules: Rules,
  counts: Walked,
  stepMax: number,
): Generator<Draft, Draft> {
  const isClosing = membersOf(plan.closing)
  const goneAssets = plan.silent ? new Set<string>() : assetsClosedBy(store, plan, isClosing)
  let draft = new Draft(store, firstOffset)
  let size = 0
  for (const item of items(store, plan)) {
    if (size >= stepMax) {
      yield draft
      draft = new Draft(store, firstOffset)
      size = 0
    }
    size += 1
    const entity = 'id' in item ? store.entities.get(item.id) : undefined
    const work = workOn(draft, plan.originOf(entity), rules, plan.cause)
    apply(draft, work, item, { store, plan, isClosing, goneAssets, counts })
    for (const [id, entity] of work.entities) draft.putEntity(id, entity)
    for (const output of work.outputs) draft.emit(output)
  }
  return draft
}

const membersOf = (keys: readonly string[]): ((key: string) => boolean) => {
  const set = new Set(keys)
  return (key) => set.has(key)
}

type Walking = {
  readonly store: LifecycleStore
  readonly plan: WalkPlan
  readonly isClosing: (unitKey: string) => boolean
  readonly goneAssets: ReadonlySet<string>
  readonly counts: Walked
}

function apply(draft: Draft, work: Work, item: Item, walking: Walking): void {
  const { store, plan, counts } = walking
  switch (item.kind) {
    case 'entity': {
      if (plan.silent) forgetContribution(draft, work, item.id, walking.isClosing)
      else if (close(work, item.id, walking)) counts.closed += 1
      return
    }
    case 'unit': {
      const unit = store.units.get(item.key)
      const gone = unit === undefined ? null : plan.goneUnit(unit)
      if (gone === null) draft.forgetUnit(item.key)
      else draft.putUnit(item.key, gone)
      return
    }
    case 'rewrite': {
      const unit = store.units.get(item.key)
      if (unit !== undefined) draft.putUnit(item.key, withoutMark(unit))
      return
    }
    case 'purge': {
      purge(draft, work, item.id)
      counts.purged += 1
      return
    }
    case 'purge-unit':
      draft.forgetUnit(item.key)
  }
}

/** True when the entity is closed by it, and not only one contributor poorer. */
function close(work: Work, id: string, walking: Walking): boolean {
  const before = work.view.entity(id)
  if (before === undefined || before.closed) return false
  const { plan, isClosing, goneAssets } = walking
  withdraw(work, id, isClosing, closedAs(before, plan, goneAssets))
  return work.view.entity(id)?.closed === true
}

/** A finding follows its asset only when one unit showed both. */
function closedAs(
  entity: Entity,
  plan: WalkPlan,
  goneAssets: ReadonlySet<string>,
): Entity['closedAs'] {
  if (entity.kind !== 'finding') return undefined
  if (plan.closedAs !== undefined) return plan.closedAs
  const [first] = entity.contributions
  const asset = first !== undefined && 'asset_uid' in first.state ? first.state.asset_uid : ''
  return goneAssets.has(`${first?.unit}|${asset}`) ? 'ASSET_GONE' : undefined
}

/** `<unit key>|<asset_uid>` of assets that lose their last contributor here, with each of those. */
function assetsClosedBy(
  store: LifecycleStore,
  plan: WalkPlan,
  isClosing: (unitKey: string) => boolean,
): Set<string> {
  const gone = new Set<string>()
  for (const key of plan.closing) {
    for (const id of store.units.get(key)?.entities ?? []) {
      const entity = store.entities.get(id)
      if (entity?.kind !== 'asset') continue
      if (entity.contributions.every(({ unit }) => isClosing(unit))) gone.add(`${key}|${id}`)
    }
  }
  return gone
}

/** The contributions of a forgotten unit go without a word; so does an entity that has no other. */
function forgetContribution(
  draft: Draft,
  work: Work,
  id: string,
  isClosing: (unitKey: string) => boolean,
): void {
  const entity = work.view.entity(id)
  if (entity === undefined) return
  if (entity.contributions.every(({ unit }) => isClosing(unit))) draft.forgetEntity(id)
  else withdraw(work, id, isClosing)
}

function purge(draft: Draft, work: Work, id: string): void {
  const entity = work.view.entity(id)
  const state = entity && byRank(entity.contributions)[0]?.state
  if (entity === undefined || state === undefined) return
  const { origin, rules } = work
  const revision = Math.max(entity.revision + 1, origin.facts.fetchedAtMs)
  draft.emit(tombstoneRecord(entity.kind, state, revision, origin, rules.prefix))
  draft.forgetEntity(id)
}

function* items(store: LifecycleStore, plan: WalkPlan): Generator<Item> {
  const told = new Set<string>()
  for (const key of plan.closing) {
    for (const id of store.units.get(key)?.entities ?? []) {
      if (told.has(id)) continue
      told.add(id)
      yield { kind: 'entity', id }
    }
    // After its entities: found again after a crash as long as one of them is still to be closed.
    yield { kind: 'unit', key }
  }
  for (const key of plan.rewritten) yield { kind: 'rewrite', key }
  if (plan.purge === null) return
  for (const id of closedBefore(store, plan.purge)) yield { kind: 'purge', id }
  for (const [key, unit] of store.units) {
    if (unit.outcome === 'gone' && unit.observedAtMs < plan.purge.beforeMs) {
      yield { kind: 'purge-unit', key }
    }
  }
}

/** The stream whose contribution gives the content: `connection|stream`. */
export const ownerOf = ({ contributions }: Entity): string =>
  byRank(contributions)[0]?.unit.split('|').slice(0, 2).join('|') ?? ''

/** Closed so long ago, of this stream or one that is no more, and shown by no unit; sorted. */
function closedBefore(store: LifecycleStore, purge: NonNullable<WalkPlan['purge']>): string[] {
  const isShown = (id: string, { contributions }: Entity) =>
    contributions.some(({ unit: key }) => {
      const unit = store.units.get(key)
      return unit !== undefined && unit.outcome !== 'gone' && unit.entities.includes(id)
    })
  const old: string[] = []
  for (const [id, entity] of store.entities) {
    if (!entity.closed || (entity.closedAtMs ?? 0) >= purge.beforeMs) continue
    const owner = ownerOf(entity)
    const isOurs = owner === purge.stream || !store.streams.has(owner)
    if (isOurs && !isShown(id, entity)) old.push(id)
  }
  return old.toSorted()
}
