// Poison among the raw records of a run: kept whole, replayed, counted, repaired, each once.
import { randomBytes } from 'node:crypto'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { controlOf, encodeRunEnd, parseRunEnd } from '../../contracts/envelope.ts'
import type { ExactBytes, KafkaRecord, OutRecord } from '../../contracts/processing.ts'
import type { Run } from '../../contracts/run.ts'
import { topicName } from '../../contracts/topics.ts'
import { replayLetters } from '../../runtime/dead-letter-moves.ts'
import { createLogger } from '../../runtime/log.ts'
import { defineConnection, dlq, listed, write } from '../support/dead-letters.ts'
import { type Product, startProduct } from '../support/product.ts'
import { repairBy } from '../support/repair.ts'
import { waitFor } from '../support/stack.ts'

const TEST_TIMEOUT_MS = 300_000
const WAIT_MS = 120_000
const UNITS = 200
const log = createLogger('test')
const MAIN = new URL('../../cli/main.ts', import.meta.url).pathname

/** The stages named, as processes of their own, until the test ends. */
function run(product: Product, stage: 'producers' | 'transformers'): () => Promise<void> {
  const child = spawn(process.execPath, [MAIN, 'run', stage, '--config', product.configFile], {
    env: { ...process.env, NODE_OPTIONS: '', ...product.secrets },
    stdio: 'ignore',
  })
  const exited = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGKILL')
    await exited
  }
  onTestFinished(stop)
  return stop
}

async function applied(product: Product): Promise<void> {
  for (const what of ['topics', 'schemas']) {
    expect((await product.exposure([what, 'apply'])).code).toBe(0)
  }
}

/** Key, headers and content as bytes, without what the letter adds. */
function bytesOf({
  key,
  headers,
  exact,
  value,
}: Pick<OutRecord, 'key' | 'value' | 'headers' | 'exact'>) {
  const whole: ExactBytes = exact ?? {
    key: Buffer.from(key),
    headers: Object.entries(headers).map(([n, v]) => [Buffer.from(n), Buffer.from(v)]),
  }
  const pairs = whole.headers.filter(([name]) => !name.toString().startsWith('x-dlq-'))
  return {
    key: whole.key?.toString('hex') ?? null,
    headers: pairs.map(([name, v]) => [name.toString('latin1'), v?.toString('hex') ?? null]),
    value: value === null ? null : value.toString('base64'),
  }
}
const sortedBytes = (records: readonly Parameters<typeof bytesOf>[0][]): string[] =>
  records.map((record) => JSON.stringify(bytesOf(record))).toSorted()

/** The hosts of a simulated listing as a producer has written them, and what ends their run. */
async function listing(): Promise<{ units: OutRecord[]; ends: OutRecord[] }> {
  const product = await startProduct({
    connections: ['prisma'],
    streams: ['compute.hosts'],
    simulator: { machines: 400 },
  })
  await applied(product)
  const stop = run(product, 'producers')
  let records: KafkaRecord[] = []
  await waitFor(
    async () => {
      records = await product.records('rawPrismaCloud')
      return records.filter(({ headers }) => controlOf(headers) === 'run-end').length >= 6
    },
    { what: 'the end of the run', timeoutMs: WAIT_MS },
  )
  await stop()
  const units = records.filter(({ headers }) => controlOf(headers) === null)
  expect(units.length).toBeGreaterThanOrEqual(UNITS)
  return {
    units: units.slice(0, UNITS),
    ends: records.filter(({ headers }) => controlOf(headers) === 'run-end'),
  }
}

const onTopicOf = (product: Product, { partition, key, value, headers }: OutRecord): OutRecord => ({
  topic: topicName(product.prefix, 'rawPrismaCloud'),
  partition,
  key,
  value,
  headers,
})

type Damage = { readonly what: string; readonly of: (record: OutRecord) => OutRecord }
const damages: readonly Damage[] = [
  { what: 'cut JSON', of: (r) => ({ ...r, value: r.value?.subarray(0, 40) ?? null }) },
  { what: 'a field less', of: (r) => ({ ...r, value: withoutId(r.value) }) },
  { what: 'a wrong header', of: (r) => ({ ...r, headers: { ...r.headers, 'x-page': 'two' } }) },
  { what: 'a key that is no UTF-8', of: (r) => ({ ...r, exact: damagedParts(r) }) },
  { what: 'no content', of: (r) => ({ ...r, value: null }) },
]
const oversize = (r: OutRecord): OutRecord => ({ ...r, value: randomBytes(8 * 1024 * 1024) })

function withoutId(value: Buffer | null): Buffer {
  const { _id, ...rest } = JSON.parse(value?.toString() ?? '{}') as Record<string, unknown>
  expect(_id).toBeTypeOf('string')
  return Buffer.from(JSON.stringify(rest))
}

/** A key of any bytes, a header twice, one with null, one of any bytes. */
const damagedParts = ({ key, headers }: OutRecord): ExactBytes => ({
  key: Buffer.concat([Buffer.from(key), Buffer.from([0xff, 0x00, 0xc3])]),
  headers: [
    ...Object.entries(headers).map(([n, v]) => [Buffer.from(n), Buffer.from(v)] as const),
    [Buffer.from('x-page'), Buffer.from('7')],
    [Buffer.from('x-null'), null],
    [Buffer.from([0xfe]), Buffer.from([0xff, 0xfe])],
  ],
})

const poisoned = (good: readonly OutRecord[]): OutRecord[] =>
  good.slice(0, 20).map((record, at) => {
    const damage = damages[at % damages.length]
    return at === 0 || damage === undefined ? oversize(record) : damage.of(record)
  })

/** The same record as a run an hour later would have written it. */
function inNextRun(record: OutRecord): OutRecord {
  const laterMs = (text: string | undefined) => Number(text) + 3_600_000
  const [started = '', rest = ''] = (record.headers['x-run-id'] ?? '').split('-')
  const runId = `${laterMs(started)}-${rest}`
  const fetchedAt = String(laterMs(record.headers['x-fetched-at']))
  const headers = { ...record.headers, 'x-run-id': runId, 'x-fetched-at': fetchedAt }
  if (controlOf(headers) === null) return { ...record, headers }
  const end = parseRunEnd(record.value ?? Buffer.alloc(0))
  const startedAtMs = end.startedAtMs + 3_600_000
  const endedAtMs = end.endedAtMs + 3_600_000
  return { ...record, ...encodeRunEnd({ ...end, runId, startedAtMs, endedAtMs }) }
}

describe('20 damaged records among 200', { timeout: TEST_TIMEOUT_MS }, () => {
  it('are kept byte for byte, come again counted, and after repair each once', async () => {
    const { units, ends } = await listing()
    const product = await startProduct({ connections: [] })
    await applied(product)
    await defineConnection(product, 'prisma')
    const good = units.map((unit) => onTopicOf(product, unit))
    const poison = poisoned(good)
    const ended = ends.map((end) => onTopicOf(product, end))
    await write(product, [...poison, ...good.slice(20)])
    await write(product, ended)
    run(product, 'transformers')
    const assets = async () => new Set((await product.records('assets')).map(({ key }) => key)).size
    const tallies = async () =>
      (await product.events<Run>('runs')).filter((r) => r.phase === 'TALLY')
    await waitFor(async () => (await tallies()).length === 6, {
      what: 'the answer of every partition',
      timeoutMs: WAIT_MS,
    })
    expect(await assets()).toBe(UNITS - 20)

    const first = await listed(product)
    expect([first.letters, first.records.length]).toEqual([20, 20])
    expect(first.groups.map(({ topic }) => topic)).toEqual(
      first.groups.map(() => 'raw.prisma-cloud'),
    )
    const reasons = Object.fromEntries(first.groups.map((g) => [g.reason, g.count]))
    expect(reasons).toEqual({ INVALID_RESPONSE: 4, SCHEMA_VIOLATION: 16 })
    expect(sortedBytes(await product.records('dlq'))).toEqual(sortedBytes(poison))
    expect((await listed(product, '--reason', 'INVALID_RESPONSE')).letters).toBe(4)
    expect((await listed(product, '--topic', 'raw.cortex')).letters).toBe(0)

    const dry = await dlq(product, 'replay', '--everything', '--dry-run')
    expect(dry).toMatch(/dry run, nothing was moved: 20 replayed, 0 to quarantine, 0 left/)
    expect(await product.records('rawPrismaCloud')).toHaveLength(UNITS + 6)
    expect((await listed(product)).letters).toBe(20)

    const out = await dlq(product, 'replay', '--everything')
    expect(out).toMatch(/\n20 replayed, 0 to quarantine, 0 left where they are \(replay \S+\)\n$/)
    await waitFor(async () => (await listed(product)).letters === 20, {
      what: 'all of them to fail again',
      timeoutMs: WAIT_MS,
    })
    const second = await listed(product)
    expect(new Set(second.records.map(({ attempts }) => attempts))).toEqual(new Set([2]))
    const [old] = first.records
    const again = await product.exposure(['dlq', 'replay', old?.id ?? ''])
    expect([again.code, again.stdout]).toEqual([1, expect.stringMatching(/^0 replayed/)])
    expect((await product.records('rawPrismaCloud')).length).toBe(UNITS + 6 + 20)
    const secondIds = new Set(second.records.map(({ id }) => id))
    const letters = (await product.records('dlq')).filter((r) =>
      secondIds.has(`${r.partition}/${r.offset}`),
    )
    expect(sortedBytes(letters)).toEqual(sortedBytes(poison))

    // Found by the key's text, of which damage has changed only the end.
    const originals = new Map(
      good.flatMap((unit) => [
        [unit.key, unit],
        [`${unit.key}\ufffd\0\ufffd`, unit],
      ]),
    )
    const { replayed } = await replayLetters({
      settings: product.settings,
      log,
      filter: {},
      dryRun: false,
      attemptsMax: 5,
      repairOf({ record: { key, headers } }) {
        const original = originals.get(key)
        return original === undefined ? null : repairBy(original, headers)
      },
      onLetter: () => undefined,
    })
    expect(replayed).toBe(20)
    await waitFor(async () => (await assets()) === UNITS, {
      what: 'the repaired units',
      timeoutMs: WAIT_MS,
    })
    expect((await listed(product)).letters).toBe(0)
    const whole = await listed(product, '--all')
    expect([whole.letters, new Set(whole.records.map(({ fate }) => fate))]).toEqual([
      40,
      new Set(['replayed']),
    ])
    expect((await product.records('rawPrismaCloud')).length).toBe(UNITS + 6 + 40)

    // A newer run, in which units that have been shown are damaged: it closes none of them.
    const told = await product.records('findings')
    const newer = good.map(inNextRun)
    await write(product, [...poisoned(newer), ...newer.slice(20), ...ended.map(inNextRun)])
    await waitFor(async () => (await tallies()).length === 12, {
      what: 'the answers to the newer run',
      timeoutMs: WAIT_MS,
    })
    expect((await tallies()).reduce((sum, { tally }) => sum + (tally?.closed ?? 0), 0)).toBe(0)
    expect(await product.records('findings')).toHaveLength(told.length)
    expect((await listed(product)).letters).toBe(20)
  })
})
