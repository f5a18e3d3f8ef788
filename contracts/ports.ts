// The three shapes every connector has: Source, Transformer, Sink. A vendor or store fills in
// exactly one.
import type { z } from 'zod'
import type { AssetState } from './asset.ts'
import type { ConnectorError } from './connector-error.ts'
import type { Asset } from './asset.ts'
import type { Finding, FindingState } from './finding.ts'
import type { RawFacts } from './envelope.ts'
import type { PipelineError } from './errors.ts'
import type { Run, RunKind, Verdict } from './run.ts'
import type { VendorId } from './topics.ts'
import type { Vulnerability, VulnerabilityState } from './vulnerability.ts'

// --- producers -------------------------------------------------------------------------------

/** One item of a vendor's listing; becomes one raw record. */
export type Unit = {
  /** The vendor's id, unique within connection and stream. */
  readonly unit: string
  /** Native id of the asset it belongs to: all units of one asset meet in one partition. */
  readonly assetNativeId: string
  /**
   * The bytes as received, never parsed and printed again. Null: above UNIT_BYTES_MAX, see
   * sizeBytes.
   */
  readonly body: Buffer | null
  readonly sizeBytes: number
  readonly contentType: string
  /** Header row, for units that are rows of a CSV. */
  readonly columns: string | null
}

/**
 * What goes into one Kafka transaction: at most CHUNK_UNITS_MAX units and about CHUNK_BYTES_MAX
 * bytes, complete in memory. An item that cannot become a unit (no id) is a `rejected` item.
 */
export type Chunk<Checkpoint> = {
  readonly units: readonly Unit[]
  readonly rejected: readonly RejectedItem[]
  readonly endpoint: string
  /** When the answer arrived; the observation time of these units. */
  readonly fetchedAtMs: number
  /** Pages begun so far in this run, this one included. */
  readonly page: number
  /** Where to go on after this chunk; null where the vendor gives no such place. */
  readonly checkpoint: Checkpoint | null
}
export const CHUNK_UNITS_MAX = 1_000
export const CHUNK_BYTES_MAX = 8 * 1024 * 1024

/** Bytes that arrived as an item of a listing but lack what every item has; goes to the DLQ. */
export type RejectedItem = { readonly body: Buffer; readonly violations: readonly string[] }

/** How a listing ended when nothing was thrown. */
export type PullEnd = {
  readonly verdict: Exclude<Verdict, 'FAILED'>
  /**
   * Units the vendor says there are; null when it does not say or the number is known to be wrong.
   */
  readonly declared: number | null
  /** Why the verdict is not COMPLETE. */
  readonly reason: string | null
}

export type PullContext = {
  readonly signal: AbortSignal
  readonly nowMs: () => number
  /** Tells operations of a fault that does not end the run. */
  readonly report: (error: PipelineError) => void
}

/** One stream of one vendor product. Has no retry, sleep or wall clock of its own. */
export type Source<Client, Checkpoint> = {
  readonly vendor: VendorId
  readonly product: string
  /** `<product part>.<listing>`, e.g. compute.hosts. */
  readonly stream: string
  readonly kind: RunKind
  /** Streams of assets are pulled before streams of findings of the same connection. */
  readonly entities: 'assets' | 'findings' | 'both'
  /** Parses a saved checkpoint; unknown fields are ignored. */
  readonly checkpoint: z.ZodType<Checkpoint>
  /**
   * True where it only stands in for a better stream: that it is not needed is no news. Its
   * NOT_LICENSED then names that stream as `instead`, and what it showed is taken back.
   */
  readonly fallback?: boolean
  /**
   * Whether the tenant has this stream: licence, dataset, endpoint. Resolves with NOT_LICENSED and
   * the reason when it has not (the stream is then skipped, told once), null when it has. Absent:
   * every tenant has it. @throws PipelineError when it could not be found out
   */
  available?(client: Client, context: PullContext): Promise<PipelineError | null>
  /** The settings that decide what is listed: with others the listing is another scope. */
  filters?(client: Client): object
  /** @throws PipelineError when the listing cannot go on: the run is then FAILED. */
  pull(
    client: Client,
    from: Checkpoint | null,
    context: PullContext,
  ): AsyncGenerator<Chunk<Checkpoint>, PullEnd>
}

/** One answer of `exposure check`. */
export type CheckAnswer = {
  /** What was tried, e.g. `log in`, `read hosts`. */
  readonly step: string
  /** Null: it works. */
  readonly error: PipelineError | null
}

// --- transformers ----------------------------------------------------------------------------

/** A raw record as a transformer sees it. */
export type RawUnit = { readonly facts: RawFacts; readonly body: Buffer }

/** What one unit shows. Pure data: the lifecycle adds ids of events, revisions and change types. */
export type Observation = {
  readonly assets: readonly AssetState[]
  readonly findings: readonly FindingState[]
  /**
   * False when the unit does not tell its findings (key missing, null): what it showed before
   * stays.
   */
  readonly findingsKnown: boolean
  /** Entries of the CVE dictionary; only streams that list it have any. */
  readonly vulnerabilities?: readonly VulnerabilityState[]
  /** What is new in the vendor's answer: told to operations once per path and day. */
  readonly drift?: readonly Drift[]
}

/** A difference between what a vendor sends and what is documented. The record goes on. */
export type Drift = {
  readonly kind: 'new-field' | 'new-value' | 'type-change'
  /** Dotted path in the vendor's record, `[]` for elements of a list. */
  readonly path: string
  /** The field's type, the new value (at most 100 characters), or `expected -> found`. */
  readonly detail: string
}

/** Pure and synchronous, so that replaying a raw topic gives the same events. */
export type Transformer = {
  readonly vendor: VendorId
  readonly product: string
  readonly stream: string
  /** Among several contributors of one entity the lowest rank gives the content. */
  readonly rank: number
  /** @throws PipelineError SCHEMA_VIOLATION or INVALID_RESPONSE: the record goes to the DLQ. */
  transform(raw: RawUnit): Observation
}

// --- sinks -----------------------------------------------------------------------------------

export type SinkEvent =
  | { readonly kind: 'asset'; readonly value: Asset | null }
  | { readonly kind: 'finding'; readonly value: Finding | null }
  | { readonly kind: 'vulnerability'; readonly value: Vulnerability | null }
  | { readonly kind: 'connector-error'; readonly value: ConnectorError | null }
  | { readonly kind: 'run'; readonly value: Run | null }

/** One decoded record. `value` null is a tombstone. */
export type SinkRecord = SinkEvent & {
  readonly key: string
  readonly offset: bigint
  readonly timestampMs: number
}

/** Records of one partition, in order, without gaps that matter; `nextOffset` is where to go on. */
export type SinkBatch = {
  readonly topic: string
  readonly partition: number
  readonly firstOffset: bigint
  readonly nextOffset: bigint
  readonly records: readonly SinkRecord[]
}

/** A record the store refuses for good. `index` points into the batch's records. */
export type Rejection = { readonly index: number; readonly reason: string }

/** Writing a batch twice leaves the store as writing it once. */
export type OpenSink = {
  /**
   * True when `write` itself commits the group's offset, in the Kafka transaction of its records:
   * nobody else may then, or a late commit would set it back. Of a batch with rejections it writes
   * nothing: the batch comes again without those records.
   */
  readonly commitsOffsets?: boolean
  /** Where the store itself says to go on; null when it keeps no offset for that partition. */
  storedOffset(topic: string, partition: number): Promise<bigint | null>
  /** @throws PipelineError SINK_UNAVAILABLE: the batch is tried again, nothing is dead-lettered. */
  write(batch: SinkBatch): Promise<readonly Rejection[]>
  /** Writes what it holds back in memory for bigger files; absent: nothing is held back. */
  flush?(): Promise<void>
  close(): Promise<void>
}

/** What stores show as it is now, and topics hold by key: these are compared. */
export const AUDIT_KINDS = ['asset', 'finding'] as const
export type AuditKind = (typeof AUDIT_KINDS)[number]
/** Uids that are asked for at once, at most. */
export const AUDIT_UIDS_MAX = 10_000

/**
 * What a store holds, for `exposure reconcile`. Its functions change nothing, see everything that
 * was written before the call, and @throw PipelineError SINK_UNAVAILABLE when it is away. A store
 * that was never written to is an empty one.
 */
export type SinkAudit = {
  /** Where the store itself says to go on; null when it keeps no offset, or none of that. */
  storedOffset(topic: string, partition: number): Promise<bigint | null>
  /** Entities it shows; null where their number says nothing, as in a log. */
  count(kind: AuditKind): Promise<number | null>
  /** The revisions of those of `uids` that it shows, AUDIT_UIDS_MAX at most. */
  revisions(kind: AuditKind, uids: readonly string[]): Promise<ReadonlyMap<string, number>>
  /** `n` uids that it shows, AUDIT_UIDS_MAX at most, or all when they are fewer; by the seed. */
  sample(kind: AuditKind, n: number, seed: number): Promise<readonly string[]>
  /** What it was told longer ago than this may be gone, in ms; absent: it keeps everything. */
  readonly keptMs?: number
  /** True: it has no word for the end of an entity, and goes on showing it. */
  readonly keepsForgotten?: boolean
  close(): Promise<void>
}

export const SINK_KINDS = ['asset', 'finding', 'vulnerability', 'connector-error', 'run'] as const
export type SinkKind = (typeof SINK_KINDS)[number]

export type Sink = {
  /** Consumer group suffix and `sink_id` of errors. */
  readonly name: string
  /** What it has a place for: topics of other kinds are not read. Absent: all kinds. */
  readonly kinds?: readonly SinkKind[]
  /** Applies migrations and connects. */
  open(): Promise<OpenSink>
  /** Connects to ask what the store holds; of a store that cannot be asked, absent. */
  audit?(): Promise<SinkAudit>
  /** Why it cannot be asked, as the rest of a sentence: `it keeps nothing`. */
  readonly unasked?: string
}
