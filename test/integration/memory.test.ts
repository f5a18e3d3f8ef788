// A page of fifty megabytes passes through a producer in little memory, published on the way.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import { TOPICS, type TopicName, topicName } from '../../contracts/topics.ts'
import { PRISMA_CLOUD_STREAMS } from '../../producers/prisma-cloud/config.ts'
import { openAdmin } from '../../runtime/kafka/admin.ts'
import type { KafkaSettings } from '../../runtime/kafka/types.ts'
import { createLogger } from '../../runtime/log.ts'
import { reply, serve } from '../support/http-server.ts'
import { startChild } from '../support/kafka-processes.ts'
import type { MemoryReport } from '../support/memory-worker.ts'
import { committedRecords, runExposure } from '../support/product.ts'
import { randomPrefix, stack } from '../support/stack.ts'
import { waitFor } from '../support/wait-for.ts'

const TIMEOUT_MS = 240_000
const PUBLISHED_TIMEOUT_MS = 120_000
const HOST_BYTES = 1_000_000
const LARGE_HOSTS = 50
/** The console gives more than was asked for: still no transaction may hold more than 1,000. */
const SMALL_HOSTS = 2_500
const HOSTS = LARGE_HOSTS + SMALL_HOSTS
const TRANSACTION_RECORDS_MAX = 1_000
const RSS_BYTES_MAX = 400_000_000

const hostOf = (n: number, bytes: number): string =>
  JSON.stringify({
    _id: `host-${String(n).padStart(5, '0')}`,
    type: 'host',
    pad: 'x'.repeat(bytes),
  })

/** Waits where the client is slower than we are, so that nothing is heaped up here. */
const send = (response: ServerResponse, text: string): Promise<void> =>
  new Promise((done) => {
    if (response.write(text)) done()
    else response.once('drain', done)
  })

/** Prisma Cloud with two pages of hosts: few large ones, many small ones. */
const vendor = (halfSent: () => Promise<unknown>) =>
  serve(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://vendor')
    if (pathname === '/login') return reply(response, 200, { token: 'a.b.c' })
    if (pathname === '/meta_info') {
      return reply(response, 200, { twistlockUrl: `http://${request.headers.host}/t` })
    }
    const headers = { 'content-type': 'application/json', 'total-count': String(HOSTS) }
    response.writeHead(200, headers)
    const from = Number(searchParams.get('offset'))
    const isFirst = from === 0
    const end = isFirst ? LARGE_HOSTS : from >= HOSTS ? from : HOSTS
    response.write('[')
    for (let n = from; n < end; n++) {
      if (isFirst && n === LARGE_HOSTS / 2) await halfSent()
      const bytes = n < LARGE_HOSTS ? HOST_BYTES : 10
      await send(response, `${n === from ? '' : ','}${hostOf(n, bytes)}`)
    }
    response.end(']')
  })

async function dropTopics(settings: KafkaSettings): Promise<void> {
  const admin = await openAdmin(settings, createLogger('test'))
  const names = (Object.keys(TOPICS) as TopicName[]).map((t) => topicName(settings.prefix, t))
  await admin.deleteTopics(names)
  await admin.close()
}

it(
  'takes a page of 50 MB in bounded memory, publishing while it still arrives',
  async () => {
    const prefix = randomPrefix()
    const brokers = stack().brokers
    const settings = { brokers, prefix, replicationFactor: 1, ssl: false, sasl: null }
    onTestFinished(() => dropTopics(settings))
    const rawUnits = async () => (await committedRecords(settings, 'rawPrismaCloud')).length
    let publishedByHalf = 0
    const { url } = await vendor(() =>
      waitFor(
        async () => {
          publishedByHalf = await rawUnits()
          return publishedByHalf > 0
        },
        { what: 'units of the page are published', timeoutMs: PUBLISHED_TIMEOUT_MS },
      ),
    )
    const folder = await mkdtemp(join(tmpdir(), 'exposure-memory-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const file = join(folder, 'exposure.yaml')
    const others = PRISMA_CLOUD_STREAMS.filter((stream) => stream !== 'compute.hosts')
    const connection = {
      name: 'large',
      type: 'prisma-cloud',
      url,
      tenant: 'acme',
      accessKeyId: 'env:LARGE_ID',
      secretKey: 'env:LARGE_KEY',
      streams: Object.fromEntries(others.map((stream) => [stream, { enabled: false }])),
    }
    const registry = { url: stack().registryUrl }
    const document = { kafka: { brokers, prefix }, registry, connections: [connection] }
    await writeFile(file, stringify(document))
    const secrets = { LARGE_ID: 'an-id', LARGE_KEY: 'a-key' }
    for (const what of ['topics', 'schemas']) {
      expect((await runExposure([what, 'apply', '--config', file], secrets)).code).toBe(0)
    }

    const child = startChild('memory-worker.ts', { ...secrets, EXPOSURE_TEST_WORKER: file })
    expect([await child.ended, child.stderr()]).toEqual([{ code: 0, signal: null }, ''])
    const report = JSON.parse(child.stdout()) as MemoryReport
    expect(report.verdicts).toEqual(['COMPLETE'])
    expect(publishedByHalf).toBeGreaterThan(0)
    expect(publishedByHalf).toBeLessThan(LARGE_HOSTS)
    expect(report.rssPeakBytes).toBeLessThan(RSS_BYTES_MAX)

    // Each transaction leaves one checkpoint, which counts what was fetched so far.
    const counts = (await committedRecords(settings, 'checkpoints')).map(
      ({ value }) => (JSON.parse(value?.toString() ?? '{}') as { fetched: number }).fetched,
    )
    const steps = counts.map((count, i) => count - (counts[i - 1] ?? 0))
    expect(counts.at(-1)).toBe(HOSTS)
    expect(Math.max(...steps)).toBeLessThanOrEqual(TRANSACTION_RECORDS_MAX)
  },
  TIMEOUT_MS,
)
