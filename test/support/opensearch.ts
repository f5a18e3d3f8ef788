// A real OpenSearch for tests: one node per test process, indices of each test's own in it.
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { TestRunner, beforeAll, onTestFinished } from 'vitest'
import type { OpenSink } from '../../contracts/ports.ts'
import { type OpenSearchConfig, openSearchConfig } from '../../sinks/opensearch/config.ts'
import { type Index, type Indices, indicesOf } from '../../sinks/opensearch/indices.ts'
import { createOpenSearchSink } from '../../sinks/opensearch/sink.ts'
import { findJava, usualPlaces } from '../../stack/java.ts'
import { startNativeOpenSearch } from '../../stack/native-opensearch.ts'
import { defaultCacheDir, getPackage } from '../../stack/packages.ts'

const TIMEOUT_MS = 30_000
const HITS_MAX = 10_000
/** Downloading and starting it on a slow machine. */
const START_MS = 600_000

let starting: Promise<string> | null = null

/** Its address; where it cannot run, the test is skipped, and in CI fails. */
async function openSearchUrl(): Promise<string> {
  const given = process.env['EXPOSURE_OPENSEARCH_URL']
  if (given !== undefined && given !== '') return given
  starting ??= start()
  try {
    return await starting
  } catch (error) {
    if (process.env['EXPOSURE_OPENSEARCH'] === 'required') throw error
    const why = error instanceof Error ? error.message : String(error)
    TestRunner.getCurrentTest()?.context.skip(`no OpenSearch: ${why}`)
    throw error
  }
}

/** For files with tests of it alone: the start takes longer than a test may. */
export function useOpenSearch(): void {
  // What is wrong is told by every test that asks for it.
  beforeAll(() => openSearchUrl().catch(() => undefined), START_MS)
}

async function start(): Promise<string> {
  const java = await findJava(usualPlaces())
  const cacheDir = defaultCacheDir()
  const log = (line: string) => console.error(line)
  const files = await getPackage('opensearch', { cacheDir, java, log })
  // The node ends with this process; the next run of tests takes away what it leaves.
  const dataDir = resolve(import.meta.dirname, `../../.exposure/test-${process.pid}/opensearch`)
  const { url } = await startNativeOpenSearch({ java, files, dataDir })
  return url
}

export type Document = {
  readonly id: string
  readonly version: number
  readonly source: Readonly<Record<string, unknown>>
}
export type TestStore = {
  readonly config: OpenSearchConfig
  readonly indices: Indices
  readonly sink: () => ReturnType<typeof createOpenSearchSink>
  /** All that a search finds after a refresh, by id. */
  readonly documents: (index: Index | string) => Promise<Document[]>
  readonly call: (method: string, path: string, body?: unknown) => Promise<unknown>
  /** Takes away every index, data stream and template of this test. */
  readonly clear: () => Promise<void>
}

/** Indices under a name that no other test has; taken away after the test. */
export async function testStore(given: Partial<OpenSearchConfig> = {}): Promise<TestStore> {
  const url = await openSearchUrl()
  const prefix = `t${randomBytes(5).toString('hex')}`
  const config = openSearchConfig.parse({ url, prefix, replicas: 0, ...given })
  const indices = indicesOf(config)
  const call = (method: string, path: string, body?: unknown) => callAt(url, method, path, body)
  const documents = async (index: Index | string) => {
    const name = typeof index === 'string' ? index : index.name
    await call('POST', `/${name}/_refresh`)
    const query = { size: HITS_MAX, version: true, query: { match_all: {} } }
    const { hits } = (await call('POST', `/${name}/_search`, query)) as Found
    return hits.hits
      .map(({ _id, _version, _source }) => ({ id: _id, version: _version, source: _source }))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
  }
  const clear = async () => {
    await call('DELETE', `/_data_stream/logs-${prefix}.*`)
    await call('DELETE', `/${prefix}-assets-v1,${prefix}-findings-v1?ignore_unavailable=true`)
    await call('DELETE', `/_index_template/*${prefix}*`)
  }
  onTestFinished(clear)
  const sink = () => createOpenSearchSink(config)
  return { config, indices, sink, documents, call, clear }
}

type Found = {
  readonly hits: {
    readonly hits: readonly {
      readonly _id: string
      readonly _version: number
      readonly _source: Readonly<Record<string, unknown>>
    }[]
  }
}

/** The answer, also where it is a refusal. */
async function callAt(url: string, method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await fetch(url + path, {
    method,
    signal: AbortSignal.timeout(TIMEOUT_MS),
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return await answer.json()
}

/** The sink on that store, closed after the test. */
export async function openedStore(store: TestStore): Promise<OpenSink> {
  const sink = await store.sink().open()
  onTestFinished(() => sink.close())
  return sink
}
