// The stores of the scenario of sinks, one of each type; the compiler asks for those missing.
import { mkdir, readFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { SINKS } from '../../sinks/sinks.ts'
import { type OcsfDocument, heldOfOcsf, latestOf } from '../support/sink-ocsf.ts'
import { startReceiver } from '../support/sink-receiver.ts'
import { openSearchStore } from './sink-opensearch.ts'
import { splunkStore } from './sink-splunk.ts'
import { type Held, type OpenSinkStore, onceEach } from './sink-store.ts'

/** Small, so that a seed makes many files. */
const ROWS_MAX = 20
const FINDING_CLASS = 2002
const ERROR_CLASS = 6008

type Row = { readonly uid: string; readonly revision: string | number; readonly status: string }

const heldOf = (rows: readonly Row[]): Held =>
  new Map(rows.map(({ uid, revision, status }) => [uid, `${revision} ${status}`]))

const HELD = (schema: string) => `
  SELECT asset_uid AS uid, revision::text, status FROM ${schema}.asset
  UNION ALL SELECT finding_uid, revision::text, status FROM ${schema}.finding`

const postgresStore: OpenSinkStore = async ({ stack, database, query }) => {
  const url = new URL(stack.postgresUrl)
  url.pathname = `/${database}`
  return {
    name: 'postgres',
    settings: { postgres: { url: 'env:SINK_DATABASE' } },
    env: { SINK_DATABASE: url.href },
    async look({ now, eventIds }) {
      const rows = await query('SELECT error_id FROM exposure.connector_error')
      const errors = rows.map((row) => String(row['error_id']))
      return {
        wanted: now,
        got: heldOf((await query(HELD('exposure'))) as Row[]),
        problems: onceEach('connector errors', eventIds.error, errors),
      }
    },
    close: async () => undefined,
  }
}

const parquetStore: OpenSinkStore = async ({ folder }) => {
  const path = join(folder, 'lake')
  await mkdir(path)
  return {
    name: 'parquet',
    settings: { parquet: { path, rowsMax: ROWS_MAX, every: '1s' } },
    env: {},
    async look({ now, records, eventIds }) {
      const ask = await lakeAt(path)
      const logs = ['assets', 'findings'].map(
        (table) => `SELECT kafka_topic, kafka_partition, kafka_offset FROM ${table}_log`,
      )
      const all = await ask(logs.join(' UNION ALL '))
      const places = new Set(all.map((row) => JSON.stringify(Object.values(row))))
      const errors = await ask('SELECT error_id FROM connector_errors_log')
      const states = ['assets', 'findings'].map(
        (table) => `SELECT uid, revision, status FROM ${table}`,
      )
      const count = (what: string, number: number) =>
        number === records ? [] : [`the lake has ${number} ${what} of ${records} records`]
      return {
        wanted: now,
        got: heldOf((await ask(states.join(' UNION ALL '))) as Row[]),
        problems: [
          ...count('rows', all.length),
          ...count('places', places.size),
          ...onceEach(
            'connector errors',
            eventIds.error,
            errors.map((row) => String(row['error_id'])),
          ),
        ],
      }
    },
    close: async () => undefined,
  }
}

/** A reader of the lake, as any other program with DuckDB. */
async function lakeAt(path: string) {
  const views = await readFile(join(path, 'views.sql'), 'utf8')
  return async (sql: string): Promise<Record<string, unknown>[]> => {
    const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
    const connection = await instance.connect()
    try {
      await connection.run(views)
      return (await connection.runAndReadAll(sql)).getRowObjectsJson()
    } finally {
      connection.closeSync()
      instance.closeSync()
    }
  }
}

/** The last of each entity, and the ids by class, of events that came over the wire. */
export function readOcsf(documents: readonly unknown[]) {
  const all = documents as readonly OcsfDocument[]
  const ids = (is: (uid: number) => boolean) =>
    all.flatMap((one) =>
      is(one.class_uid) ? [(one['metadata'] as { readonly uid: string }).uid] : [],
    )
  const entities = latestOf(all.filter(({ class_uid: uid }) => uid !== ERROR_CLASS))
  return {
    held: new Map(
      entities.map(heldOfOcsf).map(({ uid, revision, status }) => [uid, `${revision} ${status}`]),
    ),
    ids: {
      finding: ids((uid) => uid === FINDING_CLASS),
      asset: ids((uid) => uid !== FINDING_CLASS && uid !== ERROR_CLASS),
      error: ids((uid) => uid === ERROR_CLASS),
    },
  }
}

const kafkaJsonStore: OpenSinkStore = async () => ({
  name: 'kafka-json',
  settings: { 'kafka-json': [{}] },
  env: {},
  async look({ ocsf, eventIds, json }) {
    const { held, ids } = readOcsf(json)
    return {
      wanted: ocsf,
      got: held,
      problems: [
        ...onceEach('events of findings', eventIds.finding, ids.finding),
        ...onceEach('events of assets', eventIds.asset, ids.asset),
        ...onceEach('connector errors', eventIds.error, ids.error),
      ],
    }
  },
  close: async () => undefined,
})

const webhookStore: OpenSinkStore = async () => {
  const receiver = await startReceiver()
  return {
    name: 'webhook',
    settings: { webhook: [{ format: 'json', url: 'env:SINK_HOOK', start: 'beginning' }] },
    env: { SINK_HOOK: `${receiver.url}/${randomBytes(8).toString('hex')}` },
    async look({ conditions }) {
      const words = { trigger: 'RAISED', update: 'RAISED', resolve: 'CLEARED' }
      const incidents = receiver.incidents()
      const got = new Map(incidents.map((call) => [call.dedup_key, words[call.action]]))
      return { wanted: conditions, got, problems: [] }
    },
    close: () => receiver.stop(),
  }
}

export const SINK_STORES: Readonly<Record<keyof typeof SINKS, OpenSinkStore>> = {
  'kafka-json': kafkaJsonStore,
  opensearch: openSearchStore,
  parquet: parquetStore,
  postgres: postgresStore,
  splunk: splunkStore,
  webhook: webhookStore,
}
