// Migrations on a real database: once each, under a lock, never changed.
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Database, openDatabase } from '../../sinks/postgres/database.ts'
import {
  MIGRATION_LIMITS,
  type Migration,
  migrate,
  readMigrations,
} from '../../sinks/postgres/migrate.ts'
import { type TestDatabase, testDatabase, testLog } from '../support/postgres.ts'

const SCHEMA = 'exposure'

function connected({ url }: TestDatabase): Database {
  const limits = MIGRATION_LIMITS
  const database = openDatabase({ url: () => url, poolMax: 1, limits, log: testLog })
  onTestFinished(() => database.close())
  return database
}
const names = () => readMigrations().map((migration) => migration.name)

describe('migrate', () => {
  it('applies every file once, also when two start together', async () => {
    const database = await testDatabase()
    const starts = [connected(database), connected(database), connected(database)]
    const applied = await Promise.all(starts.map((start) => migrate(start, SCHEMA)))
    expect(applied.flat()).toEqual(names())
    expect(await migrate(connected(database), SCHEMA)).toEqual([])
    const rows = await database.query('SELECT name FROM exposure.migration ORDER BY name')
    expect(rows.map((row) => row['name'])).toEqual(names())
  })

  it('keeps what is there and adds what is new', async () => {
    const database = await testDatabase()
    const connection = connected(database)
    const more: Migration = { name: '999-more.sql', sql: 'CREATE TABLE more (n int)' }
    await migrate(connection, SCHEMA)
    expect(await migrate(connection, SCHEMA, [...readMigrations(), more])).toEqual([more.name])
    expect(await database.query('SELECT count(*)::int AS n FROM exposure.more')).toEqual([{ n: 0 }])
  })

  it('refuses a file that has changed since, but not one with other line ends', async () => {
    const connection = connected(await testDatabase())
    await migrate(connection, SCHEMA)
    const windows = readMigrations().map(({ name, sql }) => ({
      name,
      sql: sql.replaceAll('\n', '\r\n'),
    }))
    expect(await migrate(connection, SCHEMA, windows)).toEqual([])
    const changed = readMigrations().map(({ name, sql }) => ({ name, sql: `${sql}-- more` }))
    await expect(migrate(connection, SCHEMA, changed)).rejects.toMatchObject({
      failure: 'CONFIGURATION',
      message: expect.stringContaining(names()[0] ?? '?') as string,
    })
  })

  it('refuses a database that a later version has changed', async () => {
    const connection = connected(await testDatabase())
    const later = { name: '999-later.sql', sql: 'SELECT 1' }
    await migrate(connection, SCHEMA, [...readMigrations(), later])
    await expect(migrate(connection, SCHEMA)).rejects.toMatchObject({ failure: 'CONFIGURATION' })
  })

  it('leaves nothing behind when a file fails', async () => {
    const database = await testDatabase()
    const broken = { name: '999-broken.sql', sql: 'CREATE TABLE half (n int); SELECT nonsense' }
    const all = [...readMigrations(), broken]
    await expect(migrate(connected(database), SCHEMA, all)).rejects.toMatchObject({
      failure: 'INTERNAL',
    })
    const schemas = `SELECT 1 FROM pg_namespace WHERE nspname = '${SCHEMA}'`
    expect(await database.query(schemas)).toEqual([])
  })

  it('describes every table, every view and every column', async () => {
    const database = await testDatabase()
    await migrate(connected(database), SCHEMA)
    const bare = await database.query(
      `SELECT c.relname, a.attname FROM pg_class c
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       WHERE c.relnamespace = '${SCHEMA}'::regnamespace AND c.relkind IN ('r', 'v')
         AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)`,
    )
    expect(bare).toEqual([])
  })
})
