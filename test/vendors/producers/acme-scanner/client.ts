// The client of one Acme Scanner account: one limit, and the token read anew after a 401.
import { transportSettings } from '../../../../runtime/connection-config.ts'
import type { ConnectContext } from '../../../../runtime/connector.ts'
import { resolveSecret } from '../../../../runtime/environment.ts'
import { redactor } from '../../../../runtime/http-errors.ts'
import { limiterFor } from '../../../../runtime/http-limiter.ts'
import { DEFAULT_RETRY } from '../../../../runtime/http-retry.ts'
import { type HttpClient, createHttpClient } from '../../../../runtime/http.ts'
import type { AcmeScannerConnection } from './config.ts'
import { classify } from './errors.ts'

export type AcmeScannerClient = {
  readonly config: AcmeScannerConnection
  readonly http: HttpClient
}

/** Calls at once; the vendor names no limit of them. */
const CONCURRENT_MAX = 2

/** @throws PipelineError CONFIGURATION when a secret of the proxy or caFile cannot be read */
export function createAcmeScannerClient(
  config: AcmeScannerConnection,
  context: ConnectContext,
): AcmeScannerClient {
  let token: string | null = null
  const http = createHttpClient({
    ...transportSettings(config),
    connection: config.name,
    baseUrl: config.url,
    connectionsMax: CONCURRENT_MAX,
    limiter: limiterFor(`${new URL(config.url).host}|token`, {
      concurrentMax: CONCURRENT_MAX,
      gapMs: Math.ceil(1_000 / config.requestsPerSecond),
      window: null,
    }),
    authenticate: async () => ({ 'x-acme-token': (token ??= resolveSecret(config.token)) }),
    onUnauthorized: async () => {
      token = null
    },
    classify,
    requestIdHeaders: ['x-request-id'],
    redact: redactor(() => (token === null ? [] : [token])),
    retry: { ...DEFAULT_RETRY, ...context.retry },
    nowMs: context.nowMs,
    onFault: context.onFault,
    onSuccess: context.onSuccess,
    signal: context.signal,
  })
  return { config, http }
}
