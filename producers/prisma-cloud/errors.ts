// Prisma Cloud's refusals: six shapes of error bodies, and the table from status to failure.
import { z } from 'zod'
import type { Failure } from '../../contracts/errors.ts'
import type { AnswerFacts, Refusal } from '../../runtime/http.ts'

type VendorWords = Pick<Refusal, 'vendorCode' | 'vendorMessage' | 'vendorExtra'>
const NO_WORDS: VendorWords = { vendorCode: null, vendorMessage: null, vendorExtra: null }

const words = z.union([z.string(), z.number()]).transform(String).nullish().catch(null)
/**
 * `x-redlock-status: [{"i18nKey":"invalid_id","severity":"error","subject":null}]`
 * @see https://pan.dev/prisma-cloud/api/cspm/api-errors/ (read 2026-11)
 */
const redlockStatus = z
  .array(z.looseObject({ i18nKey: words, subject: z.unknown().optional() }))
  .min(1)
/** `{error:{code,message}}`, `{code,message,target}`, Spring's, problem details, `{err}`. */
const errorBody = z.looseObject({
  err: words,
  code: words,
  message: words,
  target: words,
  title: words,
  detail: words,
  error: z
    .union([
      z.looseObject({ code: words, message: words, target: words }),
      z.string().transform((message) => ({ code: null, message, target: null })),
    ])
    .nullish()
    .catch(null),
})

/** What the vendor says of the error, whichever shape it has. */
export function vendorWords(answer: Pick<AnswerFacts, 'headers' | 'text'>): VendorWords {
  const status = redlockStatus.safeParse(parsed(answer.headers['x-redlock-status'] ?? ''))
  const first = status.success ? status.data[0] : undefined
  if (first !== undefined) {
    const extra = first.subject == null ? null : JSON.stringify(first.subject)
    const key = first.i18nKey ?? null
    return { vendorCode: key, vendorMessage: key, vendorExtra: extra ?? null }
  }
  const body = errorBody.safeParse(parsed(answer.text))
  if (!body.success) return NO_WORDS
  const { err, code, message, target, title, detail, error } = body.data
  return {
    vendorCode: error?.code ?? code ?? null,
    vendorMessage: err ?? error?.message ?? message ?? title ?? null,
    vendorExtra: error?.target ?? target ?? detail ?? null,
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const BY_STATUS: Readonly<Record<number, Failure>> = {
  401: 'AUTHORIZATION_FAILURE',
  403: 'ACCESS_FORBIDDEN',
  404: 'NOT_FOUND',
  408: 'TEMPORARY_FAILURE',
  425: 'TEMPORARY_FAILURE',
  429: 'TOO_MANY_REQUESTS',
}

function failureOf(status: number): Failure {
  const known = BY_STATUS[status]
  if (known !== undefined) return known
  if (status >= 500) return 'TEMPORARY_FAILURE'
  // A redirect leads to a log-in page: this is not the API's host.
  return status < 400 ? 'NOT_FOUND' : 'BAD_REQUEST'
}

const HTML_HINT =
  'A web page came instead of data: look for a proxy or a log-in page that answers in place of the API. It is tried again.'

/** The table. Null for a success. */
export function classify(answer: AnswerFacts): Refusal | null {
  const { status, text, headers } = answer
  if (status >= 200 && status < 300) {
    const isHtml = /^\s*</.test(text) || /\bhtml\b/i.test(headers['content-type'] ?? '')
    if (!isHtml) return null
    const vendorMessage = 'a web page instead of data'
    return { ...NO_WORDS, failure: 'TEMPORARY_FAILURE', vendorMessage, remediation: HTML_HINT }
  }
  return { ...vendorWords(answer), failure: failureOf(status) }
}
