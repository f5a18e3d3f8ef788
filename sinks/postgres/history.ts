// Entities as they are, and every revision with the time in which it was, however they arrive.
import type { Query } from './database.ts'
import { type Row, mergeSql, remove, stage } from './statements.ts'
import type { Table } from './tables.ts'

/** A tombstone: the entity was forgotten. */
export type Purge = { readonly uid: string; readonly offset: bigint; readonly atMs: number }
/** What a batch tells of the entities of one table, in order. */
export type Told<Event> = {
  readonly rows: readonly (Row<Event> & { readonly uid: string })[]
  readonly purges: readonly Purge[]
}
/** Where the entities of a kind are. */
export type Home<Event> = { readonly now: Table<Event>; readonly ever: Table<Event> }

/**
 * Writes current rows and history. The same records give the same rows, once or twice, in one
 * batch or in many.
 */
export async function writeEntities<Event>(
  query: Query,
  schema: string,
  { now, ever }: Home<Event>,
  { rows, purges }: Told<Event>,
): Promise<void> {
  const [uidColumn = '', revisionColumn = ''] = ever.key
  const place = { table: `"${schema}".${ever.name}`, uidColumn, revisionColumn }
  const forgotten = [...new Set(purges.map(({ uid }) => uid))]
  await remove(query, schema, { table: now.name, column: uidColumn }, forgotten)
  if (rows.length > 0) {
    const staged = await stage(query, ever, withoutRepeats(ever, { rows, purges }))
    // The last word on a key counts: what stands before its tombstone is gone, what after it stays.
    await query(mergeSql(schema, now, `${staged} WHERE purge_offset IS NULL`))
    await query(mergeSql(schema, ever, staged))
  }
  await markPurged(query, place, purges)
  const uids = new Set([...rows, ...purges].map(({ uid }) => uid))
  await endFollowed(query, place, [...uids])
}

/** The first of equal revisions counts, but for one that was told again after a purge. */
function withoutRepeats<Event>(table: Table<Event>, { rows, purges }: Told<Event>): Row<Event>[] {
  const revisionOf = table.columns.find(([name]) => name === 'revision')?.[2]
  const purgesOf = Map.groupBy(purges, ({ uid }) => uid)
  const kept = new Map<string, Row<Event>>()
  for (const { uid, event, origin } of rows) {
    const purge = purgesOf.get(uid)?.find(({ offset }) => offset > origin.offset)
    const key = `${uid}|${String(revisionOf?.(event, origin))}`
    const before = kept.get(key)?.origin
    const isAnew = before?.purge !== undefined && before.purge.offset < origin.offset
    if (before === undefined || isAnew) kept.set(key, { event, origin: { ...origin, purge } })
  }
  return [...kept.values()]
}

type Place = {
  readonly table: string
  readonly uidColumn: string
  readonly revisionColumn: string
}

/** What earlier batches wrote: a revision belongs to the first purge behind it. */
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
