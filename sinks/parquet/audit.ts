// What the Parquet lake shows of entities now, for `exposure reconcile`: by its readers' views.
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance, type DuckDBValue } from '@duckdb/node-api'
import type { AuditKind, SinkAudit } from '../../contracts/ports.ts'
import type { ParquetConfig } from './config.ts'
import { isCode, lakeError } from './faults.ts'
import { newestEntry } from './manifest.ts'
import { TABLES } from './tables.ts'
import { VIEWS_FILE, lakeViews } from './views.ts'

const MEMORY = '512MB'
const QUERY_MS = 120_000
const READING = 'comparing the Parquet lake'

/** Reads the lake beside whoever writes it. @throws PipelineError when the folder is away */
export async function auditParquet({ path }: Pick<ParquetConfig, 'path'>): Promise<SinkAudit> {
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw lakeError(error, READING)
    }
  }
  await guarded(() => access(path))
  const instance = await DuckDBInstance.create(':memory:', { threads: '1', memory_limit: MEMORY })
  const connection = await instance.connect()
  const rowsOf = (sql: string, values: readonly DuckDBValue[] = []) =>
    guarded(async () => {
      // The first sink that opens the lake writes it, with tables that are empty.
      if (!(await isThere(join(path, VIEWS_FILE)))) return []
      await connection.run(lakeViews(path))
      return await inTime(connection, sql, values)
    })
  let isClosed = false
  return {
    storedOffset: (topic, partition) =>
      guarded(async () => {
        const next = (await newestEntry(path, topic, partition))?.next
        return next === undefined ? null : BigInt(next)
      }),
    async count(kind) {
      const [row] = await rowsOf(`SELECT count(*) AS n FROM ${tableOf(kind)}`)
      return Number(row?.['n'] ?? 0)
    },
    async revisions(kind, uids) {
      // As JSON: a list of its own kind would have to be declared value by value.
      const rows = await rowsOf(
        `SELECT uid, revision FROM ${tableOf(kind)}
         WHERE uid IN (SELECT unnest(from_json($1, '["VARCHAR"]')))`,
        [JSON.stringify(uids)],
      )
      return new Map(rows.map((row) => [uidOf(row), Number(row['revision'])]))
    },
    async sample(kind, n, seed) {
      const rows = await rowsOf(
        `SELECT uid FROM ${tableOf(kind)} ORDER BY md5(concat($1, uid)) LIMIT ${n}`,
        [String(seed)],
      )
      return rows.map(uidOf)
    },
    async close() {
      if (isClosed) return
      isClosed = true
      connection.closeSync()
      instance.closeSync()
    },
  }
}

const uidOf = ({ uid }: Readonly<Record<string, unknown>>): string =>
  typeof uid === 'string' ? uid : ''

const tableOf = (kind: AuditKind): string => TABLES[kind].name

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false
    throw error
  }
}

async function inTime(connection: DuckDBConnection, sql: string, values: readonly DuckDBValue[]) {
  const timer = setTimeout(() => connection.interrupt(), QUERY_MS)
  try {
    return (await connection.runAndReadAll(sql, [...values])).getRowObjectsJson()
  } finally {
    clearTimeout(timer)
  }
}
