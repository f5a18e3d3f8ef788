// A stream whose machine has a wrong clock, and a listing that is left half way.
import { describe, expect, it } from 'vitest'
import type { PullContext, PullEnd } from '../../contracts/ports.ts'
import type { ConnectionConfig } from '../../runtime/connection-config.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { runConnection } from '../../runtime/run-connection.ts'
import { RunInterrupted, runSource } from '../../runtime/run-source.ts'
import { CONNECTION, TENANT, listOf, listSource, taskOf } from '../support/list-source.ts'
import { openSourceWorld } from '../support/source-world.ts'

const DAY_MS = 86_400_000
const NOW_MS = 1_800_000_000_000

describe('a clock that goes back', () => {
  it('lets every run begin after all that was seen, and is told once until it is right', async () => {
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
    const connector = {
      vendor: 'prisma-cloud' as const,
      sources: [source],
      apiHost: () => '127.0.0.1',
      connect: () => null,
      resolveTenant: async () => TENANT,
      check: async () => [],
      close: async () => undefined,
    }
    const config: ConnectionConfig = { name: CONNECTION, every: 200, jitter: 0, tenant: TENANT }
    await runConnection(config, connector, {
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

const idOfStream = ({ settings }: Awaited<ReturnType<typeof openSourceWorld>>): string =>
  `${settings.prefix}producer.${CONNECTION}.compute.hosts`
