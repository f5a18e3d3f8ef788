// Bulk requests: packed by size, and the answer to every single operation judged.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import type { Rejection } from '../../contracts/ports.ts'
import { type StoreClient, type StoreFault, reasonOf } from './client.ts'
import type { Operation, Removal } from './plan.ts'

/** More does not go faster, and the store holds every request in memory. */
const BULK_BYTES_MAX = 5 * 1024 * 1024
const NDJSON = 'application/x-ndjson'
const TOO_LARGE = 413

const fault = z.looseObject({ type: z.string().optional(), reason: z.string().optional() })
const bulkAnswer = z.object({
  items: z.array(z.record(z.string(), z.object({ status: z.int(), error: fault.optional() }))),
})
const BULK_PATH = '/_bulk'
const BULK_QUERY = { filter_path: 'items.*.status,items.*.error.type,items.*.error.reason' }

/**
 * Writes all of them, in order. Resolves with those that the store refuses for good.
 * @throws PipelineError SINK_UNAVAILABLE when one of them could not be written now
 */
export async function sendAll(
  client: StoreClient,
  operations: readonly Operation[],
): Promise<Rejection[]> {
  const rejections: Rejection[] = []
  for (const request of packed(operations)) rejections.push(...(await send(client, request)))
  return rejections
}

function packed(operations: readonly Operation[]): Operation[][] {
  const requests: Operation[][] = []
  let bytes = Infinity
  for (const operation of operations) {
    const own = Buffer.byteLength(operation.lines)
    if (bytes + own > BULK_BYTES_MAX) {
      requests.push([])
      bytes = 0
    }
    requests.at(-1)?.push(operation)
    bytes += own
  }
  return requests
}

async function send(client: StoreClient, request: readonly Operation[]): Promise<Rejection[]> {
  const body = request.map(({ lines }) => lines).join('')
  let answer: unknown
  try {
    const raw = { contentType: NDJSON, body }
    answer = await client.call('POST', BULK_PATH, { query: BULK_QUERY, raw })
  } catch (error) {
    if (!(error instanceof PipelineError) || error.details.http?.status !== TOO_LARGE) throw error
    return await halved(client, request)
  }
  const { items } = parsed(bulkAnswer, answer)
  if (items.length !== request.length) {
    throw unavailable(`it answered ${items.length} of ${request.length} operations`)
  }
  return request.flatMap(({ index }, i) => verdictOn(index, Object.values(items[i] ?? {})[0]))
}

/** The store, or a proxy before it, takes less at once than we send. */
async function halved(client: StoreClient, request: readonly Operation[]): Promise<Rejection[]> {
  const [first] = request
  if (first === undefined) return []
  if (request.length === 1) {
    const bytes = Buffer.byteLength(first.lines)
    return [{ index: first.index, reason: `the store takes no document of ${bytes} bytes` }]
  }
  const middle = request.length >> 1
  const rejections = await send(client, request.slice(0, middle))
  return [...rejections, ...(await send(client, request.slice(middle)))]
}

type Item = { readonly status: number; readonly error?: StoreFault | undefined }

function verdictOn(index: number, item: Item | undefined): Rejection[] {
  if (item === undefined) throw unavailable('it did not answer an operation')
  const { status, error } = item
  if (status >= 200 && status < 300) return []
  // 409: this revision or a newer one is there already. 404: so is nothing that was to be removed.
  if (status === 409 || (status === 404 && error === undefined)) return []
  if (status === 400 && !isOfIndex(error)) return [{ index, reason: reasonOf(error) }]
  throw unavailable(`${status} ${reasonOf(error)}`)
}

/** Closed, or the cluster has no room for another shard. */
const OF_INDEX: readonly unknown[] = ['index_closed_exception', 'validation_exception']
/** The name is an alias of several indices by now; the type is that of many other faults. */
const NO_TARGET = 'no write index is defined'

/** 400 as well, and no fault of the document: every other one would be refused like it. */
const isOfIndex = ({ type, reason }: StoreFault = {}): boolean =>
  OF_INDEX.includes(type) || (typeof reason === 'string' && reason.startsWith(NO_TARGET))

const unavailable = (what: string) =>
  new PipelineError('SINK_UNAVAILABLE', 'SINK', `writing to OpenSearch: ${what}`)

function parsed<T>(schema: z.ZodType<T>, answer: unknown): T {
  const result = schema.safeParse(answer)
  if (result.success) return result.data
  throw unavailable('its answer is not that of OpenSearch')
}

const multiGetAnswer = z.object({
  docs: z.array(
    z.object({
      found: z.boolean().optional(),
      _version: z.int().optional(),
      _source: z
        .object({ kafka: z.object({ topic: z.string(), partition: z.int(), offset: z.string() }) })
        .optional(),
      error: fault.optional(),
    }),
  ),
})

/**
 * Deletions of what is older than its tombstone. A tombstone has no revision: it removes the one
 * that is there, unless that stands behind it in the log, as when the batch comes again; and
 * never one that is written meanwhile.
 */
export async function deletionsOf(
  client: StoreClient,
  removals: readonly Removal[],
): Promise<Operation[]> {
  if (removals.length === 0) return []
  const docs = removals.map(({ store, uid }) => ({
    _index: store.name,
    _id: uid,
    _source: ['kafka'],
  }))
  const answer = parsed(multiGetAnswer, await client.call('POST', '/_mget', { body: { docs } }))
  return removals.flatMap((removal, i): Operation[] => {
    const found = answer.docs[i]
    if (found?.error !== undefined && found.error.type !== 'index_not_found_exception') {
      throw unavailable(reasonOf(found.error))
    }
    if (found?.found !== true || found._version === undefined) return []
    const origin = found._source?.kafka
    const isSamePlace = origin?.topic === removal.topic && origin.partition === removal.partition
    if (isSamePlace && BigInt(origin.offset) > removal.offset) return []
    const target = { _index: removal.store.name, _id: removal.uid }
    const guard = { version: found._version, version_type: 'external_gte' }
    const lines = `${JSON.stringify({ delete: { ...target, ...guard } })}\n`
    return [{ index: removal.index, lines }]
  })
}
