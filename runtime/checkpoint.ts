// Where a stream goes on: one versioned JSON record per stream, in the transaction of its chunk.
import { z } from 'zod'
import { streamKey } from '../contracts/envelope.ts'
import { PipelineError } from '../contracts/errors.ts'
import type { KafkaRecord, OutRecord } from '../contracts/processing.ts'
import { topicName } from '../contracts/topics.ts'

const counts = {
  pages: z.int(),
  fetched: z.int(),
  published: z.int(),
  tooLarge: z.int(),
  rejected: z.int(),
}
const checkpointSchema = z.object({
  v: z.literal(1),
  runId: z.string(),
  startedAtMs: z.int(),
  /** Set at the first login of the connection and never changed by itself. */
  tenant: z.string(),
  scope: z.string(),
  /** Null while the run goes on. */
  verdict: z.enum(['COMPLETE', 'DRIFTED', 'PARTIAL', 'FAILED']).nullable(),
  /** The source's own checkpoint; null where the vendor gives no place to go on from. */
  position: z.unknown(),
  ...counts,
  /** The last COMPLETE run: what the next one is compared with. */
  lastComplete: z.object({ runId: z.string(), fetched: z.int() }).nullable(),
  /** The newest observation of the stream so far; older builds did not keep it. */
  newestFetchedAtMs: z.int().optional(),
})

export type RunCheckpoint = z.infer<typeof checkpointSchema>

export function checkpointRecord(
  prefix: string,
  stream: { connection: string; stream: string },
  checkpoint: RunCheckpoint,
): OutRecord {
  return {
    topic: topicName(prefix, 'checkpoints'),
    partition: 0,
    key: streamKey(stream),
    value: Buffer.from(JSON.stringify(checkpoint)),
    headers: { 'content-type': 'application/json' },
  }
}

/** Reads a topic's partition to its end; see runtime/kafka/log-reader.ts. */
export type ReadToEnd = (
  topic: string,
  partition: number,
  onRecord: (record: KafkaRecord) => void,
) => Promise<unknown>

/**
 * All checkpoints by `<connection>|<stream>`.
 * @throws PipelineError CONFIGURATION when one is of a form that this build does not read
 */
export async function loadCheckpoints(
  prefix: string,
  readToEnd: ReadToEnd,
): Promise<Map<string, RunCheckpoint>> {
  const latest = new Map<string, Buffer>()
  await readToEnd(topicName(prefix, 'checkpoints'), 0, ({ key, value }) => {
    if (value === null) latest.delete(key)
    else latest.set(key, Buffer.from(value))
  })
  return new Map([...latest].map(([key, value]) => [key, parseCheckpoint(key, value)]))
}

function parseCheckpoint(key: string, value: Buffer): RunCheckpoint {
  try {
    return checkpointSchema.parse(JSON.parse(value.toString()))
  } catch (cause) {
    throw new PipelineError(
      'CONFIGURATION',
      'CONFIG',
      `the checkpoint of ${key} was written by another version of exposure-stream`,
      { cause, remediation: 'Start the version that wrote it, or a newer one.' },
    )
  }
}
