// Connections: one kafkajs instance with every timeout and retry spelled out, logging to pino.
import type { Kafka as KafkaInstance, KafkaConfig, LogEntry, Message, SASLOptions } from 'kafkajs'
import type { logCreator } from 'kafkajs'
import type { Logger } from '../log.ts'
import { Kafka, logLevel } from './kafkajs.ts'
import type { KafkaSettings } from './types.ts'

const CONNECTION_TIMEOUT_MS = 5_000
const AUTHENTICATION_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
/** The test environment changes kafkajs' defaults; nothing here is left to them. */
const RETRY = { initialRetryTime: 50, multiplier: 2, maxRetryTime: 1_000, retries: 8 }
export const METADATA_AGE_MAX_MS = 60_000

/** A kafkajs instance, without its type: only this folder can look inside. */
export type KafkaClient = {
  readonly settings: KafkaSettings
  readonly clientId: string
  readonly log: Logger
}

const instances = new WeakMap<KafkaClient, KafkaInstance>()

/**
 * A client. Use one for each consumer and another for all producers: consumers and producers of one
 * instance share a map of committed offsets, in which a producer notes offsets before they count.
 */
export function createKafka(settings: KafkaSettings, clientId: string, log: Logger): KafkaClient {
  const client: KafkaClient = { settings, clientId, log }
  instances.set(
    client,
    new Kafka({
      clientId,
      brokers: [...settings.brokers],
      ssl: settings.ssl,
      ...(settings.sasl === null ? {} : { sasl: saslOf(settings.sasl) }),
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      authenticationTimeout: AUTHENTICATION_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      enforceRequestTimeout: true,
      retry: RETRY,
      logLevel: logLevel.INFO,
      logCreator: logTo(log),
    } satisfies KafkaConfig),
  )
  return client
}

/** The kafkajs instance of a client; for this folder only. */
export function instanceOf(client: KafkaClient): KafkaInstance {
  const instance = instances.get(client)
  if (instance === undefined) throw new TypeError('not a client made by createKafka')
  return instance
}

function saslOf(sasl: NonNullable<KafkaSettings['sasl']>): SASLOptions {
  const { username, password } = sasl
  switch (sasl.mechanism) {
    case 'plain':
      return { mechanism: 'plain', username, password }
    case 'scram-sha-256':
      return { mechanism: 'scram-sha-256', username, password }
    case 'scram-sha-512':
      return { mechanism: 'scram-sha-512', username, password }
  }
}

/** The partition is always chosen by us: kafkajs would choose anew at every attempt. */
export const chosenPartition = () => (input: { message: Message }) => {
  const { partition } = input.message
  if (partition === undefined) throw new TypeError('a message without a partition')
  return partition
}

/** Records were deleted before they were read. Nobody but kafkajs notices. */
const LOSS = /offset out of range/i
/** Errors that are part of normal operation and are retried; kafkajs calls them ERROR. */
const NOISE = /concurrent operation|rebalancing|re-joining|coordinator|Limiting retries/i

/** What goes wrong reaches our code as an error and is reported there, so this is background. */
function logTo(log: Logger): logCreator {
  return () => (entry: LogEntry) => {
    const { message, groupId, broker, error, retryCount } = entry.log
    const fields = { namespace: entry.namespace, groupId, broker, error, retryCount }
    if (LOSS.test(message)) log.warn(fields, message)
    else if (NOISE.test(`${message} ${String(error)}`)) log.debug(fields, message)
    else if (entry.level === logLevel.ERROR) log.info(fields, message)
    else log.debug(fields, message)
  }
}
