// Ranges that the lake's manifest took, and whose processes died, slept or found a full disk.
import { readFileSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createParquetSink } from '../../sinks/parquet/sink.ts'
import { findingEvent } from '../support/events.ts'
import { type TestLake, testLake } from '../support/lake.ts'
import { batchOf, testLog } from '../support/postgres.ts'

const TOPIC = 'exposure.findings'
const DAY_S = 86_400

const offsets = async (lake: TestLake) =>
  (await lake.query('SELECT kafka_offset FROM findings_log ORDER BY 1')).map((row) =>
    Number(row['kafka_offset']),
  )
const findings = (from: number, count: number) =>
  batchOf(
    Array.from({ length: count }, (_, i) => {
      const key = `f${from + i}`
      return { kind: 'finding' as const, key, value: findingEvent(key) }
    }),
    { firstOffset: BigInt(from) },
  )
const staged = (lake: TestLake) => readdirSync(join(lake.config.path, '_staging'))

/** Another process on the same lake, with settings of its own. */
async function openedBeside({ config }: TestLake, given: Partial<TestLake['config']>) {
  const sink = await createParquetSink({ ...config, ...given }, { log: testLog }).open()
  onTestFinished(() => sink.close())
  return sink
}

type Moved = { readonly staged: string; readonly final: string }

describe('a range of the lake', () => {
  it('is there once when a process ends before the move and is back in days', async () => {
    const lake = testLake({ rowsMax: 1 })
    const sink = await lake.open()
    await sink.write(findings(0, 2))
    const root = lake.config.path
    const entry = join(root, '_manifest', TOPIC, '0', `${'0'.repeat(20)}.json`)
    const { files } = JSON.parse(readFileSync(entry, 'utf8')) as { files: Moved[] }
    for (const { staged: before, final } of files) {
      renameSync(join(root, final), join(root, before))
      utimesSync(join(root, before), 0, Date.now() / 1_000 - 3 * DAY_S)
    }
    const next = await lake.open()
    expect(await next.storedOffset(TOPIC, 0)).toBe(2n)
    expect(await offsets(lake)).toEqual([0, 1])
  })

  it('is there once when a sleeper wakes after its place was taken and forgotten', async () => {
    const lake = testLake({ rowsMax: 1 })
    const sleeper = await openedBeside(lake, { rowsMax: 1_000 })
    await sleeper.write(findings(0, 3))
    const owner = await lake.open()
    for (let at = 0; at < 120; at += 1) await owner.write(findings(at, 1))
    expect(await sleeper.storedOffset(TOPIC, 0)).toBe(120n)
    expect(await offsets(lake)).toEqual(Array.from({ length: 120 }, (_, at) => at))
    expect(staged(lake)).toEqual([])
  })

  it('leaves nothing staged when it cannot be committed, and is stored later', async () => {
    const lake = testLake({ rowsMax: 2 })
    const sink = await lake.open()
    await sink.write(findings(0, 1))
    // A file in the place of the folder of entries: as a disk that has no room for one more.
    const folder = join(lake.config.path, '_manifest', TOPIC)
    renameSync(folder, `${folder}-away`)
    writeFileSync(folder, '')
    const refused = { failure: 'SINK_UNAVAILABLE' }
    await expect(sink.write(findings(1, 1))).rejects.toMatchObject(refused)
    expect(staged(lake)).toEqual([])
    rmSync(folder)
    renameSync(`${folder}-away`, folder)
    await sink.write(findings(1, 1))
    expect(await offsets(lake)).toEqual([0, 1])
  })

  it('is not written twice when its entry is damaged: the entry is named', async () => {
    const lake = testLake({ rowsMax: 1 })
    const sink = await lake.open()
    await sink.write(findings(0, 2))
    const name = join('_manifest', TOPIC, '0', `${'0'.repeat(20)}.json`)
    const path = join(lake.config.path, name)
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text.slice(0, -9))
    const next = await lake.open()
    const refused = {
      failure: 'SINK_UNAVAILABLE',
      message: expect.stringContaining(name) as string,
    }
    await expect(next.storedOffset(TOPIC, 0)).rejects.toMatchObject(refused)
    await expect(next.write(findings(0, 2))).rejects.toMatchObject(refused)
    writeFileSync(path, text)
    expect(await next.storedOffset(TOPIC, 0)).toBe(2n)
    expect(await offsets(lake)).toEqual([0, 1])
  })
})
