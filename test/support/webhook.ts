// A webhook's receiver on loopback, and the sink that calls it.
import { createHmac } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { onTestFinished } from 'vitest'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { OpenSink, SinkBatch, SinkRecord } from '../../contracts/ports.ts'
import { webhookConfig } from '../../sinks/webhook/config.ts'
import { createWebhookSink } from '../../sinks/webhook/sink.ts'
import { type Received, serve } from './http-server.ts'
import { secretFile } from './postgres.ts'

export const SIGNING_KEY = 'canary-signing-key-71f0'
export const ROUTING_KEY = 'canary-routing-key-4be2'
/** The path of the address is what its owner keeps secret. */
export const SECRET_PATH = '/services/T0canary01/B0canary02/canary-path-93ac'

type Answer = (response: ServerResponse, number: number, request: Received) => void

/** Settings of each format, with its secrets in files, calling `origin`. */
export function webhookSettings(format: 'slack' | 'pagerduty' | 'json', origin: string): object {
  const url = secretFile(origin + SECRET_PATH)
  switch (format) {
    case 'slack':
      return { format, url }
    case 'pagerduty':
      return { format, eventsUrl: origin, routingKey: secretFile(ROUTING_KEY) }
    case 'json':
      return { format, url, signingKey: secretFile(SIGNING_KEY) }
  }
}

/** The sink as the product makes it from such settings. */
export const webhookSink = (settings: object) => createWebhookSink(webhookConfig.parse(settings))

/** A receiver, and an open sink that calls it; both end with the test. */
export async function webhookWorld(
  format: 'slack' | 'pagerduty' | 'json',
  more: object = {},
  answer: Answer = (response) => response.end('ok'),
) {
  const server = await serve((request, response, number) => answer(response, number, request))
  const settings = { ...webhookSettings(format, server.url), ...more }
  const open = async (): Promise<OpenSink> => {
    const opened = await webhookSink(settings).open()
    onTestFinished(() => opened.close())
    return opened
  }
  return { server, received: server.received, open, sink: await open() }
}

/** A batch of one partition, its offsets from `firstOffset` on. */
export function errorBatch(errors: readonly ConnectorError[], firstOffset = 0n): SinkBatch {
  const records = errors.map((value, i): SinkRecord => ({
    kind: 'connector-error',
    key: value.fingerprint,
    value,
    offset: firstOffset + BigInt(i),
    timestampMs: 0,
  }))
  const nextOffset = firstOffset + BigInt(records.length)
  return { topic: 'exposure.connector-errors', partition: 0, firstOffset, nextOffset, records }
}

export const bodyOf = ({ body }: Received): Record<string, unknown> =>
  JSON.parse(body) as Record<string, unknown>

/** What a receiver computes to know that a call is ours. */
export const expectedSignature = ({ headers, body }: Received, key: string): string => {
  const timestamp = String(headers['x-exposure-timestamp'])
  return `v1=${createHmac('sha256', key).update(`${timestamp}.${body}`).digest('hex')}`
}
