// What happens to a few entities, by a seed, and what a store that was told of it must hold.
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { SinkRecord } from '../../contracts/ports.ts'
import { BASE_MS, assetEvent, findingEvent } from './events.ts'
import type { Subject } from './sink-subjects.ts'
import type { HeldEntity } from './sink-worlds/sink-world.ts'

/** A record before it has a place. */
export type Told = Omit<SinkRecord, 'offset'>

/** A finding at `turn`, from 1; turns are milliseconds, as revisions are. */
export function toldFinding(
  uid: string,
  turn: number,
  more: Parameters<typeof findingEvent>[2] = {},
): Told {
  const value = findingEvent(uid, BASE_MS + turn, { last_seen: BASE_MS + turn, ...more })
  return { kind: 'finding', key: uid, value, timestampMs: BASE_MS + turn } as Told
}

/** An asset at `turn`. */
export function toldAsset(
  uid: string,
  turn: number,
  more: Parameters<typeof assetEvent>[2] = {},
): Told {
  const value = assetEvent(uid, BASE_MS + turn, { last_seen: BASE_MS + turn, ...more })
  return { kind: 'asset', key: uid, value, timestampMs: BASE_MS + turn } as Told
}

/** The purge of an entity at `turn`. */
export const toldGone = (kind: 'asset' | 'finding', key: string, turn: number): Told =>
  ({ kind, key, value: null, timestampMs: BASE_MS + turn }) as Told

/** What a finding or an asset of these is to be held as. */
export function heldAs(told: Told): HeldEntity {
  const { kind, key: uid } = told
  const value = told.value as Asset | Finding | null
  if (value === null || (kind !== 'finding' && kind !== 'asset')) {
    throw new TypeError(`a ${kind} without a state is not held`)
  }
  return { kind, uid, revision: value.meta.revision, status: value.status }
}

/** Numbers from 0 to below 1, the same for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed
  // Mulberry32: small, and without short cycles.
  return () => {
    state += 0x6d2b79f5
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const STATUSES = ['OPEN', 'OPEN', 'RESOLVED', 'REOPENED'] as const
const LATE_SHARE = 0.15
const GONE_SHARE = 0.15

export type History = {
  readonly seed: number
  /** How many changes. */
  readonly turns: number
  /** Among so many entities. */
  readonly entities: number
}

/**
 * Changes of entities: some older than what was told already, some the end. One that is gone does
 * not come back, as the lifecycle never lets one.
 */
export function historyOf(
  { told: tell, gone: end, hasRevisions }: Subject,
  { seed, turns, entities }: History,
): Told[] {
  const random = seeded(seed)
  const known = new Set<string>()
  const gone = new Set<string>()
  const told: Told[] = []
  for (let turn = 10; turn < turns + 10; turn++) {
    const uid = `s${seed}-f${Math.floor(random() * entities)}`
    if (gone.has(uid)) continue
    const share = random()
    if (share < GONE_SHARE && known.has(uid)) {
      told.push(end(uid, turn))
      gone.add(uid)
      continue
    }
    const isLate = hasRevisions && share > 1 - LATE_SHARE && known.has(uid)
    const status = STATUSES[Math.floor(random() * STATUSES.length)] ?? 'OPEN'
    told.push(tell(uid, isLate ? turn - 9 : turn, status))
    known.add(uid)
  }
  return told
}

/** What is to be held when all of it was told; `forgets`: what is gone is held no more. */
export function foldOf(
  told: readonly Told[],
  heldOf: (told: Told) => HeldEntity,
  forgets: boolean,
): HeldEntity[] {
  const held = new Map<string, HeldEntity>()
  for (const one of told) {
    if (one.value === null) {
      if (forgets) held.delete(one.key)
      continue
    }
    const next = heldOf(one)
    const last = held.get(one.key)
    // Of one revision the first counts; without revisions the last one told does.
    const isNewer = next.revision === null || next.revision > (last?.revision ?? 0)
    if (isNewer) held.set(one.key, next)
  }
  return [...held.values()]
}
