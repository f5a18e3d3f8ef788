// What one undisturbed lifecycle makes of the raw log as it lies there: the events to be wanted.
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import { RAW_PARTITIONS } from '../../contracts/topics.ts'
import { controlOf } from '../../contracts/envelope.ts'
import type { KafkaRecord } from '../../contracts/processing.ts'
import { MAPPING_VERSION } from '../../transformers/mapping-version.ts'
import { LifecycleBench, assetsIn, findingsIn } from '../support/lifecycle.ts'
import type { Line } from './topics.ts'

export type Events = { readonly assets: readonly Asset[]; readonly findings: readonly Finding[] }

/** A raw record as the transformers see it. */
export const recordOf = (line: Line): KafkaRecord => ({
  topic: line.topic,
  partition: line.partition,
  offset: BigInt(line.offset),
  timestampMs: line.timestamp,
  key: line.key ?? '',
  value: typeof line.value === 'string' ? Buffer.from(line.value, 'base64') : null,
  headers: line.headers,
})

/**
 * The events of one raw topic, record by record, partition by partition, in one process that
 * nothing happens to. Same records, same events, same bytes: the lifecycle promises that. `fuse` in
 * percent.
 */
export function referenceEvents(raw: readonly Line[], fuse: number): Events {
  const assets: Asset[] = []
  const findings: Finding[] = []
  for (let partition = 0; partition < RAW_PARTITIONS; partition++) {
    const bench = new LifecycleBench(MAPPING_VERSION, { fuseShare: fuse / 100 })
    for (const line of raw) {
      if (line.partition !== partition) continue
      const record = recordOf(line)
      const isControl = controlOf(record.headers) !== null
      const outputs = isControl ? bench.commitControl(record) : bench.commit(record)
      assets.push(...assetsIn(outputs))
      findings.push(...findingsIn(outputs))
    }
  }
  return { assets, findings }
}
