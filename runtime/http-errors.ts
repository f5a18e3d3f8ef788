// Turns everything that can go wrong in an HTTP call into our one error class, without secrets.
import { type Failure, type HttpFault, PipelineError, type Stage } from '../contracts/errors.ts'

/** The call that failed, as errors may name it. */
export type CallFacts = {
  readonly method: string
  /** Without query string and without user information. */
  readonly url: string
  readonly stage: Stage
}

const TLS_CODE =
  /^(ERR_TLS_|ERR_SSL_|EPROTO$|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|UND_ERR_PRX_TLS$)/
const DNS_CODES = new Set(['ENOTFOUND', 'EAI_NONAME', 'EAI_NODATA'])
const PASSING_CODES = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EMFILE',
  'ENFILE',
  'ERR_STREAM_PREMATURE_CLOSE',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_SOCKET',
  'UND_ERR_PRX_CONN',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_DESTROYED',
  'UND_ERR_CLOSED',
  'UND_ERR_INFO',
  'UND_ERR_ABORTED',
  'UND_ERR_ABORT',
  'TimeoutError',
  'AbortError',
  'Z_BUF_ERROR',
])
const MALFORMED_CODE = /^(HPE_|Z_|UND_ERR_HEADERS_OVERFLOW$|UND_ERR_RES_EXCEEDED_MAX_SIZE$)/
const CAUSE_DEPTH_MAX = 5

const TLS_HINT =
  'The TLS handshake failed. If a company proxy or a private authority signs the certificate, give its PEM file as caFile; else check the host in the URL.'
const DNS_HINT =
  'The host name does not exist. Check the API URL of the connection (for Cortex: one api- in front).'
const PROXY_HINT = 'Check proxy.username and proxy.password of the connection.'
const PROXY_URL_HINT =
  'Check proxy.url of the connection, and whether the proxy runs and may be reached from here.'

/** `error` as one of the way to the proxy, which the name of the call says nothing of. */
export const asProxyFault = (proxyHost: string, error: Error): Error =>
  Object.assign(new Error(`on the way to the proxy ${proxyHost}`, { cause: error }), { proxyHost })

/** The proxy that could not be spoken to; null when the vendor could not. */
function proxyHostOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null
  const { proxyHost } = error as { proxyHost?: unknown }
  return typeof proxyHost === 'string' ? proxyHost : null
}

/** The code that says most: the error's own, or that of what caused it. */
function codeOf(error: unknown): string {
  let current: unknown = error
  let name = 'unknown'
  for (let depth = 0; depth < CAUSE_DEPTH_MAX && current instanceof Error; depth += 1) {
    const { code } = current as { code?: unknown }
    if (typeof code === 'string' && code !== 'UND_ERR_INFO') return code
    if (name === 'unknown') name = current.name
    // A host with several addresses fails with one error for each.
    const inner: unknown = current instanceof AggregateError ? current.errors[0] : undefined
    current = inner ?? current.cause
  }
  return name
}

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : url)

/**
 * Total: every error of undici, node or zlib becomes a PipelineError. One that is not known is
 * INTERNAL, because then the fault is ours.
 */
export function asHttpError(error: unknown, call: CallFacts): PipelineError {
  if (error instanceof PipelineError) return error
  const code = codeOf(error)
  const http = faultOf(call)
  const fail = (failure: Failure, text: string, remediation?: string) =>
    new PipelineError(failure, call.stage, `${call.method} ${call.url}: ${text}`, {
      cause: error,
      http,
      ...(remediation === undefined ? {} : { remediation }),
    })
  const refused = proxyStatusOf(error)
  if (refused === 407) {
    return fail('AUTHORIZATION_FAILURE', 'the proxy refused the credentials (407)', PROXY_HINT)
  }
  if (refused !== null) return fail('TEMPORARY_FAILURE', `the proxy answered ${refused}`)
  const proxy = proxyHostOf(error)
  if (proxy !== null && DNS_CODES.has(code)) {
    return fail('NOT_FOUND', `the proxy ${proxy} does not resolve (${code})`, PROXY_URL_HINT)
  }
  if (proxy !== null && PASSING_CODES.has(code)) {
    return fail('TEMPORARY_FAILURE', `the proxy ${proxy} does not answer (${code})`, PROXY_URL_HINT)
  }
  if (DNS_CODES.has(code)) {
    return fail('NOT_FOUND', `the host ${hostOf(call.url)} does not resolve (${code})`, DNS_HINT)
  }
  if (TLS_CODE.test(code)) {
    const where = proxy === null ? '' : ` with the proxy ${proxy}`
    return fail('NOT_FOUND', `the TLS handshake${where} failed (${code})`, TLS_HINT)
  }
  if (PASSING_CODES.has(code)) return fail('TEMPORARY_FAILURE', `no answer (${code})`)
  if (MALFORMED_CODE.test(code)) return fail('INVALID_RESPONSE', `malformed answer (${code})`)
  return fail('INTERNAL', `unexpected fault (${code})`)
}

/** undici tells a refused CONNECT only in its message. */
function proxyStatusOf(error: unknown): number | null {
  if (!(error instanceof Error)) return null
  const match = /Proxy response \((\d{3})\)|Proxy Authentication Required \((407)\)/.exec(
    error.message,
  )
  const status = match?.[1] ?? match?.[2]
  if (status !== undefined) return Number(status)
  return error.cause === undefined ? null : proxyStatusOf(error.cause)
}

/** The facts of a call without an answer, or with those given. */
export const faultOf = (call: CallFacts, rest: Partial<HttpFault> = {}): HttpFault => ({
  method: call.method,
  url: call.url,
  status: null,
  retryAfterMs: null,
  requestId: null,
  vendorCode: null,
  vendorMessage: null,
  vendorExtra: null,
  ...rest,
})

/** A pull that was told to stop. Not a fault: whoever gave the signal knows. */
export const stoppedError = (signal: AbortSignal, stage: Stage): PipelineError =>
  new PipelineError('TEMPORARY_FAILURE', stage, 'the pull was told to stop', {
    cause: signal.reason,
  })

const SECRET_CHARACTERS_MIN = 4

/** Replaces every secret, also in its URL, base64 and JSON form, by `[redacted]`. */
export function redactor(secrets: () => readonly string[]): (text: string) => string {
  return (text) => {
    let clean = text
    for (const secret of secrets()) {
      if (secret.length < SECRET_CHARACTERS_MIN) continue
      const forms = [
        secret,
        encodeURIComponent(secret),
        Buffer.from(secret).toString('base64'),
        JSON.stringify(secret).slice(1, -1),
      ]
      for (const form of forms) clean = clean.replaceAll(form, '[redacted]')
    }
    return clean
  }
}
