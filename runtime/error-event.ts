// A connector-error event: what identifies its condition, and texts that any store can take.
import { createHash, randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { ConnectorError } from '../contracts/connector-error.ts'
import {
  FAILURES,
  type Failure,
  type HttpFault,
  type PipelineError,
  type Stage,
} from '../contracts/errors.ts'
import { partitionOf } from '../contracts/placement.ts'
import type { OutRecord } from '../contracts/processing.ts'
import { TOPICS, type VendorId, topicName } from '../contracts/topics.ts'

/**
 * What a condition belongs to. Null: not of one stream (a login), or not of a connection (a sink).
 */
export type ErrorScope = {
  readonly connection: string | null
  readonly vendor: VendorId | null
  readonly product: string | null
  readonly stream: string | null
  readonly sink: string | null
  readonly runId: string | null
}

export type RecordPointer = NonNullable<ConnectorError['record']>

const MESSAGE_CHARACTERS_MAX = 2_048
const KEY_CHARACTERS_MAX = 1_024
const VIOLATIONS_MAX = 20
const VIOLATION_CHARACTERS_MAX = 300
const HTTP_CHARACTERS_MAX = 1_000

/** What groups repeats; see the contract. */
export const fingerprintOf = (
  { connection, vendor, stream, sink }: ErrorScope,
  stage: Stage,
  failure: Failure,
  subject?: string,
): string => {
  const parts = [connection, vendor, stream, sink, stage, failure]
  const all = subject === undefined ? parts : [...parts, subject]
  return createHash('sha256').update(JSON.stringify(all)).digest('hex').slice(0, 32)
}

/** Without NUL, which PostgreSQL refuses, and lone surrogates, which have no UTF-8. */
const clean = (text: string, charactersMax: number): string =>
  text
    .slice(0, charactersMax)
    .replaceAll('\0', '')
    .replace(/\p{Surrogate}/gu, '')
const cleanOrNull = (text: string | null, charactersMax: number): string | null =>
  text === null ? null : clean(text, charactersMax)

function httpOf(http: HttpFault): NonNullable<ConnectorError['http']> {
  return {
    method: http.method,
    url: clean(http.url, HTTP_CHARACTERS_MAX),
    status: http.status,
    retry_after_ms: http.retryAfterMs,
    request_id: cleanOrNull(http.requestId, HTTP_CHARACTERS_MAX),
    vendor_code: cleanOrNull(http.vendorCode, HTTP_CHARACTERS_MAX),
    vendor_message: cleanOrNull(http.vendorMessage, HTTP_CHARACTERS_MAX),
    vendor_extra: cleanOrNull(http.vendorExtra, HTTP_CHARACTERS_MAX),
  }
}

/** The event of a condition that is new, or goes on when `known`. */
export function eventOf(
  error: PipelineError,
  scope: ErrorScope,
  fingerprint: string,
  known: ConnectorError | undefined,
  record: RecordPointer | null,
  nowMs: number,
  version: string,
): ConnectorError {
  const { http, retryAfterMs } = error.details
  return {
    error_id: randomUUID(),
    fingerprint,
    state: known ? 'ONGOING' : 'RAISED',
    error_type: error.failure,
    stage: error.stage,
    severity: FAILURES[error.failure].severity,
    retryable: error.retriable,
    attempt: 0,
    next_attempt_at: retryAfterMs === undefined ? null : nowMs + retryAfterMs,
    connection_id: scope.connection,
    vendor: scope.vendor,
    product: scope.product,
    stream: scope.stream,
    run_id: scope.runId,
    sink_id: scope.sink,
    message: clean(error.message, MESSAGE_CHARACTERS_MAX),
    remediation: clean(error.remediation, MESSAGE_CHARACTERS_MAX),
    http: http === undefined ? null : httpOf(http),
    record: record && { ...record, key: cleanOrNull(record.key, KEY_CHARACTERS_MAX) },
    violations: (error.details.violations ?? [])
      .slice(0, VIOLATIONS_MAX)
      .map((violation) => clean(violation, VIOLATION_CHARACTERS_MAX)),
    occurrences: (known?.occurrences ?? 0) + 1,
    first_at: known?.first_at ?? nowMs,
    last_at: nowMs,
    instance: hostname(),
    version: version,
  }
}

/** @throws when the event has no Avro form */
export function connectorErrorRecord(
  prefix: string,
  event: ConnectorError,
  encode: (value: ConnectorError) => Buffer,
): OutRecord {
  const place = event.connection_id ?? event.sink_id ?? ''
  return {
    topic: topicName(prefix, 'connectorErrors'),
    partition: partitionOf(place, TOPICS.connectorErrors.partitions),
    key: event.fingerprint,
    value: encode(event),
    headers: {
      ce_specversion: '1.0',
      ce_id: event.error_id,
      ce_source: `/connectors/${place}`,
      ce_type: `exposure.connector-error.${event.state.toLowerCase()}.v1`,
      ce_time: new Date(event.last_at).toISOString(),
      ce_subject: event.fingerprint,
      'content-type': 'application/avro',
    },
  }
}
