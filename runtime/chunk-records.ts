// A chunk as Kafka records: its units for the raw topic, what is no unit for the dead letters.
import { type RawFacts, placementKey, rawHeaders, rawKey } from '../contracts/envelope.ts'
import { PipelineError } from '../contracts/errors.ts'
import { partitionOf } from '../contracts/placement.ts'
import type { Chunk, RejectedItem } from '../contracts/ports.ts'
import type { OutRecord } from '../contracts/processing.ts'
import { RAW_PARTITIONS, rawTopic } from '../contracts/topics.ts'
import { deadLetter } from './dead-letter.ts'
import type { RunFacts } from './run-ledger.ts'

/** The records of one chunk, in its order: units, then rejected items. */
export function chunkRecords(
  prefix: string,
  stream: RunFacts,
  runId: string,
  chunk: Chunk<unknown>,
): OutRecord[] {
  const { connection, vendor, product, tenant } = stream
  const topic = prefix + rawTopic(vendor).name
  const units = chunk.units.map((unit): OutRecord => {
    const facts: RawFacts = {
      connection,
      vendor,
      product,
      tenant,
      stream: stream.stream,
      unit: unit.unit,
      assetNativeId: unit.assetNativeId,
      runId,
      fetchedAtMs: chunk.fetchedAtMs,
      endpoint: chunk.endpoint,
      page: chunk.page,
      contentType: unit.contentType,
      columns: unit.columns,
      tooLargeBytes: unit.body === null ? unit.sizeBytes : null,
    }
    const place = placementKey(product, unit.assetNativeId)
    return {
      topic,
      partition: partitionOf(place, RAW_PARTITIONS),
      key: rawKey(facts),
      value: unit.body,
      headers: rawHeaders(facts),
    }
  })
  const rejected = chunk.rejected.map((item) =>
    rejectedRecord(prefix, topic, stream, runId, chunk, item),
  )
  return [...units, ...rejected]
}

/** An item that is no unit has no place in the raw topic: -1 says that it never was there. */
function rejectedRecord(
  prefix: string,
  topic: string,
  { connection, stream }: RunFacts,
  runId: string,
  { endpoint }: Chunk<unknown>,
  { body, violations }: RejectedItem,
): OutRecord {
  const headers = {
    'x-connection': connection,
    'x-stream': stream,
    'x-run-id': runId,
    'x-endpoint': endpoint,
  }
  const key = rawKey({ connection, stream, unit: '' })
  const message = 'an item of the listing lacks what a unit needs'
  const error = new PipelineError('SCHEMA_VIOLATION', 'PARSE', message, { violations })
  const record = { topic, partition: -1, offset: -1n, key, value: body, headers }
  return deadLetter(prefix, record, error, 1)
}
