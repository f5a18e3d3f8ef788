// A process that reads one partition with a bare kafkajs consumer, with or without its cures.
import { Kafka, logLevel } from '../../runtime/kafka/kafkajs.ts'

/** What a test passes as EXPOSURE_TEST_READ, as JSON. Stops at `until`, or after `fetchesMax`. */
export type PlainRead = {
  readonly brokers: readonly string[]
  readonly groupId: string
  readonly topic: string
  readonly until: string
  readonly fetchesMax: number
}
/** What it prints. */
export type PlainReadResult = { readonly keys: string[]; readonly fetches: number }

const job = JSON.parse(process.env['EXPOSURE_TEST_READ'] ?? '') as PlainRead
const kafka = new Kafka({ brokers: [...job.brokers], logLevel: logLevel.NOTHING })
const consumer = kafka.consumer({ groupId: job.groupId, maxWaitTimeInMs: 10 })
const keys: string[] = []
let fetches = 0
const ended = Promise.withResolvers<void>()
consumer.on(consumer.events.FETCH, () => {
  fetches += 1
  if (fetches >= job.fetchesMax) ended.resolve()
})
await consumer.connect()
await consumer.subscribe({ topics: [job.topic], fromBeginning: true })
await consumer.run({
  autoCommit: false,
  eachBatchAutoResolve: false,
  eachBatch: async (payload) => {
    const { batch } = payload
    for (const message of batch.messages) keys.push(message.key?.toString() ?? '')
    payload.resolveOffset(batch.lastOffset())
    if (BigInt(batch.lastOffset()) + 1n >= BigInt(job.until)) ended.resolve()
  },
})
await ended.promise
process.stdout.write(JSON.stringify({ keys, fetches } satisfies PlainReadResult))
await consumer.disconnect()
