// An order to the lifecycle, as the records that carry it.
import { type Order, encodeOrder } from '../contracts/envelope.ts'
import type { OutRecord } from '../contracts/processing.ts'
import { RAW_PARTITIONS, rawTopic } from '../contracts/topics.ts'

/** One record for every raw partition of the vendor: each answers it. */
export function orderRecords(prefix: string, order: Order): OutRecord[] {
  const topic = prefix + rawTopic(order.vendor).name
  const record = encodeOrder(order)
  return Array.from({ length: RAW_PARTITIONS }, (_, partition) => ({ topic, partition, ...record }))
}
