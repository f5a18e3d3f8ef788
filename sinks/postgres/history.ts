// Every revision of an entity, and from when to when it was valid: whatever order they come in.
import type { Query } from './database.ts'
import { type Row, upsert } from './statements.ts'
import type { Table } from './tables.ts'

/** A tombstone: the entity was forgotten. */
export type Purge = { readonly uid: string; readonly offset: bigint; readonly atMs: number }
/** What a batch tells of the entities of one table, in order. */
export type Told<Event> = {
  readonly rows: readonly (Row<Event> & { readonly uid: string })[]
  readonly purges: readonly Purge[]
}

/**
 * Adds revisions and ends those that others follow, in the transaction of the current rows. The
 * same records give the same rows, once or twice, in one batch or in many.
 */
export async function writeHistory<Event>(
  query: Query,
  schema: string,
  table: Table<Event>,
  { rows, purges }: Told<Event>,
): Promise<void> {
  const [uidColumn = '', revisionColumn = ''] = table.key
  const place = { table: `"${schema}".${table.name}`, uidColumn, revisionColumn }
  await upsert(query, schema, table, withoutRepeats(table, { rows, purges }))
  await markPurged(query, place, purges)
  const uids = new Set([...rows, ...purges].map(({ uid }) => uid))
  await endFollowed(query, place, [...uids])
}

/** The first of equal revisions counts, as in the table of current rows: a purge begins anew. */
function withoutRepeats<Event>(table: Table<Event>, { rows, purges }: Told<Event>): Row<Event>[] {
  const revisionOf = table.columns.find(([name]) => name === 'revision')?.[2]
  const purgedAfter = (uid: string, offset: bigint, until: bigint) =>
    purges.some((purge) => purge.uid === uid && purge.offset > offset && purge.offset < until)
  const kept = new Map<string, Row<Event>>()
  for (const row of rows) {
    const key = `${row.uid}|${String(revisionOf?.(row.event, row.origin))}`
    const before = kept.get(key)?.origin.offset
    if (before === undefined || purgedAfter(row.uid, before, row.origin.offset)) kept.set(key, row)
  }
  return [...kept.values()]
}

type Place = {
  readonly table: string
  readonly uidColumn: string
  readonly revisionColumn: string
}

/** Of several purges of an entity, a revision belongs to the first behind it. */
async function markPurged(query: Query, { table, uidColumn }: Place, purges: readonly Purge[]) {
  if (purges.length === 0) return
  await query(
    `UPDATE ${table} AS t SET purged_at = p.at, purge_offset = p.at_offset
     FROM (
       SELECT uid, at_offset, to_timestamp(at_ms / 1000) AS at,
         lag(at_offset, 1, -1) OVER (PARTITION BY uid ORDER BY at_offset) AS last_offset
       FROM unnest($1::text[], $2::bigint[], $3::float8[]) AS r(uid, at_offset, at_ms)
     ) AS p
     WHERE t.${uidColumn} = p.uid AND t.purged_at IS NULL
       AND t.src_offset < p.at_offset AND t.src_offset >= p.last_offset`,
    [
      purges.map(({ uid }) => uid),
      purges.map(({ offset }) => String(offset)),
      purges.map(({ atMs }) => atMs),
    ],
  )
}

/**
 * What is alive ends with the next living revision; what was forgotten with its purge, or with the
 * revision that began the entity anew where the clocks of both disagree.
 */
async function endFollowed(query: Query, place: Place, uids: readonly string[]): Promise<void> {
  if (uids.length === 0) return
  const { table, uidColumn: uid, revisionColumn: revision } = place
  await query(
    `UPDATE ${table} AS t SET valid_to = s.valid_to
     FROM (
       SELECT ${uid}, ${revision},
         CASE WHEN purged_at IS NULL
           THEN lead(valid_from) OVER (PARTITION BY ${uid}, purged_at IS NULL ORDER BY ${revision})
           ELSE least(
             lead(valid_from) OVER (PARTITION BY ${uid} ORDER BY ${revision}),
             greatest(purged_at, valid_from)
           )
         END AS valid_to
       FROM ${table} WHERE ${uid} = ANY($1::text[])
     ) AS s
     WHERE (t.${uid}, t.${revision}) = (s.${uid}, s.${revision})
       AND t.valid_to IS DISTINCT FROM s.valid_to`,
    [uids],
  )
}
