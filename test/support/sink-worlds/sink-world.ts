// What the suite over all sinks asks of a store: one of a test's own, to look into and to break.
import type { ConnectorError } from '../../../contracts/connector-error.ts'
import type { Finding } from '../../../contracts/finding.ts'
import type { Sink } from '../../../contracts/ports.ts'
import type { EventTopics } from '../event-topics.ts'
import type { Subject } from '../sink-subjects.ts'

/** One entity, or one condition, as the store's users see it now. */
export type HeldEntity = {
  readonly kind: 'asset' | 'finding' | 'connector-error'
  readonly uid: string
  /** Null where only the status is told. */
  readonly revision: number | null
  /** As the event says it: OPEN, RESOLVED, ACTIVE, RAISED, … */
  readonly status: string
}

/** A row, a document, an event: as the store gives it. */
export type Row = Readonly<Record<string, unknown>>

/** A store that no other test uses, empty at first. What it made is removed after the test. */
export type SinkWorld = {
  /** The sink as the product makes it; every call is a process of its own on the same store. */
  sink(groupOf: (name: string) => string): Sink
  /**
   * The last known state of every entity, in any order. Only what a reader of the store sees:
   * deleted entities are not there; where a store shows changes with a delay, this waits for them.
   * Of a store that only adds, what a reader makes of it: the last of each entity.
   */
  held(): Promise<readonly HeldEntity[]>
  /** The whole of what the store shows of each entity, as it shows it, by uid. */
  seen(): Promise<ReadonlyMap<string, Row>>
  /** From when it resolves: connections are broken and new ones are refused. */
  goAway(): Promise<void>
  comeBack(): Promise<void>
  /** Leaves the store as a new one, without data and offsets. No sink is open on it then. */
  empty(): Promise<void>
  /** Where the store is in the Kafka that is read from: the topics beside it. */
  readonly topics?: EventTopics
}

/** Rules that a store may be excused from, where keeping them is not possible or not wanted. */
export type ExcusableRule = 'forgotten'

/** How worlds of one type are made. */
export type SinkWorlds = {
  /** An empty store on servers that are there already; ends with the test that called it. */
  open(): Promise<SinkWorld>
  /** What makes a record one that the store refuses for good. */
  readonly refused: Partial<Finding> | Partial<ConnectorError>
  /** What the store is told of. Default: findings and assets. */
  readonly subject?: Subject
  /** Statuses that it tells by another's word, where its standard has no word of their own. */
  readonly words?: Readonly<Record<string, string>>
  /** Why a rule does not hold. The suite shows that it does not: no excuse outlives its reason. */
  readonly excused?: Readonly<Partial<Record<ExcusableRule, string>>>
}
