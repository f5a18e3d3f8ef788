// The read-only role on a real database: it reads everything and writes nothing.
import { randomBytes } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openDatabase } from '../../sinks/postgres/database.ts'
import { MIGRATION_LIMITS, migrate, readMigrations } from '../../sinks/postgres/migrate.ts'
import { createPostgresSink } from '../../sinks/postgres/sink.ts'
import {
  type TestDatabase,
  queryAt,
  secretFile,
  testDatabase,
  testLog,
} from '../support/postgres.ts'
import { writeEstate } from '../support/postgres-estate.ts'
import { stack } from '../support/stack.ts'

type World = {
  readonly database: TestDatabase
  readonly role: string
  /** The sink with the role in its settings, as the owner of the stack or as `user`. */
  readonly sink: (user?: string) => ReturnType<typeof createPostgresSink>
  readonly as: (user: string, sql: string) => ReturnType<typeof queryAt>
}

const randomRole = (): string => {
  const role = `r_${randomBytes(6).toString('hex')}`
  // Asked for before the database, so dropped after it: what it may do in there goes with it.
  onTestFinished(
    async () => void (await queryAt(stack().postgresUrl, `DROP ROLE IF EXISTS ${role}`)),
  )
  return role
}

async function world(role = randomRole()): Promise<World> {
  const database = await testDatabase()
  const urlAs = (user?: string) => {
    const url = new URL(database.url)
    if (user !== undefined) url.searchParams.set('options', `-c role=${user}`)
    return url.href
  }
  const sink = (user?: string) => {
    const config = { ...database.config, url: secretFile(urlAs(user)), readOnlyRole: role }
    return createPostgresSink(config, { groupOf: () => 'g', log: testLog })
  }
  return { database, role, sink, as: (user, sql) => queryAt(urlAs(user), sql) }
}

const opened = async ({ sink }: World) => {
  const open = await sink().open()
  onTestFinished(() => open.close())
  return open
}
const REFUSED = { code: '42501' }

describe('the read-only role', () => {
  it('reads every table and view', async () => {
    const all = await world()
    await writeEstate(await opened(all))
    const names = await all.database.query(
      `SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'v')
         AND relnamespace = 'exposure'::regnamespace`,
    )
    expect(names.length).toBeGreaterThan(15)
    for (const { name } of names) {
      const sql = `SELECT count(*)::int AS n FROM exposure.${String(name)}`
      expect(await all.as(all.role, sql)).toEqual(await all.database.query(sql))
    }
  })

  it('writes nothing, and makes nothing', async () => {
    const all = await world()
    await writeEstate(await opened(all))
    for (const sql of [
      `UPDATE exposure.finding SET name = ''`,
      'DELETE FROM exposure.finding_history',
      `INSERT INTO exposure.migration VALUES ('a', 'b')`,
      'TRUNCATE exposure.asset',
      'CREATE TABLE exposure.mine (n int)',
      'DROP VIEW exposure.open_finding',
    ]) {
      await expect(all.as(all.role, sql), sql).rejects.toMatchObject(REFUSED)
    }
    const [login] = await all.database.query(
      'SELECT rolcanlogin AS can FROM pg_roles WHERE rolname = $1',
      [all.role],
    )
    expect(login).toEqual({ can: false })
  })

  it('reads what a later migration makes', async () => {
    const all = await world()
    await opened(all)
    const database = openDatabase({
      url: () => all.database.url,
      poolMax: 1,
      limits: MIGRATION_LIMITS,
      log: testLog,
    })
    const later = { name: '999-later.sql', sql: 'CREATE TABLE later (n int)' }
    await migrate(database, 'exposure', [...readMigrations(), later])
    await database.close()
    expect(await all.as(all.role, 'SELECT * FROM exposure.later')).toEqual([])
  })

  it('is left as it is by the next start, also by two at once', async () => {
    const all = await world()
    await Promise.all([opened(all), opened(all)])
    const acl = `SELECT relname, relacl::text FROM pg_class
      WHERE relnamespace = 'exposure'::regnamespace AND relkind IN ('r', 'v') ORDER BY 1`
    const before = await all.database.query(`${acl}`)
    await opened(all)
    expect(await all.database.query(acl)).toEqual(before)
  })

  it('is asked for by hand, with the SQL, where the user may make no roles', async () => {
    const user = randomRole()
    const all = await world()
    await all.database.query(`CREATE ROLE ${user} NOLOGIN`)
    await all.database.query(
      `DO $$ BEGIN
         EXECUTE format('GRANT CREATE ON DATABASE %I TO ${user}', current_database());
       END $$`,
    )
    const refused = await all
      .sink(user)
      .open()
      .then(null, (error: unknown) => error)
    expect(refused).toMatchObject({
      failure: 'CONFIGURATION',
      message: expect.stringContaining(`CREATE ROLE "${all.role}" NOLOGIN; GRANT USAGE`) as string,
    })
    const [, , statements = ''] = (refused as Error).message.split(/: (?=take|CREATE)/)
    const [create = '', ...grants] = statements.split('; ')
    await all.database.query(create)
    for (const sql of grants) await all.as(user, sql)
    const open = await all.sink(user).open()
    onTestFinished(() => open.close())
    expect(await all.as(all.role, 'SELECT * FROM exposure.open_finding')).toEqual([])
  })
})
