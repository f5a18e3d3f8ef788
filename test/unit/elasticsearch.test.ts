// Every request of the sink against the published rules of Elasticsearch, which is not at hand.
import type { ServerResponse } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { SinkBatch } from '../../contracts/ports.ts'
import { openSearchConfig } from '../../sinks/opensearch/config.ts'
import { createOpenSearchSink } from '../../sinks/opensearch/sink.ts'
import { brokenBy, bulkLines } from '../support/elasticsearch-rules.ts'
import { errorEvent, findingEvent } from '../support/events.ts'
import { type Received, reply, serve } from '../support/http-server.ts'
import { wholeLives } from '../support/lives.ts'
import { batchOf, secretFile } from '../support/postgres.ts'

/** What Elasticsearch has on every answer, by which its own clients know it. */
const PRODUCT = { 'x-elastic-product': 'Elasticsearch' }
const exists = (what: string) => ({
  error: { type: 'resource_already_exists_exception', reason: `${what} already exists` },
  status: 400,
})

/** Answers in the form that is documented; indices are there already when `areThere`. */
function answerTo(areThere: boolean) {
  return (asked: Received, response: ServerResponse) => {
    const { method, url, body } = asked
    if (url.startsWith('/_bulk')) {
      const items = bulkLines(body).map(({ action }) => ({ [action]: { status: 201 } }))
      return reply(response, 200, { errors: false, took: 1, items }, PRODUCT)
    }
    if (url === '/_mget') {
      const { docs } = JSON.parse(body) as { readonly docs: readonly { readonly _id: string }[] }
      const kafka = { topic: 'exposure.findings', partition: 0, offset: '0' }
      const found = docs.map(({ _id }) => ({ _id, found: true, _version: 7, _source: { kafka } }))
      return reply(response, 200, { docs: found }, PRODUCT)
    }
    const isNew = method !== 'PUT' || url.includes('_index_template') || url.includes('_mapping')
    if (areThere && !isNew) return reply(response, 400, exists(url), PRODUCT)
    return reply(response, 200, { acknowledged: true }, PRODUCT)
  }
}

/** Every request of a sink that opens, writes all turns of a life, and closes. */
async function requestsOf(format: 'ocsf' | 'ecs', areThere: boolean): Promise<Received[]> {
  const server = await serve(answerTo(areThere))
  const apiKey = secretFile('canary-key')
  const settings = { url: server.url, flavour: 'elasticsearch', format, apiKey }
  const sink = await createOpenSearchSink(openSearchConfig.parse(settings)).open()
  onTestFinished(() => sink.close())
  for (const batch of batches()) expect(await sink.write(batch)).toEqual([])
  return server.received
}

function batches(): SinkBatch[] {
  const { assets, findings } = wholeLives()
  return [
    batchOf(assets.map((value) => ({ kind: 'asset', key: value.asset_uid, value }))),
    batchOf(findings.map((value) => ({ kind: 'finding', key: value.finding_uid, value }))),
    batchOf([{ kind: 'connector-error', key: 'p', value: errorEvent('e1', 'p') }]),
    batchOf([{ kind: 'finding', key: 'f1', value: null }], { firstOffset: 100n }),
    batchOf([{ kind: 'finding', key: 'f1', value: findingEvent('f1', 9) }], {
      firstOffset: 101n,
    }),
  ]
}

describe('a sink of the flavour elasticsearch', () => {
  it.each([
    ['ocsf', false],
    ['ocsf', true],
    ['ecs', false],
    ['ecs', true],
  ] as const)(
    'asks only what Elasticsearch takes, as %s, indices there: %s',
    async (format, areThere) => {
      const requests = await requestsOf(format, areThere)
      expect(requests.flatMap(brokenBy)).toEqual([])
      const calls = new Set(requests.map(({ method, url }) => `${method} ${url.split('?')[0]}`))
      expect(calls).toContain('PUT /_data_stream/logs-exposure.finding-default')
      expect(calls).toContain('POST /_mget')
      expect(calls.has('PUT /exposure-findings-v1/_mapping')).toBe(areThere)
      const actions = requests
        .filter(({ url }) => url.startsWith('/_bulk'))
        .flatMap(({ body }) => bulkLines(body).map(({ action }) => action))
      expect(new Set(actions)).toEqual(new Set(['index', 'create', 'delete']))
      expect(new Set(requests.map(({ headers }) => headers.authorization))).toEqual(
        new Set(['ApiKey canary-key']),
      )
    },
  )
})

describe('the rules', () => {
  const asked = (url: string, body: unknown, method = 'PUT'): Received => ({
    method,
    url,
    headers: { 'content-type': 'application/x-ndjson' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    atMs: 0,
  })
  const mapping = (type: string) => ({ dynamic: 'strict', properties: { a: { type } } })
  const line = (action: object, document: object = {}) =>
    `${JSON.stringify(action)}\n${JSON.stringify(document)}\n`

  it.each([
    ['a type of OpenSearch alone', asked('/exposure-assets/_mapping', mapping('flat_object'))],
    ['an upper-case name', asked('/Exposure', '')],
    [
      'a version in a data stream',
      asked(
        '/_bulk?filter_path=items.*.status',
        line(
          { create: { _index: 'logs-a-b', _id: '1', version: 3, version_type: 'external' } },
          { '@timestamp': 1 },
        ),
        'POST',
      ),
    ],
    [
      'an index operation in a data stream',
      asked(
        '/_bulk?filter_path=items.*.status',
        line({ index: { _index: 'logs-a-b', _id: '1' } }, { '@timestamp': 1 }),
        'POST',
      ),
    ],
    ['another call', asked('/_search', '{}', 'POST')],
  ])('find %s', (_what, request) => {
    expect(brokenBy(request)).toHaveLength(1)
  })
})
