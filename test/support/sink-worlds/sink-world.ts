// What the suite over all sinks asks of a store: one of a test's own, to look into and to break.
import type { Finding } from '../../../contracts/finding.ts'
import type { Sink } from '../../../contracts/ports.ts'

/** One entity as the store's users see it now. */
export type HeldEntity = {
  readonly kind: 'asset' | 'finding'
  readonly uid: string
  readonly revision: number
  /** As the event says it: OPEN, RESOLVED, ACTIVE, … */
  readonly status: string
}

/** A store that no other test uses, empty at first. What it made is removed after the test. */
export type SinkWorld = {
  /** The sink as the product makes it; every call is a process of its own on the same store. */
  sink(groupOf: (name: string) => string): Sink
  /**
   * The last known state of every entity, in any order. Only what a reader of the store sees:
   * deleted entities are not there; where a store shows changes with a delay, this waits for them.
   */
  held(): Promise<readonly HeldEntity[]>
  /** From when it resolves: connections are broken and new ones are refused. */
  goAway(): Promise<void>
  comeBack(): Promise<void>
  /** Leaves the store as a new one, without data and offsets. No sink is open on it then. */
  empty(): Promise<void>
}

/** How worlds of one type are made. */
export type SinkWorlds = {
  /** An empty store on servers that are there already; ends with the test that called it. */
  open(): Promise<SinkWorld>
  /** What makes a finding one that the store refuses for good; null: it takes every event. */
  readonly refused: Partial<Finding> | null
}
