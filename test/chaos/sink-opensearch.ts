// OpenSearch for the scenario of sinks: the node that is given, or one of this seed's own.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { findJava, usualPlaces } from '../../stack/java.ts'
import { startNativeOpenSearch } from '../../stack/native-opensearch.ts'
import { defaultCacheDir, getPackage } from '../../stack/packages.ts'
import { type Held, type OpenSinkStore, onceEach } from './sink-store.ts'

const CALL_TIMEOUT_MS = 30_000
const HITS_MAX = 10_000

type Source = {
  readonly exposure?: { readonly status: string }
  readonly event?: { readonly id: string }
  readonly metadata?: { readonly uid: string }
}
type Hit = { readonly _id: string; readonly _version: number; readonly _source: Source }

export const openSearchStore: OpenSinkStore = async ({ folder }) => {
  const node = await nodeIn(folder)
  if (node === null) return null
  const prefix = `c${randomBytes(5).toString('hex')}`
  const call = (method: string, path: string, body?: unknown) =>
    callAt(node.url, method, path, body)
  const hitsIn = async (index: string): Promise<readonly Hit[]> => {
    await call('POST', `/${index}/_refresh`)
    const search = { size: HITS_MAX, version: true, query: { match_all: {} } }
    const answer = await call('POST', `/${index}/_search`, search)
    return (answer as { hits: { hits: Hit[] } }).hits.hits
  }
  const held = async (): Promise<Held> => {
    const hits = [...(await hitsIn(`${prefix}-assets`)), ...(await hitsIn(`${prefix}-findings`))]
    return new Map(
      hits.map(({ _id, _version, _source }) => [_id, `${_version} ${_source.exposure?.status}`]),
    )
  }
  // ECS documents keep the words of the event itself.
  const settings = { opensearch: { url: node.url, prefix, replicas: 0, format: 'ecs' } }
  return {
    name: 'opensearch',
    settings,
    env: {},
    async look({ now, eventIds }) {
      const changes = await hitsIn(`logs-${prefix}.finding-default`)
      const errors = await hitsIn(`logs-${prefix}.connector_error-default`)
      return {
        wanted: now,
        got: await held(),
        problems: [
          ...onceEach(
            'changes of findings',
            eventIds.finding,
            changes.map(({ _source }) => _source.event?.id ?? ''),
          ),
          ...onceEach(
            'connector errors',
            eventIds.error,
            errors.map(({ _source }) => _source.metadata?.uid ?? ''),
          ),
        ],
      }
    },
    async close() {
      await call('DELETE', `/_data_stream/logs-${prefix}.*`)
      await call('DELETE', `/${prefix}-assets-v1,${prefix}-findings-v1?ignore_unavailable=true`)
      await call('DELETE', `/_index_template/*${prefix}*`)
      await node.stop()
    },
  }
}

/** Null where it cannot run; where it must, that is a failure. */
async function nodeIn(folder: string) {
  const given = process.env['EXPOSURE_OPENSEARCH_URL']
  if (given !== undefined && given !== '') return { url: given, stop: async () => undefined }
  try {
    const java = await findJava(usualPlaces())
    const log = (line: string) => console.error(line)
    const files = await getPackage('opensearch', { cacheDir: defaultCacheDir(), java, log })
    const dataDir = join(folder, 'opensearch')
    const { server, url } = await startNativeOpenSearch({ java, files, dataDir })
    return { url, stop: () => server.stop() }
  } catch (error) {
    if (process.env['EXPOSURE_OPENSEARCH'] === 'required') throw error
    console.error(`opensearch is left out: ${error instanceof Error ? error.message : 'unknown'}`)
    return null
  }
}

async function callAt(url: string, method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await fetch(url + path, {
    method,
    signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return await answer.json()
}
