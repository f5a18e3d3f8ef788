// Connector-error events: RAISED once, ONGOING at most once a minute, CLEARED when it works again.
import { randomUUID } from 'node:crypto'
import type { ConnectorError } from '../contracts/connector-error.ts'
import { FAILURES, type Failure, PipelineError, type Stage } from '../contracts/errors.ts'
import type { OutRecord } from '../contracts/processing.ts'
import type { VendorId } from '../contracts/topics.ts'
import {
  type ErrorScope,
  type RecordPointer,
  connectorErrorRecord,
  eventOf,
  fingerprintOf,
} from './error-event.ts'
import type { Logger } from './log.ts'

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

/** Which open conditions to clear; a field left out matches all. */
export type ClearFilter = {
  readonly connection?: string | null
  readonly vendor?: VendorId | null
  readonly stream?: string | null
  readonly sink?: string | null
  readonly stages?: readonly Stage[]
  readonly failures?: readonly Failure[]
  /** Only conditions about this subject; null: only those without any. */
  readonly subject?: string | null
  /** Only conditions whose record was on this partition. */
  readonly partition?: number
  /** Only conditions that have been silent for this long. */
  readonly quietMs?: number
}

export type ErrorReporter = {
  /** Never throws and never waits: the event goes out by itself. */
  raise(error: PipelineError, scope: ErrorScope, record?: RecordPointer): void
  /**
   * As `raise`, once it is known what other processes have raised and cleared; in order with
   * `clearEverywhere`, and `flush` waits for it.
   */
  raiseEverywhere(error: PipelineError, scope: ErrorScope): void
  clear(filter: ClearFilter): void
  /**
   * As `clear`, once it is known what other processes have raised; `flush` waits for it. Never
   * throws and never waits.
   */
  clearEverywhere(filters: readonly ClearFilter[]): void
  /** Reads what others have raised and cleared, so that it is not told again. Never throws. */
  learn(): Promise<void>
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
  /** Events on Kafka since the last call, in order of each partition; ours are among them. */
  readonly readTail: () => Promise<readonly ConnectorError[]>
  /** A temporary failure that lasts this long without one success is a disconnection. */
  readonly disconnectedAfterMs: number
  readonly nowMs: () => number
  readonly log: Logger
}

const ONGOING_EVERY_MS = 60_000
const QUEUE_EVENTS_MAX = 1_000
const BATCH_EVENTS_MAX = 100
const RESEND_MS = 10_000
const CONDITIONS_MAX = 10_000
const TO_DO_MAX = 10_000

/** Told when it begins; that it still is so is no news. */
const TOLD_ONCE: ReadonlySet<Failure> = new Set([
  'CONTRACT_DRIFT',
  'NOT_LICENSED',
  'CREDENTIAL_EXPIRING',
])
/** No success ends them, a date is coming nearer: they are cleared by name only. */
const DATED: ReadonlySet<string> = new Set<Failure>(['CREDENTIAL_EXPIRING'])

export function createErrorReporter(options: ReporterOptions): ErrorReporter {
  const startedMs = options.nowMs()
  const conditions = createConditions(options)
  const lastSuccessMs = new Map<string, number>()

  const raise: ErrorReporter['raise'] = (error, scope, record) => {
    const nowMs = options.nowMs()
    const fingerprint = fingerprintOf(scope, error.stage, error.failure, error.details.subject)
    const known = conditions.get(fingerprint)
    if (known !== undefined && TOLD_ONCE.has(error.failure)) return
    const { version } = options
    const event = eventOf(error, scope, fingerprint, known, record ?? null, nowMs, version)
    conditions.put(event)
    if (error.failure !== 'TEMPORARY_FAILURE' || scope.connection === null) return
    // What an earlier process has waited is not this one's: it may have been down for a night.
    const successMs = lastSuccessMs.get(scope.connection) ?? startedMs
    if (nowMs - Math.max(event.first_at, startedMs, successMs) >= options.disconnectedAfterMs) {
      raise(disconnected(error, options.disconnectedAfterMs), { ...scope, stream: null })
    }
  }
  const clear = (filter: ClearFilter, among?: ReadonlySet<ConnectorError>) => {
    const nowMs = options.nowMs()
    for (const event of conditions.all()) {
      if (among?.has(event) === false || !matches(event, filter, nowMs)) continue
      conditions.put(clearedOf(event, nowMs))
    }
  }
  const others = followOthers(options, conditions, raise, clear)
  return {
    raise,
    succeeded(connection) {
      lastSuccessMs.set(connection, options.nowMs())
      clear({ connection, failures: ['TEMPORARY_DISCONNECTED'] })
    },
    raiseEverywhere: (error, scope) => others.take([{ error, scope }]),
    clear: (filter) => clear(filter),
    clearEverywhere: (filters) => others.take(filters),
    learn: () => others.learn(),
    open: () => conditions.all(),
    async flush(timeoutMs) {
      const timeout = new Promise<void>((resolve) => void setTimeout(resolve, timeoutMs).unref())
      await Promise.race([others.settled().then(conditions.sent), timeout])
    },
  }
}

type ToRaise = { readonly error: PipelineError; readonly scope: ErrorScope }

/** Reads what other processes tell, then raises and clears; one reading at a time. */
function followOthers(
  options: ReporterOptions,
  conditions: ReturnType<typeof createConditions>,
  raise: (error: PipelineError, scope: ErrorScope) => void,
  clear: (filter: ClearFilter, among: ReadonlySet<ConnectorError>) => void,
) {
  const toDo: (ClearFilter | ToRaise)[] = []
  let unlearned = false
  let reading: Promise<void> | null = null

  const readInTurn = async () => {
    while (toDo.length > 0 || unlearned) {
      unlearned = false
      const now = toDo.splice(0)
      // What is raised while the topic is read is newer than what was seen to work.
      const before = new Set(conditions.all())
      try {
        for (const event of await options.readTail()) {
          conditions.learn(event)
          before.add(event)
        }
      } catch (error) {
        options.log.warn({ err: error }, 'what others have raised cannot be read now')
      }
      for (const one of now) {
        if (!('error' in one)) {
          clear(one, before)
          continue
        }
        const known = new Set(conditions.all())
        raise(one.error, one.scope)
        for (const event of conditions.all()) if (!known.has(event)) before.add(event)
      }
    }
    reading = null
  }
  return {
    take(more: readonly (ClearFilter | ToRaise)[]): void {
      // Beyond the bound the next run says it again.
      if (toDo.length < TO_DO_MAX) toDo.push(...more)
      reading ??= readInTurn()
    },
    async learn(): Promise<void> {
      unlearned = true
      await (reading ??= readInTurn())
    },
    settled: () => Promise.resolve(reading),
  }
}

const clearedOf = (event: ConnectorError, nowMs: number): ConnectorError => ({
  ...event,
  error_id: randomUUID(),
  state: 'CLEARED',
  severity: 'INFORMATIONAL',
  last_at: nowMs,
  next_attempt_at: null,
})

/** The open conditions. They change only when the event that says so is on its way. */
function createConditions(options: ReporterOptions) {
  const open = new Map(options.open.map((event) => [event.fingerprint, event]))
  const lastSentMs = new Map(options.open.map((event) => [event.fingerprint, event.last_at]))
  /** When this process changed a condition last: what is read back of it is no news. */
  const changedMs = new Map<string, number>()
  const queue = eventQueue(options)

  const changed = ({ fingerprint, last_at: atMs }: ConnectorError) => {
    changedMs.delete(fingerprint)
    changedMs.set(fingerprint, atMs)
    const [oldest] = changedMs.keys()
    if (changedMs.size > CONDITIONS_MAX && oldest !== undefined) changedMs.delete(oldest)
  }
  const remove = (fingerprint: string) => {
    open.delete(fingerprint)
    lastSentMs.delete(fingerprint)
  }
  return {
    get: (fingerprint: string) => open.get(fingerprint),
    all: () => [...open.values()],
    sent: () => queue.sent(),
    put(event: ConnectorError): void {
      const { fingerprint } = event
      if (event.state === 'CLEARED') {
        if (!queue.push(event)) return
        remove(fingerprint)
        changed(event)
        return
      }
      if (open.size >= CONDITIONS_MAX && !open.has(fingerprint)) {
        options.log.error({ fingerprint }, 'too many open conditions')
        return
      }
      const sentMs = lastSentMs.get(fingerprint)
      const due = sentMs === undefined || event.last_at - sentMs >= ONGOING_EVERY_MS
      if (due && !queue.push(event)) return
      if (due) lastSentMs.set(fingerprint, event.last_at)
      open.set(fingerprint, event)
      changed(event)
    },
    /** An event read from Kafka. */
    learn(event: ConnectorError): void {
      const { fingerprint, last_at: atMs } = event
      const known = Math.max(open.get(fingerprint)?.last_at ?? 0, changedMs.get(fingerprint) ?? 0)
      if (atMs <= known) return
      if (event.state === 'CLEARED') remove(fingerprint)
      else if (open.size < CONDITIONS_MAX || open.has(fingerprint)) {
        open.set(fingerprint, event)
        lastSentMs.set(fingerprint, atMs)
      }
    },
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
    is(filter.vendor, event.vendor) &&
    is(filter.stream, event.stream) &&
    is(filter.sink, event.sink_id) &&
    among(filter.stages, event.stage) &&
    (filter.failures !== undefined || !DATED.has(event.error_type)) &&
    among(filter.failures, event.error_type) &&
    (filter.subject === undefined || isAbout(event, filter.subject)) &&
    (filter.partition === undefined || filter.partition === event.record?.partition) &&
    nowMs - event.last_at >= (filter.quietMs ?? 0)
  )
}

/** An event does not name its subject; its fingerprint holds it. */
function isAbout(event: ConnectorError, subject: string | null): boolean {
  const { stage, error_type: failure } = event
  // The first words of both lists stand for what a newer build may write.
  if (stage === 'UNKNOWN' || failure === 'UNKNOWN') return false
  const { connection_id: connection, stream, sink_id: sink } = event
  const vendor = event.vendor as VendorId | null
  const scope = { connection, vendor, product: null, stream, sink, runId: null }
  return fingerprintOf(scope, stage, failure, subject ?? undefined) === event.fingerprint
}

/** For who reads logs alone. ONGOING is no news. */
function tell(log: Logger, event: ConnectorError): void {
  const { state, error_type: type, connection_id: connection, stream, sink_id: sink } = event
  if (state === 'ONGOING') return
  const where = { type, connection, stream, sink }
  if (state === 'CLEARED') log.info(where, 'over')
  else log.info({ ...where, nextStep: event.remediation }, event.message)
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
    /** False: it is full, and the event is to come again. */
    push(event: ConnectorError): boolean {
      if (waiting.length >= QUEUE_EVENTS_MAX) {
        options.log.error({ dropped: event.fingerprint }, 'the queue of connector errors is full')
        return false
      }
      try {
        waiting.push(connectorErrorRecord(options.prefix, event, options.encode))
      } catch (error) {
        // One that has no Avro form must not hold up those behind it.
        options.log.error({ err: error, dropped: event.fingerprint }, 'no connector-error event')
        return true
      }
      tell(options.log, event)
      void start()
      return true
    },
    /** Resolves when all is sent, or cannot be sent now. */
    sent: () => start(),
  }
}
