// The one HTTP client of all vendors. Its layers, in the order in which a call passes them: gate
// and limiter, authentication, transport (proxy, TLS, timeouts), gunzip, classification, retry.
import { type Failure, type HttpFault, PipelineError, type Stage } from '../contracts/errors.ts'
import { type CallFacts, asHttpError, faultOf } from './http-errors.ts'
import type { Limiter, Release } from './http-limiter.ts'
import {
  type RetryPolicy,
  Tries,
  retryAfterMsOf,
  throwIfStopped,
  waitBeforeRetry,
} from './http-retry.ts'
import {
  type HttpHeaders,
  type Transport,
  type TransportAnswer,
  type TransportOptions,
  type TransportRequest,
  createTransport,
  peek,
  readUpTo,
} from './http-transport.ts'

/** An answer as the vendor's table sees it. */
export type AnswerFacts = {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly headers: HttpHeaders
  /** The body as text: all of it for json() and for refusals, else its first 4 KiB. */
  readonly text: string
  /** True when `text` is the whole body. */
  readonly complete: boolean
}

/** Why an answer is no success. */
export type Refusal = {
  readonly failure: Failure
  readonly vendorCode: string | null
  readonly vendorMessage: string | null
  readonly vendorExtra: string | null
  /** Calls in all, where this answer deserves fewer than the policy allows. */
  readonly attemptsMax?: number
  /** What it turns out to be when no further try helps. */
  readonly finally?: Failure
  /** For TOO_MANY_REQUESTS. False: only this call backs off, the gate stays open. Default true. */
  readonly closesGate?: boolean
  readonly remediation?: string
  /** What we know of it beside the vendor's words; ends the message. */
  readonly hint?: string
}

export type HttpOptions = TransportOptions & {
  /** Name of the connection, for messages. */
  readonly connection: string
  readonly limiter: Limiter
  /** Headers for one attempt; called for every attempt anew. */
  readonly authenticate: (attempt: number) => Promise<HttpHeaders>
  /** Once per call, after a 401: make the next `authenticate` give other headers than `used`. */
  readonly onUnauthorized: (used: HttpHeaders) => Promise<void>
  /** The vendor's table. Null: a success. */
  readonly classify: (answer: AnswerFacts) => Refusal | null
  /** Answer headers that name the request for the vendor's support, best first. */
  readonly requestIdHeaders: readonly string[]
  /** Takes secrets out of texts of the vendor. */
  readonly redact: (text: string) => string
  readonly retry: RetryPolicy
  readonly nowMs: () => number
  /** A fault after which the call is made again. */
  readonly onFault: (error: PipelineError) => void
  readonly onSuccess: () => void
  /** Ends everything. */
  readonly signal: AbortSignal
}

export type CallOptions = {
  readonly query?: Readonly<Record<string, string | number | boolean>>
  /** Sent as JSON. */
  readonly body?: unknown
  /** Sent as it is, in place of `body`. */
  readonly raw?: { readonly contentType: string; readonly body: string | Buffer }
  /** Beside those of authentication, which win. */
  readonly headers?: HttpHeaders
  /** What the answer may be. Default application/json. */
  readonly accept?: string
  /** Decompressed bytes of a json() answer at most. Default 16 MiB. */
  readonly bodyBytesMax?: number
  readonly signal?: AbortSignal
  /** For the call that logs in: no authentication, and a 401 is final. */
  readonly anonymous?: boolean
  /** Instead of the client's limiter. */
  readonly limiter?: Limiter
  /** Default FETCH. */
  readonly stage?: Stage
  /** Default as the policy says. 1 for a probe that may fail. */
  readonly attemptsMax?: number
  /** A probe that may fail: nobody is told of its faults. */
  readonly quiet?: boolean
}

type Method = TransportRequest['method']
export type JsonAnswer = {
  readonly status: number
  readonly headers: HttpHeaders
  readonly value: unknown
}
export type StreamAnswer = {
  readonly status: number
  readonly headers: HttpHeaders
  /** Decompressed. A break in it is a TEMPORARY_FAILURE. */
  readonly body: AsyncGenerator<Buffer, void>
}

export type HttpClient = {
  /** @throws PipelineError after the last try */
  json(method: Method, path: string, options?: CallOptions): Promise<JsonAnswer>
  /** Retried until the answer begins; what breaks later is for `recover`. @throws PipelineError */
  stream(method: Method, path: string, options?: CallOptions): Promise<StreamAnswer>
  /** Waits before a broken page is fetched again. @throws PipelineError when it should not be */
  recover(error: unknown, tries: Tries, options?: CallOptions): Promise<void>
  close(): Promise<void>
}

const JSON_TOTAL_MS = 200_000
/** Of a streamed page, the time its reader takes for each chunk included. */
const STREAM_TOTAL_MS = 1_800_000
const JSON_BYTES_MAX = 16 * 1024 * 1024
const PEEK_BYTES = 4_096
const REFUSAL_BYTES_MAX = 64 * 1024
const VENDOR_TEXT_CHARACTERS_MAX = 500

/** One call on its way through the layers. */
type Call = CallFacts & {
  readonly method: Method
  readonly path: string
  readonly target: string
  readonly options: CallOptions
  readonly totalMs: number
}
/** Reads an answer as far as the kind of call wants it. */
type Reader<T> = (answer: TransportAnswer, call: Call, release: Release) => Promise<Read<T>>
type Read<T> = { readonly text: string; readonly complete: boolean; readonly value: () => T }

/** A client for one base URL. Nothing is sent before the first call. */
export const createHttpClient = (options: HttpOptions): HttpClient => new Client(options)

class Client implements HttpClient {
  readonly #options: HttpOptions
  readonly #transport: Transport
  readonly #base: string
  /** Errors after the last try: a page that meets one is not fetched again on top of that. */
  readonly #exhausted = new WeakSet<PipelineError>()

  constructor(options: HttpOptions) {
    this.#options = options
    this.#transport = createTransport(options)
    this.#base = options.baseUrl.replace(/\/+$/, '')
  }

  json(method: Method, path: string, given: CallOptions = {}): Promise<JsonAnswer> {
    return this.#perform(this.#callOf(method, path, given, JSON_TOTAL_MS), readJson)
  }

  stream(method: Method, path: string, given: CallOptions = {}): Promise<StreamAnswer> {
    return this.#perform(this.#callOf(method, path, given, STREAM_TOTAL_MS), readStream)
  }

  async recover(thrown: unknown, tries: Tries, given: CallOptions = {}): Promise<void> {
    const signal = this.#signalOf(given)
    throwIfStopped(signal, given.stage ?? 'FETCH')
    if (!(thrown instanceof PipelineError) || this.#exhausted.has(thrown)) throw thrown
    const { retry, onFault } = this.#options
    const waitMs = waitBeforeRetry(thrown, tries.count(thrown.failure), retry)
    if (waitMs === null) throw thrown
    onFault(thrown)
    await retry.sleep(waitMs, signal)
  }

  close(): Promise<void> {
    return this.#transport.close()
  }

  #callOf(method: Method, path: string, given: CallOptions, totalMs: number): Call {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(given.query ?? {})) query.set(name, String(value))
    const target = query.size === 0 ? path : `${path}?${query.toString()}`
    const stage = given.stage ?? 'FETCH'
    return { method, path, target, url: this.#base + path, stage, options: given, totalMs }
  }

  #signalOf(given: CallOptions): AbortSignal {
    const { signal } = this.#options
    return given.signal ? AbortSignal.any([signal, given.signal]) : signal
  }

  /** The retry loop. */
  async #perform<T>(call: Call, read: Reader<T>): Promise<T> {
    const tries = new Tries()
    let renewed = call.options.anonymous === true
    for (let number = 1; ; number += 1) {
      const used: Used = { headers: {} }
      try {
        const value = await this.#attempt(call, number, read, used)
        this.#options.onSuccess()
        return value
      } catch (thrown) {
        const { error, refusal } = unwrapped(thrown)
        throwIfStopped(this.#signalOf(call.options), call.stage)
        if (refusal?.failure === 'AUTHORIZATION_FAILURE' && !renewed) {
          renewed = true
          await this.#options.onUnauthorized(used.headers)
        } else await this.#backOff(call, error, refusal, tries)
      }
    }
  }

  /** One attempt. `used` receives the headers of authentication. */
  async #attempt<T>(call: Call, number: number, read: Reader<T>, used: Used): Promise<T> {
    const { options } = call
    const stopped = this.#signalOf(options)
    const limiter = options.limiter ?? this.#options.limiter
    const release = await limiter.acquire(stopped, this.#options.retry.sleep)
    let answer: TransportAnswer | null = null
    try {
      used.headers = options.anonymous === true ? {} : await this.#options.authenticate(number)
      const signal = AbortSignal.any([stopped, AbortSignal.timeout(call.totalMs)])
      signal.addEventListener('abort', release, { once: true })
      answer = await this.#transport.request({ ...requestOf(call, used.headers), signal })
      const { text, complete, value } = await read(answer, call, release)
      const { status, headers } = answer
      const facts = { method: call.method, path: call.path, status, headers, text, complete }
      const refusal = this.#options.classify(facts)
      if (refusal !== null) throw new Refused(this.#refusedError(call, facts, refusal), refusal)
      return value()
    } catch (error) {
      await answer?.body.return?.(undefined).catch(() => undefined)
      release()
      throwIfStopped(stopped, call.stage)
      throw error instanceof Refused ? error : asHttpError(error, call)
    }
  }

  #refusedError(call: Call, answer: AnswerFacts, refusal: Refusal): PipelineError {
    const { redact, nowMs, requestIdHeaders } = this.#options
    const clean = (text: string | null | undefined) =>
      typeof text === 'string' ? redact(text).slice(0, VENDOR_TEXT_CHARACTERS_MAX) : null
    const retryAfterMs = retryAfterMsOf(answer.headers['retry-after'], nowMs())
    const requestId = requestIdHeaders.find((name) => name in answer.headers) ?? ''
    const http: HttpFault = faultOf(call, {
      status: answer.status,
      retryAfterMs: retryAfterMs ?? null,
      requestId: clean(answer.headers[requestId]),
      vendorCode: clean(refusal.vendorCode),
      vendorMessage: clean(refusal.vendorMessage),
      vendorExtra: clean(refusal.vendorExtra),
    })
    const why = [http.vendorMessage, http.vendorExtra].filter((t) => t !== null && t !== '')
    const hint = refusal.hint === undefined ? [] : [refusal.hint]
    const parts = [`${call.method} ${call.url}`, `HTTP ${answer.status}`, ...why, ...hint]
    return new PipelineError(refusal.failure, call.stage, parts.join(': '), {
      http,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(refusal.remediation === undefined ? {} : { remediation: refusal.remediation }),
    })
  }

  /** Waits for the next try. @throws PipelineError when there is none */
  async #backOff(
    call: Call,
    error: PipelineError,
    refusal: Refusal | null,
    tries: Tries,
  ): Promise<void> {
    const { retry, onFault } = this.#options
    const { options } = call
    // An error of another stage is that of a login, which has had its own tries.
    const isOwn = error.stage === call.stage
    const most = Math.min(options.attemptsMax ?? Infinity, refusal?.attemptsMax ?? Infinity)
    const count = tries.count(error.failure)
    const waitMs = isOwn ? waitBeforeRetry(error, count, retry, most) : null
    if (waitMs === null) {
      const last = finalError(error, refusal)
      this.#exhausted.add(last)
      throw last
    }
    if (options.quiet !== true) onFault(error)
    if (error.failure === 'TOO_MANY_REQUESTS' && refusal?.closesGate !== false) {
      const limiter = options.limiter ?? this.#options.limiter
      limiter.pause(waitMs)
    } else await retry.sleep(waitMs, this.#signalOf(options))
  }
}

function requestOf(call: Call, authentication: HttpHeaders): Omit<TransportRequest, 'signal'> {
  const { body, raw, headers, accept = 'application/json' } = call.options
  const json = body === undefined ? null : JSON.stringify(body)
  const contentType = raw?.contentType ?? (json === null ? null : 'application/json')
  return {
    method: call.method,
    path: call.target,
    headers: {
      accept,
      ...(contentType === null ? {} : { 'content-type': contentType }),
      ...headers,
      ...authentication,
    },
    body: raw?.body ?? json,
  }
}

type Used = { headers: HttpHeaders }

/** Carries the vendor's verdict from the attempt to the retry loop, and no further. */
class Refused {
  readonly error: PipelineError
  readonly refusal: Refusal
  constructor(error: PipelineError, refusal: Refusal) {
    this.error = error
    this.refusal = refusal
  }
}

function unwrapped(thrown: unknown): { error: PipelineError; refusal: Refusal | null } {
  if (thrown instanceof Refused) return thrown
  if (thrown instanceof PipelineError) return { error: thrown, refusal: null }
  throw thrown
}

function finalError(error: PipelineError, refusal: Refusal | null): PipelineError {
  if (refusal?.finally === undefined) return error
  const { http } = error.details
  return new PipelineError(refusal.finally, error.stage, error.message, {
    cause: error,
    ...(http === undefined ? {} : { http }),
  })
}

const isSuccess = (status: number): boolean => status >= 200 && status < 300

async function readRefusal(answer: TransportAnswer): Promise<string> {
  const { head } = await peek(answer.body, REFUSAL_BYTES_MAX)
  return head.subarray(0, REFUSAL_BYTES_MAX).toString('utf8')
}

async function readJson(
  answer: TransportAnswer,
  call: Call,
  release: Release,
): Promise<Read<JsonAnswer>> {
  const { status, headers } = answer
  const none = { status, headers, value: null }
  if (!isSuccess(status)) {
    return { text: await readRefusal(answer), complete: true, value: () => none }
  }
  const bytesMax = call.options.bodyBytesMax ?? JSON_BYTES_MAX
  const bytes = await readUpTo(answer.body, bytesMax)
  const fail = (what: string) =>
    new PipelineError('INVALID_RESPONSE', call.stage, `${call.method} ${call.url}: ${what}`, {
      http: faultOf(call, { status }),
    })
  if (bytes === null) throw fail(`the answer exceeds ${bytesMax} bytes`)
  const text = bytes.toString('utf8')
  const value = () => {
    release()
    try {
      return { status, headers, value: JSON.parse(text) as unknown }
    } catch {
      // The parser's own message quotes the body, which may be a token.
      throw fail(`the answer of ${bytes.length} bytes is no JSON`)
    }
  }
  return { text, complete: true, value }
}

async function readStream(
  answer: TransportAnswer,
  call: Call,
  release: Release,
): Promise<Read<StreamAnswer>> {
  const { status, headers } = answer
  const { head, complete, body } = await peek(answer.body, PEEK_BYTES)
  async function* guarded(): AsyncGenerator<Buffer, void> {
    try {
      yield* body
    } catch (error) {
      throw asHttpError(error, call)
    } finally {
      release()
    }
  }
  const text = head.subarray(0, REFUSAL_BYTES_MAX).toString('utf8')
  return { text, complete, value: () => ({ status, headers, body: guarded() }) }
}
