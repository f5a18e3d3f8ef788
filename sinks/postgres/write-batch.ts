// Writes one batch inside a transaction, and finds the rows that the store refuses for good.
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { Vulnerability } from '../../contracts/vulnerability.ts'
import type { Rejection, SinkBatch, SinkRecord } from '../../contracts/ports.ts'
import type { Query } from './database.ts'
import { refusalOf } from './errors.ts'
import { type Purge, type Told, writeEntities } from './history.ts'
import { type Row, remove, sumTallies, writeTotals, upsert } from './statements.ts'
import {
  ASSET,
  ASSET_HISTORY,
  CONNECTOR_ERROR,
  FINDING,
  FINDING_HISTORY,
  RUN,
  RUN_TALLY,
  type Table,
  VULNERABILITY,
} from './tables.ts'

/** A record with its place in the batch as it was handed in. */
type Item = { readonly index: number; readonly record: SinkRecord }
type Kind = SinkRecord['kind']
type Target = { readonly schema: string; readonly batch: SinkBatch }

/**
 * Writes the records at or above `from`. Resolves with what is refused; everything else is written.
 * @throws whatever is not about a row
 */
export async function writeRecords(
  query: Query,
  schema: string,
  batch: SinkBatch,
  from: bigint,
): Promise<Rejection[]> {
  const rejections: Rejection[] = []
  const items: Item[] = []
  for (const [index, record] of batch.records.entries()) {
    if (record.offset < from) continue
    const reason = refusedBeforehand(record)
    if (reason === null) items.push({ index, record })
    else rejections.push({ index, reason })
  }
  const target = { schema, batch }
  for (const run of sameKind(items)) await writeOrSplit(query, target, run, rejections)
  return rejections.toSorted((a, b) => a.index - b.index)
}

/** Stretches of one kind, in order. A topic holds one kind; nothing here depends on that. */
function sameKind(items: readonly Item[]): Item[][] {
  const stretches: Item[][] = []
  for (const item of items) {
    const last = stretches.at(-1)
    if (last?.[0]?.record.kind === item.record.kind) last.push(item)
    else stretches.push([item])
  }
  return stretches
}

/** Halves what is refused until single records are left: at most 2n statements for n records. */
async function writeOrSplit(
  query: Query,
  target: Target,
  items: readonly Item[],
  rejections: Rejection[],
): Promise<void> {
  const [first] = items
  if (first === undefined) return
  await query('SAVEPOINT slice')
  try {
    await writeSlice(query, target, first.record.kind, items)
    await query('RELEASE SAVEPOINT slice')
  } catch (error) {
    const reason = refusalOf(error)
    if (reason === null) throw error
    await query('ROLLBACK TO SAVEPOINT slice')
    await query('RELEASE SAVEPOINT slice')
    if (items.length === 1) {
      rejections.push({ index: first.index, reason })
      return
    }
    const middle = items.length >> 1
    await writeOrSplit(query, target, items.slice(0, middle), rejections)
    await writeOrSplit(query, target, items.slice(middle), rejections)
  }
}

async function writeSlice(
  query: Query,
  { schema, batch }: Target,
  kind: Kind,
  items: readonly Item[],
): Promise<void> {
  const { topic, partition } = batch
  const rows = <K extends Kind>(only: K) =>
    items.flatMap(({ record }): (Row<ValueOf<K>> & { readonly uid: string })[] => {
      if (record.kind !== only || record.value === null) return []
      const origin = { topic, partition, offset: record.offset }
      return [{ event: record.value as ValueOf<K>, origin, uid: record.key }]
    })
  const purges = purgesOf(items)
  switch (kind) {
    case 'asset':
      return writeEntities(query, schema, ASSETS, { rows: rows('asset'), purges })
    case 'finding':
      return writeEntities(query, schema, FINDINGS, { rows: rows('finding'), purges })
    case 'vulnerability':
      return writeRows(query, schema, VULNERABILITY, 'vulnerability_uid', {
        rows: rows('vulnerability'),
        purges,
      })
    case 'connector-error':
      return writeRows(query, schema, CONNECTOR_ERROR, 'fingerprint', {
        rows: rows('connector-error'),
        purges,
      })
    case 'run':
      return writeRuns(query, schema, rows('run'))
  }
}

const ASSETS = { now: ASSET, ever: ASSET_HISTORY }
const FINDINGS = { now: FINDING, ever: FINDING_HISTORY }

/** Rows without a history. What stands before its tombstone is gone, what after it stays. */
async function writeRows<Event>(
  query: Query,
  schema: string,
  table: Table<Event>,
  keyColumn: string,
  { rows, purges }: Told<Event>,
): Promise<void> {
  const lastPurge = new Map(purges.map(({ uid, offset }) => [uid, offset]))
  await remove(query, schema, { table: table.name, column: keyColumn }, [...lastPurge.keys()])
  const alive = rows.filter(({ uid, origin }) => origin.offset > (lastPurge.get(uid) ?? -1n))
  await upsert(query, schema, table, alive)
}

const purgesOf = (items: readonly Item[]): Purge[] =>
  items.flatMap(({ record: { key, value, offset, timestampMs } }) =>
    value === null ? [{ uid: key, offset, atMs: timestampMs }] : [],
  )

type ValueOf<K extends Kind> = NonNullable<Extract<SinkRecord, { readonly kind: K }>['value']>

/** Answers to an order of the operator are in the record that then finishes the run anew. */
const IN_FINISHED = new Set(['RELEASED', 'REMOVED'])

async function writeRuns(query: Query, schema: string, given: readonly Row<ValueOf<'run'>>[]) {
  const rows = given.filter(({ event }) => !IN_FINISHED.has(event.phase))
  const tallies = rows.filter(({ event }) => event.tally !== null)
  await upsert(query, schema, RUN, rows)
  await upsert(query, schema, RUN_TALLY, tallies)
  const runs = new Map(
    rows.map(({ event }) => [`${event.connection_id}|${event.stream}|${event.run_id}`, event]),
  )
  await sumTallies(query, schema, [...runs.values()])
  await writeTotals(query, schema, rows)
}

/** What the server would take in silence and change. */
function refusedBeforehand(record: SinkRecord): string | null {
  if (record.kind === 'run' && record.value === null) return 'a run has no tombstone'
  // Half a surrogate pair becomes a replacement character on the wire; jsonb would refuse it, but
  // keys and runs are in no jsonb.
  const texts = record.kind === 'run' ? Object.values(record.value ?? {}) : []
  if (![record.key, ...texts].every(isWholeText)) return 'text holds half of a surrogate pair'
  if (record.value === null) return null
  const numbers =
    record.kind === 'finding'
      ? findingNumbers(record.value)
      : record.kind === 'asset'
        ? assetNumbers(record.value)
        : record.kind === 'vulnerability'
          ? vulnerabilityNumbers(record.value)
          : []
  const bad = numbers.find((number) => number !== null && !Number.isFinite(number))
  return bad === undefined ? null : `a score is ${bad}, which JSON cannot hold`
}

const isWholeText = (value: unknown) => typeof value !== 'string' || value.isWellFormed()

const vulnerabilityNumbers = (v: Vulnerability): (number | null)[] => [
  v.cvss_score,
  v.epss?.score ?? null,
  ...v.cvss.map((assessment) => assessment.base_score),
]

const findingNumbers = (f: Finding): (number | null)[] => [
  f.cvss_score,
  f.risk_score,
  f.epss?.score ?? null,
  f.epss?.percentile ?? null,
  ...f.cvss.map((entry) => entry.base_score),
]
const assetNumbers = (a: Asset): (number | null)[] => [a.criticality?.score ?? null]
