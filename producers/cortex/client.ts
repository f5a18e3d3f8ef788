// The client of one Cortex tenant: one limit for all its endpoints, headers made anew per attempt.
import { type Failure, PipelineError } from '../../contracts/errors.ts'
import { transportSettings } from '../../runtime/connection-config.ts'
import type { ConnectContext } from '../../runtime/connector.ts'
import { resolveSecret } from '../../runtime/environment.ts'
import { redactor } from '../../runtime/http-errors.ts'
import { limiterFor } from '../../runtime/http-limiter.ts'
import { DEFAULT_RETRY, type Sleep } from '../../runtime/http-retry.ts'
import { type HttpClient, createHttpClient } from '../../runtime/http.ts'
import { type KeyFacts, authHeaders, freshNonce } from './auth.ts'
import type { CortexConnection, SecurityLevel } from './config.ts'
import { createClassify } from './errors.ts'

export type CortexClient = {
  readonly config: CortexConnection
  readonly http: HttpClient
  readonly sleep: Sleep
  readonly nowMs: () => number
  /** The key's number as configured or referred to. */
  keyId(): string
  /** Tells operations that a failure which no success ends is over. */
  onOver(failure: Failure): void
  /** Runs `work` with headers of another security level, for the connection test. */
  withLevel<T>(level: SecurityLevel, work: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** @throws PipelineError CONFIGURATION when a secret of the proxy or caFile cannot be read */
export function createCortexClient(
  config: CortexConnection,
  context: ConnectContext,
): CortexClient {
  const key = createKey(config)
  const retry = { ...DEFAULT_RETRY, ...context.retry }
  const http = createHttpClient({
    ...transportSettings(config),
    connection: config.name,
    baseUrl: config.url,
    connectionsMax: config.concurrency,
    limiter: limiterFor(`${new URL(config.url).host}|tenant`, {
      concurrentMax: config.concurrency,
      gapMs: Math.ceil(1_000 / config.requestsPerSecond),
      window: null,
    }),
    authenticate: () => Promise.resolve(authHeaders(key.facts(), freshNonce(), context.nowMs())),
    onUnauthorized: () => {
      key.forget()
      return Promise.resolve()
    },
    classify: createClassify({
      workedBefore: context.workedBefore ?? false,
      // Only the Advanced form has the time in it.
      nowMs: () => (key.level === 'advanced' ? context.nowMs() : null),
    }),
    requestIdHeaders: ['x-request-id'],
    redact: redactor(key.secrets),
    retry,
    nowMs: context.nowMs,
    onFault: context.onFault,
    onSuccess: context.onSuccess,
    signal: context.signal,
  })
  return {
    config,
    http,
    sleep: retry.sleep,
    nowMs: context.nowMs,
    keyId: () => key.facts().keyId,
    onOver: context.onOver ?? (() => {}),
    withLevel: async (level, work) => {
      key.level = level
      try {
        return await work()
      } finally {
        key.level = config.securityLevel
      }
    },
    close: () => http.close(),
  }
}

/** The key as last read; `forget` has it read again, since it may have been changed after a 401. */
function createKey(config: CortexConnection) {
  let read: { key: string; keyId: string } | null = null
  return {
    level: config.securityLevel,
    facts(): KeyFacts {
      read ??= { key: resolveSecret(config.apiKey), keyId: keyIdOf(config.apiKeyId) }
      return { ...read, level: this.level }
    },
    forget: () => {
      read = null
    },
    secrets: (): string[] => (read === null ? [] : [read.key]),
  }
}

function keyIdOf(configured: CortexConnection['apiKeyId']): string {
  const text = String(configured)
  const id = /^\d+$/.test(text) ? text : resolveSecret(text)
  if (/^\d+$/.test(id)) return id
  const message = `the API key ID in ${text} must be the number from the ID column`
  throw new PipelineError('CONFIGURATION', 'CONFIG', message)
}
