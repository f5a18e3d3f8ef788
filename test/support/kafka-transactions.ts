// Transactions as a stranger would write them: open for as long as a test wants, or aborted.
import { onTestFinished } from 'vitest'
import { Kafka, logLevel } from '../../runtime/kafka/kafkajs.ts'
import type { World } from './kafka-world.ts'

const RETRY = { initialRetryTime: 15, multiplier: 1.6, maxRetryTime: 500, retries: 30 }

export type OpenTransaction = {
  send(topic: string, key: string, partition?: number): Promise<void>
  commit(): Promise<void>
  abort(): Promise<void>
}
export type Stranger = { begin(): Promise<OpenTransaction> }

/** A transactional producer that no code of ours knows of; closed with the test. */
export async function openStranger(
  world: World,
  name: string,
  timeoutMs = 60_000,
): Promise<Stranger> {
  const kafka = new Kafka({ brokers: [...world.settings.brokers], logLevel: logLevel.NOTHING })
  const producer = kafka.producer({
    transactionalId: `${world.settings.prefix}${name}`,
    transactionTimeout: timeoutMs,
    retry: RETRY,
    createPartitioner: () => (input) => input.message.partition ?? 0,
  })
  await producer.connect()
  onTestFinished(() => producer.disconnect())
  return {
    async begin() {
      const transaction = await producer.transaction()
      return {
        async send(topic, key, partition = 0) {
          const value = `value of ${key}`
          await transaction.send({ topic, messages: [{ partition, key, value }] })
        },
        commit: () => transaction.commit(),
        abort: () => transaction.abort(),
      }
    },
  }
}
