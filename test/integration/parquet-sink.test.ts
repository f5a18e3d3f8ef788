// The Parquet lake read back by DuckDB: each record once, whatever ends between two steps.
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import { compactOne } from '../../sinks/parquet/compact.ts'
import { openWriter } from '../../sinks/parquet/writer.ts'
import { BASE_MS, assetEvent, errorEvent, findingEvent, runEvent } from '../support/events.ts'
import { type TestLake, testLake } from '../support/lake.ts'
import { batchOf } from '../support/postgres.ts'
import { waitFor } from '../support/wait-for.ts'

const DAY_MS = 86_400_000
const TOPIC = 'exposure.findings'
const ofFinding = (value: Finding, timestampMs = BASE_MS) => ({
  kind: 'finding' as const,
  key: value.finding_uid,
  value,
  timestampMs,
})
const goneFinding = (key: string) => ({
  kind: 'finding' as const,
  key,
  value: null,
  timestampMs: BASE_MS,
})
const ofAsset = (value: Asset) => ({ kind: 'asset' as const, key: value.asset_uid, value })

const offsets = async (lake: TestLake) =>
  (await lake.query('SELECT kafka_offset FROM findings_log ORDER BY 1')).map((row) =>
    Number(row['kafka_offset']),
  )
const findings = (from: number, count: number) =>
  batchOf(
    Array.from({ length: count }, (_, i) => ofFinding(findingEvent(`f${from + i}`))),
    { firstOffset: BigInt(from) },
  )

describe('the files', () => {
  it('lie by day and product, are named by their offsets, and hold every column', async () => {
    const lake = testLake({ rowsMax: 2 })
    const sink = await lake.open()
    const next = ofFinding(findingEvent('f2', 7), BASE_MS + DAY_MS)
    await sink.write(batchOf([ofFinding(findingEvent('f1')), next], { firstOffset: 40n }))
    expect(lake.files()).toEqual(
      ['2026-01-01', '2026-01-02'].map(
        (day) => `findings/dt=${day}/product=prisma-compute/${TOPIC}-0-40-41.parquet`,
      ),
    )
    const [row] = await lake.query(`SELECT * FROM findings WHERE uid = 'f2'`)
    expect(row).toMatchObject({
      kafka_topic: TOPIC,
      kafka_offset: '41',
      recorded_at: '2026-01-02 00:00:00',
      revision: '7',
      change_type: 'CREATED',
      connection_id: 'prod',
      vuln_id: 'CVE-2026-0001',
      severity_id: 4,
      cvss_score: 8.1,
      package_versions: ['1.1.1', 'a"b,{c}\\'],
      first_seen: '2026-01-01 00:00:00',
      resolved_at: null,
      dt: '2026-01-02',
      product: 'prisma-compute',
    })
    expect(JSON.parse(String(row?.['state']))).toEqual(next.value)
  })

  it('are there for every kind of event, and readable before the first', async () => {
    const lake = testLake({ rowsMax: 1 })
    const sink = await lake.open()
    expect(await lake.query('SELECT * FROM runs_log')).toEqual([])
    const error = errorEvent('e1', 'print', { product: null })
    const run = runEvent('r1')
    await sink.write(batchOf([ofAsset(assetEvent('a1'))], { topic: 'exposure.assets' }))
    await sink.write(
      batchOf([{ kind: 'connector-error', key: 'print', value: error }], { topic: 'errors' }),
    )
    await sink.write(batchOf([{ kind: 'run', key: 'prod|x', value: run }], { topic: 'runs' }))
    expect(await lake.query('SELECT uid, os_family FROM assets')).toEqual([
      { uid: 'a1', os_family: 'LINUX' },
    ])
    expect(await lake.query('SELECT error_id, product FROM connector_errors_log')).toEqual([
      { error_id: 'e1', product: null },
    ])
    expect(await lake.query('SELECT run_id, phase FROM runs_log')).toEqual([
      { run_id: 'r1', phase: 'STARTED' },
    ])
  })

  it('keep every change; the view shows the last revision behind the last tombstone', async () => {
    const lake = testLake({ rowsMax: 1 })
    const sink = await lake.open()
    const at = (uid: string, revision: number) => ofFinding(findingEvent(uid, revision))
    await sink.write(batchOf([at('f1', 3), at('f1', 9), at('f1', 5), at('gone', 4)]))
    await sink.write(
      batchOf([goneFinding('gone'), at('back', 8), goneFinding('back'), at('back', 2)], {
        firstOffset: 4n,
      }),
    )
    expect(await offsets(lake)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect(await lake.query('SELECT uid, revision FROM findings ORDER BY 1')).toEqual([
      { uid: 'back', revision: '2' },
      { uid: 'f1', revision: '9' },
    ])
  })
})

describe('rows that wait', () => {
  it('become a file when there are enough, and only then count as stored', async () => {
    const lake = testLake({ rowsMax: 5 })
    const sink = await lake.open()
    await sink.write(findings(0, 3))
    expect(lake.files()).toEqual([])
    await sink.write(findings(3, 3))
    expect(lake.files()).toHaveLength(1)
    expect(await sink.storedOffset(TOPIC, 0)).toBe(6n)
  })

  it('become a file after a while, also when nothing follows', async () => {
    const lake = testLake({ every: 50 })
    const sink = await lake.open()
    await sink.write(findings(0, 1))
    await waitFor(() => lake.files().length > 0, { what: 'a file' })
    expect(await offsets(lake)).toEqual([0])
  })

  it('become a file at the end, and when the partition is dealt anew', async () => {
    const lake = testLake()
    const sink = await lake.open()
    await sink.write(findings(0, 2))
    expect(await sink.storedOffset(TOPIC, 0)).toBe(2n)
    await sink.write(findings(2, 2))
    await sink.close()
    expect(await offsets(lake)).toEqual([0, 1, 2, 3])
  })

  it('are not stored beyond a refused record until it is told', async () => {
    const lake = testLake({ rowsMax: 1 })
    const sink = await lake.open()
    const bad = ofFinding(findingEvent('bad', 1, { title: '\ud800' }))
    const batch = batchOf([ofFinding(findingEvent('f1')), bad, ofFinding(findingEvent('f2'))])
    expect(await sink.write(batch)).toMatchObject([{ index: 1 }])
    expect(lake.files()).toEqual([])
    expect(await sink.write({ ...batch, records: [] })).toEqual([])
    expect(await offsets(lake)).toEqual([0, 2])
    expect(await sink.storedOffset(TOPIC, 0)).toBe(3n)
  })
})

describe('each record is there once', () => {
  it('when a batch comes again whole, in part, or cut another way', async () => {
    const lake = testLake({ rowsMax: 1 })
    const first = await lake.open()
    for (const batch of [findings(0, 4), findings(0, 4), findings(2, 4)]) await first.write(batch)
    await first.close()
    const second = await lake.open()
    for (const batch of [findings(0, 3), findings(3, 5)]) await second.write(batch)
    expect(await offsets(lake)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  it('when a process ends before its file is committed', async () => {
    const lake = testLake({ rowsMax: 1 })
    const sink = await lake.open()
    await sink.write(findings(0, 2))
    // As the crash leaves it: staged, and named by no entry of the manifest.
    const root = lake.config.path
    const entry = entriesOf(root).at(-1) ?? ''
    const { files } = JSON.parse(readFileSync(entry, 'utf8')) as { files: Moved[] }
    for (const { staged, final } of files) renameSync(join(root, final), join(root, staged))
    renameSync(entry, join(root, '_staging', 'cut.json'))
    const next = await lake.open()
    expect(await next.storedOffset(TOPIC, 0)).toBe(0n)
    await next.write(findings(0, 3))
    expect(await offsets(lake)).toEqual([0, 1, 2])
  })

  it('when a process ends between the commit and the move of its files', async () => {
    const lake = testLake({ rowsMax: 1 })
    const sink = await lake.open()
    await sink.write(findings(0, 2))
    const root = lake.config.path
    const entry = entriesOf(root).at(-1) ?? ''
    const { files } = JSON.parse(readFileSync(entry, 'utf8')) as { files: Moved[] }
    for (const { staged, final } of files) renameSync(join(root, final), join(root, staged))
    expect(await offsets(lake)).toEqual([])
    const next = await lake.open()
    expect(await next.storedOffset(TOPIC, 0)).toBe(2n)
    expect(await offsets(lake)).toEqual([0, 1])
  })

  it('and what was staged for a day by a process that ended is taken away', async () => {
    const lake = testLake()
    await (await lake.open()).close()
    const staging = join(lake.config.path, '_staging')
    for (const name of ['old', 'new']) writeFileSync(join(staging, name), '')
    utimesSync(join(staging, 'old'), 0, Date.now() / 1_000 - 86_500)
    await lake.open()
    expect(readdirSync(staging)).toEqual(['new'])
  })

  it('when two members write one partition: the second to commit reads again', async () => {
    const lake = testLake()
    const sleeper = await lake.open()
    const owner = await lake.open()
    await sleeper.write(findings(0, 3))
    await owner.write(findings(0, 5))
    expect(await owner.storedOffset(TOPIC, 0)).toBe(5n)
    await sleeper.write(findings(3, 1))
    // What it holds is refused by the manifest; it begins where the lake says.
    expect(await sleeper.storedOffset(TOPIC, 0)).toBe(5n)
    await sleeper.write(findings(5, 1))
    await sleeper.close()
    await owner.close()
    expect(await offsets(lake)).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('when a sleeper is refused: it writes nothing until it has read again', async () => {
    const lake = testLake({ rowsMax: 4 })
    const sleeper = await lake.open()
    const owner = await lake.open()
    await sleeper.write(findings(0, 3))
    await owner.write(findings(0, 5))
    const refused = { failure: 'SINK_UNAVAILABLE' }
    await expect(sleeper.write(findings(3, 1))).rejects.toMatchObject(refused)
    await expect(sleeper.write(findings(9, 9))).rejects.toMatchObject(refused)
    expect(await sleeper.storedOffset(TOPIC, 0)).toBe(5n)
    await sleeper.write(findings(5, 4))
    expect(await offsets(lake)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
  })

  it('from where a group began that was told to begin later', async () => {
    const lake = testLake()
    const sink = await lake.open()
    await sink.write(findings(70, 2))
    const another = await lake.open()
    expect(await another.storedOffset(TOPIC, 0)).toBe(70n)
  })
})

describe('small files of a day that is over', () => {
  const written = async (lake: TestLake, count: number) => {
    const sink = await lake.open()
    for (let at = 0; at < count; at += 1) await sink.write(findings(at, 1))
    await sink.close()
  }

  it('become one in time, and hold the same rows', async () => {
    const lake = testLake({ rowsMax: 1, compactEvery: 50 })
    await written(lake, 6)
    const before = await lake.query('SELECT * FROM findings_log ORDER BY kafka_offset')
    await lake.open()
    await waitFor(() => lake.files().length === 1, { what: 'one file' })
    expect(lake.files()[0]).toMatch(/product=prisma-compute\/compacted-/)
    expect(await lake.query('SELECT * FROM findings_log ORDER BY kafka_offset')).toEqual(before)
    expect(before).toHaveLength(6)
  })

  it('become one when a process ended in the middle, whoever goes on', async () => {
    const lake = testLake({ rowsMax: 1 })
    await written(lake, 5)
    const root = lake.config.path
    const replaced = lake.files()
    const writer = await openWriter()
    onTestFinished(() => writer.close())
    // As the crash leaves it: the plan is committed, and nothing of it is done.
    const staged = await writer.merge(root, replaced)
    const final = join(replaced[0] ?? '', '..', 'compacted-x.parquet')
    mkdirSync(join(root, '_compaction'))
    const plan = JSON.stringify({ staged, final, replaced })
    writeFileSync(join(root, '_compaction', 'plan.json'), plan)
    expect(await compactOne(root, writer, Date.now())).toBe(true)
    expect(lake.files()).toEqual([final])
    expect(await offsets(lake)).toEqual([0, 1, 2, 3, 4])
    expect(await compactOne(root, writer, Date.now())).toBe(false)
  })

  it('stay on the day that is not over', async () => {
    const lake = testLake({ rowsMax: 1 })
    await written(lake, 5)
    const writer = await openWriter()
    onTestFinished(() => writer.close())
    expect(await compactOne(lake.config.path, writer, BASE_MS + 5)).toBe(false)
    expect(lake.files()).toHaveLength(5)
  })
})

describe('bad input', () => {
  it('is refused with a reason, and the rows beside it are stored', async () => {
    const lake = testLake({ rowsMax: 1 })
    const sink = await lake.open()
    const batch = batchOf([
      ofFinding(findingEvent('good')),
      ofFinding(findingEvent('score', 1, { cvss_score: Number.NaN })),
      ofFinding(findingEvent('deep', 1, { epss: { score: 0, percentile: Infinity, as_of: null } })),
      ofFinding(findingEvent('whole', 1, { severity_id: 2 ** 40 })),
      ofFinding(findingEvent('type', 1, { title: 7 as unknown as string })),
      ofFinding(findingEvent('revision', 1.5)),
      ofFinding(findingEvent('time'), Number.MAX_SAFE_INTEGER),
    ])
    const rejections = await sink.write(batch)
    expect(rejections).toEqual([
      { index: 1, reason: 'its cvss_score is no DOUBLE' },
      { index: 2, reason: 'a number is Infinity, which JSON cannot hold' },
      { index: 3, reason: 'its severity_id is no INTEGER' },
      { index: 4, reason: 'its title is no VARCHAR' },
      { index: 5, reason: 'its revision is no BIGINT' },
      { index: 6, reason: 'its time is beyond the calendar' },
    ])
    await sink.write({ ...batch, records: [] })
    expect(await lake.query('SELECT uid FROM findings')).toEqual([{ uid: 'good' }])
  })

  it('that is only strange is stored as it is', async () => {
    const lake = testLake({ rowsMax: 1 })
    const sink = await lake.open()
    const title = `quote " ' back \\ \\ud800 tab \t nul \u0000 emoji 😀 \u202e`
    const unmapped = Object.fromEntries([['__proto__', title]])
    const event = findingEvent('f1', Number.MAX_SAFE_INTEGER, {
      title,
      unmapped,
      description: 'd'.repeat(1_000_000),
      first_seen: -62_167_219_200_000, // the year 0
      last_seen: Date.UTC(9999, 11, 31),
    })
    const source = { ...event.meta.source, product: `../a='b' %/é` }
    const strange = { ...event, meta: { ...event.meta, source } }
    expect(await sink.write(batchOf([ofFinding(strange)]))).toEqual([])
    const [row] = await lake.query('SELECT * FROM findings')
    expect(row).toMatchObject({
      revision: '9007199254740991',
      product: source.product,
      first_seen: '0000-01-01 00:00:00',
      last_seen: '9999-12-31 00:00:00',
    })
    expect(JSON.parse(String(row?.['state']))).toEqual(strange)
  })
})

type Moved = { readonly staged: string; readonly final: string }

/** Entries of the one partition that has any, oldest first. */
function entriesOf(root: string): string[] {
  const folder = join(root, '_manifest', TOPIC, '0')
  return readdirSync(folder)
    .toSorted()
    .filter((name) => !name.includes('begin'))
    .map((name) => join(folder, name))
}
