// Writes one batch inside a transaction, and finds the rows that the store refuses for good.
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { Vulnerability } from '../../contracts/vulnerability.ts'
import type { Rejection, SinkBatch, SinkRecord } from '../../contracts/ports.ts'
import type { Query } from './database.ts'
import { refusalOf } from './errors.ts'
import { type Purge, writeHistory } from './history.ts'
import { type Row, remove, sumTallies, writeTotals, upsert } from './statements.ts'
import {
  ASSET,
  ASSET_HISTORY,
  CONNECTOR_ERROR,
  FINDING,
  FINDING_HISTORY,
  RUN,
  RUN_TALLY,
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
  // The last word on a key counts: rows before its tombstone are gone, rows after it stay.
  const lastTombstone = new Map<string, number>()
  for (const { record, index } of items) {
    if (record.value === null) lastTombstone.set(record.key, index)
  }
  const deleted = [...lastTombstone.keys()]
  const alive = items.filter(
    ({ record, index }) => record.value !== null && index > (lastTombstone.get(record.key) ?? -1),
  )
  const rowsOf = <K extends Kind>(only: K, among: readonly Item[]) =>
    among.flatMap(({ record }): (Row<ValueOf<K>> & { readonly uid: string })[] => {
      if (record.kind !== only || record.value === null) return []
      const { topic, partition } = batch
      const origin = { topic, partition, offset: record.offset }
      return [{ event: record.value as ValueOf<K>, origin, uid: record.key }]
    })
  const rows = <K extends Kind>(only: K) => rowsOf(only, alive)
  // History has a place for what came before a tombstone too.
  const told = <K extends Kind>(only: K) => ({ rows: rowsOf(only, items), purges: purgesOf(items) })
  switch (kind) {
    case 'asset':
      await remove(query, schema, { table: 'asset', column: 'asset_uid' }, deleted)
      await upsert(query, schema, ASSET, rows('asset'))
      return writeHistory(query, schema, ASSET_HISTORY, told('asset'))
    case 'finding':
      await remove(query, schema, { table: 'finding', column: 'finding_uid' }, deleted)
      await upsert(query, schema, FINDING, rows('finding'))
      return writeHistory(query, schema, FINDING_HISTORY, told('finding'))
    case 'vulnerability': {
      const place = { table: 'vulnerability', column: 'vulnerability_uid' }
      await remove(query, schema, place, deleted)
      return upsert(query, schema, VULNERABILITY, rows('vulnerability'))
    }
    case 'connector-error':
      await remove(query, schema, { table: 'connector_error', column: 'fingerprint' }, deleted)
      return upsert(query, schema, CONNECTOR_ERROR, rows('connector-error'))
    case 'run':
      return writeRuns(query, schema, rows('run'))
  }
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
