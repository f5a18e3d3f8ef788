// A stream in trouble: a wrong clock, a second process, no checkpoints, a listing left half way.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import type { PullContext, PullEnd } from '../../contracts/ports.ts'
import type { ConnectionConfig } from '../../runtime/connection-config.ts'
import { CLOCKS, GroupLease } from '../../runtime/connections-lease.ts'
import { createLogger } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { runConnection } from '../../runtime/run-connection.ts'
import { RunInterrupted, runSource } from '../../runtime/run-source.ts'
import { CONNECTION, TENANT, listOf, listSource, taskOf } from '../support/list-source.ts'
import { openSourceWorld } from '../support/source-world.ts'
import { waitFor } from '../support/wait-for.ts'

const DAY_MS = 86_400_000
const NOW_MS = 1_800_000_000_000

const connectorOf = (source: ReturnType<typeof listSource>) => ({
  vendor: 'prisma-cloud' as const,
  sources: [source],
  apiHost: () => '127.0.0.1',
  connect: () => null,
  resolveTenant: async () => TENANT,
  check: async () => [],
  close: async () => undefined,
})

describe('a clock that goes back', () => {
  it('lets runs begin after all that was seen, and is told once until it is right', async () => {
    const world = await openSourceWorld()
    const { options, told, reporter } = world.process()
    const runAt = async (atMs: number) => {
      const outcome = await runSource(taskOf({ chunks: listOf(2) }), {
        ...options,
        nowMs: () => atMs,
      })
      await reporter.flush(5_000)
      return outcome
    }
    const ahead = await runAt(NOW_MS + DAY_MS)
    expect(told).toEqual([])
    const second = await runAt(NOW_MS)
    const third = await runAt(NOW_MS + 10 * 60_000)
    expect(second.runId > ahead.runId && third.runId > second.runId).toBe(true)
    const seenMs = (await world.raw())
      .filter(({ headers }) => headers['x-unit'] === 'u0')
      .map(({ headers }) => Number(headers['x-fetched-at']))
    expect(seenMs).toEqual([NOW_MS + DAY_MS, second.startedAtMs, third.startedAtMs])
    expect(seenMs).toEqual(seenMs.toSorted((a, b) => a - b))
    expect(told).toMatchObject([
      {
        state: 'RAISED',
        error_type: 'CONFIGURATION',
        stage: 'CONFIG',
        message: 'the clock of this machine went back by 1440 minutes',
      },
    ])
    await runAt(NOW_MS + 2 * DAY_MS)
    expect(told.at(-1)).toMatchObject({ state: 'CLEARED', error_type: 'CONFIGURATION' })
    expect(reporter.open()).toEqual([])
  })

  it('begins after the newest observation, not only after the last start', async () => {
    const world = await openSourceWorld()
    const { options } = world.process()
    const clock = { nowMs: NOW_MS }
    const advance = () => void (clock.nowMs += 30_000)
    const task = taskOf({ chunks: listOf(1, 1), before: advance })
    const first = await runSource(task, { ...options, nowMs: () => clock.nowMs })
    const next = await runSource(taskOf({ chunks: listOf(1) }), {
      ...options,
      nowMs: () => first.startedAtMs,
    })
    expect(next.startedAtMs).toBe(first.startedAtMs + 60_001)
  })

  it('does not keep a stream waiting until that time has come', async () => {
    const world = await openSourceWorld()
    const { options } = world.process()
    const ahead = { ...options, nowMs: () => Date.now() + DAY_MS }
    await runSource(taskOf({ chunks: listOf(1) }), ahead)
    const stop = new AbortController()
    const pulls: unknown[] = []
    const source = listSource({
      chunks: listOf(1),
      onPull: (from) => {
        pulls.push(from)
        stop.abort()
      },
    })
    const config: ConnectionConfig = { name: CONNECTION, every: 200, jitter: 0, tenant: TENANT }
    await runConnection(config, connectorOf(source), {
      ...options,
      metrics: createMetrics(),
      once: false,
      random: () => 0,
      signal: stop.signal,
    })
    expect(pulls).toEqual([null])
  })
})

describe('a listing that is left half way', () => {
  it('is closed, so that nothing of it stays open', async () => {
    const world = await openSourceWorld()
    const { options } = world.process()
    const source = listSource({
      chunks: listOf(1, 1, 1),
      before: async (index) => {
        // Another process takes the stream over; the next commit is refused.
        if (index === 1) await (await options.openSession(idOfStream(world))).close()
      },
    })
    let closed = false
    const closing = {
      ...source,
      async *pull(client: null, from: unknown, context: PullContext) {
        try {
          const end: PullEnd = yield* source.pull(client, from, context)
          return end
        } finally {
          closed = true
        }
      },
    }
    const run = runSource({ ...taskOf({ chunks: [] }), source: closing }, options)
    await expect(run).rejects.toThrow(RunInterrupted)
    expect(closed).toBe(true)
  })
})

describe('a second process that polls the connection', () => {
  it('is told once by the first, which leaves the stream alone for its whole turn', async () => {
    const world = await openSourceWorld()
    const { options, told, reporter } = world.process()
    const other = world.process()
    const stop = new AbortController()
    const pulls: number[] = []
    const source = listSource({
      chunks: listOf(1, 1, 1),
      onPull: () => {
        pulls.push(Date.now())
        if (pulls.length === 2) stop.abort()
      },
      before: async (index) => {
        if (pulls.length !== 1 || index !== 1) return
        const second = await runSource(taskOf({ chunks: listOf(2) }), other.options)
        expect(second.verdict).toBe('COMPLETE')
      },
    })
    const everyMs = 2_000
    const beganMs = Date.now()
    const config: ConnectionConfig = { name: CONNECTION, every: everyMs, jitter: 0, tenant: TENANT }
    await runConnection(config, connectorOf(source), {
      ...options,
      metrics: createMetrics(),
      once: false,
      random: () => 0,
      interruptedPauseMs: 0,
      signal: stop.signal,
    })
    expect((pulls[1] ?? 0) - beganMs).toBeGreaterThanOrEqual(everyMs)
    await reporter.flush(5_000)
    // Its next turn was undisturbed.
    expect(told.map(({ state, message, stream }) => [state, message, stream])).toEqual([
      ['RAISED', 'another process polls this connection', 'compute.hosts'],
      ['CLEARED', 'another process polls this connection', 'compute.hosts'],
    ])
  })
})

describe('a process that the group says polls the connection', () => {
  /** A lease that the group confirms every few ms. */
  function leased(signal: AbortSignal) {
    const group = new GroupLease(10_000, CLOCKS)
    group.joined(new Set([0]), 0)
    const timer = setInterval(() => group.answered(), 5)
    signal.addEventListener('abort', () => clearInterval(timer), { once: true })
    return group.of(0)
  }

  it('takes its stream back where it was, and gives way to who goes on taking it', async () => {
    const world = await openSourceWorld()
    const { options, told, reporter } = world.process()
    const stop = new AbortController()
    const takeAway = async () => (await options.openSession(idOfStream(world))).close()
    let run = 1
    let taken = 0
    const source = listSource({
      chunks: listOf(1, 1, 1, 1),
      before: async (index) => {
        // Once in the first run, and whenever the second one comes so far.
        const takes = run === 1 ? index === 2 && taken === 0 : index === 3
        if (takes) {
          taken += 1
          await takeAway()
        }
        if (index === 4) run = 2
      },
    })
    const config: ConnectionConfig = { name: CONNECTION, every: 300, jitter: 0, tenant: TENANT }
    const running = runConnection(config, connectorOf(source), {
      ...options,
      metrics: createMetrics(),
      once: false,
      random: () => 0,
      interruptedPauseMs: 0,
      lease: leased(stop.signal),
      signal: stop.signal,
    })
    await waitFor(() => told.length > 0, { what: 'it gives way' })
    stop.abort()
    await running
    await reporter.flush(5_000)
    expect(taken).toBe(4)
    const [first] = await world.ends()
    expect(first?.end).toMatchObject({ verdict: 'COMPLETE', fetched: 4 })
    expect(await world.units()).toEqual(
      expect.arrayContaining([0, 1, 2, 3].map((n) => `${first?.end.runId}/u${n}`)),
    )
    expect(told[0]).toMatchObject({
      state: 'RAISED',
      error_type: 'CONFIGURATION',
      message: 'another process polls this connection',
    })
  })
})

describe('a single turn', () => {
  it('gives up when the checkpoints cannot be read, after a bounded number of tries', async () => {
    const world = await openSourceWorld()
    const { options } = world.process()
    let reads = 0
    const outcomes = await runConnection(
      { name: CONNECTION, every: 1_000, jitter: 0 },
      connectorOf(listSource({ chunks: listOf(1) })),
      {
        ...options,
        log: createLogger('test').child({}, { level: 'silent' }),
        readToEnd: () => {
          reads += 1
          return Promise.reject(new PipelineError('TEMPORARY_FAILURE', 'FETCH', 'no broker'))
        },
        metrics: createMetrics(),
        once: true,
        random: () => 0,
        interruptedPauseMs: 0,
      },
    )
    expect(outcomes).toMatchObject([{ verdict: 'FAILED', error: { message: 'no broker' } }])
    expect(reads).toBe(20)
  })
})

const idOfStream = ({ settings }: Awaited<ReturnType<typeof openSourceWorld>>): string =>
  `${settings.prefix}producer.${CONNECTION}.compute.hosts`
