// From the topics into PostgreSQL on a real broker: dead letters, a store that is away or behind.
import { rmSync, writeFileSync } from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import { TOPICS, topicName } from '../../contracts/topics.ts'
import type { RecordPointer } from '../../runtime/error-event.ts'
import {
  SINK_BATCH_RECORDS_MAX,
  type SinkProgress,
  runSink,
  sinkGroup,
} from '../../runtime/run-sink.ts'
import { createPostgresSink } from '../../sinks/postgres/sink.ts'
import { assetEvent, errorEvent, findingEvent, runEvent } from '../support/events.ts'
import { type EventTopics, eventTopics } from '../support/event-topics.ts'
import { type TestDatabase, secretFile, testDatabase, testLog } from '../support/postgres.ts'
import { waitFor } from '../support/stack.ts'

type Report = { readonly error: PipelineError; readonly record: RecordPointer | undefined }

function startSink(topics: EventTopics, url: string) {
  const raised: Report[] = []
  const cleared: string[][] = []
  const progress: SinkProgress[] = []
  const config = { url, schema: 'exposure', poolMax: 2 }
  const groupOf = (name: string) => sinkGroup(topics.settings.prefix, name)
  return runSink({
    settings: topics.settings,
    sink: createPostgresSink(config, { groupOf, log: testLog }),
    codecs: topics.codecs,
    reporter: {
      raise: (error, _scope, record) => void raised.push({ error, record }),
      clear: ({ failures, quietMs }) => {
        if (quietMs === undefined) cleared.push([...(failures ?? [])])
      },
    },
    log: testLog,
    onProgress: (step) => void progress.push(step),
  }).then((running) => {
    let stopped: Promise<void> | null = null
    const stop = () => (stopped ??= running.stop())
    onTestFinished(stop)
    return { stop, raised, cleared, progress, refused: running.refused }
  })
}

const count = async (database: TestDatabase, table: string): Promise<number> => {
  const [row] = await database.query(`SELECT count(*)::int AS n FROM exposure.${table}`)
  return Number(row?.['n'])
}
const filled = (database: TestDatabase, table: string, rows: number) =>
  waitFor(async () => (await count(database, table)) === rows, { what: `${rows} in ${table}` })

/** True when the group has committed everything of the topic. */
async function caughtUp({ admin, settings }: EventTopics): Promise<boolean> {
  const topics = (['assets', 'findings', 'connectorErrors', 'runs'] as const).map((topic) =>
    topicName(settings.prefix, topic),
  )
  const lags = await admin.lag(sinkGroup(settings.prefix, 'postgres'), topics)
  return lags.every(({ lag }) => lag === 0n)
}

describe('a running sink', () => {
  it('brings every kind of event into its table and commits behind the store', async () => {
    const topics = await eventTopics()
    const database = await testDatabase()
    await topics.put('assets', 'a1', assetEvent('a1'))
    await topics.put('findings', 'f1', findingEvent('f1'))
    await topics.put('findings', 'f2', findingEvent('f2'))
    await topics.put('connectorErrors', 'p1', errorEvent('e1', 'p1'))
    await topics.put('runs', 'prod|xdr.endpoints', runEvent('r1'))
    const sink = await startSink(topics, database.config.url)
    await filled(database, 'finding', 2)
    await topics.put('findings', 'f1', null)
    await filled(database, 'finding', 1)
    await filled(database, 'asset', 1)
    await filled(database, 'open_connector_error', 1)
    await filled(database, 'run', 1)
    await waitFor(() => caughtUp(topics), { what: 'offsets committed' })
    const [row] = await database.query('SELECT state FROM exposure.finding')
    expect(row).toEqual({ state: findingEvent('f2') })
    expect(sink.raised).toEqual([])
    expect(await topics.deadLetters()).toEqual([])
  })

  it('dead-letters poison and refused records with their own bytes, and goes on', async () => {
    const topics = await eventTopics()
    const database = await testDatabase()
    const poison = Buffer.from([0, 0, 0, 0, 9, 255, 254])
    const refused = findingEvent('f1', 1, { title: 'a\u0000b' })
    const misplaced = topics.codecs.encode('assets', assetEvent('a1'))
    await topics.put('findings', 'f1', poison)
    await topics.put('findings', 'f1', refused)
    await topics.put('findings', 'f1', misplaced)
    await topics.put('findings', 'f1', findingEvent('f1', 2))
    const sink = await startSink(topics, database.config.url)
    await filled(database, 'finding', 1)
    await waitFor(() => caughtUp(topics), { what: 'offsets committed' })
    const letters = await topics.deadLetters()
    expect(letters.map(({ value, headers }) => [headers['x-dlq-offset'], value])).toEqual([
      ['0', poison],
      ['2', misplaced],
      ['1', topics.codecs.encode('findings', refused)],
    ])
    expect(letters[2]).toMatchObject({
      key: 'f1',
      headers: {
        'x-product': 'prisma-compute',
        'x-dlq-reason': 'SINK_REJECTED',
        'x-dlq-stage': 'SINK',
        'x-dlq-error': expect.stringContaining('22021') as string,
        'x-dlq-topic': topicName(topics.settings.prefix, 'findings'),
      },
    })
    expect(letters[0]?.headers['x-dlq-reason']).toBe('SERIALIZATION')
    const offsets = sink.raised.map(({ record }) => record?.offset)
    expect(offsets).toEqual([0, 2, 1])
  })

  it('writes more than one batch takes, in order', async () => {
    const topics = await eventTopics()
    const database = await testDatabase()
    const total = 2_300
    const events = Array.from({ length: total }, (_, i) => findingEvent('same', i + 1))
    await topics.putAll('findings', 'same', [...events, findingEvent('last')])
    const sink = await startSink(topics, database.config.url)
    await filled(database, 'finding', 2)
    const sizes = sink.progress.map(({ records }) => records)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(SINK_BATCH_RECORDS_MAX)
    const [row] = await database.query(
      `SELECT revision::int AS n FROM exposure.finding WHERE finding_uid = 'same'`,
    )
    expect(row).toEqual({ n: total })
  })
})

describe('a store that is away', () => {
  it('is waited for at the start; a mended address counts without a restart', async () => {
    const topics = await eventTopics()
    const database = await testDatabase()
    const url = secretFile('postgres://u:p@127.0.0.1:1/x')
    await topics.put('findings', 'f1', findingEvent('f1'))
    const sink = await startSink(topics, url)
    expect(sink.raised[0]?.error).toMatchObject({ failure: 'SINK_UNAVAILABLE' })
    expect(sink.cleared).toEqual([])
    writeFileSync(url.slice('file:'.length), database.url)
    await waitFor(() => sink.cleared.length > 0, { what: 'cleared' })
    await filled(database, 'finding', 1)
    expect(sink.cleared[0]).toContain('SINK_UNAVAILABLE')
    expect(await topics.deadLetters()).toEqual([])
  })

  it('is waited for in the middle: reported, cleared once, nothing dead-lettered', async () => {
    const topics = await eventTopics()
    const database = await testDatabase()
    await topics.put('findings', 'f1', findingEvent('f1'))
    const sink = await startSink(topics, database.config.url)
    await filled(database, 'finding', 1)
    await waitFor(() => caughtUp(topics), { what: 'offsets committed' })
    sink.cleared.length = 0
    await database.query(`CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$`)
    await database.query(`CREATE TRIGGER cut BEFORE INSERT ON exposure.finding
      FOR EACH ROW EXECUTE FUNCTION cut()`)
    await topics.put('findings', 'f2', findingEvent('f2'))
    await waitFor(() => sink.raised.length > 1, { what: 'reported' })
    expect(new Set(sink.raised.map(({ error }) => error.failure))).toEqual(
      new Set(['SINK_UNAVAILABLE']),
    )
    expect(sink.cleared).toEqual([])
    await database.query('DROP TRIGGER cut ON exposure.finding')
    await filled(database, 'finding', 2)
    await waitFor(() => caughtUp(topics), { what: 'offsets committed' })
    expect(sink.cleared).toHaveLength(1)
    expect(await topics.deadLetters()).toEqual([])
  })

  it('says at the start that the operator must act, and goes on when he has', async () => {
    const topics = await eventTopics()
    const database = await testDatabase()
    const url = secretFile(database.url)
    const path = url.slice('file:'.length)
    rmSync(path)
    const { refused, raised } = await startSink(topics, url)
    expect(refused).toMatchObject({ failure: 'CONFIGURATION' })
    expect(raised[0]?.error).toBe(refused)
    await topics.put('assets', 'a1', assetEvent('a1', 1))
    writeFileSync(path, database.url)
    await filled(database, 'asset', 1)
  })
})

describe('the store and Kafka disagree', () => {
  it('reads back to where a restored store stands, though nothing new comes', async () => {
    const topics = await eventTopics()
    const database = await testDatabase()
    const uids = ['f1', 'f2', 'f3', 'f4', 'f5', 'f6', 'f7', 'f8']
    for (const uid of uids) await topics.put('findings', uid, findingEvent(uid))
    const first = await startSink(topics, database.config.url)
    await filled(database, 'finding', uids.length)
    await waitFor(() => caughtUp(topics), { what: 'offsets committed' })
    await first.stop()
    // A backup from before everything, of the rows and of the offsets alike.
    await database.query('DELETE FROM exposure.finding')
    await database.query('UPDATE exposure.sink_offset SET next_offset = 0')
    await startSink(topics, database.config.url)
    await filled(database, 'finding', uids.length)
    expect(await topics.deadLetters()).toEqual([])
  })

  it('fills an empty database from the start, whatever the group has committed', async () => {
    const topics = await eventTopics()
    await topics.put('findings', 'f1', findingEvent('f1'))
    const before = await testDatabase()
    const first = await startSink(topics, before.config.url)
    await filled(before, 'finding', 1)
    await waitFor(() => caughtUp(topics), { what: 'offsets committed' })
    await first.stop()
    const empty = await testDatabase()
    await startSink(topics, empty.config.url)
    await filled(empty, 'finding', 1)
  })

  it('skips what a store that is ahead has already', async () => {
    const topics = await eventTopics()
    const database = await testDatabase()
    const sink = await database.sink(sinkGroup(topics.settings.prefix, 'postgres')).open()
    await sink.close()
    await topics.put('findings', 'f1', findingEvent('f1'))
    await topics.put('findings', 'f1', findingEvent('f1-later'))
    const topic = topicName(topics.settings.prefix, 'findings')
    for (let partition = 0; partition < TOPICS.findings.partitions; partition++) {
      await database.query('INSERT INTO exposure.sink_offset VALUES ($1, $2, $3, 1)', [
        sinkGroup(topics.settings.prefix, 'postgres'),
        topic,
        partition,
      ])
    }
    await startSink(topics, database.config.url)
    await filled(database, 'finding', 1)
    await waitFor(() => caughtUp(topics), { what: 'offsets committed' })
    const rows = await database.query('SELECT finding_uid FROM exposure.finding')
    expect(rows).toEqual([{ finding_uid: 'f1-later' }])
  })
})
