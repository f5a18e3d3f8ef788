// The collector's answers: what is sent again, what is waited for, what is refused, kept secret.
import { inspect } from 'node:util'
import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { findingEvent } from '../support/events.ts'
import { batchOf, secretFile } from '../support/postgres.ts'
import {
  TOKEN,
  failureOf,
  openedSplunk,
  purges,
  splunkSettings,
  splunkSink,
  testSplunk,
  toldFindings,
  uidsIn,
} from '../support/splunk.ts'
import type { Behaviour, SplunkStub } from '../support/splunk-stub.ts'
import { createAuthority, serveTls } from '../support/tls.ts'

const MB = 1_000_000

const findings = (count: number, more: Parameters<typeof findingEvent>[2] = {}) =>
  batchOf(toldFindings(count, more))
const distinct = (stub: SplunkStub) => [...new Set(uidsIn(stub))].toSorted()
const keysOf = ({ records }: ReturnType<typeof findings>) => records.map(({ key }) => key)
const deliveries = ({ heard }: SplunkStub) => heard.filter(({ bytes }) => bytes > 0)
const status = (code: number, headers: Record<string, string> = {}, body = '') => ({
  times: 1,
  answer: (response: Parameters<NonNullable<Behaviour['instead']>['answer']>[0]) =>
    void response.writeHead(code, headers).end(body),
})
/** Finds fault with events of these, by their uid. */
const objectTo =
  (code: number, uids: readonly string[]): Behaviour['objection'] =>
  ({ fields }) =>
    uids.includes(fields['exposure_uid'] ?? '') ? { code } : null

describe('a batch', () => {
  it('is there when it is written, each event once', async () => {
    const stub = await testSplunk()
    const sink = await openedSplunk(splunkSettings(stub, { index: 'exposure' }))
    const batch = findings(40)
    expect(await sink.write(batch)).toEqual([])
    expect(uidsIn(stub)).toEqual(keysOf(batch))
    expect(new Set(stub.indexed.map(({ index }) => index))).toEqual(new Set(['exposure']))
    expect(await sink.storedOffset(batch.topic, batch.partition)).toBeNull()
  })

  it('is compressed, unless that is not wanted', async () => {
    const stub = await testSplunk()
    const batch = findings(40)
    await (await openedSplunk(splunkSettings(stub))).write(batch)
    await (await openedSplunk(splunkSettings(stub, { gzip: false }))).write(batch)
    const [zipped, plain] = deliveries(stub)
    expect([zipped?.encoding, plain?.encoding]).toEqual(['gzip', ''])
    expect(zipped?.bytes).toBeLessThan((plain?.bytes ?? 0) / 5)
    expect(stub.indexed).toHaveLength(80)
  })

  it('is several requests where it is large, none above the size that Splunk advises', async () => {
    const stub = await testSplunk()
    const sink = await openedSplunk(splunkSettings(stub, { gzip: false }))
    const batch = findings(30, { description: 'd'.repeat(100_000) })
    expect(await sink.write(batch)).toEqual([])
    expect(deliveries(stub).length).toBeGreaterThan(2)
    expect(Math.max(...deliveries(stub).map(({ bytes }) => bytes))).toBeLessThanOrEqual(1.001 * MB)
    expect(uidsIn(stub)).toEqual(keysOf(batch))
  })

  it('is several requests where it has many events', async () => {
    const stub = await testSplunk()
    const sink = await openedSplunk(splunkSettings(stub))
    await sink.write(purges(1_000))
    expect(deliveries(stub).map(({ events }) => events)).toEqual([500, 500])
  })

  it('without events is no request', async () => {
    const stub = await testSplunk()
    const sink = await openedSplunk(splunkSettings(stub))
    expect(await sink.write(findings(0))).toEqual([])
    expect(deliveries(stub)).toEqual([])
  })

  it('that comes again is sent by another process only, with the same ids', async () => {
    const stub = await testSplunk()
    const batch = findings(3)
    const first = await openedSplunk(splunkSettings(stub))
    await first.write(batch)
    await first.write(batch)
    expect(stub.indexed).toHaveLength(3)
    await (await openedSplunk(splunkSettings(stub))).write(batch)
    expect(stub.indexed).toHaveLength(6)
    const ids = stub.indexed.map(({ fields }) => fields['exposure_event_uid'])
    expect(new Set(ids).size).toBe(3)
  })

  it('goes on where it was: what was taken is not sent again', async () => {
    const stub = await testSplunk()
    const sink = await openedSplunk(splunkSettings(stub))
    const batch = purges(900)
    const seen: unknown[] = []
    stub.behaviour.objection = () => {
      // The first request passes; the second meets a busy server.
      if (seen.push(null) === 500) stub.behaviour.instead = status(503)
      return null
    }
    expect((await failureOf(sink.write(batch))).failure).toBe('SINK_UNAVAILABLE')
    expect(stub.indexed).toHaveLength(500)
    expect(await sink.write(batch)).toEqual([])
    expect(uidsIn(stub)).toEqual(keysOf(batch))
  })

  it('is done once though two that hold its partition are at it', async () => {
    const stub = await testSplunk()
    const sink = await openedSplunk(splunkSettings(stub))
    await Promise.all([sink.write(findings(5)), sink.write(findings(5))])
    expect(stub.indexed).toHaveLength(5)
  })
})

describe('a request that is too large', () => {
  it('is halved until it is taken, and nothing is doubled', async () => {
    const stub = await testSplunk({ contentBytesMax: 20_000 })
    const sink = await openedSplunk(splunkSettings(stub, { gzip: false }))
    const batch = findings(40)
    expect(await sink.write(batch)).toEqual([])
    expect(uidsIn(stub)).toEqual(keysOf(batch))
  })

  it('and has one event only is refused with its size', async () => {
    const stub = await testSplunk({ contentBytesMax: 20_000 })
    const sink = await openedSplunk(splunkSettings(stub, { gzip: false }))
    const small = toldFindings(6)
    const batch = batchOf([...small, ...toldFindings(1, { description: 'd'.repeat(30_000) })])
    const rejections = await sink.write(batch)
    expect(rejections).toEqual([
      { index: 6, reason: expect.stringMatching(/size; the event has \d{5} bytes/) as string },
    ])
    expect(uidsIn(stub)).toEqual(small.map(({ key }) => key))
  })
})

describe('an event that Splunk refuses', () => {
  const codes = [6, 12, 13, 15].flatMap((code) => [[code, true] as const, [code, false] as const])

  it.each(codes)(
    'for good, code %i, is found among the others, those before it indexed: %s',
    async (code, keepsThoseBefore) => {
      const objection = objectTo(code, ['f3', 'f4', 'f17'])
      const stub = await testSplunk({ objection, keepsThoseBefore })
      const sink = await openedSplunk(splunkSettings(stub))
      const batch = findings(20)
      const rejections = await sink.write(batch)
      expect(rejections.map(({ index }) => index)).toEqual([3, 4, 17])
      for (const { reason } of rejections) expect(reason).toMatch(/^Splunk refuses it: .+code/)
      const good = keysOf(batch).filter((uid) => !['f3', 'f4', 'f17'].includes(uid))
      expect(distinct(stub)).toEqual(good.toSorted())
      // Nobody says whether it has those before a bad one: once more, and not twice.
      const copies = good.map((uid) => uidsIn(stub).filter((one) => one === uid).length)
      expect(Math.max(...copies)).toBeLessThanOrEqual(keepsThoseBefore ? 2 : 1)
    },
  )

  it('is found also where Splunk does not say which it is', async () => {
    const objection = objectTo(6, ['f0', 'f19'])
    const stub = await testSplunk({ objection, tellsEventNumber: false })
    const sink = await openedSplunk(splunkSettings(stub))
    const batch = findings(20)
    expect((await sink.write(batch)).map(({ index }) => index)).toEqual([0, 19])
    expect(distinct(stub)).toHaveLength(18)
  })

  it('is known until its dead letter is written, and not sent again', async () => {
    const stub = await testSplunk({ objection: objectTo(6, ['f1']) })
    const sink = await openedSplunk(splunkSettings(stub))
    const batch = findings(3)
    const rejections = await sink.write(batch)
    const requests = stub.heard.length
    expect(await sink.write(batch)).toEqual(rejections)
    expect(await sink.write({ ...batch, records: [] })).toEqual([])
    expect(await sink.write(batch)).toEqual([])
    expect(stub.heard).toHaveLength(requests)
  })

  it('is known while the others wait', async () => {
    const stub = await testSplunk()
    const sink = await openedSplunk(splunkSettings(stub))
    await sink.write({ ...findings(1), partition: 1 })
    stub.indexed.length = 0
    const batch = findings(2)
    // The bad one is found; the request with the others meets a fault.
    stub.behaviour.objection = (event) => {
      stub.behaviour.instead = status(500)
      return objectTo(6, ['f0'])(event)
    }
    expect((await failureOf(sink.write(batch))).failure).toBe('SINK_UNAVAILABLE')
    stub.behaviour.objection = () => null
    expect((await sink.write(batch)).map(({ index }) => index)).toEqual([0])
    expect(distinct(stub)).toEqual(['f1'])
  })

  it('by JSON never gets there, and stands beside those that Splunk refuses', async () => {
    const stub = await testSplunk({ objection: objectTo(15, ['f0']) })
    const sink = await openedSplunk(splunkSettings(stub))
    const half = toldFindings(1, { title: 'half \udfff' })
    const rejections = await sink.write(batchOf([...toldFindings(2), ...half]))
    expect(rejections.map(({ index }) => index)).toEqual([0, 2])
  })
})

describe('trouble that somebody must mend', () => {
  const cases: [string, (behaviour: Behaviour) => () => void, string, RegExp][] = [
    [
      'a disabled token (1)',
      (b) => set(b, 'isTokenEnabled', false),
      'AUTHORIZATION_FAILURE',
      /Enable it/,
    ],
    [
      'another token (4)',
      (b) => set(b, 'token', 'other'),
      'AUTHORIZATION_FAILURE',
      /HTTP Event Coll/,
    ],
    [
      'an index that is not allowed (7)',
      (b) => set(b, 'indexes', ['x']),
      'CONFIGURATION',
      /Make the index/,
    ],
    [
      'a token that wants a channel (10)',
      (b) => set(b, 'acks', true),
      'CONFIGURATION',
      /set ack: true/,
    ],
  ]
  function set<K extends keyof Behaviour>(behaviour: Behaviour, name: K, value: Behaviour[K]) {
    const before = behaviour[name]
    behaviour[name] = value
    return () => void (behaviour[name] = before)
  }

  it.each(cases)(
    'is %s: told with the next step, refused nothing, then gone on',
    async (...given) => {
      const [, spoil, failure, step] = given
      const stub = await testSplunk()
      const sink = await openedSplunk(splunkSettings(stub))
      const batch = findings(4)
      const mend = spoil(stub.behaviour)
      for (const _try of [1, 2]) {
        const error = await failureOf(sink.write(batch))
        expect([error.failure, error.stage]).toEqual([failure, 'SINK'])
        expect(error.remediation).toMatch(step)
      }
      expect(stub.indexed).toEqual([])
      mend()
      expect(await sink.write(batch)).toEqual([])
      expect(uidsIn(stub)).toEqual(keysOf(batch))
    },
  )

  it('is a way that changes every request: no event is refused for it', async () => {
    const stub = await testSplunk({ objection: () => ({ code: 6 }) })
    const sink = await openedSplunk(splunkSettings(stub))
    for (const batch of [findings(1), findings(40)]) {
      const before = stub.heard.length
      const error = await failureOf(sink.write(batch))
      expect([error.failure, error.remediation]).toEqual([
        'CONFIGURATION',
        expect.stringMatching(/gzip: false/),
      ])
      expect(stub.heard.length - before).toBeLessThan(6)
    }
    stub.behaviour.objection = objectTo(6, ['f0'])
    expect((await sink.write(findings(40))).map(({ index }) => index)).toEqual([0])
    expect(distinct(stub)).toHaveLength(39)
  })

  it('is seen at the start', async () => {
    const stub = await testSplunk({ isTokenEnabled: false })
    const error = await failureOf(splunkSink(splunkSettings(stub)).open())
    expect(error.failure).toBe('AUTHORIZATION_FAILURE')
    const { times, answer } = status(404, {}, '<html>Splunk Web</html>')
    stub.behaviour.instead = { times, answer }
    const other = await failureOf(splunkSink(splunkSettings(stub)).open())
    expect([other.failure, other.remediation]).toEqual([
      'CONFIGURATION',
      expect.stringMatching(/not that of Splunk Web/),
    ])
  })

  it('is a request whose body does not arrive: no event is refused for it', async () => {
    const stub = await testSplunk()
    const sink = await openedSplunk(splunkSettings(stub))
    const noData = JSON.stringify({ text: 'No data', code: 5 })
    stub.behaviour.instead = status(400, { 'content-type': 'application/json' }, noData)
    expect((await failureOf(sink.write(findings(1)))).failure).toBe('CONFIGURATION')
    stub.behaviour.instead = status(400, {}, '<html>Bad Request</html>')
    expect((await failureOf(sink.write(findings(1)))).failure).toBe('CONFIGURATION')
    expect(await sink.write(findings(1))).toEqual([])
  })

  it('is over when the file of the token holds the right one', async () => {
    const stub = await testSplunk()
    const token = secretFile(TOKEN)
    const sink = await openedSplunk({ url: stub.url, token })
    stub.behaviour.token = 'canary-new-token'
    expect((await failureOf(sink.write(findings(1)))).failure).toBe('AUTHORIZATION_FAILURE')
    writeFileSync(token.slice('file:'.length), 'canary-new-token\n')
    expect(await sink.write(findings(1))).toEqual([])
  })
})

describe('trouble that passes', () => {
  const json = (code: number) => JSON.stringify({ text: 'said by Splunk', code })

  it.each([
    ['a busy server', status(503, { 'retry-after': '7' }, json(9)), 7_000],
    ['an internal error', status(500, {}, json(8)), undefined],
    ['too many requests', status(429, { 'retry-after': '3' }), 3_000],
    [
      'a proxy',
      status(502, { 'content-type': 'text/html' }, '<html>Bad gateway</html>'),
      undefined,
    ],
    [
      'a page with 200',
      status(200, { 'content-type': 'text/html' }, '<html>Log in</html>'),
      undefined,
    ],
    ['JSON of another with 200', status(200, {}, '{"ok":true}'), undefined],
    ['another code with 200', status(200, {}, json(9)), undefined],
  ])('is %s: the batch is sent again', async (_name, instead, waitMs) => {
    const stub = await testSplunk()
    const sink = await openedSplunk(splunkSettings(stub))
    const batch = findings(4)
    stub.behaviour.instead = instead
    const error = await failureOf(sink.write(batch))
    expect([error.failure, error.retriable]).toEqual(['SINK_UNAVAILABLE', true])
    expect(error.details.retryAfterMs).toBe(waitMs)
    expect(await sink.write(batch)).toEqual([])
    expect(uidsIn(stub)).toEqual(keysOf(batch))
  })

  it('is nobody there, at the start and later', async () => {
    const stub = await testSplunk()
    const sink = await openedSplunk(splunkSettings(stub))
    await stub.stop()
    expect((await failureOf(sink.write(findings(1)))).failure).toBe('SINK_UNAVAILABLE')
    const opening = splunkSink(splunkSettings(stub)).open()
    expect((await failureOf(opening)).failure).toBe('SINK_UNAVAILABLE')
  })
})

describe('the token', () => {
  it('is in no error and no reason, though the other side repeats it', async () => {
    const stub = await testSplunk()
    const sink = await openedSplunk(splunkSettings(stub))
    const repeated = `Authorization: Splunk ${TOKEN}`
    const told: unknown[] = []
    for (const code of [400, 401, 403, 500]) {
      stub.behaviour.instead = {
        ...status(code, {}, JSON.stringify({ code: 6, text: repeated })),
        times: 2,
      }
      const write = sink.write(findings(1)).catch((error: unknown) => error)
      told.push(await write)
    }
    expect(told).toHaveLength(4)
    expect(inspect(told, { depth: null, showHidden: true })).not.toContain('canary')
  })

  it('crosses TLS of an authority that only the settings know', async () => {
    const stub = await testSplunk()
    const authority = await createAuthority()
    const { port } = await serveTls(stub.url, await authority.sign('localhost'))
    const url = `https://localhost:${port}`
    const settings = splunkSettings(stub, { url, caFile: authority.caFile })
    expect(await (await openedSplunk(settings)).write(findings(2))).toEqual([])
    expect(stub.indexed).toHaveLength(2)
    const error = await failureOf(splunkSink(splunkSettings(stub, { url })).open())
    expect([error.failure, error.message]).toEqual([
      'SINK_UNAVAILABLE',
      expect.stringMatching(/TLS handshake/),
    ])
    expect(error.remediation).toMatch(/caFile/)
  })
})
