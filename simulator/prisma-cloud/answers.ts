// How Prisma Cloud words its errors: CSPM in a header, Compute in `{"err"}`, gateways in HTML.
import { type Answer, html, json, text } from '../delivery.ts'
import type { StatusAnswer } from '../faults.ts'

export type Side = 'cspm' | 'compute'
const RETRY_AFTER_S = '1'

/** CSPM's form: the keys in `x-redlock-status`, the body empty. */
export const redlock = (status: number, i18nKey: string, subject: string | null = null): Answer =>
  text(status, '', {
    'x-redlock-status': JSON.stringify([{ i18nKey, severity: 'error', subject }]),
    'x-redlock-request-id': 'simulated-request',
  })

/** Compute's form. */
export const computeError = (status: number, err: string): Answer => json(status, { err })

/** 404 of Compute: no body at all. */
export const nothingThere = (): Answer => text(404, '')

/** The answer for a status set as a fault, as `side` words it. */
export function statusAnswer(answer: StatusAnswer, side: Side): Answer {
  switch (answer) {
    case 'unauthorized':
      return side === 'cspm'
        ? redlock(401, 'invalid_credentials')
        : computeError(401, 'invalid credentials')
    case 'forbidden':
      return side === 'cspm' ? redlock(403, 'forbidden') : computeError(403, 'not authorized')
    case 'not-found':
      return side === 'cspm' ? html(404, 'Not Found') : nothingThere()
    case 'too-many-requests':
      return limited(side, {})
    case 'too-many-requests-with-headers':
      return limited(side, { 'retry-after': RETRY_AFTER_S })
    case 'too-many-requests-html':
      return html(429, 'Too Many Requests')
    case 'waitress':
    case 'no-identity-threat':
    case 'parallel-queries':
    case 'quota-exhausted':
      return side === 'cspm' ? redlock(500, 'internal_error') : text(500, '')
    case 'bad-gateway':
      return html(502, 'Bad Gateway')
    case 'unavailable':
      return text(503, '', { 'retry-after': RETRY_AFTER_S })
    case 'html-ok':
      return html(200, 'Please log in')
    case 'payload-too-large':
      return html(413, 'Request Entity Too Large')
    case 'uri-too-long':
      return html(414, 'Request-URI Too Large')
  }
}

/** 429 as `side` says it; CSPM tells its bucket. */
export function limited(side: Side, headers: Record<string, string>): Answer {
  if (side === 'compute') return { ...computeError(429, 'too many requests'), headers }
  return text(429, '', {
    'x-ratelimit-remaining': '0',
    'x-ratelimit-burst-capacity': '10',
    'x-ratelimit-replenish-rate': '2',
    'x-ratelimit-requested-tokens': '1',
    ...headers,
  })
}
