// What PostgreSQL holds of entities now, for `exposure reconcile`.
import type { AuditKind, SinkAudit } from '../../contracts/ports.ts'
import { resolveSecret } from '../../runtime/environment.ts'
import type { Logger } from '../../runtime/log.ts'
import type { PostgresConfig } from './config.ts'
import { type DatabaseLimits, type Query, openDatabase } from './database.ts'

/** A sample sorts the keys of the whole table. */
const AUDIT_LIMITS: DatabaseLimits = { connectMs: 10_000, statementMs: 120_000, lockMs: 10_000 }
const READING = 'comparing PostgreSQL'

const PLACES: Readonly<Record<AuditKind, { readonly table: string; readonly uid: string }>> = {
  asset: { table: 'asset', uid: 'asset_uid' },
  finding: { table: 'finding', uid: 'finding_uid' },
}

/** Connects at the first question. */
export function auditPostgres(
  { url: reference, schema }: Pick<PostgresConfig, 'url' | 'schema'>,
  groupId: string,
  log: Logger,
): SinkAudit {
  const url = () => resolveSecret(reference)
  const database = openDatabase({ url, poolMax: 1, limits: AUDIT_LIMITS, log })
  /** Rows of a table; none of one that is not there: nothing was written yet. */
  const rowsOf = (table: string, sql: string, values: readonly unknown[] = []) =>
    database.transaction(READING, async (query) =>
      (await isThere(query, schema, table)) ? (await query(sql, values)).rows : [],
    )
  return {
    async storedOffset(topic, partition) {
      const [row] = await rowsOf(
        'sink_offset',
        `SELECT next_offset::text AS next FROM "${schema}".sink_offset
         WHERE consumer_group = $1 AND topic = $2 AND partition = $3`,
        [groupId, topic, partition],
      )
      const next: unknown = row?.next
      return typeof next === 'string' ? BigInt(next) : null
    },
    async count(kind) {
      const { table } = PLACES[kind]
      const [row] = await rowsOf(table, `SELECT count(*)::text AS n FROM "${schema}".${table}`)
      return Number(row?.n ?? 0)
    },
    async revisions(kind, uids) {
      const { table, uid } = PLACES[kind]
      const rows = await rowsOf(
        table,
        `SELECT ${uid} AS uid, revision::text FROM "${schema}".${table}
         WHERE ${uid} = ANY($1::text[])`,
        [uids],
      )
      return new Map(rows.map((row) => [String(row.uid), Number(row.revision)]))
    },
    async sample(kind, n, seed) {
      const { table, uid } = PLACES[kind]
      const rows = await rowsOf(
        table,
        `SELECT ${uid} AS uid FROM "${schema}".${table} ORDER BY md5($1 || ${uid}) LIMIT $2`,
        [String(seed), n],
      )
      return rows.map((row) => String(row.uid))
    },
    close: () => database.close(),
  }
}

async function isThere(query: Query, schema: string, table: string): Promise<boolean> {
  const { rows } = await query('SELECT to_regclass($1) IS NOT NULL AS yes', [
    `"${schema}".${table}`,
  ])
  return rows[0]?.yes === true
}
