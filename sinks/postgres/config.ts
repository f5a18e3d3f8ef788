// The settings of the PostgreSQL sink.
import { z } from 'zod'
import { longDuration } from '../../runtime/connection-config.ts'
import { secretReference } from '../../runtime/environment.ts'
import { commonSink } from '../../runtime/sink-settings.ts'

const IDENTIFIER = /^[a-z_][a-z0-9_]{0,62}$/
const notIdentifier = 'must be a plain lower-case identifier'

/** How long what is over is kept, each in ms; absent: for good. */
const retention = z.strictObject({
  /** Revisions of assets and findings, after they were followed or purged. */
  history: longDuration.optional(),
  /** Reports of connector errors, but the last of what is still broken. */
  errors: longDuration.optional(),
  /** Runs, but the newest and the last complete one of every stream. */
  runs: longDuration.optional(),
})

/** `sinks.postgres` in the settings. */
export const postgresConfig = z.strictObject({
  ...commonSink,
  /** Reference to the whole connection URL, since it holds the password. */
  url: secretReference,
  /** Schema that holds the tables; created when it is missing. */
  schema: z.string().regex(IDENTIFIER, notIdentifier).default('exposure'),
  /** Connections held at most. */
  poolMax: z.int().min(1).max(32).default(4),
  retention: retention.optional(),
  /** A role that may read the schema: made when it is missing, without login. Default: none. */
  readOnlyRole: z
    .string()
    .regex(IDENTIFIER, notIdentifier)
    .refine((name) => !name.startsWith('pg_'), 'must not begin with pg_')
    .optional(),
})

export type PostgresConfig = z.infer<typeof postgresConfig>
