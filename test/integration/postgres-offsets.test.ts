// The PostgreSQL sink's offsets, and what it says of a store that is away.
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Finding } from '../../contracts/finding.ts'
import { WRITE_LIMITS, openDatabase } from '../../sinks/postgres/database.ts'
import { createPostgresSink } from '../../sinks/postgres/sink.ts'
import { findingEvent } from '../support/events.ts'
import {
  type TestDatabase,
  batchOf,
  openedSink,
  secretFile,
  testDatabase,
  testLog,
} from '../support/postgres.ts'
import { stack } from '../support/stack.ts'

const ofFinding = (value: Finding) => ({ kind: 'finding' as const, key: value.finding_uid, value })
const findings = (database: TestDatabase) =>
  database.query('SELECT finding_uid, src_offset::text FROM exposure.finding ORDER BY 1')

describe('offsets', () => {
  it('are the start at first and then where to go on, per group and partition', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database, 'one')
    const other = await openedSink(database, 'two')
    expect(await sink.storedOffset('exposure.findings', 0)).toBe(0n)
    await sink.write(batchOf([ofFinding(findingEvent('f1'))], { firstOffset: 40n }))
    expect(await sink.storedOffset('exposure.findings', 0)).toBe(41n)
    expect(await sink.storedOffset('exposure.findings', 1)).toBe(0n)
    expect(await other.storedOffset('exposure.findings', 0)).toBe(0n)
  })

  it('let a batch that was partly written go on where it stopped', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const [first, second, third] = ['f0', 'f1', 'f2'].map((uid) => ofFinding(findingEvent(uid)))
    if (!first || !second || !third) throw new Error('three events')
    await sink.write(batchOf([first, second]))
    await database.query('DELETE FROM exposure.finding')
    await sink.write(batchOf([first, second, third]))
    expect(await findings(database)).toMatchObject([{ finding_uid: 'f2', src_offset: '2' }])
    await sink.write(batchOf([first, second]))
    expect(await findings(database)).toHaveLength(1)
    expect(await sink.storedOffset('exposure.findings', 0)).toBe(3n)
  })

  it('pass over the holes that control records and compaction leave', async () => {
    const sink = await openedSink(await testDatabase())
    await sink.write(batchOf([ofFinding(findingEvent('f0'))]))
    await sink.write(
      batchOf([ofFinding(findingEvent('f1'))], { firstOffset: 50n, nextOffset: 60n }),
    )
    await sink.write(batchOf([], { firstOffset: 60n, nextOffset: 61n }))
    expect(await sink.storedOffset('exposure.findings', 0)).toBe(61n)
  })

  it('do not move when the batch fails', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    await sink.write(batchOf([ofFinding(findingEvent('f0'))]))
    await database.query('ALTER TABLE exposure.finding RENAME COLUMN status TO status_')
    const batch = batchOf([ofFinding(findingEvent('f1'))], { firstOffset: 1n })
    await expect(sink.write(batch)).rejects.toMatchObject({ failure: 'INTERNAL' })
    expect(await sink.storedOffset('exposure.findings', 0)).toBe(1n)
  })

  it('are taken in turns by two writers of one partition', async () => {
    const database = await testDatabase()
    const one = await openedSink(database)
    const two = await openedSink(database)
    const batch = batchOf(Array.from({ length: 50 }, (_, i) => ofFinding(findingEvent(`f${i}`))))
    await Promise.all([one.write(batch), two.write(batch), one.write(batch)])
    expect(await findings(database)).toHaveLength(50)
    expect(await two.storedOffset('exposure.findings', 0)).toBe(50n)
  })
})

describe('a store that is away', () => {
  it('is SINK_UNAVAILABLE when nothing listens', async () => {
    const url = secretFile('postgres://u:canary@127.0.0.1:1/x')
    const config = { url, schema: 'exposure', poolMax: 1 }
    const sink = createPostgresSink(config, { groupOf: () => 'g', log: testLog })
    const error: unknown = await sink.open().catch((cause: unknown) => cause)
    expect(error).toMatchObject({ failure: 'SINK_UNAVAILABLE', stage: 'SINK', retriable: true })
    expect(String(error)).not.toContain('canary')
  })

  it('is SINK_UNAVAILABLE when it accepts and stays silent', async () => {
    const server = createServer(() => undefined)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const url = `postgres://u:p@127.0.0.1:${(server.address() as AddressInfo).port}/x`
    const limits = { ...WRITE_LIMITS, connectMs: 200 }
    const database = openDatabase({ url: () => url, poolMax: 1, limits, log: testLog })
    await expect(database.transaction('x', async () => 1)).rejects.toMatchObject({
      failure: 'SINK_UNAVAILABLE',
    })
    await database.close()
  })

  it('is CONFIGURATION when the login or the database is wrong', async () => {
    const wrong = new URL(stack().postgresUrl)
    wrong.pathname = '/no_such_database'
    const config = { url: secretFile(wrong.href), schema: 'exposure', poolMax: 1 }
    const sink = createPostgresSink(config, { groupOf: () => 'g', log: testLog })
    await expect(sink.open()).rejects.toMatchObject({ failure: 'CONFIGURATION' })
    const nonsense = { ...config, url: secretFile('http://u:canary@h/x') }
    const refused = createPostgresSink(nonsense, { groupOf: () => 'g', log: testLog })
    const error: unknown = await refused.open().catch((cause: unknown) => cause)
    expect(error).toMatchObject({ failure: 'CONFIGURATION' })
    expect(JSON.stringify(error) + String((error as Error).cause)).not.toContain('canary')
  })

  it('is SINK_UNAVAILABLE when it cuts the connection, and takes the batch later', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    await sink.write(batchOf([ofFinding(findingEvent('f0'))]))
    // A trigger cuts the writer's own connection: in the middle of its transaction, each time.
    await database.query(`CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$`)
    await database.query(`CREATE TRIGGER cut BEFORE INSERT ON exposure.finding
      FOR EACH ROW EXECUTE FUNCTION cut()`)
    const batch = batchOf([ofFinding(findingEvent('f1'))], { firstOffset: 1n })
    await expect(sink.write(batch)).rejects.toMatchObject({ failure: 'SINK_UNAVAILABLE' })
    await database.query('DROP TRIGGER cut ON exposure.finding')
    expect(await sink.write(batch)).toEqual([])
    expect(await findings(database)).toHaveLength(2)
  })

  it('is SINK_UNAVAILABLE when a statement or a lock takes too long', async () => {
    const database = await testDatabase()
    await openedSink(database)
    const limits = { connectMs: 10_000, statementMs: 300, lockMs: 100 }
    const short = openDatabase({ url: () => database.url, poolMax: 1, limits, log: testLog })
    onTestFinished(() => short.close())
    const slow = short.transaction('x', (query) => query('SELECT pg_sleep(30)'))
    await expect(slow).rejects.toMatchObject({ failure: 'SINK_UNAVAILABLE' })
    const blocked = openDatabase({
      url: () => database.url,
      poolMax: 1,
      limits: WRITE_LIMITS,
      log: testLog,
    })
    onTestFinished(() => blocked.close())
    await blocked.transaction('x', async (query) => {
      await query('LOCK TABLE exposure.finding')
      const second = short.transaction('x', (other) => other('SELECT 1 FROM exposure.finding'))
      await expect(second).rejects.toMatchObject({ failure: 'SINK_UNAVAILABLE' })
    })
  })

  it('may be closed twice', async () => {
    const database = await testDatabase()
    const sink = await database.sink().open()
    await sink.close()
    await sink.close()
  })
})
