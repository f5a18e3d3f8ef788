// What the transactional core and a stateful transformer say to one another: records, steps,
// stores.
import type { Headers } from './envelope.ts'

/** Key and headers as they lie in a record: any bytes, names repeated, null or empty. */
export type ExactBytes = {
  readonly key: Buffer | null
  readonly headers: readonly (readonly [name: Buffer, value: Buffer | null])[]
}

/** A record read. `value` null is a tombstone. */
export type KafkaRecord = {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly timestampMs: number
  readonly key: string
  readonly value: Buffer | null
  readonly headers: Headers
  /** Set when the text of key and headers would not make the same bytes again. */
  readonly exact?: ExactBytes
}

/** A record to write. The partition is always chosen by us. */
export type OutRecord = {
  readonly topic: string
  readonly partition: number
  readonly key: string
  readonly value: Buffer | null
  readonly headers: Headers
  /** Written in place of `key` and `headers`, which then are for reading only. */
  readonly exact?: ExactBytes
}

/** Highest offset written per output partition; keys are `partitionKey(topic, partition)`. */
export type WrittenOffsets = ReadonlyMap<string, bigint>
export const partitionKey = (topic: string, partition: number): string => `${topic}/${partition}`

/**
 * One transaction's worth of a stateful step. It is computed beside the memory of the store and
 * applied to it only after the broker has answered the commit.
 */
export type Step = {
  readonly outputs: readonly OutRecord[]
  /** Records for the state partition, known once the outputs have their offsets. */
  state(written: WrittenOffsets): readonly { key: string; value: Buffer | null }[]
  /** Outputs that name offsets of this same transaction (tallies); sent after `outputs`. */
  tail(written: WrittenOffsets): readonly OutRecord[]
  /** Makes the memory of the store what the log now says. */
  apply(written: WrittenOffsets): void
}

/** The copy in memory of one state partition: committed facts only. */
export type PartitionStore = {
  /** One record of the state log, in log order; null deletes. */
  load(key: string, value: Buffer | null): void
}

/** A stateful transformer, as the transactional core runs it: one store per input partition. */
export type Processor<S extends PartitionStore> = {
  createStore(partition: number): S
  isControl(record: KafkaRecord): boolean
  /** Before `data`: gets what reading these records needs. Retried when it throws. */
  prepare?(records: readonly KafkaRecord[]): Promise<void>
  /** Data records of one partition, in order. Pure; never throws for a bad record. */
  data(store: S, records: readonly KafkaRecord[]): Step
  /**
   * One control record. Several steps when the walk is long: only the last carries the offset, so
   * each must find by itself, after a crash, what earlier ones have done already.
   */
  control(store: S, record: KafkaRecord): Iterable<Step>
}
