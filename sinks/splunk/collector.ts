// Calls to Splunk's HTTP Event Collector: token by reference, its codes as failures of ours.
import { gzip as gzipCallback } from 'node:zlib'
import { promisify } from 'node:util'
import { z } from 'zod'
import { type Failure, PipelineError } from '../../contracts/errors.ts'
import { transportSettings } from '../../runtime/connection-config.ts'
import { resolveSecret } from '../../runtime/environment.ts'
import { redactor } from '../../runtime/http-errors.ts'
import { limiterFor } from '../../runtime/http-limiter.ts'
import { DEFAULT_RETRY } from '../../runtime/http-retry.ts'
import { type CallOptions, type HttpClient, createHttpClient } from '../../runtime/http.ts'
import {
  ACK_PATH,
  ADDRESS,
  EVENT_NUMBER,
  EVENT_PATH,
  NO_DATA,
  answerShape,
  classify,
} from './codes.ts'
import type { SplunkConfig } from './config.ts'

/** One per partition under way, and some to spare. */
const CONNECTIONS_MAX = 8
const CONCURRENT_MAX = 3
const CALL_MS = 60_000
const ANSWER_BYTES_MAX = 1024 * 1024
const JSON_TYPE = 'application/json'
/** An id that no request ever has: asked for to learn whether there are acknowledgements. */
const NO_ID = 2 ** 31 - 1

const ackShape = z.object({ acks: z.record(z.string(), z.boolean()) })

/** Taken, with the id under which its acknowledgement can be asked for; or refused for good. */
export type Answer =
  | { readonly taken: true; readonly ackId: number | null }
  | {
      readonly taken: false
      readonly reason: string
      /** From 0, the first that it could not read; null: it does not say. */
      readonly eventNumber: number | null
    }

export type Collector = {
  /** Whether the token is taken, and acknowledgements are there if wanted. @throws PipelineError */
  check(): Promise<void>
  /** JSON objects one after the other. @throws PipelineError as `storeError` makes it */
  post(body: string): Promise<Answer>
  /** Those that are indexed. An id is told once, then forgotten. @throws as `post` */
  acked(ids: readonly number[]): Promise<ReadonlySet<number>>
  close(): Promise<void>
}

const gzip = promisify(gzipCallback)

/**
 * `channel` null: without acknowledgements.
 * @throws PipelineError CONFIGURATION when the proxy's secrets or caFile cannot be read
 */
export function connectCollector(
  config: SplunkConfig,
  channel: string | null,
  signal: AbortSignal,
): Collector {
  const http = clientOf(config, channel, signal)
  // One after the other where there are acknowledgements: their ids are told apart by order.
  const posts = limiterOf(config, 'events', channel === null ? CONCURRENT_MAX : 1)

  const send = (body: string | Buffer, isGzip: boolean) =>
    call(http, EVENT_PATH, {
      raw: { contentType: JSON_TYPE, body },
      limiter: posts,
      ...(isGzip ? { headers: { 'content-encoding': 'gzip' } } : {}),
    })
  const acked = async (ids: readonly number[]): Promise<ReadonlySet<number>> => {
    const answer = await call(http, ACK_PATH, { body: { acks: ids } }).catch((error: unknown) => {
      throw storeError(error)
    })
    const { data } = ackShape.safeParse(answer)
    if (data === undefined) throw unavailable('its answer tells of no acknowledgements')
    return new Set(ids.filter((id) => data.acks[String(id)] === true))
  }

  return {
    acked,
    async check() {
      try {
        await send('', false)
      } catch (error) {
        // It looks for events behind the token only: that it misses them is what was hoped for.
        if (!isOfEvents(error)) throw storeError(error)
      }
      if (channel !== null) await acked([NO_ID])
    },
    async post(body) {
      const bytes = config.gzip ? await gzip(body) : body
      try {
        const answer = await send(bytes, config.gzip)
        return { taken: true, ackId: answerShape.parse(answer).ackId ?? null }
      } catch (error) {
        return refusedOr(error)
      }
    },
    close: () => http.close(),
  }
}

function clientOf(config: SplunkConfig, channel: string | null, signal: AbortSignal): HttpClient {
  let secrets: readonly string[] = []
  return createHttpClient({
    baseUrl: config.url,
    connection: config.name,
    connectionsMax: CONNECTIONS_MAX,
    ...transportSettings(config),
    limiter: limiterOf(config, 'answers', CONCURRENT_MAX),
    // Read anew for every call: who changes a token need not start anew.
    authenticate: async () => {
      const token = resolveSecret(config.token)
      secrets = [token]
      return {
        authorization: `Splunk ${token}`,
        ...(channel === null ? {} : { 'x-splunk-request-channel': channel }),
      }
    },
    onUnauthorized: async () => undefined,
    classify,
    requestIdHeaders: ['x-request-id'],
    redact: redactor(() => secrets),
    // One try: whoever hands out batches tries again, with pauses that keep the membership.
    retry: { ...DEFAULT_RETRY, attemptsMax: {} },
    nowMs: Date.now,
    onFault: () => undefined,
    onSuccess: () => undefined,
    signal,
  })
}

async function call(http: HttpClient, path: string, options: CallOptions): Promise<unknown> {
  const timeout = AbortSignal.timeout(CALL_MS)
  const bounds = { bodyBytesMax: ANSWER_BYTES_MAX, stage: 'SINK', signal: timeout } as const
  try {
    const { value } = await http.json('POST', path, { ...options, ...bounds })
    return value
  } catch (error) {
    if (!timeout.aborted) throw error
    const message = `POST ${path}: Splunk gave no answer within ${CALL_MS} ms`
    throw new PipelineError('SINK_UNAVAILABLE', 'SINK', message, { cause: error })
  }
}

function limiterOf({ url, name }: SplunkConfig, what: string, concurrentMax: number) {
  const key = `splunk ${name} ${new URL(url).host} ${what} ${concurrentMax}`
  return limiterFor(key, { concurrentMax, gapMs: 0, window: null })
}

const unavailable = (what: string) =>
  new PipelineError('SINK_UNAVAILABLE', 'SINK', `Splunk: ${what}`)

/** The answer is about what was sent, not about who sent it. */
const isOfEvents = (error: unknown): error is PipelineError =>
  error instanceof PipelineError && error.failure === 'BAD_REQUEST'

/** The refusal of an event, as its answer. @throws PipelineError when it was no such answer */
function refusedOr(error: unknown): Answer {
  if (error instanceof PipelineError && error.failure === 'PAYLOAD_TOO_LARGE') {
    return { taken: false, reason: 'Splunk takes no request of that size', eventNumber: null }
  }
  if (!isOfEvents(error)) throw storeError(error)
  const { vendorCode, vendorMessage, vendorExtra } = error.details.http ?? {}
  const eventNumber = vendorExtra?.startsWith(EVENT_NUMBER)
    ? Number(vendorExtra.slice(EVENT_NUMBER.length))
    : null
  // It saw no event at all: that says nothing of those we sent.
  if (eventNumber === null && vendorCode === NO_DATA) {
    throw new PipelineError('CONFIGURATION', 'SINK', error.message, {
      cause: error,
      remediation: ADDRESS.remediation,
    })
  }
  const reason = `Splunk refuses it: ${vendorMessage ?? 'no reason given'} (code ${vendorCode})`
  return { taken: false, reason, eventNumber }
}

/** Waiting helps, unless the token, the settings or Splunk's own must be changed. */
function storeError(error: unknown): PipelineError {
  if (!(error instanceof PipelineError)) {
    const message = error instanceof Error ? error.message : 'unknown'
    return new PipelineError('INTERNAL', 'SINK', message, { cause: error })
  }
  if (LASTING.has(error.failure) || error.failure === 'SINK_UNAVAILABLE') return error
  const { http, retryAfterMs, remediation } = error.details
  return new PipelineError('SINK_UNAVAILABLE', 'SINK', error.message, {
    cause: error,
    ...(http === undefined ? {} : { http }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(remediation === undefined ? {} : { remediation }),
  })
}

/** What is told as it is. */
const LASTING: ReadonlySet<Failure> = new Set([
  'AUTHORIZATION_FAILURE',
  'ACCESS_FORBIDDEN',
  'CONFIGURATION',
  'INTERNAL',
])
