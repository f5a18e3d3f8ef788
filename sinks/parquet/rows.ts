// A row of the lake from a record, or why no file can hold it.
import type { SinkRecord } from '../../contracts/ports.ts'
import { changedAs, jsonTextOf } from '../json-text.ts'
import { TABLES, type Table } from './tables.ts'
import { NO_PRODUCT, ROW_BYTES_MAX, type Row } from './writer.ts'

const DATE_MS_MAX = 8.64e15
const INTEGER_MAX = 2 ** 31 - 1

type Type = Table['columns'][number][1]

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value)
const isText = (value: unknown) => typeof value === 'string'
const FITS: Readonly<Record<Type, (value: unknown) => boolean>> = {
  VARCHAR: isText,
  'VARCHAR[]': (value) => Array.isArray(value) && value.every(isText),
  // Offsets are given as text.
  BIGINT: (value) => isWhole(value) || (typeof value === 'string' && /^\d+$/.test(value)),
  INTEGER: (value) => isWhole(value) && Math.abs(value) <= INTEGER_MAX,
  DOUBLE: (value) => Number.isFinite(value),
  BOOLEAN: (value) => typeof value === 'boolean',
  TIMESTAMP: isWhole,
}

/**
 * The row, or the reason. One value that does not fit its column would refuse the file, and with
 * it the rows beside it.
 */
export function rowOf(record: SinkRecord, topic: string, partition: number): Row | string {
  if (!(Math.abs(record.timestampMs) <= DATE_MS_MAX)) return 'its time is beyond the calendar'
  const table = TABLES[record.kind]
  const given = table.rowOf(record, topic, partition) as Readonly<Record<string, unknown>>
  for (const [name, type] of table.columns) {
    const value = given[name] ?? null
    if (value !== null && !FITS[type](value)) return `its ${name} is no ${type}`
  }
  // The state is text in the row: what JSON cannot hold is seen in the event itself.
  const { state } = given
  const refused = typeof state === 'string' ? changedAs(record.value, state) : null
  if (refused !== null) return refused
  const row = jsonTextOf(given)
  if (row.text === null) return row.refused
  const bytes = Buffer.byteLength(row.text)
  if (bytes > ROW_BYTES_MAX) return `its ${bytes} bytes exceed ${ROW_BYTES_MAX}`
  const [day = ''] = new Date(record.timestampMs).toISOString().split('T')
  return { day, product: folderOf(table, record), json: row.text, bytes }
}

/** Hive decodes what encodeURIComponent encodes. */
function folderOf(table: Table, record: SinkRecord): string {
  const product = table.productOf(record)
  return product === null || product === '' ? NO_PRODUCT : encodeURIComponent(product)
}
