// The settings of the Parquet lake.
import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { longDuration } from '../../runtime/connection-config.ts'
import { commonSink } from '../../runtime/sink-settings.ts'

/** `sinks.parquet` in the settings. */
export const parquetConfig = z.strictObject({
  /** A folder that is there already: one that is missing is a volume that is not mounted. */
  path: z.string().refine(isAbsolute, 'must be an absolute path'),
  /** So many rows of one partition of a topic are a file, or fewer after `every`. */
  rowsMax: z.int().min(1).max(500_000).default(50_000),
  /** The oldest row that is in no file yet is at most so old, in ms. */
  every: longDuration.default(300_000),
  /** Between two looks for days of which small files are made one, in ms. */
  compactEvery: longDuration.default(3_600_000),
  ...commonSink,
})

export type ParquetConfig = z.infer<typeof parquetConfig>
