// A step of a run as its record on exposure.runs, whoever writes it.
import { streamKey } from './envelope.ts'
import { partitionOf } from './placement.ts'
import type { OutRecord } from './processing.ts'
import type { Run } from './run.ts'
import { TOPICS, topicName } from './topics.ts'

/** All steps of a stream are on one partition. @throws what `encode` throws */
export function runRecord(prefix: string, run: Run, encode: (value: Run) => Buffer): OutRecord {
  const key = streamKey({ connection: run.connection_id, stream: run.stream })
  return {
    topic: topicName(prefix, 'runs'),
    partition: partitionOf(key, TOPICS.runs.partitions),
    key,
    value: encode(run),
    headers: { 'content-type': 'application/avro' },
  }
}
