// Connections to PostgreSQL: every wait has a limit, every transaction ends, a new password counts.
import { once } from 'node:events'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { PipelineError } from '../../contracts/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { isServerAnswer, postgresError } from './errors.ts'

export type DatabaseLimits = {
  readonly connectMs: number
  /** Of one statement, held by the server; the client gives up a little later. */
  readonly statementMs: number
  readonly lockMs: number
}
/** What a sink allows while it writes. */
export const WRITE_LIMITS: DatabaseLimits = {
  connectMs: 10_000,
  statementMs: 30_000,
  lockMs: 10_000,
}
const CLIENT_MARGIN_MS = 5_000
const IDLE_CONNECTION_MS = 30_000
const CLOSE_MS = 10_000

/** Runs one statement of a transaction; `copy` runs a COPY FROM STDIN with the text of its rows. */
export type Query = {
  (sql: string, values?: readonly unknown[]): Promise<pg.QueryResult>
  copy(sql: string, rows: string): Promise<void>
}

export type Database = {
  /** Commits when `work` resolves, else rolls back. @throws PipelineError by `doing` */
  transaction<T>(doing: string, work: (query: Query) => Promise<T>): Promise<T>
  /** Ends all connections, within 10 s; safe to call twice. */
  close(): Promise<void>
}

export type DatabaseSettings = {
  /** Called again after a failure, so that a changed secret counts. */
  readonly url: () => string
  readonly poolMax: number
  readonly limits: DatabaseLimits
  readonly log: Logger
}

/** Connects when it is first used. */
export function openDatabase(settings: DatabaseSettings): Database {
  const { limits, log } = settings
  let open: { url: string; pool: pg.Pool } | null = null
  let suspect = true

  const poolNow = (): pg.Pool => {
    if (open !== null && !suspect) return open.pool
    const url = checkedUrl(settings.url())
    suspect = false
    if (open?.url === url) return open.pool
    if (open !== null) void endPool(open.pool, log)
    open = { url, pool: createPool(url, settings) }
    return open.pool
  }

  return {
    async transaction(doing, work) {
      try {
        return await inTransaction(await poolNow().connect(), limits, work)
      } catch (error) {
        const ours = postgresError(error, doing)
        suspect ||= ours.failure === 'SINK_UNAVAILABLE' || ours.failure === 'CONFIGURATION'
        throw ours
      }
    },
    async close() {
      const last = open
      open = null
      suspect = true
      if (last !== null) await endPool(last.pool, log)
    },
  }
}

/** The parser's own error would repeat the address, password and all. */
function checkedUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol)) {
    const message = 'the address of PostgreSQL is not a postgres:// URL'
    throw new PipelineError('CONFIGURATION', 'SINK', message)
  }
  return text
}

function createPool(url: string, { limits, poolMax, log }: DatabaseSettings): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: poolMax,
    connectionTimeoutMillis: limits.connectMs,
    query_timeout: limits.statementMs + CLIENT_MARGIN_MS,
    idleTimeoutMillis: IDLE_CONNECTION_MS,
    keepAlive: true,
    application_name: 'exposure-sink',
  })
  const lost = (error: Error) => log.debug({ err: error }, 'connection to PostgreSQL lost')
  pool.on('error', lost)
  // A connection that breaks while it is out of the pool and idle would otherwise end the process.
  pool.on('connect', (client) => client.on('error', lost))
  return pool
}

async function inTransaction<T>(
  client: pg.PoolClient,
  limits: DatabaseLimits,
  work: (query: Query) => Promise<T>,
): Promise<T> {
  let broken = true
  try {
    await client.query(
      `BEGIN; SET LOCAL statement_timeout = ${limits.statementMs};` +
        ` SET LOCAL lock_timeout = ${limits.lockMs};` +
        ` SET LOCAL idle_in_transaction_session_timeout = ${2 * limits.statementMs}`,
    )
    const result = await work(queryOf(client))
    const { command } = await client.query('COMMIT')
    // COMMIT of a transaction that has failed is answered with ROLLBACK, and without an error.
    if (command !== 'COMMIT') throw new Error(`COMMIT was answered with ${command}`)
    broken = false
    return result
  } catch (error) {
    broken = !(await rolledBack(client, error))
    throw error
  } finally {
    client.release(broken)
  }
}

function queryOf(client: pg.PoolClient): Query {
  const query = (sql: string, values: readonly unknown[] = []) => client.query(sql, [...values])
  return Object.assign(query, {
    async copy(sql: string, rows: string) {
      const stream = client.query(copyFrom(sql))
      // Of a refused COPY nothing more may be sent: the library would look for its connection.
      stream.on('error', () => stream.destroy())
      stream.end(rows)
      await once(stream, 'finish')
    },
  })
}

async function rolledBack(client: pg.PoolClient, error: unknown): Promise<boolean> {
  // Behind a statement that the client gave up waiting for, a ROLLBACK would wait as well.
  if (!isServerAnswer(error) && !(error instanceof PipelineError)) return false
  try {
    await client.query('ROLLBACK')
    return true
  } catch {
    return false // the connection is gone, and its transaction with it
  }
}

async function endPool(pool: pg.Pool, log: Logger): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_MS)
  })
  try {
    await Promise.race([pool.end(), late])
  } catch (error) {
    log.debug({ err: error }, 'ending connections to PostgreSQL')
  } finally {
    clearTimeout(timer)
  }
}
