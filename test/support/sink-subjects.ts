// What stores are told of: findings and assets, or the conditions of connectors.
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { Finding } from '../../contracts/finding.ts'
import { BASE_MS, errorEvent } from './events.ts'
import { type Told, heldAs, toldAsset, toldFinding, toldGone } from './sink-history.ts'
import type { HeldEntity } from './sink-worlds/sink-world.ts'

/** As findings have them; a condition is raised, or cleared. */
export type ToldStatus = 'OPEN' | 'RESOLVED' | 'REOPENED'
type More = Partial<Finding> | Partial<ConnectorError>

export type Subject = {
  readonly topic: 'findings' | 'connectorErrors'
  /** An entity at `turn`, from 1. */
  readonly told: (uid: string, turn: number, status?: ToldStatus, more?: More) => Told
  /** Another kind of entity on a topic of its own; null: there is none. */
  readonly other: { readonly topic: 'assets'; readonly told: Told } | null
  readonly gone: (uid: string, turn: number) => Told
  /** What the store is to hold of a record that is the last word. */
  readonly heldAs: (told: Told) => HeldEntity
  /** False: the order of the log is the order of time, and nothing comes late. */
  readonly hasRevisions: boolean
}

export const FINDINGS: Subject = {
  topic: 'findings',
  told: (uid, turn, status = 'OPEN', more = {}) =>
    toldFinding(uid, turn, { status, ...(more as Partial<Finding>) }),
  other: { topic: 'assets', told: toldAsset('a1', 1) },
  gone: (uid, turn) => toldGone('finding', uid, turn),
  heldAs,
  hasRevisions: true,
}

/** A condition is an entity by its fingerprint; each report of it is an event. */
export const CONDITIONS: Subject = {
  topic: 'connectorErrors',
  told: (uid, turn, status = 'OPEN', more = {}) => {
    const state = status === 'RESOLVED' ? 'CLEARED' : 'RAISED'
    const times = { first_at: BASE_MS, last_at: BASE_MS + turn }
    const value = errorEvent(`${uid}-${turn}`, uid, {
      state,
      ...times,
      ...(more as Partial<ConnectorError>),
    })
    return { kind: 'connector-error', key: uid, value, timestampMs: BASE_MS + turn }
  },
  other: null,
  gone: (uid, turn) => ({
    kind: 'connector-error',
    key: uid,
    value: null,
    timestampMs: BASE_MS + turn,
  }),
  heldAs: ({ kind, key: uid, value }) => {
    if (kind !== 'connector-error' || value === null) throw new TypeError(`${kind} is no condition`)
    // Nobody is told again of what is told already: which report of it was the one is no matter.
    return { kind, uid, revision: null, status: (value as ConnectorError).state }
  },
  hasRevisions: false,
}
