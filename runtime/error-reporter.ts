// Connector-error events: RAISED once, ONGOING at most once a minute, CLEARED when it works again.
import { createHash, randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { ConnectorError } from '../contracts/connector-error.ts'
import { FAILURES, type Failure, PipelineError, type Stage } from '../contracts/errors.ts'
import { partitionOf } from '../contracts/placement.ts'
import type { OutRecord } from '../contracts/processing.ts'
import { TOPICS, type VendorId, topicName } from '../contracts/topics.ts'
import type { Logger } from './log.ts'

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

type StreamFacts = { readonly vendor: VendorId; readonly product: string; readonly stream: string }

/** A refused key is the connection's, whichever stream met it; anything else the stream's. */
export function faultScope(
  connection: string,
  { vendor, product, stream }: StreamFacts,
  error: PipelineError,
): ErrorScope {
  const keyRefused = error.stage === 'AUTH' || error.failure === 'AUTHORIZATION_FAILURE'
  const place = keyRefused ? { product: null, stream: null } : { product, stream }
  return { connection, vendor, ...place, sink: null, runId: null }
}

export type RecordPointer = NonNullable<ConnectorError['record']>

/** Which open conditions to clear; a field left out matches all. */
export type ClearFilter = {
  readonly connection?: string | null
  readonly stream?: string | null
  readonly sink?: string | null
  readonly stages?: readonly Stage[]
  readonly failures?: readonly Failure[]
  /** Only conditions that have been silent for this long. */
  readonly quietMs?: number
}

export type ErrorReporter = {
  /** Never throws and never waits: the event goes out by itself. */
  raise(error: PipelineError, scope: ErrorScope, record?: RecordPointer): void
  clear(filter: ClearFilter): void
  /** A call of the connection succeeded: it is not disconnected. */
  succeeded(connection: string): void
  open(): readonly ConnectorError[]
  /** Waits until everything raised so far is on Kafka, or the time is over. */
  flush(timeoutMs: number): Promise<void>
}

export type ReporterOptions = {
  readonly prefix: string
  readonly version: string
  readonly send: (records: OutRecord[]) => Promise<void>
  readonly encode: (value: ConnectorError) => Buffer
  /** Conditions still open when the process before us ended. */
  readonly open: readonly ConnectorError[]
  /** A temporary failure that lasts this long without one success is a disconnection. */
  readonly disconnectedAfterMs: number
  readonly nowMs: () => number
  readonly log: Logger
}

const ONGOING_EVERY_MS = 60_000
const MESSAGE_CHARACTERS_MAX = 2_048
const QUEUE_EVENTS_MAX = 1_000
const BATCH_EVENTS_MAX = 100
const RESEND_MS = 10_000
const CONDITIONS_MAX = 10_000

/** Told when it begins; that it still is so is no news. */
const TOLD_ONCE: ReadonlySet<Failure> = new Set([
  'CONTRACT_DRIFT',
  'NOT_LICENSED',
  'CREDENTIAL_EXPIRING',
])
/** No success ends them, a date is coming nearer: they are cleared by name only. */
const DATED: ReadonlySet<string> = new Set<Failure>(['CREDENTIAL_EXPIRING'])

export const fingerprintOf = (
  { connection, stream, sink }: ErrorScope,
  stage: Stage,
  failure: Failure,
  subject?: string,
): string =>
  createHash('sha256')
    .update(
      JSON.stringify([
        connection,
        stream,
        sink,
        stage,
        failure,
        ...(subject === undefined ? [] : [subject]),
      ]),
    )
    .digest('hex')
    .slice(0, 32)

export function createErrorReporter(options: ReporterOptions): ErrorReporter {
  const conditions = new Map(options.open.map((event) => [event.fingerprint, event]))
  const lastSentMs = new Map(options.open.map((event) => [event.fingerprint, event.last_at]))
  const lastSuccessMs = new Map<string, number>()
  const queue = eventQueue(options)

  const put = (event: ConnectorError) => {
    if (event.state === 'CLEARED') {
      conditions.delete(event.fingerprint)
      lastSentMs.delete(event.fingerprint)
      queue.push(event)
      return
    }
    if (conditions.size >= CONDITIONS_MAX && !conditions.has(event.fingerprint)) {
      options.log.error({ fingerprint: event.fingerprint }, 'too many open conditions')
      return
    }
    conditions.set(event.fingerprint, event)
    const sentMs = lastSentMs.get(event.fingerprint)
    if (sentMs !== undefined && event.last_at - sentMs < ONGOING_EVERY_MS) return
    lastSentMs.set(event.fingerprint, event.last_at)
    queue.push(event)
  }

  const raise: ErrorReporter['raise'] = (error, scope, record) => {
    const nowMs = options.nowMs()
    const fingerprint = fingerprintOf(scope, error.stage, error.failure, error.details.subject)
    const known = conditions.get(fingerprint)
    if (known !== undefined && TOLD_ONCE.has(error.failure)) return
    const event = eventOf(error, scope, fingerprint, known, record ?? null, nowMs, options)
    put(event)
    if (error.failure === 'TEMPORARY_FAILURE' && scope.connection !== null) {
      const sinceMs = Math.max(event.first_at, lastSuccessMs.get(scope.connection) ?? 0)
      if (nowMs - sinceMs >= options.disconnectedAfterMs) {
        raise(disconnected(error, options.disconnectedAfterMs), { ...scope, stream: null })
      }
    }
  }

  return {
    raise,
    succeeded: (connection) => void lastSuccessMs.set(connection, options.nowMs()),
    clear(filter) {
      const nowMs = options.nowMs()
      for (const event of conditions.values()) {
        if (!matches(event, filter, nowMs)) continue
        put({
          ...event,
          error_id: randomUUID(),
          state: 'CLEARED',
          severity: 'INFORMATIONAL',
          last_at: nowMs,
          next_attempt_at: null,
        })
      }
    },
    open: () => [...conditions.values()],
    flush: (timeoutMs) => queue.flush(timeoutMs),
  }
}

function disconnected(error: PipelineError, afterMs: number): PipelineError {
  const minutes = String(Math.max(1, Math.round(afterMs / 60_000)))
  const remediation = FAILURES.TEMPORARY_DISCONNECTED.remediation.replace(' N ', ` ${minutes} `)
  return new PipelineError('TEMPORARY_DISCONNECTED', error.stage, error.message, {
    ...error.details,
    remediation,
  })
}

function matches(event: ConnectorError, filter: ClearFilter, nowMs: number): boolean {
  const is = (wanted: string | null | undefined, actual: string | null) =>
    wanted === undefined || wanted === actual
  const among = (wanted: readonly string[] | undefined, actual: string) =>
    wanted === undefined || wanted.includes(actual)
  return (
    is(filter.connection, event.connection_id) &&
    is(filter.stream, event.stream) &&
    is(filter.sink, event.sink_id) &&
    among(filter.stages, event.stage) &&
    (filter.failures !== undefined || !DATED.has(event.error_type)) &&
    among(filter.failures, event.error_type) &&
    nowMs - event.last_at >= (filter.quietMs ?? 0)
  )
}

function eventOf(
  error: PipelineError,
  scope: ErrorScope,
  fingerprint: string,
  known: ConnectorError | undefined,
  record: RecordPointer | null,
  nowMs: number,
  options: ReporterOptions,
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
    message: error.message.slice(0, MESSAGE_CHARACTERS_MAX),
    remediation: error.remediation,
    http: http
      ? {
          method: http.method,
          url: http.url,
          status: http.status,
          retry_after_ms: http.retryAfterMs,
          request_id: http.requestId,
          vendor_code: http.vendorCode,
          vendor_message: http.vendorMessage,
          vendor_extra: http.vendorExtra,
        }
      : null,
    record,
    violations: [...(error.details.violations ?? [])],
    occurrences: (known?.occurrences ?? 0) + 1,
    first_at: known?.first_at ?? nowMs,
    last_at: nowMs,
    instance: hostname(),
    version: options.version,
  }
}

/**
 * Sends events in order, one batch at a time; what cannot be sent is tried again, within bounds.
 */
function eventQueue(options: ReporterOptions) {
  const waiting: OutRecord[] = []
  let sending: Promise<void> | null = null

  const drain = async () => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, BATCH_EVENTS_MAX)
      try {
        await Promise.resolve(batch).then(options.send)
        waiting.splice(0, batch.length)
      } catch (error) {
        // The publisher has retried already. The events stay, and go out later.
        options.log.error({ err: error }, 'connector-error events cannot be published now')
        setTimeout(() => void start(), RESEND_MS).unref()
        break
      }
    }
    // In the same turn as the last look at the queue: an event that comes later starts anew.
    sending = null
  }
  const start = async () => {
    if (waiting.length > 0) sending ??= drain()
    await sending
  }
  return {
    push(event: ConnectorError) {
      if (waiting.length >= QUEUE_EVENTS_MAX) {
        options.log.error({ dropped: event.fingerprint }, 'the queue of connector errors is full')
        return
      }
      try {
        waiting.push(toRecord(event, options))
      } catch (error) {
        // One that has no Avro form must not hold up those behind it.
        options.log.error({ err: error, dropped: event.fingerprint }, 'no connector-error event')
        return
      }
      void start()
    },
    async flush(timeoutMs: number) {
      const timeout = new Promise<void>((resolve) => void setTimeout(resolve, timeoutMs).unref())
      await Promise.race([start(), timeout])
    },
  }
}

function toRecord(event: ConnectorError, options: ReporterOptions): OutRecord {
  const place = event.connection_id ?? event.sink_id ?? ''
  return {
    topic: topicName(options.prefix, 'connectorErrors'),
    partition: partitionOf(place, TOPICS.connectorErrors.partitions),
    key: event.fingerprint,
    value: options.encode(event),
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
