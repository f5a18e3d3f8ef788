// W4: how rows best get into PostgreSQL: by COPY, which is what the sink does, or as arrays.
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import type { Finding } from '../contracts/finding.ts'
import { createLogger } from '../runtime/log.ts'
import { type Database, type Query, openDatabase } from '../sinks/postgres/database.ts'
import { MIGRATION_LIMITS, migrate } from '../sinks/postgres/migrate.ts'
import { type Row, arrayLiteral, mergeSql, stage } from '../sinks/postgres/statements.ts'
import { type ColumnType, FINDING, FINDING_HISTORY } from '../sinks/postgres/tables.ts'
import type { Measurement, Servers } from './measurement.ts'
import { findingOf } from './w4-data.ts'

const RECORDS = 10_000
/** As the sink gets them. */
const BATCH_RECORDS = 1_000
const ROUNDS = 2
const TIMEOUT_MS = 60_000
/** What Linux counts processor time in. */
const TICKS_PER_SECOND = 100
const TURNS = ['new rows', 'updates', 'the updates again'] as const
const WAYS = ['copy', 'unnest'] as const
type Way = (typeof WAYS)[number]
type Write = (query: Query, rows: readonly Row<Finding>[]) => Promise<void>

/**
 * Both ways in turn, each in a schema of its own; the cheaper of two rounds. It drops its database.
 * CPU seconds are those of this process and of the server's for it: a busy machine changes them
 * less than it changes the time on the wall.
 */
export async function measureW4({ postgresUrl }: Servers): Promise<Measurement[]> {
  const name = `bench_${randomBytes(4).toString('hex')}`
  const url = new URL(postgresUrl)
  url.pathname = `/${name}`
  await onServer(postgresUrl, `CREATE DATABASE ${name}`)
  try {
    const best = new Map<string, Measurement>()
    for (let round = 0; round < ROUNDS; round++) {
      for (const way of WAYS) {
        for (const measured of await measureWay(url.href, way, `${way}_${round}`)) {
          const before = best.get(measured.what)
          if (before === undefined || measured.cpuSeconds < before.cpuSeconds) {
            best.set(measured.what, measured)
          }
        }
      }
    }
    return [...best.values()].toSorted((a, b) => rank(a.what) - rank(b.what))
  } finally {
    await onServer(postgresUrl, `DROP DATABASE ${name} WITH (FORCE)`)
  }
}

const rank = (what: string) => TURNS.findIndex((turn) => what.startsWith(`${turn},`))

async function measureWay(url: string, way: Way, schema: string): Promise<Measurement[]> {
  const log = createLogger('bench')
  const database = openDatabase({ url: () => url, poolMax: 1, limits: MIGRATION_LIMITS, log })
  try {
    await migrate(database, schema)
    const measured: Measurement[] = []
    for (const [turn, what] of TURNS.entries()) {
      const write = way === 'copy' ? byCopy(schema) : byUnnest(schema)
      measured.push(await measureTurn(database, write, `${what}, ${way}`, Math.min(turn, 1)))
    }
    return measured
  } finally {
    await database.close()
  }
}

async function measureTurn(database: Database, write: Write, what: string, turn: number) {
  // Made beforehand: only the writing is measured.
  const rows = Array.from({ length: RECORDS }, (_, n) => ({
    event: findingOf(n, turn),
    origin: { topic: 'exposure.findings', partition: 0, offset: BigInt(turn * RECORDS + n) },
  }))
  const serverCpu = () => database.transaction('measuring', serverCpuSeconds)
  const server = await serverCpu()
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  for (let at = 0; at < RECORDS; at += BATCH_RECORDS) {
    const batch = rows.slice(at, at + BATCH_RECORDS)
    await database.transaction('measuring', (query) => write(query, batch))
  }
  const seconds = (performance.now() - startedMs) / 1_000
  const used = process.cpuUsage(cpu)
  const measurement: Measurement = {
    what,
    records: RECORDS,
    seconds,
    recordsPerSecond: RECORDS / seconds,
    cpuSeconds: (used.user + used.system) / 1e6 + (await serverCpu()) - server,
    peakRssBytes: process.resourceUsage().maxRSS * 1_024,
  }
  return measurement
}

/** Of the server's process for this client; 0 where it is on another machine, or not on Linux. */
async function serverCpuSeconds(query: Query): Promise<number> {
  const { rows } = await query('SELECT pg_backend_pid()::text AS pid')
  const stat = await readFile(`/proc/${String(rows[0]?.pid)}/stat`, 'utf8').catch(() => '')
  const [user = '0', system = '0'] = stat.split(') ')[1]?.split(' ').slice(11, 13) ?? []
  return (Number(user) + Number(system)) / TICKS_PER_SECOND
}

/** What the sink does, but for the ends of revisions: they are the same for both. */
const byCopy =
  (schema: string): Write =>
  async (query, rows) => {
    const staged = await stage(query, FINDING_HISTORY, rows)
    for (const table of [FINDING, FINDING_HISTORY]) await query(mergeSql(schema, table, staged))
  }

/** How an element of an array becomes what a staged column is. */
const CASTS: Readonly<Record<ColumnType, string>> = {
  text: 'text',
  int: 'int',
  bigint: 'bigint',
  float8: 'float8',
  bool: 'bool',
  time: 'float8',
  'text[]': 'text[]',
  jsonb: 'jsonb',
}

/** One text[] per column, cast by the server, for each table anew. */
function byUnnest(schema: string): Write {
  const { columns } = FINDING_HISTORY
  const names = columns.map(([name]) => name).join(', ')
  const cells = columns.map(([name, type]) => `${name}::${CASTS[type]} AS ${name}`).join(', ')
  const arrays = columns.map((_, i) => `$${i + 1}::text[]`).join(', ')
  const source = `(SELECT ${cells} FROM unnest(${arrays}) AS r(${names})) AS incoming`
  return async (query, rows) => {
    const values = columns.map(([, , of]) =>
      rows.map(({ event, origin }) => {
        const cell = of(event, origin)
        return Array.isArray(cell) ? arrayLiteral(cell) : cell === null ? null : String(cell)
      }),
    )
    for (const table of [FINDING, FINDING_HISTORY]) {
      await query(mergeSql(schema, table, source), values)
    }
  }
}

async function onServer(url: string, sql: string): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
