// The settings of the PostgreSQL sink.
import { z } from 'zod'
import { secretReference } from '../../runtime/environment.ts'
import { commonSink } from '../../runtime/sink-settings.ts'

/** `sinks.postgres` in the settings. */
export const postgresConfig = z.strictObject({
  ...commonSink,
  /** Reference to the whole connection URL, since it holds the password. */
  url: secretReference,
  /** Schema that holds the tables; created when it is missing. */
  schema: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,62}$/, 'must be a plain lower-case identifier')
    .default('exposure'),
  /** Connections held at most. */
  poolMax: z.int().min(1).max(32).default(4),
})

export type PostgresConfig = z.infer<typeof postgresConfig>
