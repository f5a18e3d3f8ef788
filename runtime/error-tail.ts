// What is new on exposure.connector-errors: events of this process and of all others.
import type { ConnectorError } from '../contracts/connector-error.ts'
import { PipelineError } from '../contracts/errors.ts'
import { TOPICS, topicName } from '../contracts/topics.ts'
import type { Codecs } from './codecs.ts'
import type { LogReader } from './kafka/log-reader.ts'
import type { Logger } from './log.ts'

const STALL_MS = 20_000

/**
 * Reads from where the last call ended; the first one from the beginning. Per condition only the
 * last event is given. The function @throws PipelineError when Kafka or the registry is away: the
 * next call begins at the same place.
 */
export function errorTail(
  prefix: string,
  reader: Pick<LogReader, 'readToEnd'>,
  codecs: Pick<Codecs, 'decodeAny'>,
  log: Logger,
): () => Promise<ConnectorError[]> {
  const topic = topicName(prefix, 'connectorErrors')
  let next = new Map<number, bigint>()
  return async () => {
    const after = new Map<number, bigint>()
    const values = new Map<string, Buffer>()
    for (let partition = 0; partition < TOPICS.connectorErrors.partitions; partition++) {
      const onRecord = ({ key, value }: { key: string; value: Buffer | null }) => {
        if (value === null) values.delete(key)
        else values.set(key, Buffer.from(value))
      }
      const options = { from: next.get(partition) ?? 0n, stallMs: STALL_MS }
      after.set(partition, (await reader.readToEnd(topic, partition, onRecord, options)).end)
    }
    const events: ConnectorError[] = []
    for (const value of values.values()) {
      try {
        const decoded = await codecs.decodeAny(value)
        if (decoded.schemaName === 'ConnectorError') events.push(decoded.value)
      } catch (error) {
        if (error instanceof PipelineError && error.retriable) throw error
        log.warn({ err: error, topic }, 'a connector-error event cannot be read; passed over')
      }
    }
    next = after
    return events
  }
}
