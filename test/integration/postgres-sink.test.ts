// The PostgreSQL sink on a real database: writing twice is writing once, and nothing bad stops it.
import { describe, expect, it } from 'vitest'
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import { postgresCounts } from '../../sinks/postgres/counts.ts'
import { BASE_MS, assetEvent, errorEvent, findingEvent, runEvent } from '../support/events.ts'
import {
  type TestDatabase,
  batchOf,
  openedSink,
  testDatabase,
  testLog,
} from '../support/postgres.ts'

const ofFinding = (value: Finding) => ({ kind: 'finding' as const, key: value.finding_uid, value })
const goneFinding = (key: string) => ({ kind: 'finding' as const, key, value: null })
const ofAsset = (value: Asset) => ({ kind: 'asset' as const, key: value.asset_uid, value })
const ofError = (value: ReturnType<typeof errorEvent>) => ({
  kind: 'connector-error' as const,
  key: value.fingerprint,
  value,
})
const ofRun = (value: ReturnType<typeof runEvent>) => ({
  kind: 'run' as const,
  key: `${value.connection_id}|${value.stream}`,
  value,
})

const findings = (database: TestDatabase) =>
  database.query(
    `SELECT finding_uid, revision::text, name, src_offset::text FROM exposure.finding ORDER BY 1`,
  )

describe('writing', () => {
  it('leaves the store after two writes as after one', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const batch = batchOf([ofFinding(findingEvent('f1')), ofFinding(findingEvent('f2', 5))])
    expect(await sink.write(batch)).toEqual([])
    const all = `SELECT *, xmin::text FROM exposure.finding ORDER BY 1`
    const once = await database.query(all)
    expect(once).toHaveLength(2)
    expect(await sink.write(batch)).toEqual([])
    // Also for a store that lost its offsets: the revision alone must hold.
    await database.query('DELETE FROM exposure.sink_offset')
    expect(await sink.write(batch)).toEqual([])
    expect(await database.query(all)).toEqual(once)
  })

  it('fills the columns of a finding from its event and keeps the whole of it', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const event = findingEvent('f1', 1_767_225_600_123, { resolved_at: BASE_MS + 9 })
    await sink.write(batchOf([ofFinding(event)], { firstOffset: 9_007_199_254_740_993n }))
    const [row] = await database.query('SELECT * FROM exposure.finding')
    expect(row).toMatchObject({
      asset_uid: 'ast_1',
      entity_uid: 'ent_1',
      correlation_uid: 'cor_1',
      kind: 'VULNERABILITY',
      name: 'A hole',
      vendor: 'prisma-cloud',
      product: 'prisma-compute',
      connection_id: 'prod',
      tenant: 'acme',
      stream: 'compute.hosts',
      native_id: 'host-1',
      cloud_account_id: '123456789012',
      status: 'OPEN',
      severity_id: 4,
      cvss_score: 8.1,
      vuln_id: 'CVE-2026-0001',
      package_name: 'openssl',
      package_versions: ['1.1.1', 'a"b,{c}\\'],
      fix_available: true,
      fix_versions: ['1.1.2'],
      fix_text: 'fixed in 1.1.2',
      first_seen: new Date(BASE_MS),
      last_seen: new Date(BASE_MS + 1),
      resolved_at: new Date(BASE_MS + 9),
      due_at: null,
      change_type: 'CREATED',
      run_id: 'run-1',
      revision: '1767225600123',
      src_topic: 'exposure.findings',
      src_partition: 0,
      src_offset: '9007199254740993',
    })
    expect(row?.['state']).toEqual(event)
  })

  it('fills the columns of an asset from its event and keeps the whole of it', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const event = assetEvent('a1')
    await sink.write(batchOf([ofAsset(event)], { topic: 'exposure.assets' }))
    const [row] = await database.query('SELECT * FROM exposure.asset')
    expect(row).toMatchObject({
      asset_uid: 'a1',
      entity_uid: 'ent_a1',
      kind: 'VIRTUAL_MACHINE',
      hostnames: ['web-1'],
      private_ips: ['10.0.0.1'],
      public_ips: [],
      cloud_instance_id: 'i-0abc',
      os_family: 'LINUX',
      internet_exposed: null,
      status: 'ACTIVE',
      src_topic: 'exposure.assets',
    })
    expect(row?.['state']).toEqual(event)
  })

  it('never lets an older revision replace a newer one, in a batch or across', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const at = (revision: number) =>
      ofFinding(findingEvent('f1', revision, { title: `rev ${revision}` }))
    await sink.write(batchOf([at(3), at(7), at(5)]))
    expect(await findings(database)).toMatchObject([{ revision: '7', name: 'rev 7' }])
    await sink.write(batchOf([at(6)], { firstOffset: 3n }))
    expect(await findings(database)).toMatchObject([{ revision: '7', src_offset: '1' }])
    await sink.write(batchOf([at(8)], { firstOffset: 4n }))
    expect(await findings(database)).toMatchObject([{ revision: '8', src_offset: '4' }])
  })

  it('deletes on a tombstone, wherever in the batch it stands', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const at = (uid: string, revision: number) => ofFinding(findingEvent(uid, revision))
    await sink.write(batchOf([at('old', 1), at('kept', 1)]))
    const batch = batchOf(
      [
        goneFinding('old'),
        at('short', 1),
        goneFinding('short'),
        at('back', 9),
        goneFinding('back'),
        at('back', 2),
        goneFinding('never there'),
      ],
      { firstOffset: 2n },
    )
    expect(await sink.write(batch)).toEqual([])
    expect(await findings(database)).toMatchObject([
      { finding_uid: 'back', revision: '2' },
      { finding_uid: 'kept' },
    ])
  })

  it('shows as open only what the latest report of a condition has not cleared', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const at = (id: string, print: string, state: 'RAISED' | 'ONGOING' | 'CLEARED', ms: number) =>
      ofError(errorEvent(id, print, { state, last_at: BASE_MS + ms }))
    await sink.write(
      batchOf([
        at('1', 'mended', 'RAISED', 0),
        at('2', 'broken', 'RAISED', 0),
        at('3', 'mended', 'CLEARED', 5),
        at('4', 'broken', 'ONGOING', 7),
        at('5', 'again', 'CLEARED', 8),
        at('6', 'again', 'RAISED', 8),
      ]),
    )
    expect(
      await database.query(
        'SELECT fingerprint, state FROM exposure.open_connector_error ORDER BY 1',
      ),
    ).toEqual([
      { fingerprint: 'again', state: 'RAISED' },
      { fingerprint: 'broken', state: 'ONGOING' },
    ])
    expect(await postgresCounts(database.config, testLog)).toEqual({
      assets: 0,
      findings: 0,
      vulnerabilities: 0,
      openFindings: 0,
      connectorErrors: 6,
      openConnectorErrors: 2,
      runs: 0,
    })
  })

  it('merges the steps of a run and sums its tallies, in any order, and again', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const tally = (partition: number, seen: number) =>
      ofRun(
        runEvent('r1', {
          phase: 'TALLY',
          at: BASE_MS + 90,
          tally: {
            partition,
            units_seen: seen,
            dead_lettered: 1,
            closed: 2,
            held: 0,
            outputs: [{ topic: 'exposure.findings', partition: 0, offset: 4 }],
            hold: null,
            purged: 0,
          },
        }),
      )
    const fetched = ofRun(
      runEvent('r1', { phase: 'FETCHED', verdict: 'COMPLETE', fetched: 30, at: BASE_MS + 50 }),
    )
    const steps = [tally(2, 10), fetched, ofRun(runEvent('r1')), tally(0, 20), tally(2, 10)]
    await sink.write(batchOf(steps))
    await database.query('DELETE FROM exposure.sink_offset')
    await sink.write(batchOf(steps))
    expect(await database.query('SELECT * FROM exposure.run')).toMatchObject([
      {
        run_id: 'r1',
        phase: 'FETCHED',
        verdict: 'COMPLETE',
        fetched: '30',
        partitions: 6,
        tallies: 2,
        units_seen: '30',
        dead_lettered: '2',
        closed: '4',
      },
    ])
    expect(
      await database.query('SELECT raw_partition, outputs FROM exposure.run_tally ORDER BY 1'),
    ).toEqual([0, 2].map((raw_partition) => expect.objectContaining({ raw_partition })))
  })

  it('keeps the totals of a finished run, whatever tally comes again', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const counts = { units_seen: 30, dead_lettered: 1, closed: 7, held: 0, purged: 2 }
    const finished = runEvent('r1', {
      phase: 'FINISHED',
      verdict: 'COMPLETE',
      at: BASE_MS + 100,
      totals: { ...counts, duration_ms: 100 },
    })
    const tally = runEvent('r1', {
      phase: 'TALLY',
      at: BASE_MS + 90,
      tally: { partition: 0, ...counts, closed: 5, hold: null, outputs: [] },
    })
    const released = { ...tally, phase: 'RELEASED' as const }
    await sink.write(batchOf([ofRun(tally), ofRun(finished), ofRun(released), ofRun(tally)]))
    expect(await database.query('SELECT * FROM exposure.run')).toMatchObject([
      { phase: 'FINISHED', closed: '7', purged: '2', duration_ms: '100', tallies: 1 },
    ])
  })
})

describe('a refused record', () => {
  it('is found among good ones, which are written', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const good = Array.from({ length: 40 }, (_, i) => ofFinding(findingEvent(`f${i}`)))
    const bad = {
      nul: findingEvent('bad1', 1, { title: 'a\u0000b' }),
      surrogate: findingEvent('bad2', 1, { title: 'a\ud800b' }),
      time: findingEvent('bad3', 1, { last_seen: -Number.MAX_SAFE_INTEGER }),
      number: findingEvent('bad4', 1, { severity_id: 2 ** 40 }),
      score: findingEvent('bad5', 1, { cvss_score: Number.NaN }),
      index: findingEvent('bad6', 1, { vuln_id: incompressible(9_000) }),
      missing: findingEvent('bad7', 1, { title: null as unknown as string }),
    }
    const events = [...good]
    const places = [0, 7, 8, 20, 30, 44, 46]
    Object.values(bad).forEach((event, i) => events.splice(places[i] ?? 0, 0, ofFinding(event)))
    const rejections = await sink.write(batchOf(events))
    expect(rejections.map((rejection) => rejection.index)).toEqual(places)
    expect(rejections.map((rejection) => rejection.reason.slice(0, 6))).toEqual([
      '22021:',
      '22P02:',
      '22008:',
      '22003:',
      'a scor',
      '54000:',
      '23502:',
    ])
    expect(await findings(database)).toHaveLength(40)
  })

  it('is found in the midst of megabytes, and what comes next is written', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const description = 'x'.repeat(400_000)
    const events = Array.from({ length: 24 }, (_, i) =>
      ofFinding(findingEvent(`f${i}`, 1, { description, title: i === 1 ? '\u0000' : 'a' })),
    )
    expect(await sink.write(batchOf(events))).toMatchObject([{ index: 1 }])
    const next = batchOf([ofFinding(findingEvent('next'))], { topic: 'other' })
    expect(await sink.write(next)).toEqual([])
    expect(await findings(database)).toHaveLength(24)
  })

  it('holds the stored offset until the batch is written again without records', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const bad = findingEvent('bad', 1, { title: '\u0000' })
    const batch = batchOf([
      ofFinding(findingEvent('f0')),
      ofFinding(bad),
      ofFinding(findingEvent('f2')),
    ])
    expect(await sink.write(batch)).toMatchObject([{ index: 1 }])
    expect(await sink.storedOffset(batch.topic, 0)).toBe(1n)
    expect(await sink.write({ ...batch, records: [] })).toEqual([])
    expect(await sink.storedOffset(batch.topic, 0)).toBe(3n)
    expect(await findings(database)).toMatchObject([{ finding_uid: 'f0' }, { finding_uid: 'f2' }])
  })

  it('is also a run with half a character, a run without a value, and a broken key', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const rejections = await sink.write(
      batchOf([
        ofRun(runEvent('r1', { reason: '\ud800' })),
        { kind: 'run', key: 'prod|xdr.endpoints', value: null },
        goneFinding('\udc00'),
        goneFinding('a\u0000'),
        ofRun(runEvent('r2')),
      ]),
    )
    expect(rejections.map((rejection) => rejection.index)).toEqual([0, 1, 2, 3])
    expect(await database.query('SELECT run_id FROM exposure.run')).toEqual([{ run_id: 'r2' }])
  })

  it('is named without its payload', async () => {
    const sink = await openedSink(await testDatabase())
    const bad = findingEvent('bad', 1, { severity_id: 'canary' as unknown as number })
    const [rejection] = await sink.write(batchOf([ofFinding(bad)]))
    expect(rejection?.reason).toMatch(/^22P02: invalid input syntax for type integer/)
    expect(rejection?.reason).not.toContain('canary')
  })

  it('stores text that is only strange exactly as it is', async () => {
    const database = await testDatabase()
    const sink = await openedSink(database)
    const title = `quote " ' back \\ \\N \\. {} NULL lines \r\n\v tab \t emoji 😀 \u202e`
    const event = findingEvent('f1', 1, { title, unmapped: { k: title } })
    expect(await sink.write(batchOf([ofFinding(event)]))).toEqual([])
    const [row] = await database.query('SELECT name, state FROM exposure.finding')
    expect(row).toEqual({ name: title, state: event })
  })
})

/** Text that the index cannot compress below its limit. */
function incompressible(characters: number): string {
  let seed = 1
  return Array.from({ length: characters }, () => {
    seed = (seed * 48_271) % 2_147_483_647
    return String.fromCharCode(33 + (seed % 90))
  }).join('')
}
