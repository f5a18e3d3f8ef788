// What of one partition is in no file yet.
import type { Table } from './tables.ts'
import type { Row } from './writer.ts'

export type Waiting = {
  readonly topic: string
  readonly partition: number
  /** Where the newest entry of the manifest ends. */
  readonly first: bigint
  /** Everything below is in a file or among the rows. */
  next: bigint
  readonly rows: Row[]
  /** Of the rows: a topic holds one kind. */
  table: Table | null
  bytes: number
  /** Since when the oldest of them waits. */
  sinceMs: number
  /** True while refused records are not in the dead-letter topic: nothing becomes a file. */
  isHeld: boolean
}

/** Nothing waits behind `next`. */
export const restarted = (topic: string, partition: number, next: bigint): Waiting => ({
  topic,
  partition,
  first: next,
  next,
  rows: [],
  table: null,
  bytes: 0,
  sinceMs: performance.now(),
  isHeld: false,
})

export const isWaiting = ({ first, next }: Waiting): boolean => next > first
