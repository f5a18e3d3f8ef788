// Brings the tables to this version: each file once, under a lock, never one that has changed.
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { PipelineError } from '../../contracts/errors.ts'
import type { Database, DatabaseLimits, Query } from './database.ts'

/** A migration may rewrite tables of many millions of rows: it gets longer than a batch. */
export const MIGRATION_LIMITS: DatabaseLimits = {
  connectMs: 10_000,
  statementMs: 1_800_000,
  lockMs: 60_000,
}
const FOLDER = join(import.meta.dirname, 'migrations')
const NAME = /^[0-9]{3}-[a-z0-9-]+\.sql$/

export type Migration = { readonly name: string; readonly sql: string }

/** The files of `folder`, in order. */
export function readMigrations(folder: string = FOLDER): Migration[] {
  return readdirSync(folder)
    .filter((name) => NAME.test(name))
    .toSorted()
    .map((name) => ({ name, sql: readFileSync(join(folder, name), 'utf8') }))
}

/** A checkout may change line ends; that is no other migration. */
const checksumOf = (sql: string) =>
  createHash('sha256').update(sql.replaceAll('\r\n', '\n')).digest('hex')

/**
 * Applies what is missing in one transaction; two that start at once wait for each other.
 * Resolves with the names applied. @throws PipelineError CONFIGURATION when an applied file has
 * changed or is unknown to this version
 */
export function migrate(
  database: Database,
  schema: string,
  migrations: readonly Migration[] = readMigrations(),
): Promise<string[]> {
  return database.transaction('preparing PostgreSQL', async (query) => {
    await lockSchema(query, schema)
    await ensureSchema(query, schema)
    await query(
      `CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now())`,
    )
    const { rows } = await query('SELECT name, checksum FROM migration')
    const applied = new Map(rows.map((row: Record<'name' | 'checksum', string>) => [row.name, row]))
    const missing: string[] = []
    for (const { name, sql } of migrations) {
      const checksum = checksumOf(sql)
      const before = applied.get(name)
      applied.delete(name)
      if (before !== undefined && before.checksum !== checksum) {
        throw refused(`${name} was applied to schema ${schema} with another content`)
      }
      if (before !== undefined) continue
      await query(sql)
      await query('INSERT INTO migration (name, checksum) VALUES ($1, $2)', [name, checksum])
      missing.push(name)
    }
    const [unknown] = applied.keys()
    if (unknown !== undefined) {
      throw refused(`schema ${schema} has ${unknown}, which this version does not know`)
    }
    return missing
  })
}

/** Until the end of the transaction nobody else prepares this schema. */
export async function lockSchema(query: Query, schema: string): Promise<void> {
  await query(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, [`exposure:${schema}`])
}

async function ensureSchema(query: Query, schema: string): Promise<void> {
  // IF NOT EXISTS asks for the privilege to create even where there is nothing to create.
  const { rowCount } = await query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema])
  if (rowCount === 0) await query(`CREATE SCHEMA "${schema}"`)
  await query(`SET LOCAL search_path = "${schema}"`)
}

const refused = (message: string) =>
  new PipelineError('CONFIGURATION', 'SINK', `${message}; run the version that made it`)
