// Retention on a real database: what is over goes after its time, what is current stays.
import { describe, expect, it, onTestFinished } from 'vitest'
import { WRITE_LIMITS, openDatabase } from '../../sinks/postgres/database.ts'
import { type Retention, sweep } from '../../sinks/postgres/retention.ts'
import { createPostgresSink } from '../../sinks/postgres/sink.ts'
import { errorEvent, findingEvent, runEvent } from '../support/events.ts'
import {
  type TestDatabase,
  batchOf,
  openedSink,
  testDatabase,
  testLog,
} from '../support/postgres.ts'
import { ago, writeEstate } from '../support/postgres-estate.ts'
import { waitFor } from '../support/stack.ts'

const DAY_MS = 86_400_000

async function swept(database: TestDatabase, retention: Retention) {
  const url = () => database.url
  const open = openDatabase({ url, poolMax: 1, limits: WRITE_LIMITS, log: testLog })
  onTestFinished(() => open.close())
  return sweep(open, 'exposure', retention)
}
const uids = async (database: TestDatabase, sql: string) =>
  (await database.query(sql)).map(({ uid }) => uid)

describe('retention', () => {
  it('takes revisions that were followed or purged so long ago, and no current one', async () => {
    const database = await testDatabase()
    await writeEstate(await openedSink(database))
    const current = await database.query('SELECT * FROM exposure.finding ORDER BY 1')
    expect(await swept(database, { history: 9.5 * DAY_MS })).toEqual({
      history: 4, // both of f_purged, and the first two of f_again
      errors: 0,
      runs: 0,
    })
    expect(await database.query('SELECT * FROM exposure.finding ORDER BY 1')).toEqual(current)
    const left = `SELECT DISTINCT finding_uid AS uid FROM exposure.finding_history
      WHERE finding_uid IN ('f_again', 'f_purged', 'f_first_load') ORDER BY 1`
    expect(await uids(database, left)).toEqual(['f_again', 'f_first_load'])
    await swept(database, { history: 1_000 })
    expect(
      await uids(database, `SELECT finding_uid AS uid FROM exposure.finding_history ORDER BY 1`),
    ).toEqual(current.map(({ finding_uid }) => finding_uid))
  })

  it('keeps everything of what it is not told', async () => {
    const database = await testDatabase()
    await writeEstate(await openedSink(database))
    expect(await swept(database, {})).toEqual({ history: 0, errors: 0, runs: 0 })
  })

  it('takes reports of errors, but the last of what is still broken', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const at = (id: string, print: string, state: 'RAISED' | 'CLEARED', days: number) => {
      const value = errorEvent(id, print, { state, last_at: ago(days) })
      return { kind: 'connector-error' as const, key: print, value }
    }
    await sink.write(
      batchOf([
        at('broken-1', 'broken', 'RAISED', 50),
        at('broken-2', 'broken', 'RAISED', 40),
        at('over-1', 'over', 'RAISED', 30),
        at('over-2', 'over', 'CLEARED', 29),
        at('half-1', 'half', 'RAISED', 30),
        at('half-2', 'half', 'CLEARED', 2),
      ]),
    )
    expect(await swept(database, { errors: 10 * DAY_MS })).toMatchObject({ errors: 4 })
    const left = 'SELECT error_id AS uid FROM exposure.connector_error ORDER BY 1'
    expect(await uids(database, left)).toEqual(['broken-2', 'half-2'])
    const open = 'SELECT error_id AS uid FROM exposure.open_connector_error'
    expect(await uids(database, open)).toEqual(['broken-2'])
  })

  it('never takes the end of an error before its beginning of the same time', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    await database.query(`ALTER TABLE exposure.connector_error SET (autovacuum_enabled = off)`)
    const at = (id: string, print: string, state: 'RAISED' | 'CLEARED') => {
      const value = errorEvent(id, print, { state, last_at: ago(50) })
      return { kind: 'connector-error' as const, key: print, value }
    }
    // More than one look's transaction takes, so that its limit falls among them.
    const prints = Array.from({ length: 1_501 }, (_, i) => `p${i}`)
    await sink.write(batchOf(prints.map((print) => at(`${print}-a`, print, 'RAISED'))))
    const ends = prints.map((print) => at(`${print}-z`, print, 'CLEARED'))
    await sink.write(batchOf(ends, { firstOffset: 1_501n }))
    // What is read first lies first: the ends before the beginnings.
    await database.query(
      `WITH moved AS (DELETE FROM exposure.connector_error WHERE state = 'RAISED' RETURNING *)
       INSERT INTO exposure.connector_error SELECT * FROM moved`,
    )
    await swept(database, { errors: 10 * DAY_MS })
    expect(await database.query('SELECT error_id FROM exposure.open_connector_error')).toEqual([])
  })

  it('takes runs and their tallies, but the newest and the last complete one', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const tally = { partition: 0, units_seen: 1, dead_lettered: 0, closed: 0, held: 0, purged: 0 }
    const at = (run: string, days: number, verdict: 'COMPLETE' | 'FAILED') => {
      const value = runEvent(run, { phase: 'FINISHED', verdict, started_at: ago(days) })
      const step = { ...value, at: ago(days), phase: 'TALLY' as const }
      const told = { ...step, tally: { ...tally, outputs: [], hold: null } }
      return [{ ...value, at: ago(days) }, told].map((one) => ({
        kind: 'run' as const,
        key: 'k',
        value: one,
      }))
    }
    await sink.write(
      batchOf([
        ...at('r1', 50, 'COMPLETE'),
        ...at('r2', 40, 'COMPLETE'),
        ...at('r3', 30, 'FAILED'),
        ...at('r4', 20, 'FAILED'),
      ]),
    )
    expect(await swept(database, { runs: 10 * DAY_MS })).toMatchObject({ runs: 4 })
    expect(await uids(database, 'SELECT run_id AS uid FROM exposure.run ORDER BY 1')).toEqual([
      'r2',
      'r4',
    ])
    expect(await uids(database, 'SELECT run_id AS uid FROM exposure.run_tally ORDER BY 1')).toEqual(
      ['r2', 'r4'],
    )
  })

  it('is done by a sink that is told so, in bounded steps', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const now = Date.now()
    const revisions = Array.from({ length: 4_500 }, (_, i) => ({
      kind: 'finding' as const,
      key: 'f1',
      value: findingEvent('f1', now - 5 * DAY_MS + i),
    }))
    await sink.write(batchOf(revisions))
    const config = { ...database.config, retention: { history: DAY_MS } }
    const other = await createPostgresSink(config, { groupOf: () => 'g', log: testLog }).open()
    onTestFinished(() => other.close())
    const left = `SELECT revision::float8 AS uid FROM exposure.finding_history`
    await waitFor(async () => (await uids(database, left)).length === 1, { what: 'swept' })
    expect(await uids(database, left)).toEqual([now - 5 * DAY_MS + 4_499])
  })
})
