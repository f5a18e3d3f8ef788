// Calls to OpenSearch: authentication by reference, time limits, and its faults as ours.
import { readFileSync } from 'node:fs'
import { type Failure, PipelineError } from '../../contracts/errors.ts'
import { resolveSecret } from '../../runtime/environment.ts'
import { redactor } from '../../runtime/http-errors.ts'
import { limiterFor } from '../../runtime/http-limiter.ts'
import { DEFAULT_RETRY } from '../../runtime/http-retry.ts'
import {
  type AnswerFacts,
  type CallOptions,
  type HttpClient,
  type Refusal,
  createHttpClient,
} from '../../runtime/http.ts'
import type { OpenSearchConfig } from './config.ts'

/** One per partition under way, and some to spare. */
const CONNECTIONS_MAX = 8
const CALL_MS = 60_000

export type StoreClient = {
  /** The answer as JSON. @throws PipelineError as `storeError` makes it */
  call(method: 'GET' | 'POST' | 'PUT', path: string, options?: CallOptions): Promise<unknown>
  close(): Promise<void>
}

/** What the store says of a fault. */
export type StoreFault = { readonly type?: unknown; readonly reason?: unknown }

/** Its words without the value that it quotes behind them: that is payload. */
const QUOTED = /\s*(Preview of field's value|The prefix of the first|\(whose UTF8|but got)[^]*$/
const REASON_CHARACTERS_MAX = 400

/** `type: reason`, safe to show. */
export function reasonOf(fault: StoreFault | undefined): string {
  const words = [fault?.type, fault?.reason].filter((word) => typeof word === 'string')
  const text = words.map((word) => word.replace(QUOTED, '')).join(': ')
  return text === '' ? 'no reason given' : text.slice(0, REASON_CHARACTERS_MAX)
}

/** @throws PipelineError CONFIGURATION when caFile cannot be read */
export function connectStore(config: OpenSearchConfig): StoreClient {
  const login = createLogin(config)
  const stopping = new AbortController()
  const http = createHttpClient({
    baseUrl: config.url,
    connectionsMax: CONNECTIONS_MAX,
    proxy: null,
    caPem: config.caFile === undefined ? null : readPem(config.caFile),
    connection: 'opensearch',
    limiter: limiterFor(`${new URL(config.url).host}|opensearch`, {
      concurrentMax: CONNECTIONS_MAX,
      gapMs: 0,
      window: null,
    }),
    authenticate: async () => login.headers(),
    onUnauthorized: async () => login.forget(),
    classify,
    requestIdHeaders: ['x-opaque-id'],
    redact: redactor(login.secrets),
    // Whoever writes tries again, and heartbeats meanwhile.
    retry: { ...DEFAULT_RETRY, attemptsMax: {} },
    nowMs: Date.now,
    onFault: () => undefined,
    onSuccess: () => undefined,
    signal: stopping.signal,
  })
  return {
    call: (method, path, options = {}) => callIn(http, method, path, options),
    async close() {
      stopping.abort()
      await http.close()
    },
  }
}

async function callIn(
  http: HttpClient,
  method: 'GET' | 'POST' | 'PUT',
  path: string,
  options: CallOptions,
): Promise<unknown> {
  const signal = AbortSignal.timeout(CALL_MS)
  try {
    const { value } = await http.json(method, path, { ...options, stage: 'SINK', signal })
    return value
  } catch (error) {
    if (!signal.aborted) throw storeError(error)
    const message = `${method} ${path}: OpenSearch gave no answer within ${CALL_MS} ms`
    throw new PipelineError('SINK_UNAVAILABLE', 'SINK', message, { cause: error })
  }
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new PipelineError('CONFIGURATION', 'CONFIG', `the file ${file} cannot be read`, { cause })
  }
}

/** Keeps what it has read until the store refuses it: a changed secret then counts. */
function createLogin({ username, password, apiKey }: OpenSearchConfig) {
  let known: { readonly authorization: string; readonly secrets: readonly string[] } | null = null
  const read = () => {
    if (apiKey !== undefined) {
      const key = resolveSecret(apiKey)
      return { authorization: `ApiKey ${key}`, secrets: [key] }
    }
    if (username === undefined || password === undefined) return null
    const secret = resolveSecret(password)
    const pair = Buffer.from(`${resolveSecret(username)}:${secret}`).toString('base64')
    return { authorization: `Basic ${pair}`, secrets: [secret, pair] }
  }
  return {
    headers(): Record<string, string> {
      known ??= read()
      return known === null ? {} : { authorization: known.authorization }
    },
    forget: () => void (known = null),
    secrets: (): readonly string[] => known?.secrets ?? [],
  }
}

const BY_STATUS: Readonly<Record<number, Failure>> = {
  400: 'BAD_REQUEST',
  401: 'AUTHORIZATION_FAILURE',
  403: 'ACCESS_FORBIDDEN',
  404: 'BAD_REQUEST',
  405: 'BAD_REQUEST',
  413: 'PAYLOAD_TOO_LARGE',
}
/** The disk is full, or somebody has closed the index: that ends without us. */
const BLOCKED = 'cluster_block_exception'

function classify({ status, text }: AnswerFacts): Refusal | null {
  if (status >= 200 && status < 300) return null
  const fault = faultIn(text)
  const isBlocked = fault?.type === BLOCKED
  return {
    failure: isBlocked ? 'TEMPORARY_FAILURE' : (BY_STATUS[status] ?? 'TEMPORARY_FAILURE'),
    vendorCode: typeof fault?.type === 'string' ? fault.type : null,
    vendorMessage: fault === undefined ? null : reasonOf(fault),
    vendorExtra: null,
  }
}

function faultIn(text: string): StoreFault | undefined {
  try {
    const answer = JSON.parse(text) as { error?: unknown } | null
    const fault = answer?.error
    return typeof fault === 'object' && fault !== null ? fault : undefined
  } catch {
    return undefined // a proxy has answered in its place
  }
}

const CREDENTIALS =
  'Check sinks.opensearch.username, password or apiKey; the user must manage index templates and write the indices (sinks/opensearch/README.md). A secret in a file is read again: mended there, writing goes on by itself.'
const TEMPLATES =
  'Check sinks.opensearch.url and flavour. If an index of an older mapping is in the way, reindex it or give another prefix.'
const REACH =
  'Check the host in sinks.opensearch.url. If a private authority signs its certificate, give the PEM file of that authority as sinks.opensearch.caFile.'

/** What is told as it is. */
const OURS: ReadonlySet<Failure> = new Set(['PAYLOAD_TOO_LARGE', 'CONFIGURATION', 'INTERNAL'])
/** What somebody must mend, as what, and how; NOT_FOUND is a name that does not resolve, or TLS. */
const MENDED: Readonly<Partial<Record<Failure, readonly [Failure, string]>>> = {
  AUTHORIZATION_FAILURE: ['AUTHORIZATION_FAILURE', CREDENTIALS],
  ACCESS_FORBIDDEN: ['ACCESS_FORBIDDEN', CREDENTIALS],
  BAD_REQUEST: ['CONFIGURATION', TEMPLATES],
  NOT_FOUND: ['SINK_UNAVAILABLE', REACH],
}

/** Waiting helps, unless the settings or the store's own must be changed. */
function storeError(error: unknown): PipelineError {
  if (!(error instanceof PipelineError)) {
    const message = error instanceof Error ? error.message : 'unknown'
    return new PipelineError('INTERNAL', 'SINK', message, { cause: error })
  }
  const { failure, message, details } = error
  if (OURS.has(failure)) return error
  const [ours, remediation] = MENDED[failure] ?? ['SINK_UNAVAILABLE']
  return new PipelineError(ours, 'SINK', message, {
    cause: error,
    ...(details.http === undefined ? {} : { http: details.http }),
    ...(details.retryAfterMs === undefined ? {} : { retryAfterMs: details.retryAfterMs }),
    ...(remediation === undefined ? {} : { remediation }),
  })
}
