// A CSV as rows in their own text: fields may hold commas, quotes and line breaks.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parse } from 'csv-parse'
import { PipelineError } from '../../contracts/errors.ts'

export type CsvRow = {
  /** As received, without the line break after it. */
  readonly text: string
  readonly fields: readonly string[]
}
export type Csv = {
  /** The header row's text; empty when there is none. */
  readonly columns: string
  readonly names: readonly string[]
  readonly rows: readonly CsvRow[]
}

/** Far more than the vendor says that a download has; beyond it something else was sent. */
export const CSV_ROWS_MAX = 100_000
export const CSV_BYTES_MAX = 256 * 1024 * 1024
const ROW_BYTES_MAX = 1024 * 1024

/**
 * All rows, held in memory. Nothing at all is a CSV without rows.
 * @throws PipelineError INVALID_RESPONSE when it is no CSV or exceeds the bounds
 */
export async function readCsv(body: AsyncIterable<Buffer>): Promise<Csv> {
  const parser = parse({
    bom: true,
    raw: true,
    record_delimiter: ['\r\n', '\n'],
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    max_record_size: ROW_BYTES_MAX,
  })
  const pumping = pipeline(Readable.from(bounded(body), { objectMode: false }), parser)
  // The reader below meets the same error; unhandled, this copy of it would end the process.
  pumping.catch(() => undefined)
  const rows: CsvRow[] = []
  try {
    for await (const entry of parser) {
      const { raw, record } = entry as { raw: string; record: string[] }
      rows.push({ text: raw.replace(/^[\r\n]+|[\r\n]+$/g, ''), fields: record })
      if (rows.length > CSV_ROWS_MAX) throw invalid(`more than ${CSV_ROWS_MAX} rows`)
    }
    await pumping
  } catch (error) {
    // csv-parse's own message quotes the payload.
    throw isCsvError(error) ? invalid(error.code) : error
  } finally {
    parser.destroy()
  }
  const [header, ...rest] = rows
  return { columns: header?.text ?? '', names: header?.fields ?? [], rows: rest }
}

async function* bounded(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  let length = 0
  for await (const piece of body) {
    length += piece.length
    if (length > CSV_BYTES_MAX) throw invalid(`more than ${CSV_BYTES_MAX} bytes`)
    yield piece
  }
}

const isCsvError = (error: unknown): error is Error & { readonly code: string } =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('CSV_')

const invalid = (what: string): PipelineError =>
  new PipelineError('INVALID_RESPONSE', 'PARSE', `the answer is not the CSV expected: ${what}`)
