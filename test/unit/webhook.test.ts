// Webhooks against a receiver on loopback: what is told, signed, tried again, refused, kept secret.
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import { PipelineError } from '../../contracts/errors.ts'
import { webhookConfig } from '../../sinks/webhook/config.ts'
import { pagerDutyBody, slackBody } from '../../sinks/webhook/messages.ts'
import { BASE_MS, errorEvent } from '../support/events.ts'
import {
  ROUTING_KEY,
  SECRET_PATH,
  SIGNING_KEY,
  bodyOf,
  errorBatch,
  expectedSignature,
  webhookSettings,
  webhookSink,
  webhookWorld,
} from '../support/webhook.ts'
import { waitFor } from '../support/wait-for.ts'

const raised = errorEvent('e1', 'print-1')
const ongoing = errorEvent('e2', 'print-1', { state: 'ONGOING', occurrences: 7 })
const cleared = errorEvent('e3', 'print-1', { state: 'CLEARED', severity: 'INFORMATIONAL' })
const actions = (received: Parameters<typeof bodyOf>[0][]) =>
  received.map((call) => [bodyOf(call)['action'], bodyOf(call)['dedup_key']])

async function failureOf(work: Promise<unknown>): Promise<PipelineError> {
  try {
    await work
  } catch (error) {
    if (error instanceof PipelineError) return error
    throw error
  }
  throw new Error('it did not fail')
}

describe('a condition', () => {
  it('is told when it is raised and when it is over, and not in between', async () => {
    const { sink, received } = await webhookWorld('json')
    expect(await sink.write(errorBatch([raised, ongoing, ongoing, cleared, cleared]))).toEqual([])
    expect(actions(received)).toEqual([
      ['trigger', 'print-1'],
      ['resolve', 'print-1'],
    ])
  })

  it('is told while it goes on where that is wanted', async () => {
    const { sink, received } = await webhookWorld('json', { ongoing: true })
    await sink.write(errorBatch([raised, ongoing, cleared]))
    expect(actions(received).map(([action]) => action)).toEqual(['trigger', 'update', 'resolve'])
  })

  it('that two processes have raised is told once, and anew after its end', async () => {
    const { sink, received } = await webhookWorld('json')
    await sink.write(errorBatch([raised, { ...raised, error_id: 'e9' }, cleared, raised]))
    expect(actions(received).map(([action]) => action)).toEqual(['trigger', 'resolve', 'trigger'])
  })

  it('is told to be over though this process never told that it began', async () => {
    const { sink, received } = await webhookWorld('json')
    await sink.write(errorBatch([ongoing, cleared]))
    expect(actions(received)).toEqual([['resolve', 'print-1']])
  })

  it('that goes on in another process after it was told to be over is told anew', async () => {
    const { sink, received } = await webhookWorld('json')
    await sink.write(errorBatch([raised, cleared, ongoing, ongoing, cleared]))
    const told = ['trigger', 'resolve', 'trigger', 'resolve']
    expect(actions(received).map(([action]) => action)).toEqual(told)
  })

  it('of the webhook itself is told to nobody', async () => {
    const { sink, received } = await webhookWorld('json', { name: 'ops' })
    const own = errorEvent('e1', 'p1', { sink_id: 'ops' })
    const other = errorEvent('e2', 'p2', { sink_id: 'postgres', connection_id: null })
    await sink.write(errorBatch([own, other]))
    expect(actions(received)).toEqual([['trigger', 'p2']])
  })
})

describe('the generic webhook', () => {
  it('gets the whole event, signed over time and bytes', async () => {
    const { sink, received } = await webhookWorld('json')
    await sink.write(errorBatch([raised]))
    const [call] = received
    if (call === undefined) throw new Error('nothing was received')
    expect([call.method, call.url]).toEqual(['POST', SECRET_PATH])
    expect(bodyOf(call)).toEqual({
      type: 'exposure.connector-error.v1',
      action: 'trigger',
      dedup_key: 'print-1',
      error: raised,
    })
    expect(call.headers['x-exposure-signature']).toBe(expectedSignature(call, SIGNING_KEY))
    expect(call.headers['x-exposure-signature']).not.toBe(expectedSignature(call, 'another key'))
    const ageMs = Date.now() - Number(call.headers['x-exposure-timestamp']) * 1_000
    expect(Math.abs(ageMs)).toBeLessThan(120_000)
  })

  it('gets no signature without a key', async () => {
    const { sink, received } = await webhookWorld('json', { signingKey: undefined })
    await sink.write(errorBatch([raised]))
    expect(received[0]?.headers['x-exposure-signature']).toBeUndefined()
  })
})

describe('PagerDuty', () => {
  it('gets events of one dedup key: trigger, then resolve', async () => {
    const { sink, received } = await webhookWorld('pagerduty', {}, (response) => {
      response.writeHead(202, { 'content-type': 'application/json' })
      response.end('{"status":"success"}')
    })
    await sink.write(errorBatch([raised, cleared]))
    expect(received.map(({ url }) => url)).toEqual(['/v2/enqueue', '/v2/enqueue'])
    const head = { routing_key: ROUTING_KEY, dedup_key: 'print-1' }
    const [first, second] = received.map(bodyOf)
    expect(first).toMatchObject({
      ...head,
      event_action: 'trigger',
      payload: {
        summary: 'Authorization failure: prod xdr.endpoints: refused',
        severity: 'error',
        source: 'exposure-stream',
        timestamp: new Date(BASE_MS).toISOString(),
        class: 'AUTHORIZATION_FAILURE',
        custom_details: { remediation: 'check the key' },
      },
    })
    expect(second).toEqual({ ...head, event_action: 'resolve' })
  })

  it('gets no more of a summary than it takes', async () => {
    const { sink, received } = await webhookWorld('pagerduty')
    await sink.write(errorBatch([errorEvent('e1', 'p', { message: 'm'.repeat(2_048) })]))
    const { payload } = bodyOf(received[0] as never) as { payload: { summary: string } }
    expect(payload.summary.length).toBeLessThanOrEqual(1_024)
  })
})

describe('Slack', () => {
  it('gets blocks with what is broken and the next step, and its words escaped', async () => {
    const { sink, received } = await webhookWorld('slack')
    const odd = errorEvent('e1', 'p', { message: 'answered <!channel> & more' })
    await sink.write(errorBatch([odd]))
    const { text, blocks } = bodyOf(received[0] as never) as { text: string; blocks: object[] }
    expect(text).toBe('Authorization failure: prod xdr.endpoints')
    expect(blocks).toMatchObject([
      { type: 'section', text: { type: 'mrkdwn' } },
      { text: { text: 'answered &lt;!channel&gt; &amp; more\n*Next step:* check the key' } },
      { type: 'context' },
    ])
    expect(JSON.stringify(blocks)).not.toContain('<!')
  })
})

describe('a text that is too long', () => {
  it('is cut between characters', () => {
    // Each begins a little later, so that every place of a cut is met.
    for (let i = 0; i < 8; i++) {
      const message = 'm'.repeat(i) + '😀&'.repeat(1_000)
      const long = errorEvent('e1', 'print-1', { message })
      const slack = JSON.stringify(slackBody(long, 'trigger'))
      expect(slack.replaceAll('&amp;', '')).not.toContain('&')
      for (const body of [slack, JSON.stringify(pagerDutyBody(long, 'trigger', ROUTING_KEY))]) {
        expect(body).toContain('😀')
        expect(body).not.toMatch(/\\ud[89a-f]/)
      }
    }
  })
})

describe('a receiver in trouble', () => {
  const seconds = (retryAfter: string) => ({ 'retry-after': retryAfter })

  it('that asks to wait is waited for as long as it asks', async () => {
    const { sink, received } = await webhookWorld('json', {}, (response, number) => {
      if (number > 1) return void response.end('ok')
      response.writeHead(429, seconds('7')).end('slow down')
    })
    const error = await failureOf(sink.write(errorBatch([raised])))
    expect([error.failure, error.retriable]).toEqual(['SINK_UNAVAILABLE', true])
    expect(error.details.retryAfterMs).toBe(7_000)
    expect(await sink.write(errorBatch([raised]))).toEqual([])
    expect(received).toHaveLength(2)
  })

  it.each([500, 502, 503, 408])('with HTTP %s is tried again', async (status) => {
    const { sink, received } = await webhookWorld('json', {}, (response, number) => {
      response.writeHead(number === 1 ? status : 200).end('')
    })
    const error = await failureOf(sink.write(errorBatch([raised])))
    expect(error.failure).toBe('SINK_UNAVAILABLE')
    expect(await sink.write(errorBatch([raised]))).toEqual([])
    expect(received).toHaveLength(2)
  })

  it('that is not there is waited for', async () => {
    const { sink, server } = await webhookWorld('json')
    await new Promise((done) => server.server.close(done))
    const error = await failureOf(sink.write(errorBatch([raised])))
    expect(error.failure).toBe('SINK_UNAVAILABLE')
  })

  it('gets again only what it has not taken', async () => {
    const other = errorEvent('e5', 'print-2')
    const { sink, received } = await webhookWorld('json', { ongoing: true }, (response, number) => {
      response.writeHead(number === 3 ? 500 : 200).end('')
    })
    const batch = errorBatch([raised, ongoing, other])
    await failureOf(sink.write(batch))
    expect(await sink.write(batch)).toEqual([])
    expect(actions(received).map(([, key]) => key)).toEqual([
      'print-1',
      'print-1',
      'print-2',
      'print-2',
    ])
  })

  it('that is slow gets nothing twice when the group deals anew meanwhile', async () => {
    const slow = Promise.withResolvers<void>()
    const { sink, received } = await webhookWorld('json', {}, (response) => {
      void slow.promise.then(() => response.end('ok'))
    })
    const batch = errorBatch([raised, cleared])
    const before = sink.write(batch)
    await waitFor(() => received.length > 0, { what: 'the first call' })
    const again = sink.write(batch)
    slow.resolve()
    expect(await Promise.all([before, again])).toEqual([[], []])
    expect(actions(received).map(([action]) => action)).toEqual(['trigger', 'resolve'])
  })

  it('refuses one for good with its reason, and gets the others', async () => {
    const { sink, received } = await webhookWorld('json', {}, (response, _number, { body }) => {
      response.writeHead(body.includes('print-2') ? 400 : 200).end('invalid_payload')
    })
    const batch = errorBatch([raised, errorEvent('e2', 'print-2'), errorEvent('e3', 'print-3')])
    const rejections = await sink.write(batch)
    expect(rejections).toEqual([
      { index: 1, reason: expect.stringMatching(/HTTP 400: invalid_payload/) as string },
    ])
    expect(received).toHaveLength(3)
    // The dead letter could not be written: the batch comes again, and is refused at one place.
    expect(await sink.write(batch)).toEqual(rejections)
    expect(await sink.write({ ...batch, records: [] })).toEqual([])
    expect(received).toHaveLength(3)
  })

  it('remembers its refusals while the rest of the batch waits', async () => {
    const { sink } = await webhookWorld('json', {}, (response, number) => {
      response.writeHead([404, 500][number - 1] ?? 200).end('')
    })
    const batch = errorBatch([raised, errorEvent('e2', 'print-2')])
    await failureOf(sink.write(batch))
    expect((await sink.write(batch)).map(({ index }) => index)).toEqual([0])
  })

  it('gets a call again after a crash, with the same dedup key', async () => {
    const { sink, received, open } = await webhookWorld('json')
    await sink.write(errorBatch([raised]))
    await sink.close()
    const after = await open()
    await after.write(errorBatch([raised]))
    expect(actions(received)).toEqual([
      ['trigger', 'print-1'],
      ['trigger', 'print-1'],
    ])
  })
})

describe('the secrets of a webhook', () => {
  /** Every secret of these tests has the word in it, and a part of one is a leak as well. */
  const expectNone = (told: unknown) =>
    expect(inspect(told, { depth: null, showHidden: true })).not.toContain('canary')
  /** Puts a text where the 500 characters that are kept of an answer end in its first secret. */
  const cutInSecret = (text: string) => 'x'.repeat(494 - text.indexOf('canary')) + text

  it.each(['slack', 'pagerduty', 'json'] as const)(
    'are in no error and no reason of %s, though the receiver repeats them',
    async (format) => {
      const { sink } = await webhookWorld(format, {}, (response, number, { url, body }) => {
        const repeated = `${url} ${body}`
        if (number === 1) response.writeHead(500).end(repeated)
        else response.writeHead(400).end(cutInSecret(repeated))
      })
      expectNone(await failureOf(sink.write(errorBatch([raised]))))
      const rejections = await sink.write(errorBatch([raised]))
      expect(rejections).toHaveLength(1)
      expectNone(rejections)
    },
  )

  it('are in no error where nobody answers, or the address is none', async () => {
    const nobody = await webhookSink(webhookSettings('slack', 'http://127.0.0.1:1')).open()
    expectNone(await failureOf(nobody.write(errorBatch([raised]))))
    const wrong = await webhookSink(webhookSettings('slack', 'no-address')).open()
    const error = await failureOf(wrong.write(errorBatch([raised])))
    expect(error.failure).toBe('CONFIGURATION')
    expectNone(error)
  })

  it('are not left out of the call in silence where the address holds a user', async () => {
    const address = `http://user:password-of-nobody@127.0.0.1:1${SECRET_PATH}`
    const sink = await webhookSink(webhookSettings('slack', address)).open()
    const error = await failureOf(sink.write(errorBatch([raised])))
    expect(error).toMatchObject({ failure: 'CONFIGURATION' })
    expect(error.message).toContain('holds a user')
    expect(inspect(error, { depth: 20 })).not.toContain('password-of-nobody')
    expectNone(error)
  })

  it('are refused in the place of a reference', () => {
    const settings = { format: 'slack', url: `https://hooks.example${SECRET_PATH}` }
    const { error } = webhookConfig.safeParse(settings)
    expect(error?.issues[0]?.path).toEqual(['url'])
    expectNone(error)
  })
})

describe('an event that is no state of a condition', () => {
  it('is passed over', async () => {
    const { sink, received } = await webhookWorld('json', { ongoing: true })
    const unknown: ConnectorError = { ...raised, state: 'UNKNOWN' }
    const tombstone = { ...errorBatch([raised]).records[0], value: null, offset: 1n }
    const batch = errorBatch([unknown])
    const records = [...batch.records, tombstone as (typeof batch.records)[number]]
    expect(await sink.write({ ...batch, records, nextOffset: 2n })).toEqual([])
    expect(received).toEqual([])
  })
})
