// Splunk behind the exposure topics: nothing lost, whatever the collector answers and whoever dies.
import { describe, expect, it } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import { assetEvent, errorEvent, findingEvent, runEvent } from '../support/events.ts'
import { eventTopics } from '../support/event-topics.ts'
import { runningSink } from '../support/running-sink.ts'
import { currentOf, splunkSettings, splunkSink, testSplunk, uidsIn } from '../support/splunk.ts'
import { waitFor } from '../support/stack.ts'

const failuresOf = (raised: readonly PipelineError[]) => raised.map(({ failure }) => failure)

describe('Splunk behind the exposure topics', () => {
  it('gets every kind that its format has, and dead letters what it refuses', async () => {
    const topics = await eventTopics()
    const stub = await testSplunk({
      objection: ({ fields }) => (fields['exposure_uid'] === 'f2' ? { code: 15 } : null),
    })
    await topics.put('assets', 'a1', assetEvent('a1'))
    for (const uid of ['f1', 'f2', 'f3']) await topics.put('findings', 'f', findingEvent(uid))
    await topics.put('findings', 'f3', null)
    await topics.put('connectorErrors', 'print-1', errorEvent('e1', 'print-1'))
    await topics.put('runs', 'r1', runEvent('r1'))
    const running = await runningSink(
      topics,
      splunkSink(splunkSettings(stub, { index: 'exposure' })),
    )
    await running.settled()
    const held = currentOf(stub.indexed).map(({ sourcetype, fields }) => [
      sourcetype,
      fields['exposure_uid'],
    ])
    expect(held.toSorted(([a = ''], [b = '']) => a.localeCompare(b))).toEqual([
      ['exposure:asset', 'a1'],
      ['exposure:connector_error', 'print-1'],
      ['exposure:finding', 'f1'],
    ])
    const letters = await topics.deadLetters()
    expect(letters.map(({ headers }) => headers['x-dlq-error'])).toEqual([
      expect.stringContaining('Error in handling indexed fields (code 15)') as string,
    ])
    expect(failuresOf(running.raised)).toEqual(['SINK_REJECTED'])
  })

  it('is waited for while its token is wrong: nothing is a dead letter for that', async () => {
    const topics = await eventTopics()
    const stub = await testSplunk()
    const running = await runningSink(topics, splunkSink(splunkSettings(stub)))
    await topics.put('findings', 'f1', findingEvent('f1'))
    await running.settled()
    stub.behaviour.isTokenEnabled = false
    await topics.put('findings', 'f2', findingEvent('f2'))
    await waitFor(async () => running.raised.length > 1, { what: 'tried more than once' })
    expect(new Set(failuresOf(running.raised))).toEqual(new Set(['AUTHORIZATION_FAILURE']))
    expect(running.raised[0]?.remediation).toMatch(/Enable it in Splunk/)
    running.cleared.length = 0
    stub.behaviour.isTokenEnabled = true
    await running.settled()
    expect(uidsIn(stub).toSorted((a, b) => a.localeCompare(b))).toEqual(['f1', 'f2'])
    expect(running.cleared).toContainEqual(
      expect.objectContaining({
        failures: expect.arrayContaining(['AUTHORIZATION_FAILURE']) as string[],
      }),
    )
    expect(await topics.deadLetters()).toEqual([])
  })

  it('is given the pause that it asks for', async () => {
    const topics = await eventTopics()
    const stub = await testSplunk()
    const running = await runningSink(topics, splunkSink(splunkSettings(stub)))
    const asked: number[] = []
    stub.behaviour.instead = {
      times: 1,
      answer: (response) => {
        asked.push(performance.now())
        response.writeHead(503, { 'retry-after': '2' }).end('{"text":"Server is busy","code":9}')
      },
    }
    await topics.put('findings', 'f1', findingEvent('f1'))
    await running.settled()
    await waitFor(async () => stub.indexed.length === 1, { what: 'written' })
    expect(performance.now() - (asked[0] ?? 0)).toBeGreaterThan(1_900)
    expect(failuresOf(running.raised)).toEqual(['SINK_UNAVAILABLE'])
  })

  it('loses nothing that it took and did not index, though the sink is stopped', async () => {
    const topics = await eventTopics()
    const stub = await testSplunk({ acks: true, losesRequests: true })
    const settings = splunkSettings(stub, { ack: true, ackTimeout: '1s' })
    const uids = Array.from({ length: 30 }, (_, i) => `f${i}`)
    const first = await runningSink(topics, splunkSink(settings))
    for (const uid of uids) await topics.put('findings', uid, findingEvent(uid))
    await waitFor(async () => first.raised.length > 0, { what: 'not acknowledged' })
    await first.stop()
    expect(stub.indexed).toEqual([])
    stub.restart()
    stub.behaviour.losesRequests = false
    const second = await runningSink(topics, splunkSink(settings))
    await second.settled()
    expect(new Set(uidsIn(stub))).toEqual(new Set(uids))
    expect(await topics.deadLetters()).toEqual([])
  })
})
