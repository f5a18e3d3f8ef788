// Takes away what is older than the settings keep: little by little, and never what is current.
import type { Logger } from '../../runtime/log.ts'
import type { PostgresConfig } from './config.ts'
import type { Database } from './database.ts'

export type Retention = NonNullable<PostgresConfig['retention']>
/** Rows taken away. */
export type Swept = Readonly<Record<keyof Retention, number>>

/** Rows of one transaction: other writers never wait long. */
const ROWS_MAX = 2_000
/** Transactions per table and look; what is left is taken at the next one. */
const TURNS_MAX = 500
const LOOK_MS = 3_600_000

/** `$1`: age in ms, `$2`: rows at most. Rows that somebody else has locked are left for later. */
const sweepOf = (table: string, oldest: string, where: string, order = oldest) => `
  DELETE FROM ${table} WHERE ctid = ANY(ARRAY(
    SELECT t.ctid FROM ${table} AS t
    WHERE ${oldest} < now() - $1::float8 * interval '1 millisecond' AND ${where}
    ORDER BY ${order} LIMIT $2 FOR UPDATE SKIP LOCKED
  ))`

/** By setting: the statements, in order. Oldest rows first, so that no gap comes about. */
const sweepsOf = (schema: string): Readonly<Record<keyof Retention, readonly string[]>> => {
  const of = (table: string) => `"${schema}".${table}`
  const isLater = `l.last_at > t.last_at OR (l.last_at = t.last_at AND l.src_offset > t.src_offset)`
  return {
    history: ['asset', 'finding'].map((name) =>
      sweepOf(of(`${name}_history`), 'valid_to', 'NOT is_current'),
    ),
    // The last report of a condition that is not over says what is broken now.
    errors: [
      sweepOf(
        of('connector_error'),
        'last_at',
        `(state = 'CLEARED' OR EXISTS (SELECT 1 FROM ${of('connector_error')} AS l
           WHERE l.fingerprint = t.fingerprint AND (${isLater})))`,
        // Of one time too: a report whose CLEARED went before it would be open again, for good.
        'last_at, src_offset',
      ),
    ],
    // The newest run of a stream says how it stands, the last complete one what it has confirmed.
    runs: [
      sweepOf(
        of('run'),
        'at',
        `EXISTS (SELECT 1 FROM ${of('run')} AS l WHERE (l.connection_id, l.stream) =
             (t.connection_id, t.stream) AND l.started_at > t.started_at)
           AND NOT EXISTS (SELECT 1 FROM ${of('last_complete_run')} AS c
             WHERE (c.connection_id, c.stream, c.run_id) = (t.connection_id, t.stream, t.run_id))`,
      ),
      sweepOf(
        of('run_tally'),
        'at',
        `NOT EXISTS (SELECT 1 FROM ${of('run')} AS r
           WHERE (r.connection_id, r.stream, r.run_id) = (t.connection_id, t.stream, t.run_id))`,
      ),
    ],
  }
}

/**
 * One look. What has no setting is kept for good.
 * @throws PipelineError when the store is away; what was taken away by then is gone
 */
export async function sweep(
  database: Database,
  schema: string,
  retention: Retention,
  isStopped: () => boolean = () => false,
): Promise<Swept> {
  const swept = { history: 0, errors: 0, runs: 0 }
  const sweeps = sweepsOf(schema)
  for (const name of Object.keys(swept) as (keyof Retention)[]) {
    const ageMs = retention[name]
    if (ageMs === undefined) continue
    for (const sql of sweeps[name]) {
      for (let turn = 0; turn < TURNS_MAX && !isStopped(); turn++) {
        const rows = await database.transaction('retention in PostgreSQL', async (query) => {
          const { rowCount } = await query(sql, [ageMs, ROWS_MAX])
          return rowCount ?? 0
        })
        swept[name] += rows
        if (rows < ROWS_MAX) break
      }
    }
  }
  return swept
}

export type Sweeper = {
  /** Ends the look under way after its transaction. Never throws. */
  stop(): Promise<void>
}

/** Looks at once and then every hour. A store that is away is the writer's to report. */
export function startSweeper(
  database: Database,
  schema: string,
  retention: Retention,
  log: Logger,
): Sweeper {
  let stopped = false
  let looking: Promise<void> = Promise.resolve()
  const look = async () => {
    try {
      const swept = await sweep(database, schema, retention, () => stopped)
      log.info({ swept }, 'retention in PostgreSQL')
    } catch (error) {
      log.warn({ err: error }, 'retention in PostgreSQL: tried again in an hour')
    }
  }
  const next = () => {
    looking = looking.then(look)
  }
  next()
  const timer = setInterval(next, LOOK_MS)
  timer.unref()
  return {
    async stop() {
      stopped = true
      clearInterval(timer)
      await looking
    },
  }
}
