// A PostgreSQL sink on a database of the test's own, and the words to look into it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { onTestFinished } from 'vitest'
import type { OpenSink, SinkBatch, SinkRecord } from '../../contracts/ports.ts'
import { createLogger } from '../../runtime/log.ts'
import { type PostgresConfig, postgresConfig } from '../../sinks/postgres/config.ts'
import { createPostgresSink } from '../../sinks/postgres/sink.ts'
import { createDatabase } from './stack.ts'

const TIMEOUT_MS = 20_000
export const testLog = createLogger('test')

/** A file with `text`, removed after the test, as a secret reference. */
export function secretFile(text: string): `file:${string}` {
  const folder = mkdtempSync(join(tmpdir(), 'exposure-secret-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'secret')
  writeFileSync(file, text)
  return `file:${file}`
}

export type Rows = Record<string, unknown>[]
export type TestDatabase = {
  readonly url: string
  readonly config: PostgresConfig
  readonly query: (sql: string, values?: unknown[]) => Promise<Rows>
  readonly sink: (group?: string) => ReturnType<typeof createPostgresSink>
}

/** A fresh database, dropped after the test. */
export async function testDatabase(): Promise<TestDatabase> {
  const { url, drop } = await createDatabase()
  onTestFinished(drop)
  const config = postgresConfig.parse({ url: secretFile(url) })
  return {
    url,
    config,
    query: (sql, values) => queryAt(url, sql, values),
    sink: (group = 'g') => createPostgresSink(config, { groupOf: () => group, log: testLog }),
  }
}

/** The sink on that database, closed after the test. */
export async function openedSink(database: TestDatabase, group?: string): Promise<OpenSink> {
  const sink = await database.sink(group).open()
  onTestFinished(() => sink.close())
  return sink
}

/** One statement on a connection of its own. */
export async function queryAt(url: string, sql: string, values: unknown[] = []): Promise<Rows> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  })
  await client.connect()
  try {
    return (await client.query(sql, values)).rows as Rows
  } finally {
    await client.end()
  }
}

/** A batch of consecutive records from `firstOffset` on. */
export function batchOf(
  events: readonly (Omit<SinkRecord, 'offset' | 'timestampMs'> & { offset?: bigint })[],
  more: Partial<SinkBatch> = {},
): SinkBatch {
  const firstOffset = more.firstOffset ?? 0n
  const records = events.map((event, i) => ({
    offset: firstOffset + BigInt(i),
    timestampMs: 0,
    ...event,
  })) as SinkRecord[]
  return {
    topic: 'exposure.findings',
    partition: 0,
    firstOffset,
    nextOffset: firstOffset + BigInt(events.length),
    ...more,
    records,
  }
}
