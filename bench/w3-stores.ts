// The stores of W3, one of each type of sink: made for the run, counted, taken away.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import pg from 'pg'
import { TOPICS, topicName } from '../contracts/topics.ts'
import { environment } from '../runtime/environment.ts'
import { openAdmin } from '../runtime/kafka/admin.ts'
import { openLogReader } from '../runtime/kafka/log-reader.ts'
import type { KafkaSettings } from '../runtime/kafka/types.ts'
import type { Logger } from '../runtime/log.ts'
import { indicesOf } from '../sinks/opensearch/indices.ts'
import { openSearchConfig } from '../sinks/opensearch/config.ts'
import { findJava, usualPlaces } from '../stack/java.ts'
import { startNativeOpenSearch } from '../stack/native-opensearch.ts'
import { defaultCacheDir, getPackage } from '../stack/packages.ts'
import { startSplunk } from '../test/support/splunk-stub.ts'

const CALL_MS = 120_000
/** The variable in which a worker finds the secret of its store: its address, or a token. */
export const STORE_VARIABLE = 'EXPOSURE_BENCH_STORE'
const SECRET = `env:${STORE_VARIABLE}`

export type Place = {
  readonly settings: KafkaSettings
  readonly postgresUrl: string
  /** Where what is downloaded and started keeps its files. */
  readonly dataDir: string
  /** A name that no other run has: lower-case letters and digits. */
  readonly name: string
  readonly log: Logger
}
export type BenchStore = {
  /** The part `sinks` of the settings. */
  readonly sinks: object
  /** Its address or token, which the worker gets as a secret. */
  readonly secret?: string
  /**
   * Every record that it has taken, once. In a store that shows entities as they are, one that was
   * created only stands for one record, and one that changed since, as each does once, for two.
   */
  held(): Promise<number>
  end(): Promise<void>
}
export type BenchSink = {
  /** What it reads: assets and findings, or connector errors. */
  readonly reads: 'entities' | 'errors'
  open(place: Place): Promise<BenchStore>
}

/** By the type's name in the list of sinks; a test asks for those that are missing. */
export const BENCH_SINKS: ReadonlyMap<string, BenchSink> = new Map([
  ['kafka-json', { reads: 'entities', open: openJsonTopic }],
  ['opensearch', { reads: 'entities', open: openSearch }],
  ['parquet', { reads: 'entities', open: openLake }],
  ['postgres', { reads: 'entities', open: openPostgres }],
  ['splunk', { reads: 'entities', open: openSplunk }],
  ['webhook', { reads: 'errors', open: openReceiver }],
])

async function openPostgres({ postgresUrl, name }: Place): Promise<BenchStore> {
  const database = `bench_${name}`
  const url = new URL(postgresUrl)
  url.pathname = `/${database}`
  await ask(postgresUrl, `CREATE DATABASE ${database}`)
  return {
    sinks: { postgres: { url: SECRET } },
    secret: url.href,
    held: () => {
      const told = "CASE state->'meta'->>'change_type' WHEN 'CREATED' THEN 1 ELSE 2 END"
      const sum = (table: string) => `(SELECT coalesce(sum(${told}), 0) FROM exposure.${table})`
      return ask(url.href, `SELECT ${sum('asset')} + ${sum('finding')} AS n`)
    },
    end: async () => {
      await ask(postgresUrl, `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)
    },
  }
}

/** The number in the first row, in the column `n`. */
async function ask(url: string, sql: string): Promise<number> {
  const limits = { connectionTimeoutMillis: CALL_MS, query_timeout: CALL_MS }
  const client = new pg.Client({ connectionString: url, ...limits })
  await client.connect()
  try {
    const { rows } = await client.query<{ readonly n?: string }>(sql)
    return Number(rows[0]?.n ?? 0)
  } finally {
    await client.end()
  }
}

async function openSearch({ name, dataDir }: Place): Promise<BenchStore> {
  const { url, stop } = await openSearchServer(dataDir)
  const config = openSearchConfig.parse({ url, prefix: `bench${name}`, replicas: 0 })
  const { asset, finding, findingLog, errorLog } = indicesOf(config)
  const call = async (method: string, path: string, body?: object): Promise<unknown> => {
    const answer = await fetch(url + path, {
      method,
      signal: AbortSignal.timeout(CALL_MS),
      headers: { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return await answer.json()
  }
  return {
    sinks: { opensearch: { url, prefix: config.prefix, replicas: 0 } },
    async held() {
      await call('POST', `/${asset.name},${findingLog.name}/_refresh`)
      const changed = {
        query: { bool: { must_not: { match: { 'unmapped.change_type': 'CREATED' } } } },
      }
      const counts = [
        await call('GET', `/${findingLog.name}/_count`),
        await call('GET', `/${asset.name}/_count`),
        await call('POST', `/${asset.name}/_count`, changed),
      ]
      return counts.reduce<number>((sum, answer) => sum + (answer as { count: number }).count, 0)
    },
    async end() {
      for (const log of [findingLog, errorLog]) await call('DELETE', `/_data_stream/${log.name}`)
      await call('DELETE', `/${asset.name},${finding.name}`)
      await call('DELETE', `/_index_template/*${config.prefix}*`)
      await stop()
    },
  }
}
async function openSearchServer(dataDir: string) {
  const given = environment('EXPOSURE_OPENSEARCH_URL')
  if (given !== undefined) return { url: given, stop: async () => undefined }
  const java = await findJava(usualPlaces())
  const log = (line: string) => console.error(line)
  const files = await getPackage('opensearch', { cacheDir: defaultCacheDir(), java, log })
  const { url, server } = await startNativeOpenSearch({ java, files, dataDir })
  return { url, stop: () => server.stop() }
}

async function openLake(): Promise<BenchStore> {
  const path = mkdtempSync(join(tmpdir(), 'exposure-bench-lake-'))
  return {
    sinks: { parquet: { path } },
    async held() {
      const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
      const connection = await instance.connect()
      try {
        await connection.run(readFileSync(join(path, 'views.sql'), 'utf8'))
        const told = `CASE change_type WHEN 'CREATED' THEN 1 ELSE 2 END`
        const sum = (table: string) => `(SELECT coalesce(sum(${told}), 0) FROM ${table})`
        const reader = await connection.runAndReadAll(
          `SELECT ${sum('assets')} + ${sum('findings')} AS n`,
        )
        return Number(reader.getRowObjectsJson()[0]?.['n'])
      } finally {
        connection.closeSync()
        instance.closeSync()
      }
    },
    end: async () => rmSync(path, { recursive: true, force: true }),
  }
}

async function openJsonTopic({ settings, log }: Place): Promise<BenchStore> {
  const topic = topicName(settings.prefix, 'ocsf')
  return {
    sinks: { 'kafka-json': [{ name: 'kafka-json' }] },
    async held() {
      const reader = openLogReader(settings, log)
      try {
        let records = 0
        for (let partition = 0; partition < TOPICS.ocsf.partitions; partition += 1) {
          await reader.readToEnd(topic, partition, () => void (records += 1))
        }
        return records
      } finally {
        await reader.close()
      }
    },
    async end() {
      const admin = await openAdmin(settings, log)
      await admin.deleteTopics([topic])
      await admin.close()
    },
  }
}

/** The stub of the tests, for there is no Splunk: what is measured is the sink alone. */
async function openSplunk(): Promise<BenchStore> {
  const splunk = await startSplunk()
  let counted = 0
  return {
    sinks: { splunk: [{ url: splunk.url, token: SECRET }] },
    secret: splunk.behaviour.token,
    async held() {
      counted += splunk.indexed.length
      splunk.indexed.length = 0
      return counted
    },
    end: () => splunk.stop(),
  }
}

async function openReceiver(): Promise<BenchStore> {
  let received = 0
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      received += 1
      response.end('ok')
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  const webhook = { format: 'json', url: SECRET, signingKey: SECRET, start: 'beginning' }
  return {
    sinks: { webhook: [webhook] },
    secret: `http://127.0.0.1:${port}/hook`,
    held: async () => received,
    async end() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}
