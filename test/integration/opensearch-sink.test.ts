// The OpenSearch sink on a real OpenSearch: versions, the log of changes, refusals, bad input.
import {
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
  createServer,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Asset } from '../../contracts/asset.ts'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { Finding } from '../../contracts/finding.ts'
import { openSearchConfig } from '../../sinks/opensearch/config.ts'
import { createOpenSearchSink } from '../../sinks/opensearch/sink.ts'
import { BASE_MS, assetEvent, errorEvent, findingEvent } from '../support/events.ts'
import { wholeLives } from '../support/lives.ts'
import { openedStore, testStore, useOpenSearch } from '../support/opensearch.ts'
import { batchOf, secretFile } from '../support/postgres.ts'

const ofFinding = (value: Finding) => ({ kind: 'finding' as const, key: value.finding_uid, value })
const goneFinding = (key: string) => ({ kind: 'finding' as const, key, value: null })
const ofAsset = (value: Asset) => ({ kind: 'asset' as const, key: value.asset_uid, value })
const ofError = (value: ConnectorError) => ({
  kind: 'connector-error' as const,
  key: value.fingerprint,
  value,
})
useOpenSearch()
const FORMATS = ['ocsf', 'ecs'] as const

describe('writing', () => {
  it('shows the state by uid behind an alias, its revision as its version', async () => {
    const store = await testStore()
    const sink = await openedStore(store)
    const batch = batchOf([ofFinding(findingEvent('f1', 7)), ofFinding(findingEvent('f1', 5))])
    expect(await sink.write(batch)).toEqual([])
    const alias = store.indices.finding.alias ?? ''
    expect(await store.documents(alias)).toMatchObject([
      {
        id: 'f1',
        version: 7,
        source: {
          '@timestamp': BASE_MS,
          class_uid: 2002,
          severity: 'High',
          finding_info: { uid: 'f1' },
          kafka: { topic: 'exposure.findings', partition: 0, offset: '0' },
        },
      },
    ])
  })

  it('logs every change of a finding once, and every report of a fault', async () => {
    const store = await testStore()
    const sink = await openedStore(store)
    const findings = batchOf([1, 2, 3].map((revision) => ofFinding(findingEvent('f1', revision))))
    const errors = batchOf([
      ofError(errorEvent('e1', 'print')),
      ofError(errorEvent('e2', 'print', { state: 'CLEARED' })),
    ])
    for (const batch of [findings, errors, findings, errors]) {
      expect(await sink.write(batch)).toEqual([])
    }
    const logged = await store.documents(store.indices.findingLog)
    expect(logged.map(({ id }) => id)).toEqual(
      [1, 2, 3].map((revision) => findingEvent('f1', revision).meta.event_id).toSorted(),
    )
    expect(await store.documents(store.indices.errorLog)).toMatchObject([
      { id: 'e1', source: { class_uid: 6008, status: 'Failure' } },
      { id: 'e2', source: { status: 'Success' } },
    ])
  })

  it('lets a finding come back behind its tombstone, also when all of it comes again', async () => {
    const store = await testStore()
    const sink = await openedStore(store)
    const batches = [
      batchOf([ofFinding(findingEvent('f1', 1))]),
      batchOf([goneFinding('f1')], { firstOffset: 1n }),
      batchOf([ofFinding(findingEvent('f1', 9))], { firstOffset: 2n }),
    ]
    for (const batch of [...batches, ...batches]) {
      expect(await sink.write(batch)).toEqual([])
    }
    const back = [{ id: 'f1', version: 9 }]
    expect(await store.documents(store.indices.finding)).toMatchObject(back)
    // The tombstone alone, from a member that does not know what is behind it.
    for (const batch of batches.slice(0, 2)) await sink.write(batch)
    expect(await store.documents(store.indices.finding)).toMatchObject(back)
  })

  it('sends more than one request where a batch is large', async () => {
    const store = await testStore()
    const sink = await openedStore(store)
    const description = 'long words '.repeat(60_000)
    const events = Array.from({ length: 12 }, (_, i) =>
      ofFinding(findingEvent(`f${i}`, 1, { description })),
    )
    expect(await sink.write(batchOf(events))).toEqual([])
    expect(await store.documents(store.indices.finding)).toHaveLength(12)
  })

  it.each(FORMATS)('takes every turn of a life as %s', async (format) => {
    const store = await testStore({ format })
    const sink = await openedStore(store)
    const { assets, findings } = wholeLives()
    expect(await sink.write(batchOf(findings.map(ofFinding)))).toEqual([])
    expect(await sink.write(batchOf(assets.map(ofAsset)))).toEqual([])
    const kept = await store.documents(store.indices.findingLog)
    expect(kept).toHaveLength(new Set(findings.map(({ meta }) => meta.event_id)).size)
    expect(await store.documents(store.indices.asset)).toHaveLength(
      new Set(assets.map((asset) => asset.asset_uid)).size,
    )
  })

  it('goes on in indices that are there already, and adds the fields they lack', async () => {
    const store = await testStore()
    const first = await store.sink().open()
    await first.write(batchOf([ofFinding(findingEvent('f1'))]))
    await first.close()
    const second = await openedStore(store)
    await second.write(batchOf([ofFinding(findingEvent('f2'))], { firstOffset: 1n }))
    expect(await store.documents(store.indices.finding)).toHaveLength(2)
  })
})

describe('a refused record', () => {
  it('is found among good ones, with a reason and without its payload', async () => {
    const store = await testStore()
    const sink = await openedStore(store)
    const canary = 'canary'.repeat(8_000)
    const tooMuch = {
      version: '3.1',
      vector: null,
      base_score: 1e300,
      severity: null,
      source: null,
    }
    const rejections = await sink.write(
      batchOf([
        ofFinding(findingEvent('good1')),
        ofFinding(findingEvent('term', 1, { unmapped: { long: canary } })),
        ofFinding(findingEvent('float', 1, { cvss: [tooMuch] })),
        ofFinding(findingEvent('half', 1, { title: 'a\ud800' })),
        ofFinding(findingEvent('score', 1, { risk_score: Number.NaN })),
        ofFinding(findingEvent('version', -1)),
        ofFinding(findingEvent('k'.repeat(513))),
        goneFinding(''),
        ofFinding(findingEvent('good2')),
      ]),
    )
    expect(rejections.map(({ index }) => index)).toEqual([1, 2, 3, 4, 5, 6, 7])
    expect(rejections.map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/^illegal_argument_exception: .*immense term/),
      expect.stringMatching(/^mapper_parsing_exception: failed to parse field \[.*\] of type/),
      'text holds half of a surrogate pair',
      'a number is NaN, which JSON cannot hold',
      'its revision is no version',
      'its key exceeds 512 bytes',
      'its key is empty',
    ])
    expect(JSON.stringify(rejections)).not.toContain('canary')
    expect(await store.documents(store.indices.finding)).toMatchObject([
      { id: 'good1' },
      { id: 'good2' },
    ])
  })

  it.each(FORMATS)('is none that is only strange: it is kept as it is, as %s', async (format) => {
    const store = await testStore({ format })
    const sink = await openedStore(store)
    const tags = Object.fromEntries([
      ['__proto__', 'x'],
      ['', 'empty'],
      ['.', 'dot'],
      ['a..b', 'dots'],
      ['constructor', 'y'],
    ])
    const title = `quote " back \\ \\ud800 tab \t nul \u0000 emoji 😀 \u202e`
    const strange = findingEvent('f1', Number.MAX_SAFE_INTEGER, {
      title,
      unmapped: tags,
      description: 'd'.repeat(1_000_000),
      first_seen: Date.UTC(9999, 11, 31),
      last_seen: -62_167_219_200_000, // the year 0
      asset: { ...findingEvent('f1').asset, ip: 'fe80::1%eth0' },
    })
    expect(await sink.write(batchOf([ofFinding(strange)]))).toEqual([])
    expect(await sink.write(batchOf([ofAsset(assetEvent('a1', 1, { tags }))]))).toEqual([])
    const [kept] = await store.documents(store.indices.finding)
    expect(kept?.source['message']).toBe(title)
    const place = kept?.source[format === 'ecs' ? 'exposure' : 'unmapped']
    expect(place).toMatchObject({ vendor_fields: { '': 'empty', '.': 'dot', 'a..b': 'dots' } })
    expect(Object.keys((place as { vendor_fields: object }).vendor_fields)).toContain('__proto__')
  })
})

/** A server that answers everything with `status` and `body`. */
const answering = (status: number, body: unknown): Promise<string> =>
  listening((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body))
  })

describe('a store that does not take it now', () => {
  const batch = batchOf([ofFinding(findingEvent('f1'))])

  it.each([
    [429, 'SINK_UNAVAILABLE'],
    [503, 'SINK_UNAVAILABLE'],
    [502, 'SINK_UNAVAILABLE'],
    [401, 'AUTHORIZATION_FAILURE'],
    [403, 'ACCESS_FORBIDDEN'],
  ])('is %i, and told as %s', async (status, failure) => {
    const fault = { type: 'some_exception', reason: 'said by the store' }
    const url = await answering(status, { error: fault, status })
    const sink = createOpenSearchSink(openSearchConfig.parse({ url }))
    await expect(sink.open()).rejects.toMatchObject({
      failure,
      message: expect.stringContaining('said by the store') as string,
    })
  })

  it('has one operation that must wait: then all of the batch does', async () => {
    const busy = { type: 'opensearch_rejected_execution_exception', reason: 'queue is full' }
    const url = await answering(200, {
      items: [{ index: { status: 201 } }, { create: { status: 429, error: busy } }],
    })
    const sink = await createOpenSearchSink(openSearchConfig.parse({ url })).open()
    onTestFinished(() => sink.close())
    await expect(sink.write(batch)).rejects.toMatchObject({
      failure: 'SINK_UNAVAILABLE',
      message: expect.stringContaining('queue is full') as string,
    })
  })

  it('is full: an index that only reads is waited for', async () => {
    const store = await testStore()
    const sink = await openedStore(store)
    const block = (on: boolean | null) =>
      store.call('PUT', `/${store.indices.finding.name}/_settings`, { 'index.blocks.write': on })
    await block(true)
    await expect(sink.write(batch)).rejects.toMatchObject({ failure: 'SINK_UNAVAILABLE' })
    await block(null)
    expect(await sink.write(batch)).toEqual([])
    expect(await store.documents(store.indices.finding)).toHaveLength(1)
  })

  it('has an index that is closed: nothing is refused for it', async () => {
    const store = await testStore()
    const sink = await openedStore(store)
    await store.call('POST', `/${store.indices.finding.name}/_close`)
    await expect(sink.write(batch)).rejects.toMatchObject({
      failure: 'SINK_UNAVAILABLE',
      message: expect.stringContaining('index_closed_exception') as string,
    })
    await store.call('POST', `/${store.indices.finding.name}/_open?wait_for_active_shards=1`)
    expect(await sink.write(batch)).toEqual([])
    expect(await store.documents(store.indices.finding)).toHaveLength(1)
  })

  it('has a name that stands for two indices: nothing is refused for it', async () => {
    const store = await testStore()
    const sink = await openedStore(store)
    const { name } = store.indices.finding
    const both = [`${name}-a`, `${name}-b`]
    onTestFinished(() => store.call('DELETE', `/${both.join(',')}`).then(() => undefined))
    for (const index of both) await store.call('PUT', `/${index}`)
    const add = { add: { indices: both, alias: name } }
    const actions = [{ remove_index: { index: name } }, add]
    await store.call('POST', '/_aliases', { actions })
    await expect(sink.write(batch)).rejects.toMatchObject({
      failure: 'SINK_UNAVAILABLE',
      message: expect.stringContaining('no write index') as string,
    })
  })

  it('takes less at once: it gets less, and what is too large alone is refused', async () => {
    const store = await testStore()
    const url = await proxyWithLimit(store.config.url, 20_000)
    const sink = await createOpenSearchSink({ ...store.config, url }).open()
    onTestFinished(() => sink.close())
    const events = Array.from({ length: 20 }, (_, i) => ofFinding(findingEvent(`f${i}`)))
    const large = findingEvent('large', 1, { description: 'd'.repeat(30_000) })
    events.splice(7, 0, ofFinding(large))
    expect(await sink.write(batchOf(events))).toEqual([
      { index: 7, reason: expect.stringMatching(/takes no document of \d+ bytes/) as string },
    ])
    expect(await store.documents(store.indices.finding)).toHaveLength(20)
  })

  it('asks for credentials, which are given by reference and shown nowhere', async () => {
    const seen: string[] = []
    const url = await listening((request, response) => {
      seen.push(String(request.headers.authorization))
      response.writeHead(401, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ error: { reason: `no: ${request.headers.authorization}` } }))
    })
    const basic = { url, username: secretFile('writer'), password: secretFile('canary-word') }
    const withKey = { url, apiKey: secretFile('canary-key') }
    for (const given of [basic, withKey]) {
      const error = await createOpenSearchSink(openSearchConfig.parse(given))
        .open()
        .catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ failure: 'AUTHORIZATION_FAILURE' })
      expect(String(error)).not.toMatch(/canary|d3JpdGVy/)
    }
    const pair = Buffer.from('writer:canary-word').toString('base64')
    expect(seen).toContain(`Basic ${pair}`)
    expect(seen).toContain('ApiKey canary-key')
  })
})

/** A server before the store that refuses requests above `bytesMax`, as proxies do. */
async function proxyWithLimit(target: string, bytesMax: number): Promise<string> {
  const pass = async (request: IncomingMessage, response: ServerResponse) => {
    const body = Buffer.concat(await request.toArray())
    if (request.url?.startsWith('/_bulk') === true && body.length > bytesMax) {
      response.writeHead(413).end('too large')
      return
    }
    const answer = await fetch(target + request.url, {
      method: request.method ?? 'GET',
      headers: { 'content-type': request.headers['content-type'] ?? 'application/json' },
      ...(body.length === 0 ? {} : { body }),
    })
    response.writeHead(answer.status, { 'content-type': 'application/json' })
    response.end(Buffer.from(await answer.arrayBuffer()))
  }
  return await listening((request, response) => {
    pass(request, response).catch((error: unknown) => response.destroy(error as Error))
  })
}

async function listening(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
