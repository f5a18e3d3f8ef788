// exposure.v1.Run: the ledger of runs. Topic exposure.runs, key `<connection>|<stream>`.
import type { z } from 'zod'
import {
  enumeration,
  int,
  list,
  long,
  optional,
  record,
  text,
  timestampMs,
  withDefault,
} from './schema-dsl.ts'

const runPhase = enumeration('RunPhase', 'What this record says of the run.', [
  'UNKNOWN',
  'STARTED',
  'FETCHED',
  'TALLY',
  'FINISHED',
  'RELEASED',
  'REMOVED',
])
const runKind = enumeration('RunKind', 'A complete listing, or only what changed.', [
  'UNKNOWN',
  'SNAPSHOT',
  'INCREMENTAL',
])
const verdict = enumeration('Verdict', 'What the listing was worth.', [
  'UNKNOWN',
  'COMPLETE',
  'DRIFTED',
  'PARTIAL',
  'FAILED',
])

const outputOffset = record('OutputOffset', 'Highest offset written to one output partition.', {
  topic: [text(), 'Topic.'],
  partition: [int(), 'Partition.'],
  offset: [long(), 'Offset of the last record written.'],
})

const tally = record('Tally', "One raw partition's answer to the run-end record.", {
  partition: [int(), 'Raw partition.'],
  units_seen: [long(), 'Units of the run met in this partition.'],
  dead_lettered: [long(), 'Of these, units that went to the dead-letter topic.'],
  closed: [long(), 'Entities closed by this run.'],
  held: [long(), 'Entities whose closure is held back.'],
  outputs: [
    list(outputOffset),
    'Highest offset this partition has written so far, per output partition: a store that has passed them holds the run.',
  ],
  hold: [optional(text()), 'Why this partition holds closures back; null when it does not.'],
  purged: [withDefault(long(), 0), 'Entities closed long ago and now forgotten: tombstones.'],
})

const totals = record('Totals', 'The tallies of all raw partitions, added up.', {
  units_seen: [long(), 'Units of the run met.'],
  dead_lettered: [long(), 'Of these, units that went to the dead-letter topic.'],
  closed: [long(), 'Entities closed by this run.'],
  held: [long(), 'Entities whose closure is held back.'],
  purged: [long(), 'Entities closed long ago and now forgotten.'],
  duration_ms: [long(), 'From the start of the run to its last tally, in ms.'],
})

export const run = record('Run', 'One step of one run. Key = connection|stream.', {
  run_id: [text(), 'Sorts by start: <start in ms, 13 digits>-<6 hex>.'],
  connection_id: [text(), 'Name of the connection.'],
  vendor: [text(), 'prisma-cloud | cortex.'],
  product: [text(), 'prisma-cspm | prisma-compute | cortex-xdr | cortex-xpanse | cortex-cloud.'],
  stream: [text(), 'Stream.'],
  tenant: [text(), 'Tenant at the vendor.'],
  scope: [text(), 'Hash of connection, stream and the filters in force, 16 hex.'],
  phase: [
    withDefault(runPhase, 'UNKNOWN'),
    'STARTED and FETCHED by the producer; TALLY by the transformer of each raw partition, FINISHED when all have answered. RELEASED and REMOVED: the answer of a raw partition to an order of the operator.',
  ],
  kind: [withDefault(runKind, 'UNKNOWN'), 'Kind.'],
  verdict: [withDefault(verdict, 'UNKNOWN'), 'UNKNOWN while it runs.'],
  reason: [optional(text()), 'Why it is not COMPLETE.'],
  started_at: [timestampMs(), 'Start of the run.'],
  at: [timestampMs(), 'Time of this record.'],
  partitions: [int(), 'Raw partitions that answer with a tally.'],
  declared: [optional(long()), 'Units the vendor says there are.'],
  pages: [withDefault(long(), 0), 'Pages fetched.'],
  fetched: [withDefault(long(), 0), 'Units fetched.'],
  published: [withDefault(long(), 0), 'Units published.'],
  too_large: [withDefault(long(), 0), 'Units too large to publish.'],
  hold: [optional(text()), 'Why closures of this run are held; null when they are not.'],
  tally: [optional(tally), 'For phases TALLY, RELEASED and REMOVED.'],
  totals: [optional(totals), 'For phase FINISHED.'],
})

export type Run = z.infer<typeof run>

/** True for what a removal has left when all have answered: of a connection, or of one stream. */
export const isRemoval = ({ phase, kind, verdict: worth }: Run): boolean =>
  phase === 'FINISHED' && kind === 'UNKNOWN' && worth === 'UNKNOWN'
export type RunKind = Exclude<z.infer<typeof runKind>, 'UNKNOWN'>
export type Verdict = Exclude<z.infer<typeof verdict>, 'UNKNOWN'>
