// The sink for OpenSearch and Elasticsearch: the current state by uid, and the log of changes.
import { PipelineError } from '../../contracts/errors.ts'
import type { OpenSink, Rejection, Sink, SinkBatch } from '../../contracts/ports.ts'
import { auditOpenSearch } from './audit.ts'
import { deletionsOf, sendAll } from './bulk.ts'
import { type StoreClient, connectStore } from './client.ts'
import type { OpenSearchConfig } from './config.ts'
import { type Index, type Indices, indicesOf, mappingOf, templateOf } from './indices.ts'
import { planOf } from './plan.ts'

/**
 * The revision is the version of its document: the store itself refuses an older one, so that a
 * batch written again changes nothing. It keeps no offsets.
 */
export function createOpenSearchSink(config: OpenSearchConfig): Sink {
  return {
    name: 'opensearch',
    kinds: ['asset', 'finding', 'connector-error'],
    async open() {
      const client = connectStore(config)
      const indices = indicesOf(config)
      try {
        for (const index of Object.values(indices)) await prepare(client, index, config)
      } catch (error) {
        await client.close()
        throw error
      }
      return openSink(client, indices, config)
    },
    audit: async () => auditOpenSearch(config),
  }
}

/** Template first: it is also what makes the next index of a data stream. */
async function prepare(client: StoreClient, index: Index, config: OpenSearchConfig) {
  const template = `/_index_template/${encodeURIComponent(`${index.name}-template`)}`
  const path = index.alias === null ? `/_data_stream/${index.name}` : `/${index.name}`
  await client.call('PUT', template, { body: templateOf(index, config) })
  try {
    await client.call('PUT', path)
  } catch (error) {
    if (!isThereAlready(error)) throw error
    // Made by a version that knew fewer fields; those it has keep their types.
    const body = mappingOf(index, config.flavour)
    await client.call('PUT', `/${index.name}/_mapping`, { body })
  }
}

const isThereAlready = (error: unknown): boolean =>
  error instanceof PipelineError &&
  error.details.http?.vendorCode === 'resource_already_exists_exception'

function openSink(client: StoreClient, indices: Indices, config: OpenSearchConfig): OpenSink {
  const { format } = config
  return {
    storedOffset: async () => null,
    async write(batch: SinkBatch) {
      const { removals, operations, rejections } = planOf({ batch, indices, format })
      const deletions = await deletionsOf(client, removals)
      const refused = await sendAll(client, [...deletions, ...operations])
      return onePerRecord([...rejections, ...refused])
    },
    close: () => client.close(),
  }
}

/** A finding is two operations, and both may be refused. */
function onePerRecord(rejections: readonly Rejection[]): Rejection[] {
  const first = new Map<number, Rejection>()
  for (const one of rejections) if (!first.has(one.index)) first.set(one.index, one)
  return [...first.values()].toSorted((a, b) => a.index - b.index)
}
