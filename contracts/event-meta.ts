// The envelope that every exposure event carries, and the enums that events share.
import type { z } from 'zod'
import {
  bool,
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

export const changeType = enumeration(
  'ChangeType',
  'What this event changed with respect to the previous revision.',
  ['UNKNOWN', 'CREATED', 'UPDATED', 'RESOLVED', 'REOPENED', 'GONE', 'REFRESHED'],
)

const changeCause = enumeration('ChangeCause', 'Why an entity changed.', [
  'UNKNOWN',
  'VENDOR',
  'MAPPING',
  'IDENTITY',
  'LIFECYCLE',
  'OPERATOR',
])

const fieldChange = record('FieldChange', 'One changed field.', {
  path: [text(), 'dotted path of the field'],
  before: [
    optional(text()),
    'JSON of the old value, at most 1 kB; null when there was none or it is longer',
  ],
  after: [optional(text()), 'JSON of the new value, likewise'],
})

const sourceRef = record('SourceRef', 'Where the state came from.', {
  vendor: [text(), 'prisma-cloud | cortex.'],
  product: [text(), 'prisma-cspm | prisma-compute | cortex-xdr | cortex-xpanse | cortex-cloud.'],
  connection_id: [text(), 'Name of the connection.'],
  tenant: [text(), 'Tenant at the vendor; set once per connection.'],
  stream: [text(), 'Stream, e.g. compute.hosts, cloud.findings.'],
  native_id: [text(), 'Identifier of the record in the vendor system.'],
  native_url: [optional(text()), 'Deep link to the vendor console.'],
  raw_topic: [optional(text()), 'Raw topic the record was read from.'],
  raw_partition: [optional(int()), 'Raw partition.'],
  raw_offset: [optional(long()), 'Raw offset.'],
  raw_sha256: [optional(text()), 'SHA-256 of the raw record bytes.'],
})

export const eventMeta = record('EventMeta', 'Envelope shared by all exposure events.', {
  event_id: [
    text(),
    'Deterministic id: sha256(entity uid | revision), hex, 32 chars. Idempotency key.',
  ],
  change_type: [withDefault(changeType, 'UNKNOWN'), 'What changed.'],
  revision: [
    long(),
    'Strictly increasing per entity: max(previous + 1, x-fetched-at of the raw record in ms).',
  ],
  changed_fields: [list(text()), 'Dotted names of fields that differ from the previous revision.'],
  changes: [list(fieldChange), 'What changed, for UPDATED; the paths are those of changed_fields.'],
  observed_at: [timestampMs(), 'When the connector fetched the record.'],
  ingested_at: [
    timestampMs(),
    'When the raw record reached Kafka. From the record, never from a clock, so that a batch done again gives the same bytes.',
  ],
  run_id: [optional(text()), 'Run that produced it.'],
  content_hash: [text(), 'sha256 of the canonical state without volatile fields.'],
  mapping_version: [text(), 'Version of the mapping code.'],
  source: [sourceRef, 'Origin.'],
  change_cause: [
    withDefault(changeCause, 'UNKNOWN'),
    "Why it changed: the vendor's data, our mapping, its identity, the lifecycle, an operator.",
  ],
  backfill: [
    withDefault(bool(), false),
    "True until a stream's first COMPLETE run has ended: a first load is not news.",
  ],
})

export const severity = enumeration('Severity', 'OCSF severity_id 0..5.', [
  'UNKNOWN',
  'INFORMATIONAL',
  'LOW',
  'MEDIUM',
  'HIGH',
  'CRITICAL',
])

export const assetKind = enumeration('AssetKind', 'Normalised asset kind.', [
  'UNKNOWN',
  'HOST',
  'VIRTUAL_MACHINE',
  'CONTAINER_IMAGE',
  'CONTAINER',
  'SERVERLESS_FUNCTION',
  'CLOUD_RESOURCE',
  'NETWORK_DEVICE',
  'DOMAIN',
  'CERTIFICATE',
  'IP_RANGE',
  'EXTERNAL_SERVICE',
  'CODE_REPOSITORY',
])

export type ChangeType = z.infer<typeof changeType>
export type ChangeCause = z.infer<typeof changeCause>
export type FieldChange = z.infer<typeof fieldChange>
export type EventMeta = z.infer<typeof eventMeta>
export type Severity = z.infer<typeof severity>
export type AssetKind = z.infer<typeof assetKind>
