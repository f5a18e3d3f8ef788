// A Parquet lake of the test's own, and DuckDB as its reader.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { onTestFinished } from 'vitest'
import type { OpenSink } from '../../contracts/ports.ts'
import { type ParquetConfig, parquetConfig } from '../../sinks/parquet/config.ts'
import { createParquetSink } from '../../sinks/parquet/sink.ts'
import { testLog } from './postgres.ts'

export type TestLake = {
  readonly config: ParquetConfig
  readonly open: () => Promise<OpenSink>
  /** Rows of a query over the views that the lake brings. */
  readonly query: (sql: string) => Promise<Record<string, unknown>[]>
  /** Files with rows, from the root, sorted. */
  readonly files: () => string[]
}

/** Neither the table without rows nor what is staged, which no reader sees. */
const isTold = (path: string) =>
  path.endsWith('.parquet') && !path.endsWith('empty.parquet') && !path.startsWith('_')

/** A folder of its own, removed after the test. */
export function testLake(given: Partial<ParquetConfig> = {}): TestLake {
  const folder = mkdtempSync(join(tmpdir(), 'exposure-lake-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const config = parquetConfig.parse({ path: folder, every: '1h' })
  const settled = { ...config, ...given }
  return {
    config: settled,
    async open() {
      const sink = await createParquetSink(settled, { log: testLog }).open()
      onTestFinished(() => sink.close())
      return sink
    },
    query: (sql) => queryLake(folder, sql),
    files: () =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(isTold).toSorted(),
  }
}

/** Numbers beyond 32 bits come as text. */
export async function queryLake(root: string, sql: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  try {
    await connection.run(readFileSync(join(root, 'views.sql'), 'utf8'))
    const reader = await connection.runAndReadAll(sql)
    return reader.getRowObjectsJson() as Record<string, unknown>[]
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}
