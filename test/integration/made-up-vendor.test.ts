// The made-up vendor of docs/adding-a-vendor.md end to end: its API, topics, events, the store.
import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { RunFollower } from '../../cli/settle.ts'
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import { type TopicSpec, TOPICS, rawTopic, stateTopic } from '../../contracts/topics.ts'
import { runProducers } from '../../producers/main.ts'
import { openAdmin } from '../../runtime/kafka/admin.ts'
import { createLogger } from '../../runtime/log.ts'
import { type Pipeline, openPipeline } from '../../runtime/pipeline.ts'
import { openRegistry } from '../../runtime/registry.ts'
import { startSinks } from '../../sinks/main.ts'
import { postgresConfig } from '../../sinks/postgres/config.ts'
import { CLOSING_DEFAULTS } from '../../transformers/lifecycle/listings.ts'
import { startTransformers } from '../../transformers/main.ts'
import { fixtureHosts, runScanner, scannerConfig } from '../support/acme-scanner.ts'
import { secret } from '../support/connect.ts'
import { createDatabase, randomPrefix, stack } from '../support/stack.ts'
import { waitFor } from '../support/wait-for.ts'
import { acmeScannerConnection } from '../vendors/producers/acme-scanner/config.ts'
import { acmeScannerConnector } from '../vendors/producers/acme-scanner/connector.ts'
import { scannerHosts } from '../vendors/transformers/acme-scanner/scanner-hosts.ts'

const TIMEOUT_MS = 120_000
const ANSWERED_MS_MAX = 60_000
const REGISTRY_TIMEOUT_MS = 30_000
const QUERY_TIMEOUT_MS = 10_000
const VENDOR = 'acme-scanner'
const RAW = rawTopic(VENDOR)
const SPECS: readonly TopicSpec[] = [...Object.values(TOPICS), RAW, stateTopic(VENDOR)]
const log = createLogger('test')

/** Topics, schemas and a database of the test's own, and a pipeline that reads only this vendor. */
async function openWorld() {
  const { brokers, registryUrl } = stack()
  const prefix = randomPrefix()
  const settings = { brokers, prefix, replicationFactor: 1, ssl: false, sasl: null } as const
  const admin = await openAdmin(settings, log)
  onTestFinished(async () => {
    await admin.deleteTopics(SPECS.map(({ name }) => prefix + name))
    await admin.close()
  })
  await admin.applyTopics(SPECS)
  const registry = { url: registryUrl }
  await openRegistry({ ...registry, timeoutMs: REGISTRY_TIMEOUT_MS }).apply(prefix)
  const database = await createDatabase()
  onTestFinished(() => database.drop())
  const pipeline = await openPipeline(settings, registry, { disconnectedAfterMs: 900_000, log })
  onTestFinished(pipeline.close)
  const transformers = startTransformers(pipeline, CLOSING_DEFAULTS, {
    vendors: [VENDOR],
    transformers: [scannerHosts],
  })
  onTestFinished(transformers.stop)
  const postgres = postgresConfig.parse({ url: secret(database.url) })
  const sinks = await startSinks(pipeline, { postgres })
  onTestFinished(sinks.stop)
  return { pipeline, databaseUrl: database.url }
}

/** All values of a topic so far, of every partition. */
async function valuesIn({ reader, prefix }: Pipeline, { name, partitions }: TopicSpec) {
  const values: Buffer[] = []
  for (let partition = 0; partition < partitions; partition++) {
    await reader.readToEnd(prefix + name, partition, ({ value, headers }) => {
      if (value !== null && headers['x-control'] === undefined) values.push(Buffer.from(value))
    })
  }
  return values
}

const decodedIn = async <T>(pipeline: Pipeline, topic: 'assets' | 'findings'): Promise<T[]> =>
  (await valuesIn(pipeline, TOPICS[topic])).map(
    (value) => pipeline.codecs.decode(value).value as unknown as T,
  )

async function storedLines(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, query_timeout: QUERY_TIMEOUT_MS })
  await client.connect()
  try {
    const { rows } = await client.query<{ line: string }>(
      `select concat_ws(' ', a.name, a.vendor, f.vuln_id, f.status) as line
       from exposure.asset a left join exposure.finding f using (asset_uid)`,
    )
    return rows.map(({ line }) => line).toSorted()
  } finally {
    await client.end()
  }
}

it(
  'a vendor that no list has comes through every stage when it is handed in',
  async () => {
    let hosts = fixtureHosts()
    const scanner = await runScanner(() => hosts)
    const { pipeline, databaseUrl } = await openWorld()
    const follower = new RunFollower(pipeline)
    const config = scannerConfig(scanner, { pageSize: 2 })
    const { signal } = new AbortController()
    const pull = async () => {
      const connectors = { [VENDOR]: acmeScannerConnector }
      const vendors = { connectors, settings: acmeScannerConnection }
      const options = { once: true, signal, fusePercent: 30 }
      const turns = await runProducers(pipeline, [config], options, vendors)
      expect(turns.map(({ verdict, error }) => ({ verdict, error }))).toEqual([
        { verdict: 'COMPLETE', error: null },
      ])
      const runIds = turns.map(({ runId }) => runId ?? '')
      await follower.answered(runIds, ANSWERED_MS_MAX, signal)
    }
    const lines = (expected: readonly string[]) =>
      waitFor(
        async () => {
          expect(await storedLines(databaseUrl)).toEqual(expected)
          return true
        },
        { what: 'the store holds what the vendor shows' },
      )

    await pull()
    const raw = (await valuesIn(pipeline, RAW)).map(String).toSorted()
    expect(raw).toEqual(hosts.map((host) => JSON.stringify(host)).toSorted())
    const assets = await decodedIn<Asset>(pipeline, 'assets')
    expect(assets.map(({ name, meta }) => `${name} ${meta.source.vendor}`).toSorted()).toEqual([
      'db-1 acme-scanner',
      'new-1 acme-scanner',
      'web-1.example.com acme-scanner',
    ])
    const first = ['db-1 acme-scanner', 'new-1 acme-scanner']
    const openssl = 'web-1.example.com acme-scanner CVE-2026-0001 OPEN'
    const zlib = 'web-1.example.com acme-scanner CVE-2026-0002'
    await lines([...first, openssl, `${zlib} OPEN`])

    // One weakness is gone: that is one event. Everything else was said before.
    const weaknessesOf = (host: (typeof hosts)[number] | undefined) => host?.['weaknesses']
    const [left] = weaknessesOf(hosts[0]) as unknown[]
    hosts = hosts.map((host, index) => (index === 0 ? { ...host, weaknesses: [left] } : host))
    await pull()
    await lines([...first, openssl, `${zlib} RESOLVED`])
    expect(await decodedIn<Finding>(pipeline, 'findings')).toHaveLength(3)

    // Not scanned: that is no word on what an earlier scan has shown.
    hosts = hosts.map((host, index) => (index === 0 ? { ...host, weaknesses: null } : host))
    await pull()
    const findings = await decodedIn<Finding>(pipeline, 'findings')
    expect(findings.filter(({ status }) => status === 'RESOLVED')).toHaveLength(1)
    await lines([...first, openssl, `${zlib} RESOLVED`])
  },
  TIMEOUT_MS,
)
