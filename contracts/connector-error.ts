// exposure.v1.ConnectorError: what is broken, since when, and what to do next. Topic
// exposure.connector-errors.
import type { z } from 'zod'
import { ERROR_TYPES, STAGES } from './errors.ts'
import { severity } from './event-meta.ts'
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

const errorState = enumeration('ErrorState', 'Condition lifecycle.', [
  'UNKNOWN',
  'RAISED',
  'ONGOING',
  'CLEARED',
])

const errorType = enumeration(
  'ErrorType',
  'The closed list; the first seven are the names of the troubleshooting tables.',
  ERROR_TYPES,
)

const stage = enumeration('Stage', 'Where it happened.', STAGES)

const httpFault = record('HttpFault', 'HTTP detail.', {
  method: [text(), 'Method.'],
  url: [text(), 'Without query string and secrets.'],
  status: [optional(int()), 'Status.'],
  retry_after_ms: [optional(long()), 'Retry-After.'],
  request_id: [optional(text()), 'Vendor request id.'],
  vendor_code: [optional(text()), 'x-redlock-status code / err_code.'],
  vendor_message: [optional(text()), 'Vendor message.'],
  vendor_extra: [optional(text()), 'Vendor extra.'],
})

const recordPointer = record('RecordPointer', 'Record concerned.', {
  topic: [text(), 'Topic.'],
  partition: [int(), 'Partition.'],
  offset: [long(), 'Offset.'],
  key: [optional(text()), 'Key.'],
})

export const connectorError = record(
  'ConnectorError',
  'A fault of a connector, a transformer or a sink. Key = fingerprint, placed by connection.',
  {
    error_id: [text(), 'UUID.'],
    fingerprint: [
      text(),
      'sha256 of [connection, vendor, stream, sink, stage, error_type], 32 hex: groups repeats. Not of status or text, so that CLEARED finds it.',
    ],
    state: [withDefault(errorState, 'UNKNOWN'), 'Condition lifecycle.'],
    error_type: [
      withDefault(errorType, 'UNKNOWN'),
      'Taxonomy; first seven from the vendor troubleshooting table.',
    ],
    stage: [withDefault(stage, 'UNKNOWN'), 'Stage.'],
    severity: [withDefault(severity, 'UNKNOWN'), 'INFORMATIONAL when cleared.'],
    retryable: [withDefault(bool(), false), 'Will the component retry by itself.'],
    attempt: [withDefault(int(), 0), 'Attempt number.'],
    next_attempt_at: [optional(timestampMs()), 'Next retry.'],
    connection_id: [optional(text()), 'Name of the connection.'],
    vendor: [optional(text()), 'prisma-cloud | cortex.'],
    product: [optional(text()), 'Product.'],
    stream: [optional(text()), 'Stream.'],
    run_id: [optional(text()), 'Run.'],
    sink_id: [optional(text()), 'Sink.'],
    message: [text(), 'Redacted, at most 2048 characters.'],
    remediation: [withDefault(text(), ''), 'What to do, from the troubleshooting table.'],
    http: [optional(httpFault), 'HTTP detail.'],
    record: [optional(recordPointer), 'Record concerned; bytes are in the DLQ.'],
    violations: [list(text()), 'Path: message, at most 20.'],
    occurrences: [withDefault(long(), 1), 'Occurrences since first_at.'],
    first_at: [timestampMs(), 'First occurrence.'],
    last_at: [timestampMs(), 'Latest occurrence.'],
    instance: [optional(text()), 'Host / pod.'],
    version: [withDefault(text(), ''), 'Software version.'],
  },
)

export type ConnectorError = z.infer<typeof connectorError>
