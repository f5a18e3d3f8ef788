// One stream's runs against a real broker: where they go on, how they end, what they leave behind.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { RAW_PARTITIONS } from '../../contracts/topics.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { ConnectionConfig } from '../../runtime/connection-config.ts'
import { type ConnectionOptions, runConnection } from '../../runtime/run-connection.ts'
import { RunInterrupted, runSource } from '../../runtime/run-source.ts'
import { startChild } from '../support/kafka-processes.ts'
import {
  CONNECTION,
  type List,
  TENANT,
  bodyOf,
  listOf,
  listSource,
  type runOptions,
  taskOf,
} from '../support/list-source.ts'
import type { SourceJob } from '../support/source-worker.ts'
import { type SourceWorld, openSourceWorld } from '../support/source-world.ts'

const unitsOf = (runId: string, chunks: List['chunks']): string[] =>
  chunks
    .flat()
    .map(({ unit }) => `${runId}/${unit}`)
    .toSorted()

/** A process that runs the listing and is killed at `failpoint`. */
async function killedAt(world: SourceWorld, failpoint: string, list: List): Promise<void> {
  const { chunks, resumable = true } = list
  const job: SourceJob = { settings: world.settings, chunks, resumable }
  const child = startChild('source-worker.ts', {
    EXPOSURE_TEST_SOURCE: JSON.stringify(job),
    EXPOSURE_FAILPOINT: failpoint,
  })
  expect({ ...(await child.ended), said: child.stderr() }).toMatchObject({ signal: 'SIGKILL' })
}

/** Takes the stream over from whoever had it, so that what they left open is decided. */
async function takeOver(world: SourceWorld): Promise<void> {
  const { options } = world.process()
  const stopped = new AbortController()
  stopped.abort()
  const list: List = {
    chunks: listOf(1),
    before: () => {
      throw new Error('stopped before the first chunk')
    },
  }
  const run = runSource(taskOf(list), { ...options, signal: stopped.signal })
  await expect(run).rejects.toThrow(RunInterrupted)
}

describe('a run that was interrupted', () => {
  it('goes on with the chunk after the last one that was acknowledged', async () => {
    const world = await openSourceWorld()
    const chunks = listOf(3, 2, 4)
    await killedAt(world, 'source.published:1', { chunks })
    const before = await world.checkpoint()
    expect(before).toMatchObject({ verdict: null, position: { next: 1 }, published: 3 })
    const pulls: unknown[] = []
    const outcome = await runSource(
      taskOf({ chunks, onPull: (from) => pulls.push(from) }),
      world.process().options,
    )
    expect(pulls).toEqual([{ next: 1 }])
    expect(outcome).toMatchObject({ runId: before.runId, verdict: 'COMPLETE', error: null })
    expect(await world.units()).toEqual(unitsOf(before.runId, chunks))
    expect(await world.ledger()).toEqual(['STARTED UNKNOWN', 'FETCHED COMPLETE'])
    expect(await world.checkpoint()).toMatchObject({
      verdict: 'COMPLETE',
      position: null,
      published: 9,
      lastComplete: { runId: before.runId, fetched: 9 },
    })
  })

  it('leaves neither the last chunk nor its end when it dies before the commit', async () => {
    const world = await openSourceWorld()
    const chunks = listOf(3, 2, 4)
    // The transactions of the session: started, first chunk, second chunk, last chunk and end.
    await killedAt(world, 'session.offsets-sent:4', { chunks })
    await takeOver(world)
    const { runId, ...checkpoint } = await world.checkpoint()
    expect(checkpoint).toMatchObject({ verdict: null, position: { next: 2 }, published: 5 })
    expect(await world.units()).toEqual(unitsOf(runId, chunks.slice(0, 2)))
    expect(await world.ends()).toEqual([])
    expect(await world.ledger()).toEqual(['STARTED UNKNOWN'])

    const outcome = await runSource(taskOf({ chunks }), world.process().options)
    expect(outcome).toMatchObject({ runId, verdict: 'COMPLETE' })
    expect(await world.units()).toEqual(unitsOf(runId, chunks))
    const partitions = (await world.ends()).map(({ partition }) => partition)
    expect(partitions).toEqual(Array.from({ length: RAW_PARTITIONS }, (_, i) => i))
  })

  it('has both the last chunk and its end when it dies right after the commit', async () => {
    const world = await openSourceWorld()
    const chunks = listOf(3, 2)
    // Three transactions: started, first chunk, last chunk and end.
    await killedAt(world, 'session.committed:3', { chunks })
    const { runId, verdict } = await world.checkpoint()
    expect(verdict).toBe('COMPLETE')
    expect(await world.units()).toEqual(unitsOf(runId, chunks))
    expect(await world.ends()).toHaveLength(RAW_PARTITIONS)
    const next = await runSource(taskOf({ chunks }), world.process().options)
    expect(next.runId > runId).toBe(true)
    expect(await world.ends()).toHaveLength(2 * RAW_PARTITIONS)
  })

  it('ends FAILED and begins anew where the vendor gives no place to go on from', async () => {
    const world = await openSourceWorld()
    const chunks = listOf(3, 2)
    await killedAt(world, 'source.published:1', { chunks, resumable: false })
    const { runId: lost } = await world.checkpoint()
    const pulls: unknown[] = []
    const outcome = await runSource(
      taskOf({ chunks, resumable: false, onPull: (from) => pulls.push(from) }),
      world.process().options,
    )
    expect(pulls).toEqual([null])
    expect(outcome.verdict).toBe('COMPLETE')
    const ends = (await world.ends()).map(({ partition, end }) => [
      partition,
      end.runId,
      end.verdict,
    ])
    for (let partition = 0; partition < RAW_PARTITIONS; partition++) {
      const here = ends.filter(([of]) => of === partition)
      expect(here).toEqual([
        [partition, lost, 'FAILED'],
        [partition, outcome.runId, 'COMPLETE'],
      ])
    }
    const shown = [...unitsOf(lost, chunks.slice(0, 1)), ...unitsOf(outcome.runId, chunks)]
    expect(await world.units()).toEqual(shown.toSorted())
    const lines = ['STARTED UNKNOWN', 'FETCHED FAILED', 'STARTED UNKNOWN', 'FETCHED COMPLETE']
    expect(await world.ledger()).toEqual(lines)
  })

  it('publishes nothing more once another process has taken the stream over', async () => {
    const world = await openSourceWorld()
    const chunks = listOf(3, 2, 4)
    const taken = Promise.withResolvers<void>()
    const waiting = Promise.withResolvers<void>()
    const first = runSource(
      taskOf({
        chunks,
        before: async (index) => {
          // The first chunk is committed when the third is asked for.
          if (index !== 2) return
          waiting.resolve()
          await taken.promise
        },
      }),
      world.process().options,
    )
    await waiting.promise
    const second = await runSource(taskOf({ chunks }), world.process().options)
    expect(second.verdict).toBe('COMPLETE')
    const before = await world.raw()
    taken.resolve()
    await expect(first).rejects.toThrow(RunInterrupted)
    expect(await world.raw()).toEqual(before)
    expect(await world.units()).toEqual(unitsOf(second.runId, chunks))
    expect(await world.checkpoint()).toMatchObject({ verdict: 'COMPLETE', published: 9 })
  })
})

describe('the end of a run', () => {
  it('is PARTIAL when units are too large or no units, whose bytes are kept', async () => {
    const world = await openSourceWorld()
    const [chunk = []] = listOf(2)
    const odd = {
      body: Buffer.from('{ "name":\t"n\\u00e4meless", "n": 1.0 }'),
      violations: ['_id'],
    }
    const { options, told, reporter } = world.process()
    const big = { unit: 'big', tooLargeBytes: 9_000_000 }
    const list: List = { chunks: [[...chunk, big], listOf(1)[0] ?? []], rejected: { 0: [odd] } }
    const outcome = await runSource(taskOf(list), options)
    expect(outcome.verdict).toBe('PARTIAL')
    const [first] = await world.ends()
    expect(first?.end).toMatchObject({ fetched: 5, published: 3, tooLarge: 1 })
    expect(first?.end.reason).toContain('1 units too large, 1 items')
    const marks = (await world.raw()).filter(({ headers }) => headers['x-unit'] === 'big')
    expect(marks).toHaveLength(1)
    expect(marks[0]).toMatchObject({ value: null, headers: { 'x-too-large': '9000000' } })
    const letters = await world.records('dlq')
    expect(letters.map(({ value }) => value)).toEqual([odd.body])
    expect(letters[0]?.headers).toMatchObject({
      'x-dlq-reason': 'SCHEMA_VIOLATION',
      'x-run-id': outcome.runId,
    })
    await reporter.flush(30_000)
    expect(told.map((event) => `${event.state} ${event.error_type}`).toSorted()).toEqual([
      'RAISED MISSING_DATA',
      'RAISED PAYLOAD_TOO_LARGE',
      'RAISED SCHEMA_VIOLATION',
    ])
    // A run without losses takes all three back.
    await runSource(taskOf({ chunks: listOf(4) }), options)
    await reporter.flush(30_000)
    expect(reporter.open()).toEqual([])
  })

  it('publishes the very bytes of a unit', async () => {
    const world = await openSourceWorld()
    await runSource(taskOf({ chunks: listOf(2) }), world.process().options)
    const bodies = (await world.raw()).filter(({ headers }) => headers['x-unit'] !== undefined)
    expect(new Set(bodies.map(({ value }) => value?.toString()))).toEqual(
      new Set(['u0', 'u1'].map((unit) => bodyOf(unit).toString())),
    )
  })

  it('is FAILED after a fault, with what had been pulled before it', async () => {
    const world = await openSourceWorld()
    const chunks = listOf(3, 2, 4)
    const fault = new PipelineError('TEMPORARY_FAILURE', 'FETCH', 'the vendor is away')
    const before = (index: number) => {
      if (index === 2) throw fault
    }
    const { options, told, reporter } = world.process()
    const outcome = await runSource(taskOf({ chunks, before }), options)
    expect(outcome).toMatchObject({ verdict: 'FAILED', error: fault })
    expect(await world.units()).toEqual(unitsOf(outcome.runId, chunks.slice(0, 2)))
    const ends = await world.ends()
    expect(ends).toHaveLength(RAW_PARTITIONS)
    expect(ends[0]?.end).toMatchObject({ verdict: 'FAILED', reason: fault.message, published: 5 })
    await reporter.flush(30_000)
    expect(told.map(({ state, error_type, run_id }) => [state, error_type, run_id])).toEqual([
      ['RAISED', 'TEMPORARY_FAILURE', outcome.runId],
    ])
    const next = await runSource(taskOf({ chunks }), options)
    expect(next.verdict).toBe('COMPLETE')
    expect(await world.units()).toEqual(
      [...unitsOf(outcome.runId, chunks.slice(0, 2)), ...unitsOf(next.runId, chunks)].toSorted(),
    )
    await reporter.flush(30_000)
    expect(reporter.open()).toEqual([])
  })

  it('holds closures when rows vanish, and the next full listing clears that', async () => {
    const world = await openSourceWorld()
    const { options, told, reporter } = world.process()
    const run = async (size: number) => {
      const { runId } = await runSource(taskOf({ chunks: size === 0 ? [] : listOf(size) }), options)
      await reporter.flush(30_000)
      const { end } = (await world.ends()).find((of) => of.end.runId === runId) ?? {}
      const open = reporter.open().map((event) => `${event.stage} ${event.error_type}`)
      return { verdict: end?.verdict, hold: end?.hold, open }
    }
    const missing = ['SNAPSHOT MISSING_DATA']
    expect(await run(10)).toEqual({ verdict: 'COMPLETE', hold: null, open: [] })
    expect(await run(7)).toEqual({ verdict: 'COMPLETE', hold: null, open: [] })
    // 4 of 7 are 43 % fewer.
    expect(await run(4)).toMatchObject({ hold: expect.stringContaining('4 rows'), open: missing })
    expect(await run(0)).toMatchObject({ hold: expect.stringContaining('no rows'), open: missing })
    // Compared with the last listing that was trusted, not with the empty one.
    expect((await world.checkpoint()).lastComplete).toMatchObject({ fetched: 7 })
    expect(await run(5)).toEqual({ verdict: 'COMPLETE', hold: null, open: [] })
    const states = told.map((event) => `${event.state} ${event.error_type}`)
    expect(states[0]).toBe('RAISED MISSING_DATA')
    expect(states.at(-1)).toBe('CLEARED MISSING_DATA')
  })

  it('holds closures of a first listing that is empty', async () => {
    const world = await openSourceWorld()
    const { runId } = await runSource(taskOf({ chunks: [] }), world.process().options)
    const ends = await world.ends()
    expect(ends).toHaveLength(RAW_PARTITIONS)
    expect(ends[0]?.end).toMatchObject({ runId, fetched: 0, hold: expect.any(String) as string })
  })
})

type Vendor = { tenant: string; asked: number }

/** A connector over listed sources, as producers hold it. */
const connectorOf = (lists: readonly List[], vendor: Vendor) => ({
  vendor: 'prisma-cloud' as const,
  sources: lists.map(listSource),
  apiHost: () => '127.0.0.1',
  connect: () => null,
  resolveTenant: async () => {
    vendor.asked += 1
    return vendor.tenant
  },
  check: async () => [],
  close: async () => undefined,
})

const connectionOptions = (
  { options }: ReturnType<typeof runOptions>,
  more: Partial<ConnectionOptions>,
): ConnectionOptions => ({
  ...options,
  metrics: createMetrics(),
  once: true,
  random: () => 0,
  ...more,
})
const config: ConnectionConfig = { name: CONNECTION, every: 3_600_000, jitter: 10 }

describe('a connection', () => {
  it('keeps the tenant it had at first, whatever the vendor says later', async () => {
    const world = await openSourceWorld()
    const vendor: Vendor = { tenant: TENANT, asked: 0 }
    const list: List = { chunks: listOf(1) }
    const turn = (of: ConnectionConfig) =>
      runConnection(of, connectorOf([list], vendor), connectionOptions(world.process(), {}))
    await turn(config)
    expect(vendor.asked).toBe(1)
    vendor.tenant = 'renamed'
    const [outcome] = await turn(config)
    expect(outcome?.verdict).toBe('COMPLETE')
    expect(vendor.asked).toBe(1)
    const data = (await world.raw()).filter(({ headers }) => headers['x-unit'] === 'u0')
    expect(data.map(({ headers }) => headers['x-tenant'])).toEqual([TENANT, TENANT])
    // Another connection's tenant is none of its business.
    await turn({ ...config, name: 'other' })
    expect(vendor.asked).toBe(2)
  })

  it('is not held up by what a dead process left open on another stream', async () => {
    const world = await openSourceWorld()
    const chunks = listOf(2, 2)
    await killedAt(world, 'session.outputs-sent:2', { chunks })
    const [first, second] = await runConnection(
      { ...config, tenant: TENANT },
      connectorOf([{ stream: 'compute.images', chunks: listOf(1) }, { chunks }], {
        tenant: TENANT,
        asked: 0,
      }),
      connectionOptions(world.process(), {}),
    )
    expect([first?.verdict, second?.verdict]).toEqual(['COMPLETE', 'COMPLETE'])
    const runIds = (await world.ends()).map(({ end }) => `${end.stream} ${end.verdict}`)
    // The one that died before its first chunk has no place to go on from.
    expect(new Set(runIds)).toEqual(
      new Set(['compute.hosts FAILED', 'compute.images COMPLETE', 'compute.hosts COMPLETE']),
    )
  })

  it('makes up for any number of missed turns with a single one', async () => {
    const world = await openSourceWorld()
    const everyMs = 4_000
    const clock = { nowMs: 1_800_000_000_000 }
    const stop = new AbortController()
    const starts: number[] = []
    const slow: List = {
      stream: 'compute.hosts',
      chunks: listOf(1),
      onPull: () => {
        starts.push(clock.nowMs)
        // The first run lasts as long as ten and a half turns.
        if (starts.length === 1) clock.nowMs += everyMs * 10.5
        if (starts.length === 4) stop.abort()
      },
    }
    // Nothing else moves the clock: a turn of this stream is a quarter of one of the other.
    const tick = everyMs / 4
    const clockwork: List = {
      stream: 'compute.images',
      chunks: listOf(1),
      onPull: () => (clock.nowMs += tick),
    }
    await runConnection(
      {
        ...config,
        tenant: TENANT,
        jitter: 0,
        every: everyMs,
        streams: { 'compute.images': { every: tick } },
      },
      connectorOf([slow, clockwork], { tenant: TENANT, asked: 0 }),
      connectionOptions(world.process(), {
        once: false,
        nowMs: () => clock.nowMs,
        signal: stop.signal,
      }),
    )
    const [first = 0, second = 0, third = 0, fourth = 0] = starts
    expect(second - first).toBeGreaterThanOrEqual(10.5 * everyMs)
    for (const apart of [third - second, fourth - third]) {
      expect(apart).toBeGreaterThanOrEqual(everyMs)
      expect(apart).toBeLessThanOrEqual(everyMs + 2 * tick)
    }
  })
})
