// Every revision with its time, on a real database: whatever order and how often they come.
import { describe, expect, it } from 'vitest'
import type { Finding } from '../../contracts/finding.ts'
import type { SinkRecord } from '../../contracts/ports.ts'
import { openDatabase } from '../../sinks/postgres/database.ts'
import { MIGRATION_LIMITS, migrate, readMigrations } from '../../sinks/postgres/migrate.ts'
import { upsert } from '../../sinks/postgres/statements.ts'
import { ASSET, FINDING } from '../../sinks/postgres/tables.ts'
import { BASE_MS, assetEvent, findingEvent } from '../support/events.ts'
import {
  type Rows,
  type TestDatabase,
  batchOf,
  openedSink,
  testDatabase,
  testLog,
} from '../support/postgres.ts'
import { waitFor } from '../support/wait-for.ts'

type Told = Omit<SinkRecord, 'offset'>
const iso = (ms: number) => new Date(BASE_MS + ms)

/** A revision of `uid` at `ms` after the base. */
function told(uid: string, ms: number, more: Parameters<typeof findingEvent>[2] = {}): Told {
  const value = findingEvent(uid, BASE_MS + ms, more)
  return { kind: 'finding', key: uid, value, timestampMs: BASE_MS + ms + 2 }
}
const forgotten = (uid: string, ms: number): Told => ({
  kind: 'finding',
  key: uid,
  value: null,
  timestampMs: BASE_MS + ms,
})

const history = (database: TestDatabase): Promise<Rows> =>
  database.query(
    `SELECT finding_uid AS uid, valid_from AS from, valid_to AS to, is_current AS current
     FROM exposure.finding_history ORDER BY finding_uid, revision`,
  )
/** All that a re-read must give again, byte for byte. */
const whole = (database: TestDatabase): Promise<Rows> =>
  database.query('SELECT * FROM exposure.finding_history ORDER BY finding_uid, revision')

async function forgetOffsets(database: TestDatabase): Promise<void> {
  await database.query('DELETE FROM exposure.sink_offset')
}

describe('the history of a finding', () => {
  it('has one row per revision, each valid until before the next', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    await sink.write(batchOf([told('f1', 10), told('f1', 20, { severity: 'LOW' })]))
    await sink.write(batchOf([told('f1', 35)], { firstOffset: 2n }))
    expect(await history(database)).toEqual([
      { uid: 'f1', from: iso(10), to: iso(20), current: false },
      { uid: 'f1', from: iso(20), to: iso(35), current: false },
      { uid: 'f1', from: iso(35), to: null, current: true },
    ])
    const [, low] = await whole(database)
    expect(low).toMatchObject({ severity: 'LOW', state: { severity: 'LOW' }, src_offset: '1' })
  })

  it('keeps what changed, why, and when it came in', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const event = findingEvent('f1', BASE_MS)
    const meta: Finding['meta'] = {
      ...event.meta,
      change_type: 'UPDATED',
      change_cause: 'MAPPING',
      changed_fields: ['severity', 'fix.text'],
    }
    const value = { ...event, meta }
    await sink.write(batchOf([{ kind: 'finding', key: 'f1', value }]))
    expect(await whole(database)).toMatchObject([
      {
        change_type: 'UPDATED',
        change_cause: 'MAPPING',
        changed_fields: ['severity', 'fix.text'],
        observed_at: iso(0),
        ingested_at: iso(5),
      },
    ])
  })

  it('puts an older revision that comes late into its place', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    await sink.write(batchOf([told('f1', 10), told('f1', 30)]))
    await sink.write(batchOf([told('f1', 20), told('f1', 5)], { firstOffset: 2n }))
    expect(await history(database)).toEqual([
      { uid: 'f1', from: iso(5), to: iso(10), current: false },
      { uid: 'f1', from: iso(10), to: iso(20), current: false },
      { uid: 'f1', from: iso(20), to: iso(30), current: false },
      { uid: 'f1', from: iso(30), to: null, current: true },
    ])
  })

  it('ends with a purge, and begins anew where it comes back', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    await sink.write(batchOf([told('f1', 10), told('f1', 20), forgotten('f1', 50)]))
    const ended = [
      { uid: 'f1', from: iso(10), to: iso(20), current: false },
      { uid: 'f1', from: iso(20), to: iso(50), current: false },
    ]
    expect(await history(database)).toEqual(ended)
    await sink.write(batchOf([told('f1', 90)], { firstOffset: 3n }))
    const anew = { uid: 'f1', from: iso(90), to: null, current: true }
    expect(await history(database)).toEqual([...ended, anew])
    await sink.write(batchOf([forgotten('f1', 95)], { firstOffset: 4n }))
    expect(await history(database)).toEqual([...ended, { ...anew, to: iso(95), current: false }])
  })

  it('never lets a purge overlap what began before its clock said so', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    await sink.write(batchOf([told('f1', 10), forgotten('f1', 50), told('f1', 40)]))
    expect(await history(database)).toEqual([
      { uid: 'f1', from: iso(10), to: iso(40), current: false },
      { uid: 'f1', from: iso(40), to: null, current: true },
    ])
  })

  it('takes of two equal revisions the first, in one batch as in two', async () => {
    const twice = [told('f1', 10, { title: 'first' }), told('f1', 10, { title: 'second' })]
    for (const parts of [[twice], twice.map((one) => [one])]) {
      const database = await testDatabase()
      const sink = await openedSink(database)
      let firstOffset = 0n
      for (const part of parts) {
        await sink.write(batchOf(part, { firstOffset }))
        firstOffset += BigInt(part.length)
      }
      for (const table of ['finding', 'finding_history']) {
        const rows = await database.query(`SELECT name, src_offset::int FROM exposure.${table}`)
        expect(rows).toEqual([{ name: 'first', src_offset: 0 }])
      }
    }
  })

  it.each([1, 2, 3])(
    'is the same in one batch, in many, and after the topic was read again (seed %i)',
    async (seed) => {
      const log = randomLog(seed)
      const database = await testDatabase()
      const sink = await openedSink(database)
      await sink.write(batchOf(log))
      const once = await whole(database)
      expect(once.length).toBeGreaterThan(20)
      await expectSound(database)
      await forgetOffsets(database)
      await sink.write(batchOf(log))
      expect(await whole(database)).toEqual(once)

      const other = await testDatabase()
      const slow = await openedSink(other)
      for (const [at, one] of log.entries()) {
        await slow.write(batchOf([one], { firstOffset: BigInt(at) }))
      }
      expect(await whole(other)).toEqual(once)
      await forgetOffsets(other)
      for (let at = 0; at < log.length; at += 7) {
        await slow.write(batchOf(log.slice(at, at + 7), { firstOffset: BigInt(at) }))
      }
      expect(await whole(other)).toEqual(once)
    },
  )

  it('is written with the current row or not at all', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const bad = told('f2', 10, { title: 'a\u0000b' })
    expect(await sink.write(batchOf([told('f1', 10), bad]))).toMatchObject([{ index: 1 }])
    expect(await history(database)).toMatchObject([{ uid: 'f1' }])
    await expectSound(database)
  })
})

describe('the history of an asset', () => {
  it('has its revisions and its end', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const at = (ms: number) => ({
      kind: 'asset' as const,
      key: 'a1',
      value: assetEvent('a1', BASE_MS + ms),
    })
    const gone = { kind: 'asset' as const, key: 'a1', value: null, timestampMs: BASE_MS + 9 }
    await sink.write(batchOf([at(1), at(4), gone], { topic: 'exposure.assets' }))
    expect(
      await database.query(
        `SELECT valid_from, valid_to, is_current, os_name FROM exposure.asset_history ORDER BY 1`,
      ),
    ).toEqual([
      { valid_from: iso(1), valid_to: iso(4), is_current: false, os_name: 'Debian' },
      { valid_from: iso(4), valid_to: iso(9), is_current: false, os_name: 'Debian' },
    ])
  })
})

describe('a database of the version before', () => {
  const BEFORE = '004'

  it('keeps its rows, which begin the history', async () => {
    const database = await testDatabase()
    const connection = openDatabase({
      url: () => database.url,
      poolMax: 1,
      limits: MIGRATION_LIMITS,
      log: testLog,
    })
    const old = readMigrations().filter(({ name }) => name < BEFORE)
    expect(old).toHaveLength(3)
    await migrate(connection, 'exposure', old)
    const origin = { topic: 'exposure.findings', partition: 0, offset: 7n }
    const event = findingEvent('f1', BASE_MS + 10)
    await connection.transaction('as before', async (query) => {
      await upsert(query, 'exposure', FINDING, [{ event, origin }])
      await upsert(query, 'exposure', ASSET, [{ event: assetEvent('a1', BASE_MS), origin }])
      await query(`INSERT INTO exposure.sink_offset VALUES ('g', 'exposure.findings', 0, 8)`)
    })
    const before = await database.query('SELECT * FROM exposure.finding')
    await connection.close()

    const sink = await openedSink(database)
    expect(await database.query('SELECT * FROM exposure.finding')).toEqual(before)
    expect(await sink.storedOffset('exposure.findings', 0)).toBe(8n)
    expect(await whole(database)).toMatchObject([
      { ...before[0], valid_from: iso(10), valid_to: null, ingested_at: iso(5) },
    ])
    await expectSound(database)
    await sink.write(batchOf([told('f1', 20)], { firstOffset: 8n }))
    // Read again from the start: what was before the upgrade comes into its place.
    await forgetOffsets(database)
    const again = { ...told('f1', 10), value: event, offset: 7n }
    await sink.write(batchOf([{ ...told('f1', 4), offset: 6n }, again, told('f1', 20)]))
    expect(await history(database)).toEqual([
      { uid: 'f1', from: iso(4), to: iso(10), current: false },
      { uid: 'f1', from: iso(10), to: iso(20), current: false },
      { uid: 'f1', from: iso(20), to: null, current: true },
    ])
  })

  it('has in its history what another process writes while it is upgraded', async () => {
    const database = await testDatabase()
    const old = openDatabase({
      url: () => database.url,
      poolMax: 1,
      limits: MIGRATION_LIMITS,
      log: testLog,
    })
    await migrate(
      old,
      'exposure',
      readMigrations().filter(({ name }) => name < BEFORE),
    )
    const origin = { topic: 'exposure.findings', partition: 0, offset: 7n }
    const at = (uid: string, ms: number) => ({ event: findingEvent(uid, BASE_MS + ms), origin })
    const write = (...rows: ReturnType<typeof at>[]) =>
      old.transaction('as before', async (query) => {
        await upsert(query, 'exposure', FINDING, rows)
        await query(`DELETE FROM exposure.finding WHERE finding_uid = 'f3' AND $1`, [
          rows.length < 3,
        ])
        // Until the upgrade waits for this very transaction.
        if (rows.length < 3) await waitFor(isWaited, { what: 'the upgrade' })
      })
    const isWaited = async () =>
      (
        await database.query(
          `SELECT 1 FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
           WHERE NOT l.granted AND d.datname = current_database()`,
        )
      ).length > 0
    await write(at('f1', 10), at('f2', 10), at('f3', 10))
    const opened = openedSink(database)
    await Promise.all([write(at('f1', 20), at('f4', 20)), opened])
    await old.close()
    await expectSound(database)
    expect(await history(database)).toMatchObject([
      { uid: 'f1', from: iso(10), to: iso(20) },
      { uid: 'f1', from: iso(20), to: null },
      { uid: 'f2', from: iso(10), to: null },
      { uid: 'f3', from: iso(10), to: expect.any(Date) as Date },
      { uid: 'f4', from: iso(20), to: null },
    ])
  })

  it('has the columns of a current row in its history, with their types', async () => {
    const database = await testDatabase()
    await openedSink(database)
    for (const table of ['asset', 'finding']) {
      const missing = await database.query(
        `SELECT c.column_name FROM information_schema.columns c
         WHERE c.table_schema = 'exposure' AND c.table_name = $1 AND NOT EXISTS (
           SELECT 1 FROM information_schema.columns h
           WHERE h.table_schema = 'exposure' AND h.table_name = $1 || '_history'
             AND (h.column_name, h.udt_name, h.is_nullable)
               = (c.column_name, c.udt_name, c.is_nullable))`,
        [table],
      )
      expect(missing).toEqual([])
    }
  })
})

/** What must hold of any history. */
async function expectSound(database: TestDatabase): Promise<void> {
  const wrong = await database.query(
    `SELECT 'not in the history' AS what, finding_uid FROM exposure.finding f
       WHERE NOT EXISTS (SELECT 1 FROM exposure.finding_history h
         WHERE (h.finding_uid, h.revision) = (f.finding_uid, f.revision) AND h.is_current)
     UNION ALL
     SELECT 'current without a row', finding_uid FROM exposure.finding_history h
       WHERE is_current AND NOT EXISTS (SELECT 1 FROM exposure.finding f
         WHERE (h.finding_uid, h.revision) = (f.finding_uid, f.revision))
     UNION ALL
     SELECT 'ends before it begins', finding_uid FROM exposure.finding_history
       WHERE valid_to < valid_from
     UNION ALL
     SELECT 'two at a time', a.finding_uid FROM exposure.finding_history a
       JOIN exposure.finding_history b USING (finding_uid)
       WHERE a.revision < b.revision AND coalesce(a.valid_to, 'infinity') > b.valid_from`,
  )
  expect(wrong).toEqual([])
}

/** Changes of a few findings: late ones, repeated ones, purges, and some that come back. */
function randomLog(seed: number): Told[] {
  let state = seed
  const below = (limit: number) => {
    state = (state * 48_271) % 2_147_483_647
    return state % limit
  }
  const alive = new Map<string, number[]>()
  return Array.from({ length: 60 }, (_, i): Told => {
    const uid = `f${below(6)}`
    const now = 10 * (i + 2)
    const known = alive.get(uid) ?? []
    const newest = Math.max(0, ...known)
    const [oldest] = known
    const chance = below(10)
    if (chance === 0 && oldest !== undefined) {
      alive.delete(uid)
      return forgotten(uid, now)
    }
    if (chance === 1 && oldest !== undefined) return told(uid, newest, { title: 'again' })
    // Between what is known, so that a late one never belongs to a life that is over.
    const isLate = chance < 4 && oldest !== undefined && newest > oldest
    const ms = isLate ? oldest + 1 + below(newest - oldest) : now
    alive.set(uid, [...known, ms])
    return told(uid, ms, { title: `told ${i}` })
  })
}
