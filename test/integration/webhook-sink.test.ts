// Webhooks from the topic of connector errors: waits as asked, dead letters, nothing told twice.
import { describe, expect, it } from 'vitest'
import { errorEvent } from '../support/events.ts'
import { eventTopics } from '../support/event-topics.ts'
import { serve } from '../support/http-server.ts'
import { runningSink } from '../support/running-sink.ts'
import { waitFor } from '../support/stack.ts'
import { bodyOf, webhookSettings, webhookSink } from '../support/webhook.ts'

describe('a webhook behind the topic of connector errors', () => {
  it('is called again after the pause that it asks for, and its refusals are kept', async () => {
    const topics = await eventTopics()
    const server = await serve(({ body }, response, number) => {
      if (number === 1) response.writeHead(429, { 'retry-after': '1' })
      else if (body.includes('print-2')) response.writeHead(400)
      response.end('')
    })
    const sink = webhookSink(webhookSettings('json', server.url))
    await topics.put('connectorErrors', 'print-1', errorEvent('e1', 'print-1'))
    await topics.put('connectorErrors', 'print-1', errorEvent('e2', 'print-2'))
    await topics.put('connectorErrors', 'print-1', errorEvent('e3', 'print-3'))
    const running = await runningSink(topics, sink)
    await running.settled()
    const keys = server.received.map((call) => bodyOf(call)['dedup_key'])
    expect(keys).toEqual(['print-1', 'print-1', 'print-2', 'print-3'])
    const [first, second] = server.received
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThan(950)
    const letters = await topics.deadLetters()
    expect(letters.map(({ headers }) => headers['x-dlq-error'])).toEqual([
      expect.stringContaining('HTTP 400') as string,
    ])
    expect(running.raised.map(({ failure }) => failure)).toEqual([
      'SINK_UNAVAILABLE',
      'SINK_REJECTED',
    ])
  })

  it('is told nothing twice after a restart, and the end of what began before it', async () => {
    const topics = await eventTopics()
    const server = await serve((_request, response) => void response.end('ok'))
    const sink = webhookSink(webhookSettings('slack', server.url))
    await topics.put('connectorErrors', 'p1', errorEvent('e1', 'p1'))
    const first = await runningSink(topics, sink)
    await first.settled()
    await first.stop()
    const second = await runningSink(topics, sink)
    await topics.put('connectorErrors', 'p1', errorEvent('e2', 'p1', { state: 'CLEARED' }))
    await waitFor(() => server.received.length > 1, { what: 'the end is told' })
    await second.settled()
    expect(server.received.map((call) => bodyOf(call)['text'])).toEqual([
      'Authorization failure: prod xdr.endpoints',
      'Authorization failure is over: prod xdr.endpoints',
    ])
  })
})
