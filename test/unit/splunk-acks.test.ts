// Acknowledgements: waited for, asked for again, and never those of another request.
import { describe, expect, it } from 'vitest'
import { createChannel } from '../../sinks/splunk/acks.ts'
import { batchOf } from '../support/postgres.ts'
import {
  failureOf,
  openedSplunk,
  purges,
  splunkSettings,
  splunkSink,
  testSplunk,
  toldFindings,
  uidsIn,
} from '../support/splunk.ts'
import type { SplunkStub } from '../support/splunk-stub.ts'
import { waitFor } from '../support/stack.ts'

const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const ACK = '/services/collector/ack'
const CHANNEL = '6f1c0f3e-2b7a-4d58-9a51-0c8e7d3b9f42'

const findings = (count: number, partition = 0) =>
  batchOf(toldFindings(count, {}, `p${partition}-f`), { partition })
const keysOf = ({ records }: ReturnType<typeof findings>) => records.map(({ key }) => key)
const requests = ({ heard }: SplunkStub) => heard.filter(({ events }) => events > 0)
const polls = ({ heard }: SplunkStub) => heard.filter(({ path }) => path === ACK)

describe('a write with acknowledgements', () => {
  it('returns when all of its requests are acknowledged, and not before', async () => {
    const stub = await testSplunk({ acks: true, ackAfterPolls: 2 })
    const sink = await openedSplunk(splunkSettings(stub, { ack: true }))
    const before = polls(stub).length
    expect(await sink.write(purges(700))).toEqual([])
    expect(requests(stub)).toHaveLength(2)
    expect(polls(stub).length - before).toBe(3)
    expect(stub.indexed).toHaveLength(700)
  })

  it('has one channel as long as the process lives, the given one or its own', async () => {
    const stub = await testSplunk({ acks: true, ackAfterPolls: 0 })
    const own = splunkSink(splunkSettings(stub, { ack: true }))
    for (const part of [0, 1]) {
      const opened = await own.open()
      await opened.write(findings(2, part))
      await opened.close()
    }
    const [channel, ...others] = new Set(stub.heard.map((one) => one.channel))
    expect([channel, others]).toEqual([expect.stringMatching(GUID), []])
    const given = await openedSplunk(splunkSettings(stub, { ack: true, channel: CHANNEL }))
    await given.write(findings(2, 2))
    expect(stub.heard.at(-1)?.channel).toBe(CHANNEL)
  })

  it('fails when none comes in time, and sends again', async () => {
    const stub = await testSplunk({ acks: true, losesRequests: true })
    const sink = await openedSplunk(splunkSettings(stub, { ack: true, ackTimeout: '1s' }))
    const batch = findings(3)
    const error = await failureOf(sink.write(batch))
    expect([error.failure, error.retriable]).toEqual(['SINK_UNAVAILABLE', true])
    expect(error.remediation).toMatch(/load balancer/)
    stub.behaviour.losesRequests = false
    expect(await sink.write(batch)).toEqual([])
    expect(uidsIn(stub)).toEqual(keysOf(batch))
  })

  it('that comes too late for one try counts for the next: nothing is sent again', async () => {
    const stub = await testSplunk({ acks: true, ackAfterPolls: Infinity })
    const sink = await openedSplunk(splunkSettings(stub, { ack: true, ackTimeout: '1s' }))
    const batch = findings(3)
    expect((await failureOf(sink.write(batch))).failure).toBe('SINK_UNAVAILABLE')
    stub.acknowledge()
    expect(await sink.write(batch)).toEqual([])
    expect(requests(stub)).toHaveLength(1)
  })

  it.each([0, 3])('that met trouble does not send again what waits (%i)', async (ackAfterPolls) => {
    const stub = await testSplunk({ acks: true, ackAfterPolls })
    const sink = await openedSplunk(splunkSettings(stub, { ack: true }))
    const seen: unknown[] = []
    stub.behaviour.objection = () => {
      const answer = (response: { writeHead(status: number): { end(): void } }) =>
        response.writeHead(503).end()
      if (seen.push(null) === 500) stub.behaviour.instead = { times: 1, answer }
      return null
    }
    const batch = purges(600)
    expect((await failureOf(sink.write(batch))).failure).toBe('SINK_UNAVAILABLE')
    expect(await sink.write(batch)).toEqual([])
    expect(uidsIn(stub)).toEqual(keysOf(batch))
  })

  it('does not wait for a batch that another process has finished', async () => {
    const stub = await testSplunk({ acks: true, ackAfterPolls: Infinity })
    const sink = await openedSplunk(splunkSettings(stub, { ack: true }))
    const answer = (response: { writeHead(status: number): { end(): void } }) =>
      response.writeHead(503).end()
    stub.behaviour.objection = () => {
      if (stub.indexed.length === 499) stub.behaviour.instead = { times: 1, answer }
      return null
    }
    expect((await failureOf(sink.write(purges(600)))).failure).toBe('SINK_UNAVAILABLE')
    stub.behaviour.ackAfterPolls = 0
    const next = batchOf(toldFindings(2, {}, 'next'), { firstOffset: 600n })
    expect(await sink.write(next)).toEqual([])
    expect(uidsIn(stub).slice(500)).toEqual(['next0', 'next1'])
  })

  it('sends its requests one after the other: the order of ids tells a new start', async () => {
    const stub = await testSplunk({ acks: true, ackAfterPolls: 0 })
    const sink = await openedSplunk(splunkSettings(stub, { ack: true }))
    const gate = Promise.withResolvers<undefined>()
    stub.behaviour.hold = { path: '/services/collector/event', until: () => gate.promise }
    const writing = [0, 1, 2].map((partition) => sink.write(findings(2, partition)))
    await waitFor(async () => stub.mostAtOnce() > 0, { what: 'sent' })
    gate.resolve(undefined)
    await Promise.all(writing)
    expect(stub.mostAtOnce()).toBe(1)
  })

  it('keeps partitions apart that write at once', async () => {
    const stub = await testSplunk({ acks: true, ackAfterPolls: 1 })
    const sink = await openedSplunk(splunkSettings(stub, { ack: true }))
    const batches = [0, 1, 2, 3].map((partition) => findings(5, partition))
    await Promise.all(batches.map((batch) => sink.write(batch)))
    expect(uidsIn(stub).toSorted()).toEqual(batches.flatMap(keysOf).toSorted())
  })

  it('refuses what Splunk refuses, and waits for the others', async () => {
    const stub = await testSplunk({
      acks: true,
      objection: ({ fields }) => (fields['exposure_uid'] === 'p0-f1' ? { code: 6 } : null),
    })
    const sink = await openedSplunk(splunkSettings(stub, { ack: true }))
    expect((await sink.write(findings(4))).map(({ index }) => index)).toEqual([1])
    expect([...new Set(uidsIn(stub))]).toEqual(['p0-f0', 'p0-f2', 'p0-f3'])
  })
})

describe('a collector that starts anew', () => {
  it('does not acknowledge what it has lost by the id of another request', async () => {
    const stub = await testSplunk({ acks: true, losesRequests: true, ackAfterPolls: 1 })
    const sink = await openedSplunk(splunkSettings(stub, { ack: true }))
    const lost = findings(2, 1)
    const writing = failureOf(sink.write(lost))
    await waitFor(async () => requests(stub).length === 1, { what: 'taken' })
    stub.restart()
    stub.behaviour.losesRequests = false
    expect(await sink.write(findings(2, 2))).toEqual([])
    expect((await writing).failure).toBe('SINK_UNAVAILABLE')
    expect(await sink.write(lost)).toEqual([])
    expect(uidsIn(stub)).toEqual(['p2-f0', 'p2-f1', 'p1-f0', 'p1-f1'])
  })

  it('does not do so either while it is being asked', async () => {
    const stub = await testSplunk({ acks: true, losesRequests: true, ackAfterPolls: 0 })
    const sink = await openedSplunk(splunkSettings(stub, { ack: true, ackTimeout: '3s' }))
    const gate = Promise.withResolvers<undefined>()
    let asked = 0
    const until = () => {
      asked += 1
      return gate.promise
    }
    const lost = findings(2, 1)
    const writing = failureOf(sink.write(lost))
    await waitFor(async () => requests(stub).length === 1, { what: 'taken' })
    stub.behaviour.hold = { path: ACK, until }
    await waitFor(async () => asked === 1, { what: 'asked for what is lost' })
    stub.restart()
    stub.behaviour.losesRequests = false
    const other = findings(2, 2)
    const second = sink.write(other).catch(() => undefined)
    await waitFor(async () => asked === 2, { what: 'asked for what came behind it' })
    gate.resolve(undefined)
    expect((await writing).failure).toBe('SINK_UNAVAILABLE')
    await second
    expect(await sink.write(lost)).toEqual([])
    expect(await sink.write(other)).toEqual([])
    expect(new Set(uidsIn(stub))).toEqual(new Set([...keysOf(lost), ...keysOf(other)]))
  })

  it('is told by an id that does not grow', () => {
    const channel = createChannel(CHANNEL, 1_000)
    const [first, second] = [channel.took(0, [1n]), channel.took(4, [2n])]
    expect([first, second].map((ticket) => channel.stands(ticket))).toEqual([true, true])
    const again = channel.took(4, [3n])
    expect([first, second, again].map((ticket) => channel.stands(ticket))).toEqual([
      false,
      false,
      true,
    ])
  })
})

describe('a token without acknowledgements', () => {
  it('is told at the start, before anything is sent', async () => {
    const stub = await testSplunk({ acks: false })
    const error = await failureOf(splunkSink(splunkSettings(stub, { ack: true })).open())
    expect([error.failure, error.remediation]).toEqual([
      'CONFIGURATION',
      expect.stringMatching(/set ack: false/),
    ])
    expect(stub.indexed).toEqual([])
  })

  it('gets a batch once, however often it is tried, until somebody has decided', async () => {
    const stub = await testSplunk({ acks: true, ackAfterPolls: 0 })
    const sink = await openedSplunk(splunkSettings(stub, { ack: true }))
    stub.behaviour.acks = false
    const batch = findings(3)
    for (const _try of [1, 2, 3]) {
      const error = await failureOf(sink.write(batch))
      expect([error.failure, error.remediation]).toEqual([
        'CONFIGURATION',
        expect.stringMatching(/switched off/),
      ])
    }
    expect(stub.indexed).toHaveLength(3)
    stub.behaviour.acks = true
    expect(await sink.write(batch)).toEqual([])
    expect(stub.indexed).toHaveLength(6)
  })
})
