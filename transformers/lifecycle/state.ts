// What the lifecycle remembers of one raw partition: units, entities, run marks. And its log form.
import { z } from 'zod'
import type { AssetState } from '../../contracts/asset.ts'
import type { FindingState } from '../../contracts/finding.ts'
import type { VulnerabilityState } from '../../contracts/vulnerability.ts'
import type { PartitionStore } from '../../contracts/processing.ts'

/** One unit (`connection|stream|unit`) that was met at least once. */
export type UnitState = {
  /** Stands for the unit in packed seen marks; never used twice in one partition. */
  readonly ordinal: number
  /** The newest run in which it was seen. */
  readonly runId: string
  readonly observedAtMs: number
  /** `<sha256 of the bytes, 22 characters>@<mapping version>` of the last full reading. */
  readonly rawHash: string
  /** Entities it contributes to. */
  readonly entities: readonly string[]
  /** `gone`: absent from complete listings; kept until it is purged, to know older sights of it. */
  readonly outcome: 'ok' | 'dead-lettered' | 'too-large' | 'gone'
  /** True when its last sight lost so many findings that the next must confirm it. */
  readonly doubted: boolean
  /** True when a seen mark, not the unit's own record, says in which run it was last seen. */
  readonly marked?: boolean
}

/** The unit as its own record tells it. */
export const withoutMark = (unit: UnitState): UnitState => {
  const { ordinal, runId, observedAtMs, rawHash, entities, outcome, doubted } = unit
  return { ordinal, runId, observedAtMs, rawHash, entities, outcome, doubted }
}

export type Contribution = {
  /** Key of the contributing unit. */
  readonly unit: string
  /** Native id of an asset where it is not the unit's. */
  readonly nativeId?: string
  readonly rank: number
  readonly state: EntityState
}

export type EntityKind = 'asset' | 'finding' | 'vulnerability'
export type EntityState = AssetState | FindingState | VulnerabilityState

/**
 * One asset, finding or dictionary entry. The content is in its contributions; the rest is what
 * only we know.
 */
export type Entity = {
  readonly kind: EntityKind
  readonly revision: number
  readonly hash: string
  readonly closed: boolean
  readonly closedAtMs: number | null
  /** Why the lifecycle closed it, where that is not its absence from a listing. */
  readonly closedAs?: 'ASSET_GONE' | 'EXPIRED' | undefined
  readonly firstSeenMs: number | null
  readonly reopenCount: number
  /** Findings: the `entity_uid` of the asset as last emitted. */
  readonly entityUid: string | null
  /** Findings: the EPSS score as last emitted; smaller moves are noise. */
  readonly epssScore: number | null
  readonly contributions: readonly Contribution[]
}

/** What the ends of a stream's runs have told so far. */
export type StreamState = {
  /** The last COMPLETE run; null before the first. */
  readonly completeRunId: string | null
  readonly scope: string
  /** The first run of this scope: what was last seen before it was listed by other filters. */
  readonly scopeSince: string
  /** The newest runs that listed everything, oldest first; see `thresholdOf`. */
  readonly listings: readonly Listing[]
  /** The newest run whose closures are held back here, and what it would close. */
  readonly held: Held | null
  /** How far the walk of one control record has come, for the part after a crash. */
  readonly walk: Walk | null
  /** Offset of the last run-end met. */
  readonly endOffset: number
}
export type Listing = { readonly runId: string; readonly drifted: boolean }
export type Held = {
  readonly runId: string
  /** Units last seen before this run are absent. */
  readonly before: string
  readonly startedAtMs: number
}
export type Walk = { readonly id: string; readonly closed: number; readonly purged: number }

export type LogEntry = { readonly key: string; readonly value: Buffer | null }

const SEEN_ENTRY_BYTES = 12
/** Marks of more runs than this are folded into the units' records, COMPLETE or not. */
export const SEEN_RUNS_MAX = 24

/** Committed facts only; changed by `load` (restore) and by a Draft whose transaction committed. */
export class LifecycleStore implements PartitionStore {
  readonly units = new Map<string, UnitState>()
  readonly entities = new Map<string, Entity>()
  readonly streams = new Map<string, StreamState>()
  /** Keys of packed seen marks still in the log. */
  readonly seenKeys = new Set<string>()
  /** Highest offset this partition ever wrote per output partition. */
  readonly written = new Map<string, bigint>()
  /** Offset of the last record of which no unit could be told; -1 when there was none. */
  blindOffset = -1
  readonly #byOrdinal: string[] = []
  /**
   * Marks met before their unit: compaction may put a mark in front of the record it belongs to.
   */
  readonly #early = new Map<number, { runId: string; observedAtMs: number }>()

  /** Above every ordinal ever given, those of forgotten units included. */
  nextOrdinal = 0

  /** One record of the state log, in log order. @throws when it is not of our making. */
  load(key: string, value: Buffer | null): void {
    const id = key.slice(2)
    switch (key.slice(0, 2)) {
      case 'u|':
        if (value === null) this.units.delete(id)
        else this.putUnit(id, unitSchema.parse(versioned(value)))
        return
      case 'e|':
        if (value === null) this.entities.delete(id)
        else this.entities.set(id, versioned(value) as Entity)
        return
      case 'r|':
        if (value === null) this.streams.delete(id)
        else this.streams.set(id, streamSchema.parse(versioned(value)))
        return
      case 's|':
        if (value === null) this.seenKeys.delete(key)
        else this.#loadSeen(key, value)
        return
      case 'b|':
        this.blindOffset = value === null ? -1 : numberSchema.parse(versioned(value))
        return
      case 'n|':
        if (value === null) return
        this.nextOrdinal = Math.max(this.nextOrdinal, numberSchema.parse(versioned(value)))
        return
      case 'o|':
        if (value === null) return
        for (const [k, v] of Object.entries(writtenSchema.parse(versioned(value)))) {
          this.written.set(k, BigInt(v))
        }
        return
      default:
        throw new Error(`unknown record ${key.slice(0, 2)} in the state log`)
    }
  }

  putUnit(key: string, unit: UnitState): void {
    const early = this.#early.get(unit.ordinal)
    this.#early.delete(unit.ordinal)
    const newer = early !== undefined && early.runId > unit.runId
    this.units.set(key, newer ? { ...unit, ...early, marked: true } : unit)
    this.#byOrdinal[unit.ordinal] = key
    this.nextOrdinal = Math.max(this.nextOrdinal, unit.ordinal + 1)
  }

  /** The unit was met unchanged in `runId`. */
  markSeen(ordinal: number, runId: string, observedAtMs: number): void {
    const key = this.#byOrdinal[ordinal]
    const unit = key === undefined ? undefined : this.units.get(key)
    if (key === undefined || unit === undefined) this.#early.set(ordinal, { runId, observedAtMs })
    else if (unit.runId <= runId) {
      this.units.set(key, { ...unit, runId, observedAtMs, marked: true })
    }
  }

  #loadSeen(key: string, value: Buffer): void {
    this.seenKeys.add(key)
    const runId = runOfSeenKey(key)
    for (let at = 0; at + SEEN_ENTRY_BYTES <= value.length; at += SEEN_ENTRY_BYTES) {
      this.markSeen(value.readUInt32LE(at), runId, value.readDoubleLE(at + 4))
    }
  }
}

const unitSchema = z.object({
  ordinal: z.int(),
  runId: z.string(),
  observedAtMs: z.number(),
  rawHash: z.string(),
  entities: z.array(z.string()),
  outcome: z.enum(['ok', 'dead-lettered', 'too-large', 'gone']),
  doubted: z.boolean(),
})
/** Builds without closures wrote the first two fields only. */
const streamSchema = z.object({
  completeRunId: z.string().nullable(),
  scope: z.string(),
  scopeSince: z.string().default(''),
  listings: z.array(z.object({ runId: z.string(), drifted: z.boolean() })).default([]),
  held: z
    .object({ runId: z.string(), before: z.string(), startedAtMs: z.number() })
    .nullable()
    .default(null),
  walk: z.object({ id: z.string(), closed: z.int(), purged: z.int() }).nullable().default(null),
  endOffset: z.int().default(-1),
})
const numberSchema = z.number()
const writtenSchema = z.record(z.string(), z.string())

/** Raised when a record's form changes so that an older build must not read it. */
const STATE_VERSION = 1
const json = (key: string, state: unknown): LogEntry => ({
  key,
  value: Buffer.from(JSON.stringify({ v: STATE_VERSION, state })),
})
function versioned(value: Buffer): unknown {
  const { v, state } = JSON.parse(value.toString()) as { v: number; state: unknown }
  if (v !== STATE_VERSION)
    throw new Error(`state of version ${v}; this build reads ${STATE_VERSION}`)
  return state
}
export const unitEntry = (key: string, unit: UnitState): LogEntry =>
  json(`u|${key}`, withoutMark(unit))
export const entityEntry = (id: string, entity: Entity): LogEntry => json(`e|${id}`, entity)
export const streamEntry = (key: string, s: StreamState): LogEntry => json(`r|${key}`, s)
export const blindEntry = (offset: number): LogEntry => json('b|', offset)
export const ordinalEntry = (next: number): LogEntry => json('n|', next)
export const forgotten = (kind: 'u' | 'e' | 'r', id: string): LogEntry => ({
  key: `${kind}|${id}`,
  value: null,
})
export const writtenEntry = (written: ReadonlyMap<string, bigint>): LogEntry =>
  json(
    'o|',
    Object.fromEntries([...written].map(([partition, offset]) => [partition, String(offset)])),
  )

/** `seen` marks of one stream and run, met in the transaction that began at `firstOffset`. */
export const seenKey = (stream: string, runId: string, firstOffset: bigint): string =>
  `s|${stream}|${runId}|${firstOffset}`
export const runOfSeenKey = (key: string): string => key.split('|')[3] ?? ''
export const streamOfSeenKey = (key: string): string => key.split('|').slice(1, 3).join('|')

/**
 * Ordinals with their time of observation, 12 bytes each: what a rescan of unchanged units costs.
 */
export function packSeen(marks: readonly { ordinal: number; observedAtMs: number }[]): Buffer {
  const packed = Buffer.allocUnsafe(marks.length * SEEN_ENTRY_BYTES)
  marks.forEach((mark, i) => {
    packed.writeUInt32LE(mark.ordinal, i * SEEN_ENTRY_BYTES)
    packed.writeDoubleLE(mark.observedAtMs, i * SEEN_ENTRY_BYTES + 4)
  })
  return packed
}
