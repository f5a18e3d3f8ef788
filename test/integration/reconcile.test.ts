// `exposure reconcile` against real stores: what was changed by hand is found, and nothing else.
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { describe, expect, it, onTestFinished } from 'vitest'
import { partitionOf } from '../../contracts/placement.ts'
import { TOPICS, topicName } from '../../contracts/topics.ts'
import { openPublisher } from '../../runtime/kafka/publisher.ts'
import { ocsfOf } from '../../sinks/ocsf/ocsf.ts'
import { assetEvent, findingEvent } from '../support/events.ts'
import { testLog } from '../support/kafka-scene.ts'
import { testLake } from '../support/lake.ts'
import { type TestStore, testStore } from '../support/opensearch.ts'
import { type TestDatabase, secretFile, testDatabase } from '../support/postgres.ts'
import { waitFor } from '../support/stack.ts'
import { type StoresWorld, storesWorld } from '../support/stores-world.ts'

const TIMEOUT_MS = 180_000

type Facts = {
  readonly verdict: string
  readonly reason?: string
  readonly message?: string
  readonly nextStep?: string
  readonly kinds?: readonly {
    readonly kind: string
    readonly inTopic: number | null
    readonly inStore: number | null
    readonly compared: number
    readonly all: boolean
    readonly lag: number
    readonly countsDiffer: boolean
    readonly differing: number
    readonly differences: readonly { type: string; uid: string; expected: number | null }[]
    readonly deadLettered: number
    readonly undecided: number
  }[]
}

async function reconciled(world: StoresWorld, ...args: readonly string[]) {
  const { code, of } = await world.facts<Facts>('reconcile', ...args)
  const verdicts = Object.fromEntries([...of].map(([name, { verdict }]) => [name, verdict]))
  const kindOf = (name: string, kind: string) => of.get(name)?.kinds?.find((k) => k.kind === kind)
  /** `type uid`, of both kinds. */
  const differences = (name: string) =>
    (of.get(name)?.kinds ?? [])
      .flatMap((report) => report.differences.map(({ type, uid }) => `${type} ${uid}`))
      .toSorted()
  return { code, of, verdicts, kindOf, differences }
}

/** Three findings and two assets, one changed and one of each forgotten. */
async function history({ topics }: StoresWorld) {
  for (const uid of ['a1', 'a2', 'a3']) await topics.put('assets', uid, assetEvent(uid))
  for (const uid of ['f1', 'f2', 'f3', 'f4']) await topics.put('findings', uid, findingEvent(uid))
  await topics.put('findings', 'f1', findingEvent('f1', 2))
  await topics.put('findings', 'f4', null)
  await topics.put('assets', 'a3', null)
}

const postgresSink = (database: TestDatabase) => ({ postgres: { url: database.config.url } })
const openSearchSink = ({ config: { url, prefix } }: TestStore) => ({
  opensearch: { url, prefix, replicas: 0 },
})

describe('a reconciliation', { timeout: TIMEOUT_MS }, () => {
  it('finds every store equal after its sink has run, and says which cannot be asked', async () => {
    const database = await testDatabase()
    const world = await storesWorld({
      ...postgresSink(database),
      ...openSearchSink(await testStore()),
      parquet: { path: testLake().config.path },
      'kafka-json': [{ name: 'siem' }],
      webhook: [{ format: 'json', url: secretFile('http://127.0.0.1:9/hook') }],
    })
    await history(world)
    await world.fill('postgres', 'opensearch', 'parquet', 'siem')
    const { code, verdicts, of, kindOf } = await reconciled(world)
    expect(verdicts).toEqual({
      siem: 'equal',
      opensearch: 'equal',
      parquet: 'equal',
      postgres: 'equal',
      webhook: 'not compared',
    })
    expect(code).toBe(0)
    for (const name of ['opensearch', 'parquet', 'postgres']) {
      const counts = { inTopic: 3, inStore: 3, compared: 3, all: true, lag: 0, undecided: 0 }
      expect(kindOf(name, 'finding')).toMatchObject(counts)
      expect(kindOf(name, 'asset')).toMatchObject({ inTopic: 2, inStore: 2, all: true })
    }
    expect(of.get('webhook')?.reason).toContain('keeps none')
    const alone = await world.exposure('reconcile', '--sink', 'webhook')
    expect(alone).toEqual({ code: 1, said: expect.stringContaining('not compared') as string })
  })

  it('names what was changed by hand in PostgreSQL', async () => {
    const database = await testDatabase()
    const world = await storesWorld(postgresSink(database))
    await history(world)
    await world.fill()
    await database.query(`DELETE FROM exposure.asset WHERE asset_uid = 'a1'`)
    await database.query(`UPDATE exposure.finding SET revision = 1 WHERE finding_uid = 'f1'`)
    await database.query(
      `UPDATE exposure.finding SET finding_uid = 'ghost' WHERE finding_uid = 'f2'`,
    )
    const { code, verdicts, differences } = await reconciled(world)
    expect([code, verdicts]).toEqual([2, { postgres: 'differs' }])
    const all = ['extra ghost', 'missing a1', 'missing f2', 'other revision f1']
    expect(differences('postgres')).toEqual(all)
    const { code: again, said } = await world.exposure('reconcile')
    expect(again).toBe(2)
    expect(said).toContain('other revision  f1  1 in the store, 2 in the topic')
    expect(said).toContain('missing  a1  revision 1')
    expect(said).toMatch(/^postgres: differs$/m)
    expect(said).toMatch(/^ {2}next step: .*docs\/sinks\.md/m)
  })

  it('names what was changed by hand in OpenSearch', async () => {
    const store = await testStore()
    const world = await storesWorld(openSearchSink(store))
    await history(world)
    await world.fill()
    const { asset, finding } = store.indices
    const [document] = await store.documents(asset)
    await store.call('DELETE', `/${asset.name}/_doc/a1`)
    const put = (id: string, version: number) =>
      store.call(
        'PUT',
        `/${asset.name}/_doc/${id}?version=${version}&version_type=external`,
        document?.source,
      )
    await put('ghost', 5)
    await put('a2', 9)
    await store.call('DELETE', `/${finding.name}/_doc/f3`)
    const { code, differences } = await reconciled(world)
    expect(code).toBe(2)
    const all = ['extra ghost', 'missing a1', 'missing f3', 'other revision a2']
    expect(differences('opensearch')).toEqual(all)
  })

  it('names what was changed by hand in the Parquet lake', async () => {
    const lake = testLake()
    const world = await storesWorld({ parquet: { path: lake.config.path } })
    await history(world)
    await world.fill()
    const changed = `SELECT * REPLACE (
      CASE uid WHEN 'f2' THEN 'ghost' ELSE uid END AS uid,
      CASE uid WHEN 'f1' THEN revision - 1 ELSE revision END AS revision)`
    for (const path of lake.files()) {
      if (path.startsWith('findings/')) await rewrite(join(lake.config.path, path), changed)
    }
    const { code, differences } = await reconciled(world)
    expect(code).toBe(2)
    const all = ['extra ghost', 'missing f2', 'other revision f1']
    expect(differences('parquet')).toEqual(all)
  })

  it('names what was changed by hand on the JSON topic', async () => {
    const world = await storesWorld({ 'kafka-json': [{}] })
    await history(world)
    await world.fill()
    const { settings, admin } = world.topics
    const topic = topicName(settings.prefix, 'ocsf')
    const ends = await admin.endOffsets(topic)
    const gone = partitionOf('a1', TOPICS.ocsf.partitions)
    await admin.deleteRecords(topic, new Map([[gone, ends.get(gone) ?? 0n]]))
    const publisher = openPublisher(settings, testLog)
    onTestFinished(() => publisher.close())
    const event = (uid: string, revision: number) => ({
      topic,
      partition: partitionOf(uid, TOPICS.ocsf.partitions),
      key: `${uid}-${revision}`,
      value: Buffer.from(
        JSON.stringify(ocsfOf({ kind: 'finding', value: findingEvent(uid, revision) })),
      ),
      headers: { 'ocsf-class': '2002' },
    })
    await publisher.send([event('ghost', 1), event('f3', 7)])
    const { code, differences } = await reconciled(world)
    expect(code).toBe(2)
    const there = ['extra ghost', 'missing a1', 'other revision f3']
    expect(differences('kafka-json')).toEqual(expect.arrayContaining(there))
    // Forgotten, and still told of: OCSF has no word for it.
    expect(differences('kafka-json')).not.toContain('extra f4')
  })

  it('says which store is away, and compares the others', async () => {
    const database = await testDatabase()
    const world = await storesWorld({
      ...postgresSink(database),
      opensearch: { url: 'http://127.0.0.1:9' },
      parquet: { path: '/nowhere/lake' },
    })
    await history(world)
    await world.fill('postgres')
    const { code, verdicts, of } = await reconciled(world)
    const expected = { opensearch: 'not reached', parquet: 'not reached', postgres: 'equal' }
    expect([code, verdicts]).toEqual([1, expected])
    expect(of.get('opensearch')).toMatchObject({
      error: 'SINK_UNAVAILABLE',
      nextStep: expect.stringMatching(/\S/) as string,
    })
    await database.query(`DELETE FROM exposure.asset`)
    expect((await reconciled(world)).code).toBe(2)
  })

  it('expects of a sink with a filter only what passes it', async () => {
    const database = await testDatabase()
    const lake = testLake()
    const path = lake.config.path
    const world = await storesWorld({
      postgres: { url: database.config.url, filter: { severities: ['HIGH'] } },
      parquet: { path, filter: { kinds: ['finding'], connections: ['other'] } },
    })
    await history(world)
    const { topics } = world
    await topics.put('findings', 'low', findingEvent('low', 1, { severity: 'LOW' }))
    await topics.put('findings', 'f3', findingEvent('f3', 2, { severity: 'LOW' }))
    // As compaction leaves one whose severity was HIGH when the sink wrote it.
    const { meta } = findingEvent('old', 5)
    const last = { severity: 'LOW', meta: { ...meta, change_type: 'UPDATED' } } as const
    await topics.put('findings', 'old', findingEvent('old', 5, last))
    await world.fill()
    const { code, kindOf, of } = await reconciled(world)
    expect(code).toBe(0)
    expect(kindOf('postgres', 'finding')).toMatchObject({ inTopic: 3, inStore: 3 })
    await database.query(`INSERT INTO exposure.finding SELECT (jsonb_populate_record(f,
      '{"finding_uid": "old"}')).* FROM exposure.finding f WHERE finding_uid = 'f1'`)
    const compacted = await reconciled(world)
    expect([compacted.code, compacted.kindOf('postgres', 'finding')?.undecided]).toEqual([0, 1])
    expect(kindOf('parquet', 'finding')).toMatchObject({ inTopic: 0, inStore: 0 })
    expect(of.get('parquet')?.kinds).toHaveLength(1)
    await database.query(`UPDATE exposure.finding SET finding_uid = 'low' WHERE finding_uid = 'f2'`)
    const changed = await reconciled(world)
    expect([changed.code, changed.differences('postgres')]).toEqual([
      2,
      ['extra low', 'missing f2'],
    ])
  })

  it('takes what a sink has not read yet for lag, and not for a difference', async () => {
    const database = await testDatabase()
    const world = await storesWorld({
      ...postgresSink(database),
      ...openSearchSink(await testStore()),
      parquet: { path: testLake().config.path },
      'kafka-json': [{}],
    })
    const before = await reconciled(world)
    expect([before.code, before.kindOf('postgres', 'asset')?.lag]).toEqual([0, 0])
    await history(world)
    const never = await reconciled(world)
    expect([never.code, never.kindOf('postgres', 'asset')]).toMatchObject([0, { lag: 4 }])
    await world.fill()
    await world.topics.put('findings', 'f1', findingEvent('f1', 3))
    await world.topics.put('findings', 'f2', null)
    await world.topics.put('findings', 'new', findingEvent('new'))
    const { code, kindOf } = await reconciled(world)
    expect(code).toBe(0)
    for (const name of ['postgres', 'opensearch', 'parquet', 'kafka-json']) {
      expect(kindOf(name, 'finding')).toMatchObject({ lag: 3, differences: [] })
    }
    // A store that is ahead of its group's offset, as between two commits, is no difference.
    await database.query(`DELETE FROM exposure.finding WHERE finding_uid = 'f2'`)
    await database.query(`UPDATE exposure.finding SET revision = 3 WHERE finding_uid = 'f1'`)
    expect((await reconciled(world)).code).toBe(0)
  })

  it('takes nothing for a difference that a running sink writes meanwhile', async () => {
    const database = await testDatabase()
    const world = await storesWorld(postgresSink(database))
    world.running('sinks')
    let [turn, isOver] = [0, false]
    const write = async () => {
      // Far more than fit into the time of the test.
      for (; !isOver && turn < 100_000; turn++) {
        const uid = `f${turn % 7}`
        const value = turn % 5 === 0 ? null : findingEvent(uid, turn + 1)
        await world.topics.put('findings', uid, value)
      }
    }
    const writing = write()
    const isWritten = async () =>
      (await database.query(`SELECT to_regclass('exposure.finding') AS found`))[0]?.['found'] &&
      (await database.query('SELECT 1 FROM exposure.finding')).length > 0
    await waitFor(isWritten, { what: 'the first row', timeoutMs: TIMEOUT_MS / 2 })
    const before = turn
    const { code, differences } = await reconciled(world)
    isOver = true
    await writing
    expect([code, differences('postgres')]).toEqual([0, []])
    expect(turn).toBeGreaterThan(before)
  })

  it('expects nothing from before the start of a sink', async () => {
    const database = await testDatabase()
    const world = await storesWorld({ postgres: { url: database.config.url, start: 'now' } })
    await history(world)
    await world.fill()
    const same = partitionOf('f1', TOPICS.findings.partitions)
    const near = Array.from({ length: 200 }, (_, i) => `near${i}`).filter(
      (uid) => partitionOf(uid, TOPICS.findings.partitions) === same,
    )
    for (const uid of near.slice(0, 3)) await world.topics.put('findings', uid, findingEvent(uid))
    await world.fill()
    const { code, kindOf } = await reconciled(world)
    expect([code, kindOf('postgres', 'finding')?.inStore]).toEqual([0, 3])
    await database.query(`DELETE FROM exposure.finding WHERE finding_uid = '${near[1]}'`)
    const lost = await reconciled(world)
    expect([lost.code, lost.differences('postgres')]).toEqual([2, [`missing ${near[1]}`]])
  })

  it('counts what the store has refused, which is among the dead letters', async () => {
    const world = await storesWorld(postgresSink(await testDatabase()))
    await world.topics.put('findings', 'f1', findingEvent('f1'))
    await world.topics.put('findings', 'f1', findingEvent('f1', 2, { title: 'a\u0000b' }))
    const raised = await world.fill()
    expect(raised.map(({ failure }) => failure)).toEqual(['SINK_REJECTED'])
    const { code, kindOf } = await reconciled(world)
    expect([code, kindOf('postgres', 'finding')]).toMatchObject([0, { deadLettered: 1 }])
  })

  it('samples by a seed where there are more keys, and then compares the counts too', async () => {
    const database = await testDatabase()
    const world = await storesWorld(postgresSink(database))
    for (let i = 0; i < 40; i++) await world.topics.put('assets', `a${i}`, assetEvent(`a${i}`))
    await world.fill()
    const few = ['--sample', '5', '--seed', '3']
    const equal = await reconciled(world, ...few)
    expect([equal.code, equal.kindOf('postgres', 'asset')?.all]).toEqual([0, false])
    expect(equal.kindOf('postgres', 'asset')?.compared).toBeLessThan(11)
    await database.query(`UPDATE exposure.asset SET revision = 9`)
    const revised = await reconciled(world, ...few)
    const assets = revised.kindOf('postgres', 'asset')
    expect([revised.code, assets?.differing]).toEqual([2, assets?.compared])
    expect(assets?.compared).toBeGreaterThan(4)
    expect((await reconciled(world, ...few)).differences('postgres')).toEqual(
      revised.differences('postgres'),
    )
    await database.query(`UPDATE exposure.asset SET revision = 1`)
    await database.query(`DELETE FROM exposure.asset WHERE asset_uid = 'a39'`)
    const { code, kindOf } = await reconciled(world, ...few)
    expect(code).toBe(2)
    expect(kindOf('postgres', 'asset')).toMatchObject({
      inTopic: 40,
      inStore: 39,
      countsDiffer: true,
    })
  })

  it('refuses a sink that is not configured, and a sample that is none', async () => {
    const world = await storesWorld(postgresSink(await testDatabase()))
    const unknown = await world.exposure('reconcile', '--sink', 'nobody')
    expect(unknown).toEqual({
      code: 1,
      said: 'exposure: there is no sink nobody\n  next step: There is: postgres.\n',
    })
    const wrong = await world.exposure('reconcile', '--sample', '0')
    expect(wrong).toEqual({ code: 2, said: expect.stringContaining('--sample takes') as string })
  })
})

/** The rows of a file as `select` has them, in its place. */
async function rewrite(path: string, select: string): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  try {
    const rows = `${select} FROM read_parquet('${path}', hive_partitioning = false)`
    await connection.run(`COPY (${rows}) TO '${path}.new' (FORMAT parquet)`)
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
  renameSync(`${path}.new`, path)
}
