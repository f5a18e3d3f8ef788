// Cortex's refusals: the envelopes of its errors, and the table from answer to failure.
import { z } from 'zod'
import type { Failure } from '../../contracts/errors.ts'
import type { AnswerFacts, Refusal } from '../../runtime/http.ts'

export type VendorError = {
  /** `err_code`, which is also the status where a 200 carries an error. */
  readonly code: string | null
  readonly message: string | null
  /** Text as it is; anything else as JSON. */
  readonly extra: string | null
  /** The extra where it is an object. */
  readonly extraFields: Readonly<Record<string, unknown>>
}

const scalar = z.union([z.string(), z.number()]).transform(String).nullish().catch(null)
/** One layer of an envelope; every field may be missing, `err_code` may be a number or a text. */
const layer = z.looseObject({
  err_code: scalar,
  errorCode: scalar,
  status: scalar,
  err_msg: scalar,
  message: scalar,
  error: scalar,
  err_extra: z.unknown().optional(),
  details: z.unknown().optional(),
  metadata: z
    .looseObject({ err_code: scalar, err_extra: z.unknown().optional() })
    .nullish()
    .catch(null),
})

/**
 * `{reply:{err_code,err_msg,err_extra}}`, `{err_code,...}`, `{err_msg,metadata:{...}}`,
 * `{data:{...}}`, `{errorCode,message,details}`, `{error,status}`. Null when it is none of them.
 */
export function vendorError(text: string): VendorError | null {
  const body = fields(parsed(text))
  const inner = [body['reply'], body['data'], body].map(fields)
  for (const candidate of inner) {
    const found = layer.safeParse(candidate)
    if (!found.success) continue
    const { err_code, errorCode, status, err_msg, message, error, metadata } = found.data
    const code = err_code ?? metadata?.err_code ?? errorCode ?? null
    const words = err_msg ?? message ?? error ?? null
    // A reply of data may have a status or a message; only these two together with an error's name.
    if (code === null && err_msg == null && error == null) continue
    const extra = found.data.err_extra ?? metadata?.err_extra ?? found.data.details ?? null
    return {
      code: code ?? status ?? null,
      message: words,
      extra: extra === null || typeof extra === 'string' ? extra : JSON.stringify(extra),
      extraFields: fields(extra),
    }
  }
  return null
}

const fields = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const TOO_MANY = /too many requests|rate limit exceeded/i
const PARALLEL = /parallel running queries/i
const QUOTA = /quota (is )?(exceeded|exhausted|reached)|exceeded .{0,40}quota/i
/** `No identity threat`: the 500 of a module that the tenant has not bought. */
const UNLICENSED =
  /^no (?!such|valid|data|result)[a-z]|not (licensed|enabled|purchased)|licen[cs]e/i
/** The JSON form of a request that the platform does not understand, `0 < search_size <= 100`. */
const OUR_FAULT =
  /search_size|search_from|search_to|unsupported|unknown field|invalid (filter|field)/i
const NO_DATASET = [
  /data ?set.{0,80}(not (found|exist)|does(n't| not) exist|unknown|invalid|no such)/i,
  /(no such|unknown|invalid|unrecognized) data ?set/i,
]

const CALL_ATTEMPTS_MAX = 3
const PARALLEL_ATTEMPTS_MAX = 8
const NOT_THE_API =
  'The address answers as for an unknown path. Check the API URL of the connection (the API host, with one api- in front).'
const KEY_ENDED =
  'This key worked before: most likely it has expired or was deleted. Make a new one, and change what the reference points to.'
const SKEW_MS_MAX = 60_000
const CLOCK_WRONG =
  'An Advanced key proves itself with the time. Set the clock of this machine (NTP), or use a Standard key.'
const HTML_HINT =
  'A web page came instead of data: look for a proxy or a log-in page that answers in place of the API. It is tried again.'

/** What a client knows when its key is refused. */
export type KeyHistory = {
  /** It worked in an earlier process. */
  readonly workedBefore: boolean
  /** Our time where it is part of the key's proof, else null. */
  readonly nowMs: () => number | null
}

/** The table, for one client. A path that has answered well before is no wrong address. */
export function createClassify(
  history: KeyHistory = { workedBefore: false, nowMs: () => null },
): (answer: AnswerFacts) => Refusal | null {
  const worked = new Set<string>()
  return (answer) => {
    const error = vendorError(answer.text)
    const isSuccess = answer.status >= 200 && answer.status < 300
    if (isSuccess && (error === null || !answer.complete)) {
      const refusal = successOrPage(answer)
      if (refusal === null) worked.add(answer.path)
      return refusal
    }
    const words = {
      vendorCode: error?.code ?? null,
      vendorMessage: error?.message ?? null,
      vendorExtra: error?.extra ?? null,
    }
    const status = isSuccess ? codeOf(error) : answer.status
    const verdict = verdictOf(answer, status, error, worked.has(answer.path))
    if (verdict.failure !== 'AUTHORIZATION_FAILURE') return { ...words, ...verdict }
    return { ...words, ...verdict, ...refusedKey(answer, history, worked.size > 0) }
  }
}

/** Why a key that looks right is refused, as far as we can tell. */
function refusedKey(
  { headers }: AnswerFacts,
  { workedBefore, nowMs }: KeyHistory,
  worked: boolean,
): Pick<Refusal, 'hint' | 'remediation'> {
  const theirs = Date.parse(headers['date'] ?? '')
  const ours = nowMs()
  const skewMs = ours === null || Number.isNaN(theirs) ? 0 : ours - theirs
  if (Math.abs(skewMs) > SKEW_MS_MAX) {
    const seconds = Math.round(Math.abs(skewMs) / 1_000)
    const hint = `our clock is ${seconds} s ${skewMs > 0 ? 'ahead of' : 'behind'} the vendor's`
    return { hint, remediation: CLOCK_WRONG }
  }
  if (!worked && !workedBefore) return {}
  return { hint: 'this key worked before: it has probably expired', remediation: KEY_ENDED }
}

/** What a 200 that carries an error means: its own code, as a failed query has words only. */
function codeOf(error: VendorError | null): number {
  const code = Number(error?.code ?? 500)
  return Number.isInteger(code) ? code : 500
}

/** Also for the errors that XQL reports in an answer of its own. */
export const isMissingDataset = (text: string): boolean =>
  NO_DATASET.some((form) => form.test(text))

/** Also for the errors that XQL reports in an answer of its own. */
export const isQuotaSpent = (text: string): boolean =>
  QUOTA.test(text) || /"remaining_quota":\s*(0(\.0*)?|-[\d.]+)\s*[,}]/.test(text)

function successOrPage({ text, headers }: AnswerFacts): Refusal | null {
  const isPage = /^\s*</.test(text) || /\bhtml\b/i.test(headers['content-type'] ?? '')
  if (!isPage) return null
  return {
    failure: 'TEMPORARY_FAILURE',
    vendorCode: null,
    vendorMessage: 'a web page instead of data',
    vendorExtra: null,
    remediation: HTML_HINT,
  }
}

type Verdict = Pick<Refusal, 'failure' | 'attemptsMax' | 'finally' | 'closesGate' | 'remediation'>

const BY_STATUS: Readonly<Record<number, Failure>> = {
  401: 'AUTHORIZATION_FAILURE',
  402: 'NOT_LICENSED',
  403: 'ACCESS_FORBIDDEN',
  408: 'TEMPORARY_FAILURE',
  429: 'TOO_MANY_REQUESTS',
}

function verdictOf(
  answer: AnswerFacts,
  status: number,
  error: VendorError | null,
  worked: boolean,
): Verdict {
  const all = [error?.message, error?.extra].join(' ')
  if (PARALLEL.test(all)) {
    // Four queries of the tenant run: that limits queries, not the calls of everybody else.
    const attemptsMax = PARALLEL_ATTEMPTS_MAX
    return { failure: 'TOO_MANY_REQUESTS', attemptsMax, closesGate: false }
  }
  const known = BY_STATUS[status]
  if (known !== undefined) return { failure: known }
  if (TOO_MANY.test(error === null ? answer.text : all)) return { failure: 'TOO_MANY_REQUESTS' }
  if (isMissingDataset(all)) return { failure: 'NOT_LICENSED' }
  if (status === 404) return { failure: notFound(answer, error) }
  if (status < 400) return { failure: 'NOT_FOUND' }
  if (status < 500) return { failure: 'BAD_REQUEST' }
  if (status === 500) return error === null ? unknownPath(worked) : internalError(error)
  return { failure: 'TEMPORARY_FAILURE' }
}

/** A path without its module answers 404 in the vendor's envelope; another host answers its own. */
function notFound(answer: AnswerFacts, error: VendorError | null): Failure {
  if (error === null || !answer.path.startsWith('/public_api/')) return 'NOT_FOUND'
  // Here it is the query or its stream that is gone, not the path.
  return answer.path.includes('/xql/get_query_results') ? 'TEMPORARY_FAILURE' : 'NOT_LICENSED'
}

/** "generated by waitress": an unknown path or a body it cannot read, but also a passing fault. */
const unknownPath = (worked: boolean): Verdict => ({
  failure: 'TEMPORARY_FAILURE',
  attemptsMax: CALL_ATTEMPTS_MAX,
  ...(worked ? {} : { finally: 'NOT_FOUND', remediation: NOT_THE_API }),
})

function internalError(error: VendorError): Verdict {
  const { extra, extraFields, message } = error
  const remaining = extraFields['remaining_quota']
  if ((typeof remaining === 'number' && remaining <= 0) || QUOTA.test(`${message} ${extra}`)) {
    return { failure: 'QUOTA_EXHAUSTED' }
  }
  const said = typeof extraFields['err_msg'] === 'string' ? extraFields['err_msg'] : (extra ?? '')
  if (UNLICENSED.test(said)) return { failure: 'NOT_LICENSED' }
  if (OUR_FAULT.test(said) || /no viable alternative|syntax error/i.test(`${said} ${message}`)) {
    return { failure: 'BAD_REQUEST' }
  }
  return { failure: 'TEMPORARY_FAILURE', attemptsMax: CALL_ATTEMPTS_MAX }
}
