// Rows into Parquet files, one per day and product, by DuckDB.
import { randomBytes } from 'node:crypto'
import { access, mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { STAGING, dropStaged } from './manifest.ts'
import type { Table } from './tables.ts'

const MEMORY = '512MB'
const COPY_MS = 120_000
const PIECE_BYTES = 1024 * 1024
/** What DuckDB is told of the longest row. */
const OBJECT_BYTES_MIN = 1024 * 1024
const OBJECT_BYTES_EXTRA = 1024
/** Of one row as JSON: a description of megabytes is a row too. */
export const ROW_BYTES_MAX = 64 * 1024 * 1024

/** A row as JSON, and the folder that it belongs to. */
export type Row = {
  readonly day: string
  readonly product: string
  readonly json: string
  readonly bytes: number
}

export type StagedFile = { readonly staged: string; readonly final: string }

export type ParquetWriter = {
  /** Writes them under STAGING; `name` is that of each file in its own folder. */
  stage(root: string, table: Table, rows: readonly Row[], name: string): Promise<StagedFile[]>
  /** A file without rows, so that every table can be read from the beginning. */
  empty(root: string, table: Table): Promise<StagedFile>
  /** All rows of the files as one under STAGING: its path. */
  merge(root: string, files: readonly string[]): Promise<string>
  close(): void
}

/** As hive has it for a value that is null. */
export const NO_PRODUCT = '__HIVE_DEFAULT_PARTITION__'
const NO_DAY = '1970-01-01'

/** One DuckDB in memory; calls take turns. */
export async function openWriter(): Promise<ParquetWriter> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1', memory_limit: MEMORY })
  const connection = await instance.connect()
  return {
    async stage(root, table, rows, name) {
      await access(root)
      await mkdir(join(root, STAGING), { recursive: true })
      const files: StagedFile[] = []
      const groups = Map.groupBy(rows, ({ day, product }) => `dt=${day}/product=${product}`)
      try {
        for (const [folder, group] of groups) {
          const staged = join(STAGING, `${randomBytes(8).toString('hex')}.parquet`)
          files.push({ staged, final: join(table.name, folder, `${name}.parquet`) })
          await copy(connection, table, group, join(root, staged))
        }
        return files
      } catch (error) {
        // They are made anew at each attempt: on a full disk they would keep it full.
        await dropStaged(root, files)
        throw error
      }
    },
    async empty(root, table) {
      await mkdir(join(root, STAGING), { recursive: true })
      const staged = join(STAGING, `${randomBytes(8).toString('hex')}.parquet`)
      await copy(connection, table, [], join(root, staged))
      const folder = join(table.name, `dt=${NO_DAY}`, `product=${NO_PRODUCT}`)
      return { staged, final: join(folder, 'empty.parquet') }
    },
    async merge(root, files) {
      const staged = join(STAGING, `${randomBytes(8).toString('hex')}.parquet`)
      const list = files.map((file) => quoted(join(root, file))).join(', ')
      const target = quoted(join(root, staged))
      try {
        await inTime(
          connection,
          `COPY (SELECT * FROM read_parquet([${list}], hive_partitioning = false,
            union_by_name = true)) TO ${target} (FORMAT parquet, COMPRESSION zstd)`,
        )
        return staged
      } catch (error) {
        await dropStaged(root, [{ staged }])
        throw error
      }
    },
    close() {
      connection.closeSync()
      instance.closeSync()
    },
  }
}

async function copy(
  connection: DuckDBConnection,
  table: Table,
  rows: readonly Row[],
  target: string,
): Promise<void> {
  const source = `${target}.ndjson`
  try {
    await writeLines(source, rows)
    const longest = rows.reduce((most, { bytes }) => Math.max(most, bytes), 0)
    await inTime(connection, copyStatement(table, source, target, longest))
    const file = await open(target, 'r')
    await file.sync()
    await file.close()
  } finally {
    await rm(source, { force: true })
  }
}

/** A piece at a time: all of it as one text, and again as bytes, would be twice what waits. */
async function writeLines(path: string, rows: readonly Row[]): Promise<void> {
  const file = await open(path, 'wx')
  try {
    let lines: string[] = []
    let bytes = 0
    for (const row of rows) {
      lines.push(row.json, '\n')
      bytes += row.bytes
      if (bytes < PIECE_BYTES) continue
      await file.writeFile(lines.join(''))
      lines = []
      bytes = 0
    }
    await file.writeFile(lines.join(''))
  } finally {
    await file.close()
  }
}

function copyStatement(
  { columns }: Table,
  source: string,
  target: string,
  longest: number,
): string {
  // DuckDB takes twice of it as a buffer at once.
  const bytesMax = Math.max(OBJECT_BYTES_MIN, longest + OBJECT_BYTES_EXTRA)
  const read = columns.map(
    ([name, type]) => `${quoted(name)}: ${quoted(type === 'TIMESTAMP' ? 'BIGINT' : type)}`,
  )
  const chosen = columns.map(([name, type]) =>
    type === 'TIMESTAMP' ? `epoch_ms("${name}") AS "${name}"` : `"${name}"`,
  )
  return `COPY (SELECT ${chosen.join(', ')} FROM read_json(${quoted(source)},
    format = 'newline_delimited', maximum_object_size = ${bytesMax},
    columns = {${read.join(', ')}})) TO ${quoted(target)} (FORMAT parquet, COMPRESSION zstd)`
}

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`

async function inTime(connection: DuckDBConnection, sql: string): Promise<void> {
  const timer = setTimeout(() => connection.interrupt(), COPY_MS)
  try {
    await connection.run(sql)
  } finally {
    clearTimeout(timer)
  }
}
