// The SQL of a batch: rows go by COPY into a table of the session, and are merged from there.
import { createHash } from 'node:crypto'
import type { Run } from '../../contracts/run.ts'
import type { Query } from './database.ts'
import {
  type Cell,
  type Column,
  type ColumnType,
  type Origin,
  RUN_KEY,
  type Table,
} from './tables.ts'

export type Row<Event> = { readonly event: Event; readonly origin: Origin }

/** As what a column waits in the table of the session, and what makes its value of it. */
const STAGED: Readonly<Record<ColumnType, (name: string) => readonly [type: string, of: string]>> =
  {
    text: (name) => ['text', name],
    int: (name) => ['integer', name],
    bigint: (name) => ['bigint', name],
    float8: (name) => ['double precision', name],
    bool: (name) => ['boolean', name],
    time: (name) => ['double precision', `to_timestamp(${name} / 1000)`],
    'text[]': (name) => ['text[]', name],
    jsonb: (name) => ['jsonb', name],
  }

/** Writes `rows`; none is fine. */
export async function upsert<Event>(
  query: Query,
  schema: string,
  table: Table<Event>,
  rows: readonly Row<Event>[],
): Promise<void> {
  if (rows.length === 0) return
  const staged = await stage(query, table, rows)
  await query(mergeSql(schema, table, staged))
}

/**
 * Sends `rows` and resolves with the table of the session that holds them, and nothing else. It is
 * named by its layout: through a pooler, a session may be older than this version.
 */
export async function stage<Event>(
  query: Query,
  { name, columns }: Table<Event>,
  rows: readonly Row<Event>[],
): Promise<string> {
  const layout = columns.map(([column, type]) => `${column} ${STAGED[type](column)[0]}`).join(', ')
  const mark = createHash('sha256').update(layout).digest('hex').slice(0, 8)
  const staged = `incoming_${name}_${mark}`
  await query(`CREATE TEMP TABLE IF NOT EXISTS ${staged} (${layout}) ON COMMIT DELETE ROWS`)
  // Those of an earlier part of this transaction.
  await query(`DELETE FROM pg_temp.${staged}`)
  await query.copy(
    `COPY pg_temp.${staged} FROM STDIN`,
    rows.map((row) => line(columns, row)).join(''),
  )
  return `pg_temp.${staged}`
}

/**
 * INSERT ... ON CONFLICT of what is staged. Two rows of one key would fail together (21000), so
 * the one that the guard prefers goes alone; of equals the first, as it would be in two batches.
 */
export function mergeSql<Event>(schema: string, table: Table<Event>, staged: string): string {
  const names = table.columns.map(([name]) => name)
  const cells = table.columns.map(([name, type]) => `${STAGED[type](name)[1]} AS ${name}`)
  const key = table.key.join(', ')
  const updates = names
    .filter((name) => !table.key.includes(name))
    .map((name) => `${name} = excluded.${name}`)
  const newest = table.guard.map((name) => `${name} DESC`).join(', ')
  const onlyIf = table.onlyIf === undefined ? '' : ` AND ${table.onlyIf}`
  const sides = (side: string) => table.guard.map((name) => `${side}.${name}`).join(', ')
  return `INSERT INTO "${schema}".${table.name} AS t (${names.join(', ')})
    SELECT DISTINCT ON (${key}) * FROM (SELECT ${cells.join(', ')} FROM ${staged}) AS typed
    ORDER BY ${key}, ${newest}, src_offset
    ON CONFLICT (${key}) DO UPDATE SET ${updates.join(', ')}
    WHERE (${sides('excluded')}) > (${sides('t')})${onlyIf}`
}

/** A row in the text format of COPY. */
const line = <Event>(columns: readonly Column<Event>[], { event, origin }: Row<Event>): string =>
  `${columns.map(([, , of]) => cellText(of(event, origin))).join('\t')}\n`

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

function cellText(cell: Cell): string {
  if (cell === null) return '\\N'
  const text = typeof cell === 'object' ? arrayLiteral(cell) : String(cell)
  return text.replaceAll(/[\\\n\r\t]/g, (c) => ESCAPES[c] ?? c)
}

/** `{"a","b"}`: the text form of a text[]. */
export const arrayLiteral = (items: readonly string[]): string =>
  `{${items.map((item) => `"${item.replaceAll(/["\\]/g, (c) => `\\${c}`)}"`).join(',')}}`

/** Deletes the rows whose `column` is one of `values`. */
export async function remove(
  query: Query,
  schema: string,
  target: { readonly table: string; readonly column: string },
  values: readonly string[],
): Promise<void> {
  if (values.length === 0) return
  const { table, column } = target
  await query(`DELETE FROM "${schema}".${table} WHERE ${column} = ANY($1::text[])`, [values])
}

type RunId = { readonly connection_id: string; readonly stream: string; readonly run_id: string }

/** Counts the tallies of these runs, and sums those of runs that have not finished. */
export async function sumTallies(query: Query, schema: string, runs: readonly RunId[]) {
  if (runs.length === 0) return
  const key = RUN_KEY.join(', ')
  const sums = ['units_seen', 'dead_lettered', 'closed', 'held', 'purged']
  // The record that finished the run knows them all, and what a release has closed since.
  const sumOf = (name: string) =>
    `${name} = CASE t.phase WHEN 'FINISHED' THEN t.${name} ELSE s.${name} END`
  await query(
    `UPDATE "${schema}".run AS t
     SET tallies = s.tallies, ${sums.map(sumOf).join(', ')}
     FROM (
       SELECT ${key}, count(*)::int AS tallies,
         ${sums.map((name) => `sum(${name})::bigint AS ${name}`).join(', ')}
       FROM "${schema}".run_tally
       WHERE (${key}) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))
       GROUP BY ${key}
     ) AS s
     WHERE (t.connection_id, t.stream, t.run_id) = (s.connection_id, s.stream, s.run_id)`,
    [runs.map((r) => r.connection_id), runs.map((r) => r.stream), runs.map((r) => r.run_id)],
  )
}

/** The totals of finished runs, into the rows that these very records have written. */
export async function writeTotals(query: Query, schema: string, rows: readonly Row<Run>[]) {
  const finished = rows.flatMap(({ event, origin }) =>
    event.totals === null ? [] : [{ ...event, totals: event.totals, offset: origin.offset }],
  )
  if (finished.length === 0) return
  const names = [...RUN_KEY, 'src_offset', ...TOTALS]
  const casts = [...RUN_KEY.map(() => 'text'), ...['src_offset', ...TOTALS].map(() => 'bigint')]
  const parameters = casts.map((cast, i) => `$${i + 1}::${cast}[]`)
  const totals = TOTALS.map((name) => finished.map((run) => run.totals[name]))
  await query(
    `UPDATE "${schema}".run AS t SET ${TOTALS.map((name) => `${name} = r.${name}`).join(', ')}
     FROM unnest(${parameters.join(', ')}) AS r(${names.join(', ')})
     WHERE (t.connection_id, t.stream, t.run_id) = (r.connection_id, r.stream, r.run_id)
       AND t.src_offset = r.src_offset`,
    [
      finished.map((run) => run.connection_id),
      finished.map((run) => run.stream),
      finished.map((run) => run.run_id),
      finished.map((run) => String(run.offset)),
      ...totals,
    ],
  )
}

const TOTALS = ['units_seen', 'dead_lettered', 'closed', 'held', 'purged', 'duration_ms'] as const
