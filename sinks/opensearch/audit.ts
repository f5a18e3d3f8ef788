// What OpenSearch holds of entities now, for `exposure reconcile`.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import type { AuditKind, SinkAudit } from '../../contracts/ports.ts'
import { type StoreClient, connectStore } from './client.ts'
import type { OpenSearchConfig } from './config.ts'
import { type Indices, indicesOf } from './indices.ts'

/** Documents of one request, of which only ids and versions come back. */
const GET_MAX = 1_000
/** An index that is not there yet is one without documents. */
const LENIENT = { ignore_unavailable: 'true', allow_no_indices: 'true' }

const counted = z.object({ count: z.int() })
const found = z.object({ hits: z.object({ hits: z.array(z.object({ _id: z.string() })) }) })
const got = z.object({
  docs: z.array(
    z.object({
      _id: z.string(),
      found: z.boolean().optional(),
      _version: z.int().optional(),
      error: z.looseObject({ type: z.string().optional() }).optional(),
    }),
  ),
})

/** Reads the indices of the current state. @throws PipelineError when caFile cannot be read */
export function auditOpenSearch(config: OpenSearchConfig): SinkAudit {
  const client = connectStore(config)
  const indices = indicesOf(config)
  const ask = async <T>(schema: z.ZodType<T>, path: string, body: object, query = {}) =>
    answerOf(schema, await client.call('POST', path, { body, query }))
  return {
    storedOffset: async () => null,
    async count(kind) {
      await refresh(client, indices, kind)
      const path = `/${indices[kind].name}/_count`
      return (await ask(counted, path, { query: { match_all: {} } }, LENIENT)).count
    },
    async revisions(kind, uids) {
      const revisions = new Map<string, number>()
      for (let at = 0; at < uids.length; at += GET_MAX) {
        const docs = uids
          .slice(at, at + GET_MAX)
          .map((_id) => ({ _index: indices[kind].name, _id, _source: false }))
        for (const doc of (await ask(got, '/_mget', { docs })).docs) {
          if (doc.found === true) revisions.set(doc._id, doc._version ?? 0)
          else if (!isAbsent(doc.error?.type)) throw unavailable(doc.error?.type ?? 'no answer')
        }
      }
      return revisions
    },
    async sample(kind, n, seed) {
      await refresh(client, indices, kind)
      const chosen = { random_score: { seed, field: '_seq_no' }, query: { match_all: {} } }
      const body = { size: n, _source: false, query: { function_score: chosen } }
      const { hits } = await ask(found, `/${indices[kind].name}/_search`, body, LENIENT)
      return hits.hits.map(({ _id }) => _id)
    },
    close: () => client.close(),
  }
}

/** A search sees what was written before the last refresh only. */
const refresh = (client: StoreClient, indices: Indices, kind: AuditKind) =>
  client.call('POST', `/${indices[kind].name}/_refresh`, { query: LENIENT })

const isAbsent = (type: string | undefined): boolean =>
  type === undefined || type === 'index_not_found_exception'

const unavailable = (what: string) =>
  new PipelineError('SINK_UNAVAILABLE', 'SINK', `comparing OpenSearch: ${what}`)

function answerOf<T>(schema: z.ZodType<T>, answer: unknown): T {
  const result = schema.safeParse(answer)
  if (result.success) return result.data
  throw unavailable('its answer is not that of OpenSearch')
}
