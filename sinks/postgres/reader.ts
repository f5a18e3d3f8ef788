// A role that may read everything in the schema and write nothing: for people and their tools.
import { PipelineError } from '../../contracts/errors.ts'
import type { Database, Query } from './database.ts'
import { lockSchema } from './migrate.ts'

const FORBIDDEN = '42501'

/**
 * Makes the role when it is missing, without login and password, and lets it read what is there
 * and what later migrations make. What it has already is not granted again.
 * @throws PipelineError CONFIGURATION with the SQL to be run by hand, when the user may not do it
 */
export function grantReader(database: Database, schema: string, role: string): Promise<void> {
  return database.transaction('granting the read-only role', async (query) => {
    await lockSchema(query, schema)
    try {
      await makeRole(query, role)
      if (await mayRead(query, schema, role)) return
      for (const sql of grantsOf(schema, role)) await query(sql)
      // What belongs to somebody else is not granted, and only a notice says so.
      if (!(await mayRead(query, schema, role))) throw byHand(schema, role, null)
    } catch (error) {
      if ((error as { code?: unknown } | null)?.code !== FORBIDDEN) throw error
      throw byHand(schema, role, error)
    }
  })
}

function byHand(schema: string, role: string, cause: unknown): PipelineError {
  const sql = [creationOf(role), ...grantsOf(schema, role)].join('; ')
  const message =
    `the user of PostgreSQL may not make or grant the role ${role}: take readOnlyRole out of the ` +
    `settings, or run this as one who may, the last statement as the user of the sink: ${sql}`
  return new PipelineError('CONFIGURATION', 'SINK', message, { cause })
}

const creationOf = (role: string) => `CREATE ROLE "${role}" NOLOGIN`

const grantsOf = (schema: string, role: string): readonly string[] => [
  `GRANT USAGE ON SCHEMA "${schema}" TO "${role}"`,
  `GRANT SELECT ON ALL TABLES IN SCHEMA "${schema}" TO "${role}"`,
  `ALTER DEFAULT PRIVILEGES IN SCHEMA "${schema}" GRANT SELECT ON TABLES TO "${role}"`,
]

async function makeRole(query: Query, role: string): Promise<void> {
  const { rowCount } = await query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role])
  if (rowCount === 0) await query(creationOf(role))
}

/** Also of what is yet to come: every table and view, and the schema's default. */
async function mayRead(query: Query, schema: string, role: string): Promise<boolean> {
  const { rows } = await query(
    `SELECT has_schema_privilege($2, $1, 'USAGE')
       AND NOT EXISTS (SELECT 1 FROM pg_class AS c WHERE c.relnamespace = $1::text::regnamespace
         AND c.relkind IN ('r', 'v') AND NOT has_table_privilege($2, c.oid, 'SELECT'))
       AND EXISTS (SELECT 1 FROM pg_default_acl AS d, aclexplode(d.defaclacl) AS a
         WHERE d.defaclnamespace = $1::text::regnamespace AND d.defaclobjtype = 'r'
           AND d.defaclrole = current_user::regrole AND a.privilege_type = 'SELECT'
           AND a.grantee = $2::text::regrole) AS may`,
    [schema, role],
  )
  return rows[0]?.may === true
}
