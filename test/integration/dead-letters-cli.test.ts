// The `dlq` commands: crashes, what is refused, quarantine, one letter whole, giving up.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { encodeRunEnd } from '../../contracts/envelope.ts'
import { PipelineError } from '../../contracts/errors.ts'
import type { KafkaRecord, OutRecord } from '../../contracts/processing.ts'
import { TOPICS, topicName } from '../../contracts/topics.ts'
import { deadLetter } from '../../runtime/dead-letter.ts'
import { openAdmin } from '../../runtime/kafka/admin.ts'
import { createLogger } from '../../runtime/log.ts'
import { dlq, listed, write } from '../support/dead-letters.ts'
import { runEndOf } from '../support/lifecycle.ts'
import { type Product, startProduct } from '../support/product.ts'

const TEST_TIMEOUT_MS = 300_000
const WAIT_MS = 60_000
const log = createLogger('test')
const MAIN = new URL('../../cli/main.ts', import.meta.url).pathname
const execute = promisify(execFile)

const host = { 'x-connection': 'prod', 'x-stream': 'compute.hosts' }
const damaged = new PipelineError('INVALID_RESPONSE', 'NORMALIZE', 'not JSON')

/** A letter that a transformer has written of a raw record. */
const letterOf = (product: Product, unit: number, attempts = 1): OutRecord =>
  deadLetter(
    product.prefix,
    {
      topic: topicName(product.prefix, 'rawPrismaCloud'),
      partition: unit % 6,
      offset: BigInt(unit),
      key: `prod|compute.hosts|u${unit}`,
      value: Buffer.from(`{"n": ${unit}`),
      headers: host,
    },
    damaged,
    attempts,
  )

async function withLetters(count: number, attempts?: number): Promise<Product> {
  const product = await startProduct({ connections: [] })
  expect((await product.exposure(['topics', 'apply'])).code).toBe(0)
  const units = Array.from({ length: count }, (_, at) => at)
  await write(
    product,
    units.map((unit) => letterOf(product, unit, attempts)),
  )
  return product
}

const rawUnits = async (product: Product): Promise<string[]> =>
  (await product.records('rawPrismaCloud')).map(({ key }) => key).toSorted()

describe('exposure dlq replay', { timeout: TEST_TIMEOUT_MS }, () => {
  it.each(['session.outputs-sent', 'session.committed'])(
    'loses nothing and repeats nothing when it dies at %s',
    async (place) => {
      const product = await withLetters(20)
      const died = await product.exposure(['dlq', 'replay', '--everything'], {
        EXPOSURE_FAILPOINT: place,
      })
      expect(died.signal).toBe('SIGKILL')
      const ended = await product.exposure(['dlq', 'replay', '--everything'])
      expect([ended.code, ended.stderr]).toEqual([0, ''])
      const units = Array.from({ length: 20 }, (_, at) => `prod|compute.hosts|u${at}`)
      expect(await rawUnits(product)).toEqual(units.toSorted())
      expect((await listed(product)).letters).toBe(0)
    },
  )

  it('moves each letter once when two replays run at the same time', async () => {
    const product = await withLetters(20)
    const both = await Promise.all(
      [1, 2].map(() => product.exposure(['dlq', 'replay', '--everything'])),
    )
    // The one that came second has fenced the other, or found nothing left to do.
    for (const { code, stderr } of both) {
      if (code !== 0) expect([code, stderr]).toEqual([1, expect.stringContaining('taken over')])
    }
    await dlq(product, 'replay', '--everything')
    expect(new Set(await rawUnits(product)).size).toBe(20)
    expect(await product.records('rawPrismaCloud')).toHaveLength(20)
  })

  it('puts into quarantine what was tried too often, once, with all that is known', async () => {
    const product = await withLetters(3, 5)
    const out = await dlq(product, 'replay', '--connection', 'prod')
    expect(out).toContain('0 replayed, 3 to quarantine')
    expect(await dlq(product, 'replay', '--connection', 'prod')).toContain('0 to quarantine')
    const kept = await product.records('quarantine')
    expect(kept.map(({ key, value }) => `${key} ${value?.toString()}`).toSorted()).toEqual(
      [0, 1, 2].map((unit) => `prod|compute.hosts|u${unit} {"n": ${unit}`),
    )
    expect(kept[0]?.headers).toMatchObject({
      ...host,
      'x-dlq-reason': 'INVALID_RESPONSE',
      'x-dlq-attempts': '5',
      'x-dlq-letter': expect.stringMatching(/^\d\/\d+$/) as string,
    })
    expect(await rawUnits(product)).toEqual([])
  })

  it('leaves what has no place to go back to, and says why', async () => {
    const product = await withLetters(0)
    const { prefix } = product
    const letter = (record: Partial<KafkaRecord>): OutRecord =>
      deadLetter(
        prefix,
        {
          topic: topicName(prefix, 'rawPrismaCloud'),
          partition: 0,
          offset: 1n,
          key: 'prod|compute.hosts|u',
          value: null,
          headers: host,
          ...record,
        },
        damaged,
        1,
      )
    const end = encodeRunEnd(runEndOf())
    await write(product, [
      letter({ partition: -1 }),
      letter({ topic: topicName(prefix, 'findings'), key: 'fnd_1' }),
      letter({ ...end }),
    ])
    const out = await dlq(product, 'replay', '--everything')
    expect(out).toMatch(/never was on a topic: the next run of its stream reads it/)
    expect(out).toMatch(/only raw records are replayed: on exposure\.findings/)
    expect(out).toMatch(/is the control record "run-end"/)
    expect(out).toMatch(/\n0 replayed, 0 to quarantine, 3 left where they are/)
    expect((await listed(product)).letters).toBe(3)
  })
})

describe('exposure dlq show and purge', { timeout: TEST_TIMEOUT_MS }, () => {
  it('print a letter and its bytes, and delete what nobody wants before one that is', async () => {
    const product = await withLetters(0)
    const body = Buffer.concat([Buffer.from('{"a":'), randomBytes(200_000)])
    const other = new PipelineError('SCHEMA_VIOLATION', 'NORMALIZE', 'no unit')
    const at = (n: number, error: PipelineError) => {
      const record = { ...letterOf(product, n), topic: topicName(product.prefix, 'rawCortex') }
      const headers = { 'x-connection': 'prod', 'x-stream': 'xdr.endpoints' }
      // One key: one partition, in order.
      const letter = { ...record, offset: 0n, key: 'prod|xdr.endpoints|u', value: body, headers }
      return deadLetter(product.prefix, letter, error, 1)
    }
    await write(product, [at(0, damaged), at(1, other), at(2, damaged)])
    const { records } = await listed(product)
    const ids = records.map(({ id }) => id).toSorted()
    const shown = await dlq(product, 'show', ids[1] ?? '')
    expect(shown).toContain('reason    SCHEMA_VIOLATION in NORMALIZE, attempts: 1')
    expect(shown).toContain('00000000  7b 22 61 22 3a')
    const config = ['--config', product.configFile]
    const raw = await execute(
      process.execPath,
      [MAIN, 'dlq', 'show', ids[0] ?? '', '--raw', ...config],
      {
        encoding: 'buffer',
        timeout: WAIT_MS,
      },
    )
    expect(raw.stdout.equals(body)).toBe(true)
    const nobody = await product.exposure(['dlq', 'show', '0/999999'])
    expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringContaining('at 0/999999')])

    const asked = await product.exposure(['dlq', 'purge', '--reason', 'INVALID_RESPONSE'])
    expect([asked.code, asked.stdout]).toEqual([
      2,
      expect.stringMatching(/nothing was purged; --yes purges 2\n$/),
    ])
    expect((await listed(product)).letters).toBe(3)
    const reason = ['--reason', 'INVALID_RESPONSE']
    expect(await dlq(product, 'purge', ...reason, '--yes')).toMatch(/^2 purged|\n2 purged/)
    // The first is deleted; the last lies behind one that is open.
    expect((await listed(product, '--all')).records.map(({ id }) => id).toSorted()).toEqual(
      ids.slice(1),
    )
    expect((await listed(product)).records.map(({ id }) => id)).toEqual([ids[1]])
    expect(await dlq(product, 'purge', ids[1] ?? '', '--yes')).toContain('1 purged')
    expect((await listed(product, '--all')).letters).toBe(0)
    const admin = await openAdmin(product.settings, log)
    onTestFinished(() => admin.close())
    const topic = topicName(product.prefix, 'dlq')
    expect((await admin.endOffsets(topic)).size).toBe(TOPICS.dlq.partitions)
    expect((await product.records('dlq')).length).toBe(1)
  })
})
