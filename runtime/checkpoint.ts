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
  /** The last COMPLETE run: what the next one of its scope is compared with. */
  lastComplete: z
    .object({
      runId: z.string(),
      fetched: z.int(),
      /** Older builds did not keep these. */
      scope: z.string().optional(),
      atMs: z.int().optional(),
    })
    .nullable(),
  /** When a run last listed everything, COMPLETE or DRIFTED; older builds did not keep it. */
  wholeAtMs: z.int().optional(),
  /** The newest observation of the stream so far; older builds did not keep it. */
  newestFetchedAtMs: z.int().optional(),
  /**
   * Of the runs before this one, since the last COMPLETE one: the newest that had rows, and the
   * most that one of its scope had. Older builds did not keep it.
   */
  seen: z.object({ runId: z.string(), scope: z.string(), fetched: z.int() }).optional(),
  /** Since when all that the stream has shown is taken back; absent from its next run on. */
  withdrawnAtMs: z.int().optional(),
})

export type RunCheckpoint = z.infer<typeof checkpointSchema>

const releasedSchema = z.object({
  runId: z.string(),
  /** 0: the operator has said that there is nothing. */
  fetched: z.int(),
  /** Older builds did not keep it. */
  scope: z.string().optional(),
})
/** A held run that the operator has released: the next ones of its scope are compared with it. */
export type Released = z.infer<typeof releasedSchema>

type StreamName = { readonly connection: string; readonly stream: string }

export const checkpointRecord = (
  prefix: string,
  stream: StreamName,
  checkpoint: RunCheckpoint,
): OutRecord => jsonRecord(prefix, streamKey(stream), checkpoint)

const RELEASED = '|released'

/** What makes the released run the new baseline of its stream. */
export const releasedRecord = (prefix: string, stream: StreamName, released: Released): OutRecord =>
  jsonRecord(prefix, streamKey(stream) + RELEASED, released)

/** Takes that baseline away: the next run of the stream is the first of its kind. */
export const forgetReleased = (prefix: string, stream: StreamName): OutRecord => ({
  ...jsonRecord(prefix, streamKey(stream) + RELEASED, {}),
  value: null,
})

const jsonRecord = (prefix: string, key: string, value: object): OutRecord => ({
  topic: topicName(prefix, 'checkpoints'),
  partition: 0,
  key,
  value: Buffer.from(JSON.stringify(value)),
  headers: { 'content-type': 'application/json' },
})

/** Tombstones for all that `saved` holds of a connection. */
export function forgetRecords(prefix: string, connection: string, saved: Progress): OutRecord[] {
  const keys = [
    ...saved.checkpoints.keys(),
    ...[...saved.released.keys()].map((key) => key + RELEASED),
  ]
  const own = keys.filter((key) => key.startsWith(`${connection}|`))
  return own.map((key) => ({ ...jsonRecord(prefix, key, {}), value: null }))
}

/** Reads a topic's partition to its end; see runtime/kafka/log-reader.ts. */
export type ReadToEnd = (
  topic: string,
  partition: number,
  onRecord: (record: KafkaRecord) => void,
) => Promise<unknown>

/** Both by `<connection>|<stream>`. */
export type Progress = {
  readonly checkpoints: ReadonlyMap<string, RunCheckpoint>
  readonly released: ReadonlyMap<string, Released>
}

/**
 * All that the topic of checkpoints holds.
 * @throws PipelineError CONFIGURATION when something is of a form that this build does not read
 */
export async function loadProgress(prefix: string, readToEnd: ReadToEnd): Promise<Progress> {
  const latest = new Map<string, Buffer>()
  await readToEnd(topicName(prefix, 'checkpoints'), 0, ({ key, value }) => {
    if (value === null) latest.delete(key)
    else latest.set(key, Buffer.from(value))
  })
  const checkpoints = new Map<string, RunCheckpoint>()
  const released = new Map<string, Released>()
  for (const [key, value] of latest) {
    if (!key.endsWith(RELEASED)) checkpoints.set(key, parsed(checkpointSchema, key, value))
    else released.set(key.slice(0, -RELEASED.length), parsed(releasedSchema, key, value))
  }
  return { checkpoints, released }
}

/** All checkpoints by `<connection>|<stream>`. @throws as loadProgress */
export const loadCheckpoints = async (
  prefix: string,
  readToEnd: ReadToEnd,
): Promise<ReadonlyMap<string, RunCheckpoint>> =>
  (await loadProgress(prefix, readToEnd)).checkpoints

function parsed<T>(schema: z.ZodType<T>, key: string, value: Buffer): T {
  try {
    return schema.parse(JSON.parse(value.toString()))
  } catch (cause) {
    throw new PipelineError(
      'CONFIGURATION',
      'CONFIG',
      `the checkpoint of ${key} was written by another version of exposure-stream`,
      { cause, remediation: 'Start the version that wrote it, or a newer one.' },
    )
  }
}
