// One call to a webhook: its address and keys read at use, its answer as taken, refused or away.
import { createHmac } from 'node:crypto'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import { PipelineError } from '../../contracts/errors.ts'
import { transportSettings, withScheme } from '../../runtime/connection-config.ts'
import { resolveSecret } from '../../runtime/environment.ts'
import { redactor } from '../../runtime/http-errors.ts'
import { limiterFor } from '../../runtime/http-limiter.ts'
import { DEFAULT_RETRY } from '../../runtime/http-retry.ts'
import { type HttpHeaders, readUpTo } from '../../runtime/http-transport.ts'
import { type AnswerFacts, type HttpClient, createHttpClient } from '../../runtime/http.ts'
import type { WebhookConfig } from './config.ts'
import { type Action, jsonBody, pagerDutyBody, slackBody } from './messages.ts'

const CALL_TIMEOUT_MS = 20_000
const ANSWER_BYTES_MAX = 64 * 1024
const CONCURRENT_MAX = 3
/** Slack takes one message a second on a webhook. */
const SLACK_GAP_MS = 1_000
/** Shorter pieces of an address are words, and no secrets. */
const SECRET_CHARACTERS_MIN = 6

type Message = {
  readonly url: URL
  readonly body: string
  readonly headers: HttpHeaders
  /** What no error may repeat. */
  readonly secrets: readonly string[]
}

export type Delivery = {
  /**
   * Null when it was taken, else why it is refused for good, without secrets.
   * @throws PipelineError SINK_UNAVAILABLE when it may be taken later
   */
  send(error: ConnectorError, action: Action): Promise<string | null>
  close(): Promise<void>
}

/** Connects at the first call. */
export function createDelivery(config: WebhookConfig): Delivery {
  const stopping = new AbortController()
  let open: { readonly origin: string; readonly client: HttpClient } | null = null
  let secrets: readonly string[] = []

  const clientFor = async ({ origin }: URL): Promise<HttpClient> => {
    if (open?.origin === origin) return open.client
    const last = open
    open = { origin, client: clientOf(config, origin, stopping.signal, () => secrets) }
    // Another address since: who mends it need not start anew.
    await last?.client.close()
    return open.client
  }

  return {
    async send(error, action) {
      const message = messageOf(config, error, action)
      secrets = message.secrets
      const client = await clientFor(message.url)
      const timeout = AbortSignal.timeout(CALL_TIMEOUT_MS)
      try {
        const { body } = await client.stream('POST', message.url.pathname + message.url.search, {
          raw: { contentType: 'application/json', body: message.body },
          headers: message.headers,
          accept: '*/*',
          stage: 'SINK',
          signal: timeout,
        })
        // To its end, or the limiter would count the call as one that goes on.
        await readUpTo(body, ANSWER_BYTES_MAX)
        return null
      } catch (thrown) {
        if (timeout.aborted) throw away(config, `no answer within ${CALL_TIMEOUT_MS} ms`)
        return refusalOf(config, message, thrown)
      }
    },
    async close() {
      stopping.abort()
      await open?.client.close()
      open = null
    },
  }
}

function clientOf(
  config: WebhookConfig,
  origin: string,
  signal: AbortSignal,
  secrets: () => readonly string[],
): HttpClient {
  const gapMs = config.format === 'slack' ? SLACK_GAP_MS : 0
  return createHttpClient({
    baseUrl: origin,
    connection: config.name,
    connectionsMax: CONCURRENT_MAX,
    ...transportSettings(config),
    limiter: limiterFor(`webhook ${config.name} ${origin}`, {
      concurrentMax: CONCURRENT_MAX,
      gapMs,
      window: null,
    }),
    authenticate: async () => ({}),
    onUnauthorized: async () => undefined,
    classify: refused,
    requestIdHeaders: [],
    // Here too: what the receiver repeats is cut later, and might be in the middle of one.
    redact: redactor(secrets),
    // One try: whoever hands out batches tries again, with pauses that keep the membership.
    retry: { ...DEFAULT_RETRY, attemptsMax: {} },
    nowMs: Date.now,
    onFault: () => undefined,
    onSuccess: () => undefined,
    signal,
  })
}

function refused({ status, text }: AnswerFacts) {
  if (status >= 200 && status < 300) return null
  const isLater = status === 408 || status >= 500
  const failure =
    status === 429 ? 'TOO_MANY_REQUESTS' : isLater ? 'TEMPORARY_FAILURE' : 'BAD_REQUEST'
  return { failure, vendorCode: null, vendorMessage: text, vendorExtra: null } as const
}

function messageOf(config: WebhookConfig, error: ConnectorError, action: Action): Message {
  switch (config.format) {
    case 'slack': {
      const url = secretUrl(config.name, config.url)
      return messageTo(url, slackBody(error, action))
    }
    case 'pagerduty': {
      const url = new URL('/v2/enqueue', withScheme(config.eventsUrl))
      const routingKey = resolveSecret(config.routingKey)
      return { ...messageTo(url, pagerDutyBody(error, action, routingKey)), secrets: [routingKey] }
    }
    case 'json': {
      const message = messageTo(secretUrl(config.name, config.url), jsonBody(error, action))
      if (config.signingKey === undefined) return message
      const key = resolveSecret(config.signingKey)
      const headers = signature(key, message.body, Date.now())
      return { ...message, headers, secrets: [...message.secrets, key] }
    }
  }
}

/**
 * `x-exposure-signature: v1=<hex>` is the HMAC-SHA256 of `<x-exposure-timestamp>.<body>`; the time,
 * in seconds, is in it so that a call overheard cannot be made again later.
 */
function signature(key: string, body: string, nowMs: number): HttpHeaders {
  const timestamp = String(Math.floor(nowMs / 1_000))
  const hex = createHmac('sha256', key).update(`${timestamp}.${body}`).digest('hex')
  return { 'x-exposure-timestamp': timestamp, 'x-exposure-signature': `v1=${hex}` }
}

function messageTo(url: URL, body: object): Message {
  const pieces = [...url.pathname.split('/'), ...url.searchParams.values()]
  const secrets = pieces.filter((piece) => piece.length >= SECRET_CHARACTERS_MIN)
  return { url, body: JSON.stringify(body), headers: {}, secrets }
}

function secretUrl(name: string, reference: string): URL {
  const url = URL.parse(resolveSecret(reference))
  const isHttp = url !== null && /^https?:$/.test(url.protocol)
  if (isHttp && url.username === '' && url.password === '') return url
  // Without the text itself: it may be the secret at the wrong place.
  const whose = `the address of webhook ${name} (${reference})`
  if (!isHttp) throw new PipelineError('CONFIGURATION', 'SINK', `${whose} is no http or https URL`)
  // Left out of the call in silence, they would only be missed by the receiver.
  throw new PipelineError('CONFIGURATION', 'SINK', `${whose} holds a user, which is never sent`, {
    remediation:
      'Take them out of it: use a receiver with a secret path, or one of signed messages.',
  })
}

/** @throws PipelineError when it was no answer about this record */
function refusalOf(config: WebhookConfig, message: Message, thrown: unknown): string {
  if (!(thrown instanceof PipelineError)) throw thrown
  const { origin, pathname, search } = message.url
  // The address names the secret; the error itself goes no further, as a cause would be logged.
  const text = thrown.message.replaceAll(origin + pathname + search, origin)
  const safe = redactor(() => message.secrets)(text)
  if (thrown.failure === 'BAD_REQUEST') return safe
  throw away(config, safe, thrown.details.retryAfterMs)
}

const away = ({ name }: WebhookConfig, text: string, retryAfterMs?: number) =>
  new PipelineError('SINK_UNAVAILABLE', 'SINK', `webhook ${name}: ${text}`, {
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    remediation:
      'Nothing to do yet: it is tried again. If it lasts, check the address of the webhook.',
  })
