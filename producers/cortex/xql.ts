// XQL: starts a query, waits for its result, and reads the rows, inline or as a stream.
import { z } from 'zod'
import { type Failure, PipelineError } from '../../contracts/errors.ts'
import type { PullContext } from '../../contracts/ports.ts'
import { type PageElement, type PageEnd, pageElements } from '../../runtime/http-elements.ts'
import { Tries } from '../../runtime/http-retry.ts'
import { peelGzip } from '../../runtime/http-transport.ts'
import { countOf, memberAt } from '../../runtime/json-members.ts'
import { isObject } from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { isMissingDataset, isQuotaSpent } from './errors.ts'

const QUOTA_PATH = '/public_api/v1/xql/get_quota/'
const START_PATH = '/public_api/v1/xql/start_xql_query/'
export const RESULTS_PATH = '/public_api/v1/xql/get_query_results/'
export const STREAM_PATH = '/public_api/v1/xql/get_query_results_stream/'
/** The vendor gives no more rows than this, and does not say that there are more. */
export const RESULT_ROWS_MAX = 1_000_000

const POLL_FIRST_MS = 1_000
const POLL_GROWTH = 1.5
const POLL_MS_MAX = 3_000
const POLL_TOTAL_MS_MAX = 600_000
/** In transport and in the payload; the transport's own is gone when its header said so. */
const GZIP_LAYERS_MAX = 2
const WORDS_DEPTH_MAX = 4
const WORDS_CHARACTERS_MAX = 300

export type XqlQuery = { readonly query: string; readonly windowMs: number }
export type XqlEnd = {
  /** Rows that the vendor says there are; null when it does not. */
  readonly declared: number | null
  /** False when some tenant of several did not answer. */
  readonly whole: boolean
  readonly endpoint: string
}
type Context = Pick<PullContext, 'signal' | 'nowMs'>

const startReply = z.union([z.string().min(1), z.looseObject({ query_id: z.string().min(1) })])

/** @throws PipelineError NOT_LICENSED when the dataset is not there */
async function start(client: CortexClient, xql: XqlQuery, context: Context): Promise<string> {
  const timeframe = { relativeTime: xql.windowMs }
  const { value } = await client.http.json('POST', START_PATH, {
    body: { request_data: { query: xql.query, tenants: [], timeframe } },
    signal: context.signal,
  })
  const reply = startReply.safeParse(memberAt(value, ['reply']))
  if (!reply.success) {
    throw new PipelineError('INVALID_RESPONSE', 'FETCH', 'the query got no id')
  }
  return typeof reply.data === 'string' ? reply.data : reply.data.query_id
}

type Result = { readonly status: string; readonly reply: unknown; readonly end: PageEnd }

/**
 * The rows of a query. After a broken stream the result is asked for anew and all rows come once
 * more, under the next `attempt`.
 * @throws PipelineError when query or stream fail for good
 */
export async function* xqlRows(
  client: CortexClient,
  xql: XqlQuery,
  context: Context,
): AsyncGenerator<PageElement, XqlEnd> {
  const queryId = await start(client, xql, context)
  const tries = new Tries()
  for (let attempt = 1; ; attempt += 1) {
    try {
      return yield* fetchOnce(client, queryId, attempt, context)
    } catch (error) {
      await client.http.recover(error, tries, { signal: context.signal })
    }
  }
}

async function* fetchOnce(
  client: CortexClient,
  queryId: string,
  attempt: number,
  context: Context,
): AsyncGenerator<PageElement, XqlEnd> {
  const { status, reply, end } = yield* finished(client, queryId, attempt, context)
  const declared = countOf(memberAt(reply, ['number_of_results']))
  const streamId = memberAt(reply, ['results', 'stream_id'])
  const whole = status !== 'PARTIAL_SUCCESS'
  if (typeof streamId !== 'string') {
    if (!end.beside.found) throw broken('the result has neither rows nor a stream')
    return { declared, whole, endpoint: RESULTS_PATH }
  }
  const rows = pageElements(client.http, {
    method: 'POST',
    path: STREAM_PATH,
    options: {
      body: { request_data: { stream_id: streamId, is_gzip_compressed: true } },
      signal: context.signal,
    },
    at: 'lines',
    decode: (body) => peelGzip(body, GZIP_LAYERS_MAX),
    verify: ({ count }) => rowsComplete(count, declared),
    // A stream that broke is asked for anew by its query: nothing says that an id serves twice.
    fetchesMax: 1,
    nowMs: context.nowMs,
  })
  yield* renumbered(rows, attempt)
  return { declared, whole, endpoint: STREAM_PATH }
}

/** Asks until the query is done; gives rows that come in the answer itself. */
async function* finished(
  client: CortexClient,
  queryId: string,
  attempt: number,
  context: Context,
): AsyncGenerator<PageElement, Result> {
  const body = {
    request_data: {
      query_id: queryId,
      pending_flag: true,
      limit: RESULT_ROWS_MAX,
      format: 'json',
    },
  }
  let waitMs = POLL_FIRST_MS
  for (let waitedMs = 0; waitedMs <= POLL_TOTAL_MS_MAX; waitedMs += waitMs) {
    const rows = pageElements(client.http, {
      method: 'POST',
      path: RESULTS_PATH,
      options: { body, signal: context.signal },
      at: ['reply', 'results', 'data'],
      verify: ({ beside, count }) => {
        const declared = countOf(memberAt(beside.value, ['reply', 'number_of_results']))
        if (beside.found) rowsComplete(count, declared)
      },
      fetchesMax: 1,
      nowMs: context.nowMs,
    })
    const end = yield* renumbered(rows, attempt)
    const reply = memberAt(end.beside.value, ['reply'])
    const status = memberAt(reply, ['status'])
    if (status === 'SUCCESS' || status === 'PARTIAL_SUCCESS') return { status, reply, end }
    if (status === 'FAIL' || status === 'FAILED') throw failed(end.beside.value)
    if (typeof status !== 'string') throw broken('the result has no status')
    await client.sleep(waitMs, context.signal)
    waitMs = Math.min(waitMs * POLL_GROWTH, POLL_MS_MAX)
  }
  throw broken(`the query was not done after ${POLL_TOTAL_MS_MAX / 60_000} minutes`)
}

/** The rows with the number of the whole try instead of that of one request. */
async function* renumbered(
  rows: AsyncGenerator<PageElement, PageEnd>,
  attempt: number,
): AsyncGenerator<PageElement, PageEnd> {
  try {
    for (;;) {
      const next = await rows.next()
      if (next.done === true) return next.value
      yield { ...next.value, attempt }
    }
  } finally {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a return value nobody reads
    await rows.return(undefined as never)
  }
}

/** Fewer rows than declared is a stream that ended early without saying so. */
function rowsComplete(count: number, declared: number | null): void {
  if (declared === null || count >= declared) return
  throw new PipelineError(
    'TEMPORARY_FAILURE',
    'FETCH',
    `the result has ${count} rows of ${declared} declared`,
  )
}

const broken = (what: string): PipelineError =>
  new PipelineError('TEMPORARY_FAILURE', 'FETCH', `XQL: ${what}`)

/** A query that ran and failed: the text may name the dataset that is not there. */
function failed(answer: unknown): PipelineError {
  const text = JSON.stringify(answer)
  const words = wordsOf(answer, 0)
  const message = `XQL: FAIL${words === null ? '' : `: ${words.slice(0, WORDS_CHARACTERS_MAX)}`}`
  return new PipelineError(failureOf(text), 'FETCH', message)
}

function failureOf(text: string): Failure {
  if (isMissingDataset(text)) return 'NOT_LICENSED'
  if (isQuotaSpent(text)) return 'QUOTA_EXHAUSTED'
  return /no viable alternative|syntax/i.test(text) ? 'BAD_REQUEST' : 'TEMPORARY_FAILURE'
}

/** What the vendor says of a failed query, wherever in the answer it stands. */
function wordsOf(value: unknown, depth: number): string | null {
  if (!isObject(value) || depth > WORDS_DEPTH_MAX) return null
  for (const name of ['err_extra', 'err_msg', 'message', 'error', 'err']) {
    const words = value[name]
    if (typeof words === 'string' && words !== '') return words
  }
  for (const member of Object.values(value)) {
    const words = wordsOf(member, depth + 1)
    if (words !== null) return words
  }
  return null
}

const quota = z.looseObject({
  license_quota: z.number().catch(0),
  additional_purchased_quota: z.number().catch(0),
  eval_quota: z.number().catch(0),
  used_quota: z.number().catch(0),
  daily_used_quota: z.number().optional().catch(undefined),
})

/**
 * Asks for the tenant's compute units before any are spent. A tenant that does not tell them, or
 * tells none, is not held back.
 * @throws PipelineError QUOTA_EXHAUSTED
 */
export async function requireQuota(client: CortexClient, context: Context): Promise<void> {
  const { signal } = context
  let reply: unknown
  try {
    const options = { body: { request_data: {} }, signal, quiet: true, attemptsMax: 1 }
    reply = memberAt((await client.http.json('POST', QUOTA_PATH, options)).value, ['reply'])
  } catch (error) {
    // Not every key may read it. What else may be wrong shows at the query.
    if (error instanceof PipelineError && !signal.aborted) return
    throw error
  }
  const told = quota.safeParse(reply)
  if (!told.success) return
  const { license_quota, additional_purchased_quota, eval_quota } = told.data
  const unitsMax = license_quota + additional_purchased_quota + eval_quota
  const used = told.data.daily_used_quota ?? told.data.used_quota
  if (unitsMax <= 0 || used < unitsMax) return
  const message = `XQL: ${used} of ${unitsMax} compute units of the day are used`
  throw new PipelineError('QUOTA_EXHAUSTED', 'FETCH', message)
}
