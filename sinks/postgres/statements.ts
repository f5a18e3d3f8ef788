// The SQL of a batch: rows travel as arrays of text, one per column, and are cast by the server.
import type { Run } from '../../contracts/run.ts'
import type { Query } from './database.ts'
import { type Column, type Origin, RUN_KEY, type Table } from './tables.ts'

export type Row<Event> = { readonly event: Event; readonly origin: Origin }

const CASTS: Readonly<Record<Column<unknown>[1], (cell: string) => string>> = {
  text: (cell) => cell,
  int: (cell) => `${cell}::int`,
  bigint: (cell) => `${cell}::bigint`,
  float8: (cell) => `${cell}::float8`,
  bool: (cell) => `${cell}::bool`,
  time: (cell) => `to_timestamp(${cell}::float8 / 1000)`,
  'text[]': (cell) => `${cell}::text[]`,
  jsonb: (cell) => `${cell}::jsonb`,
}

/**
 * INSERT ... ON CONFLICT for `table`, one text[] parameter per column. Two rows of one key would
 * fail together (21000), so the one that the guard prefers goes alone; of equals the first, as
 * it would be in two batches.
 */
export function upsertSql<Event>(schema: string, table: Table<Event>): string {
  const names = table.columns.map(([name]) => name)
  const cells = table.columns.map(([name, type]) => `${CASTS[type](`r.${name}`)} AS ${name}`)
  const parameters = table.columns.map((_, i) => `$${i + 1}::text[]`)
  const key = table.key.join(', ')
  const updates = names
    .filter((name) => !table.key.includes(name))
    .map((name) => `${name} = excluded.${name}`)
  const newest = table.guard.map((name) => `${name} DESC`).join(', ')
  const onlyIf = table.onlyIf === undefined ? '' : ` AND ${table.onlyIf}`
  const sides = (side: string) => table.guard.map((name) => `${side}.${name}`).join(', ')
  return `INSERT INTO "${schema}".${table.name} AS t (${names.join(', ')})
    SELECT DISTINCT ON (${key}) * FROM (
      SELECT ${cells.join(', ')}
      FROM unnest(${parameters.join(', ')}) AS r(${names.join(', ')})
    ) AS typed
    ORDER BY ${key}, ${newest}, src_offset
    ON CONFLICT (${key}) DO UPDATE SET ${updates.join(', ')}
    WHERE (${sides('excluded')}) > (${sides('t')})${onlyIf}`
}

/** Writes `rows`; none is fine. */
export async function upsert<Event>(
  query: Query,
  schema: string,
  table: Table<Event>,
  rows: readonly Row<Event>[],
): Promise<void> {
  if (rows.length === 0) return
  const values = table.columns.map(([, , of]) =>
    rows.map(({ event, origin }) => asText(of(event, origin))),
  )
  await query(upsertSql(schema, table), values)
}

type Cell = ReturnType<Column<unknown>[2]>

function asText(cell: Cell): string | null {
  if (cell === null) return null
  return typeof cell === 'object' ? arrayLiteral(cell) : String(cell)
}

/** `{"a","b"}`: the text form of a text[]. */
const arrayLiteral = (items: readonly string[]): string =>
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
