// XQL: start a query, ask for its result, fetch a long result as NDJSON; quota and datasets.
import { gzipSync } from 'node:zlib'
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import { type Answer, json } from '../delivery.ts'
import type { TenantSlot } from '../estate.ts'
import { ROWS_HERE, type Row, jsonAround, pageRows, shownRows } from '../rows.ts'
import type { Call } from '../site.ts'
import type { World } from '../world.ts'
import {
  TOO_MANY_QUERIES,
  invalidJson,
  notFound,
  replyError,
  statusAnswer,
  waitress,
  xqlError,
} from './answers.ts'
import { type RequestData, requestData } from './request.ts'
import type { FindingsBehaviour } from './xql-behaviour.ts'
import { parseXql, runXql } from './xql-query.ts'
import { datasetRows } from './xql-rows.ts'

export type XqlOptions = {
  readonly world: World
  readonly tenant: TenantSlot
  readonly tenantName: string
  /** Results asked for before a query is done. */
  readonly pendingPolls: number
  readonly inlineRowsMax: number
  readonly behaviour: FindingsBehaviour
}

export type Xql = {
  readonly start: (call: Call) => Answer
  readonly results: (call: Call) => Answer
  readonly stream: (call: Call) => Answer
  readonly quota: () => Answer
  readonly datasets: () => Answer
}

type Query = {
  readonly id: string
  readonly streamId: string
  readonly rows: readonly Row[]
  readonly declared: number
  readonly startedMs: number
  pollsLeft: number
}

const PARALLEL_MAX = 4
/** A query nobody asks for is done after this long. */
const RUNNING_MS_MAX = 60_000
/** Results kept; older ones are forgotten. */
const QUERIES_MAX = 100
const RESULT_ROWS_MAX = 1_000_000
const STREAM_BLOCK_BYTES = 64 * 1024
const COST_UNITS = 0.0016

const startSchema = z.looseObject({ query: z.string().min(1) })
const resultsSchema = z.looseObject({
  query_id: z.string(),
  pending_flag: z.boolean().default(true),
  limit: z.int().min(1).optional(),
})
const streamSchema = z.looseObject({
  stream_id: z.string(),
  is_gzip_compressed: z.boolean().default(false),
})

/** The XQL engine of one tenant. */
export function createXql(options: XqlOptions): Xql {
  const queries = new Map<string, Query>()
  const use = { started: 0, rejected: 0 }
  const { datasets, quotaUnits } = options.behaviour
  const remaining = () => Math.max(0, quotaUnits - use.started * COST_UNITS)
  const running = (nowMs: number) =>
    [...queries.values()].filter((q) => q.pollsLeft > 0 && nowMs - q.startedMs < RUNNING_MS_MAX)
  return {
    start: (call) =>
      withData(call, startSchema, ({ query }) => {
        if (running(call.nowMs).length >= PARALLEL_MAX) {
          use.rejected += 1
          return tooManyQueries(use, remaining())
        }
        if (remaining() === 0) return statusAnswer('quota-exhausted')
        use.started += 1
        return start(options, queries, use.started, query, call)
      }),
    results: (call) =>
      withData(call, resultsSchema, (data) => results(options, queries, remaining(), data, call)),
    stream: (call) =>
      withData(call, streamSchema, (data) => {
        const found = [...queries.values()].find((q) => q.streamId === data.stream_id)
        if (found === undefined) return notFound('Stream id does not exist')
        return stream(pageRows(shownRows(found.rows, call.fault).rows, call.fault), data)
      }),
    quota: () =>
      json(200, {
        reply: {
          license_quota: quotaUnits,
          additional_purchased_quota: 0,
          used_quota: use.started * COST_UNITS,
          eval_quota: 0,
          daily_used_quota: use.started * COST_UNITS,
          total_daily_running_queries: use.started,
          total_daily_concurrent_rejected_queries: use.rejected,
          current_concurrent_active_queries_count: 0,
          max_daily_concurrent_active_query_count: PARALLEL_MAX,
        },
      }),
    datasets: () => json(200, { reply: [...datasets, 'xdr_data'].map(datasetRow) }),
  }
}

const datasetRow = (name: string) => ({
  'Dataset Name': name,
  Type: 'SYSTEM',
  'Log Update Type': 'CURRENT',
  'Default Query Target': name === 'xdr_data' ? 'TRUE' : 'FALSE',
})

function withData<T>(call: Call, schema: z.ZodType<T>, answer: (data: T) => Answer): Answer {
  const request: RequestData | null = requestData(call.body, false)
  if (request === null) return waitress()
  if ('invalid' in request) return invalidJson(request.invalid)
  const given = schema.safeParse(request.data)
  return given.success ? answer(given.data) : waitress()
}

const tooManyQueries = (use: { started: number; rejected: number }, remaining: number): Answer =>
  xqlError({
    err_msg: TOO_MANY_QUERIES,
    query_cost: 0,
    remaining_quota: remaining,
    total_daily_running_queries: use.started,
    total_daily_concurrent_rejected_queries: use.rejected,
  })

function start(
  options: XqlOptions,
  queries: Map<string, Query>,
  number: number,
  text: string,
  call: Call,
): Answer {
  let rows: readonly Row[]
  let declared: number
  try {
    const query = parseXql(text)
    const { datasets } = options.behaviour
    if (query.dataset !== 'xdr_data' && !datasets.some((name) => name === query.dataset)) {
      return xqlError(`Dataset ${query.dataset} does not exist`)
    }
    const all = datasetRows(options.world, options.tenant, query.dataset, datasets)
    const shown = shownRows(all, call.fault)
    const { files } = options.world
    const fixed = query.dataset === 'va_endpoints' ? 'xdr.findings' : 'cloud.findings'
    rows = runXql(query, shown.rows, files.has(fixed))
    declared = rows.length + shown.declared - shown.rows.length
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error
    return xqlError(error.message)
  }
  const id = `${number.toString(16).padStart(14, '0')}_${options.tenant}_inv`
  const kept = rows.slice(0, RESULT_ROWS_MAX)
  queries.set(id, {
    id,
    streamId: `stream-${id}`,
    rows: kept,
    declared: Math.min(declared, RESULT_ROWS_MAX),
    startedMs: call.nowMs,
    pollsLeft: options.pendingPolls,
  })
  for (const old of [...queries.keys()].slice(0, -QUERIES_MAX)) queries.delete(old)
  return json(200, { reply: id })
}

function results(
  options: XqlOptions,
  queries: Map<string, Query>,
  remaining: number,
  data: z.infer<typeof resultsSchema>,
  call: Call,
): Answer {
  const query = queries.get(data.query_id)
  if (query === undefined) return replyError(500, 'Query id does not exist', null)
  if (data.pending_flag && query.pollsLeft > 0) {
    query.pollsLeft -= 1
    return json(200, { reply: { status: 'PENDING' } })
  }
  query.pollsLeft = 0
  const { ending } = options.behaviour
  if (ending === 'FAIL') return json(200, { reply: failedQuery(remaining) })
  const shown = shownRows(query.rows, call.fault)
  const reply = {
    status: ending,
    query_cost_charged: { [options.tenantName]: COST_UNITS },
    remaining_quota: remaining,
  }
  const { inlineRowsMax } = options
  const short = data.limit !== undefined && data.limit <= inlineRowsMax
  if (!short && query.rows.length > inlineRowsMax) {
    const number_of_results = query.declared
    return json(200, {
      reply: { ...reply, number_of_results, results: { stream_id: query.streamId } },
    })
  }
  // A short limit cuts the result without a word, and the count with it.
  const rows = short ? shown.rows.slice(0, data.limit) : shown.rows
  const undeclared = query.declared - query.rows.length + shown.declared - shown.rows.length
  const number_of_results = rows.length + (rows.length < shown.rows.length ? 0 : undeclared)
  const value = { reply: { ...reply, number_of_results, results: { data: ROWS_HERE } } }
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: jsonAround(value, pageRows(rows, call.fault)),
  }
}

/** A query that began and failed: what the parser says stands as text in the error. */
const failedQuery = (remaining: number) => ({
  status: 'FAIL',
  number_of_results: 0,
  remaining_quota: remaining,
  error: JSON.stringify({
    line: 1,
    column: 19,
    message: "no viable alternative at input 'dataset'",
  }),
})

/** NDJSON in chunks; gzipped here when asked for, and once more in transport when accepted. */
function stream(rows: readonly Row[], data: z.infer<typeof streamSchema>): Answer {
  return {
    status: 200,
    headers: { 'content-type': 'application/octet-stream' },
    body: data.is_gzip_compressed ? zipped(blocks(rows)) : blocks(rows),
  }
}

function* blocks(rows: readonly Row[]): Generator<Buffer> {
  let lines: Buffer[] = []
  let bytes = 0
  for (const row of rows) {
    const line = row.bytes()
    lines.push(line, NEWLINE)
    bytes += line.length + 1
    if (bytes < STREAM_BLOCK_BYTES) continue
    yield Buffer.concat(lines)
    lines = []
    bytes = 0
  }
  if (lines.length > 0) yield Buffer.concat(lines)
}
const NEWLINE = Buffer.from('\n')

/** Each block a gzip member of its own: members set end to end are one gzip file (RFC 1952). */
function* zipped(source: Iterable<Buffer>): Generator<Buffer> {
  for (const block of source) yield gzipSync(block, { level: 1 })
}
