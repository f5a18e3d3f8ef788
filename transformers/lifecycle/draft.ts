// The changes of one transaction, computed beside the store and applied to it after the commit.
import {
  type OutRecord,
  type Step,
  type WrittenOffsets,
  partitionKey,
} from '../../contracts/processing.ts'
import {
  type Entity,
  type LifecycleStore,
  type LogEntry,
  type StreamState,
  type UnitState,
  blindEntry,
  entityEntry,
  forgotten,
  ordinalEntry,
  packSeen,
  seenKey,
  streamEntry,
  unitEntry,
  writtenEntry,
} from './state.ts'

type Seen = { readonly ordinal: number; readonly runId: string; readonly observedAtMs: number }

export class Draft {
  readonly #store: LifecycleStore
  readonly #firstOffset: bigint
  readonly #units = new Map<string, UnitState>()
  readonly #entities = new Map<string, Entity>()
  readonly #streams = new Map<string, StreamState>()
  readonly #forgottenUnits = new Set<string>()
  readonly #forgottenEntities = new Set<string>()
  readonly #forgottenStreams = new Set<string>()
  #blindOffset: number | null = null
  /** By unit key; a unit that is also rewritten carries its run there. */
  readonly #seen = new Map<string, Seen>()
  readonly #outputs: OutRecord[] = []
  readonly #droppedMarks: string[] = []
  readonly #afterCommit: (() => void)[] = []
  #nextOrdinal: number

  constructor(store: LifecycleStore, firstOffset: bigint) {
    this.#store = store
    this.#firstOffset = firstOffset
    this.#nextOrdinal = store.nextOrdinal
  }

  unit(key: string): UnitState | undefined {
    const unit = this.#units.get(key) ?? this.#store.units.get(key)
    const seen = this.#seen.get(key)
    if (unit === undefined || seen === undefined) return unit
    return { ...unit, runId: seen.runId, observedAtMs: seen.observedAtMs }
  }

  entity(id: string): Entity | undefined {
    return this.#entities.get(id) ?? this.#store.entities.get(id)
  }

  stream(key: string): StreamState | undefined {
    return this.#streams.get(key) ?? this.#store.streams.get(key)
  }

  putUnit(key: string, unit: Omit<UnitState, 'ordinal'>): void {
    const ordinal = this.unit(key)?.ordinal ?? this.#nextOrdinal++
    this.#units.set(key, { ...unit, ordinal })
    this.#seen.delete(key)
  }

  putEntity(id: string, entity: Entity): void {
    this.#entities.set(id, entity)
  }

  putStream(key: string, stream: StreamState): void {
    this.#streams.set(key, stream)
  }

  /** The unit was met unchanged: costs 12 bytes of log. */
  markSeen(key: string, unit: UnitState, runId: string, observedAtMs: number): void {
    const rewritten = this.#units.get(key)
    if (rewritten) this.#units.set(key, { ...rewritten, runId, observedAtMs })
    else this.#seen.set(key, { ordinal: unit.ordinal, runId, observedAtMs })
  }

  /** Out of memory and log. A unit forgotten is never met in the same transaction again. */
  forgetUnit(key: string): void {
    this.#forgottenUnits.add(key)
  }

  forgetEntity(id: string): void {
    this.#forgottenEntities.add(id)
  }

  forgetStream(key: string): void {
    this.#forgottenStreams.add(key)
  }

  /** A record arrived of which nobody can tell whose it is. */
  markBlind(offset: bigint): void {
    this.#blindOffset = Number(offset)
  }

  emit(record: OutRecord): void {
    this.#outputs.push(record)
  }

  dropMark(key: string): void {
    this.#droppedMarks.push(key)
  }

  /** Runs after the commit: what the outside may hear of only then. */
  afterCommit(action: () => void): void {
    this.#afterCommit.push(action)
  }

  /** `tail` may name the offsets of this same transaction. */
  step(tail: (written: WrittenOffsets) => readonly OutRecord[] = () => []): Step {
    return {
      outputs: this.#outputs,
      tail,
      state: (written) => this.#entries(written),
      apply: (written) => this.#apply(written),
    }
  }

  /** Highest offsets ever written, those of this transaction included. */
  writtenWith(written: WrittenOffsets): Map<string, bigint> {
    return new Map([...this.#store.written, ...written])
  }

  #packed(): (LogEntry & { marks: Seen[] })[] {
    const groups = new Map<string, Seen[]>()
    for (const [key, seen] of this.#seen) {
      const stream = key.split('|').slice(0, 2).join('|')
      const logKey = seenKey(stream, seen.runId, this.#firstOffset)
      const group = groups.get(logKey)
      if (group) group.push(seen)
      else groups.set(logKey, [seen])
    }
    return [...groups].map(([key, marks]) => ({ key, marks, value: packSeen(marks) }))
  }

  #entries(written: WrittenOffsets): LogEntry[] {
    const entries: LogEntry[] = []
    for (const [key, unit] of this.#units) entries.push(unitEntry(key, unit))
    for (const [id, entity] of this.#entities) entries.push(entityEntry(id, entity))
    for (const [key, stream] of this.#streams) entries.push(streamEntry(key, stream))
    for (const { key, value } of this.#packed()) entries.push({ key, value })
    for (const key of this.#droppedMarks) entries.push({ key, value: null })
    for (const id of this.#forgottenUnits) entries.push(forgotten('u', id))
    for (const id of this.#forgottenEntities) entries.push(forgotten('e', id))
    for (const id of this.#forgottenStreams) entries.push(forgotten('r', id))
    // The forgotten unit may have been the one with the highest ordinal.
    if (this.#forgottenUnits.size > 0) entries.push(ordinalEntry(this.#nextOrdinal))
    if (this.#blindOffset !== null) entries.push(blindEntry(this.#blindOffset))
    if (written.size > 0) entries.push(writtenEntry(this.writtenWith(written)))
    return entries
  }

  #apply(written: WrittenOffsets): void {
    const store = this.#store
    for (const [key, unit] of this.#units) store.putUnit(key, unit)
    for (const [id, entity] of this.#entities) store.entities.set(id, entity)
    for (const [key, stream] of this.#streams) store.streams.set(key, stream)
    for (const { key, marks } of this.#packed()) {
      store.seenKeys.add(key)
      for (const m of marks) store.markSeen(m.ordinal, m.runId, m.observedAtMs)
    }
    for (const key of this.#droppedMarks) store.seenKeys.delete(key)
    for (const id of this.#forgottenUnits) store.units.delete(id)
    for (const id of this.#forgottenEntities) store.entities.delete(id)
    for (const id of this.#forgottenStreams) store.streams.delete(id)
    if (this.#blindOffset !== null) store.blindOffset = this.#blindOffset
    // The transaction also wrote state and tallies: only what readers of events wait for is kept.
    for (const { topic, partition } of this.#outputs) {
      const key = partitionKey(topic, partition)
      const offset = written.get(key)
      if (offset !== undefined) store.written.set(key, offset)
    }
    for (const action of this.#afterCommit) action()
  }
}
