// kafkajs as its own documentation uses it: what the attacks of this folder do to that.
import { createRequire } from 'node:module'
import type * as KafkaJS from 'kafkajs'

/** A busy machine is slow: an attack cuts the connection where an answer is to be lost at once. */
const REQUEST_TIMEOUT_MS = 15_000
const CONNECTION_TIMEOUT_MS = 15_000
const RETRY = { initialRetryTime: 20, maxRetryTime: 200, retries: 1 }
const TRANSACTION_TIMEOUT_MS = 20_000

const { Kafka, logLevel } = stockKafkajs()

/** kafkajs as it comes: a second copy beside the one that our cures have changed, if any. */
function stockKafkajs(): typeof KafkaJS {
  const require = createRequire(import.meta.url)
  const ofKafkajs = () =>
    Object.keys(require.cache).filter((path) => /[\\/]kafkajs[\\/]/.test(path))
  const cured = ofKafkajs().map((path) => [path, require.cache[path]] as const)
  for (const [path] of cured) delete require.cache[path]
  const stock = require('kafkajs') as typeof KafkaJS
  for (const path of ofKafkajs()) delete require.cache[path]
  for (const [path, module] of cured) require.cache[path] = module
  return stock
}

export type NaiveKafka = ReturnType<typeof naiveKafka>
export type NaiveProducer = ReturnType<NaiveKafka['producer']>

export function naiveKafka(brokers: readonly string[], requestTimeout = REQUEST_TIMEOUT_MS) {
  return new Kafka({
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    requestTimeout,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    retry: RETRY,
  })
}

/** A connected producer; with an id, a transactional one. */
export async function naiveProducer(
  brokers: readonly string[],
  transactionalId?: string,
  retries: number = RETRY.retries,
): Promise<NaiveProducer> {
  const producer = naiveKafka(brokers).producer({
    ...(transactionalId === undefined ? { idempotent: true } : { transactionalId }),
    transactionTimeout: TRANSACTION_TIMEOUT_MS,
    allowAutoTopicCreation: false,
    retry: { ...RETRY, retries },
    createPartitioner: () => (input) => input.message.partition ?? 0,
  })
  await producer.connect()
  return producer
}

export const messages = (keys: readonly string[], partition = 0) =>
  keys.map((key) => ({ partition, key, value: `value of ${key}` }))
