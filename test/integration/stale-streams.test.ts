// A stream without a whole listing for too long is told once, and cleared once by a whole one.
import { expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { runConnection } from '../../runtime/run-connection.ts'
import { CONNECTION, TENANT, listOf, listSource } from '../support/list-source.ts'
import { type SourceWorld, openSourceWorld } from '../support/source-world.ts'
import { waitFor } from '../support/wait-for.ts'

const STALE_AFTER_MS = 1_500

/** A process that polls the stream; its listing works or not, as the test says at the time. */
function polling(world: SourceWorld, vendor: { works: boolean }) {
  const { options, told, reporter } = world.process()
  const stop = new AbortController()
  const source = listSource({
    chunks: listOf(3),
    before: () => {
      if (!vendor.works) throw new PipelineError('ACCESS_FORBIDDEN', 'FETCH', 'not for you')
    },
  })
  const config = {
    name: CONNECTION,
    tenant: TENANT,
    every: 200,
    jitter: 0,
    staleAfter: STALE_AFTER_MS,
  }
  const connector = {
    vendor: 'prisma-cloud' as const,
    sources: [source],
    apiHost: () => 'h',
    connect: () => null,
    resolveTenant: async () => TENANT,
    check: async () => [],
    close: async () => undefined,
  }
  const done = runConnection(config, connector, {
    ...options,
    metrics: createMetrics(),
    once: false,
    random: () => 0,
    signal: stop.signal,
  })
  return {
    stale: () => told.filter((event) => event.message.startsWith('no whole listing')),
    open: () => reporter.open().map((event) => event.error_type),
    end: async () => {
      stop.abort()
      await done
      await reporter.flush(5_000)
    },
  }
}

it('a stale stream is raised once and cleared once, beside what else is open', async () => {
  const world = await openSourceWorld()
  const vendor = { works: false }
  const process = polling(world, vendor)
  await waitFor(() => process.stale().length > 0, { what: 'it is told' })
  const [raised] = process.stale()
  expect(raised).toMatchObject({
    state: 'RAISED',
    error_type: 'MISSING_DATA',
    stage: 'SNAPSHOT',
    stream: 'compute.hosts',
  })
  // Runs that fail go on meanwhile: it is no news that it still is so.
  const failed = (await world.ends()).length
  await waitFor(async () => (await world.ends()).length > failed + 12, { what: 'more runs fail' })
  expect(process.open().toSorted()).toEqual(['ACCESS_FORBIDDEN', 'MISSING_DATA'])
  vendor.works = true
  await waitFor(() => process.open().length === 0, { what: 'a whole listing clears it' })
  await process.end()
  expect(process.stale().map(({ state }) => state)).toEqual(['RAISED', 'CLEARED'])
  expect(await world.checkpoint()).toMatchObject({ wholeAtMs: expect.any(Number) as number })
})

it('the last whole listing counts, also one of a process before', async () => {
  const world = await openSourceWorld()
  const vendor = { works: true }
  const first = polling(world, vendor)
  await waitFor(async () => (await world.ends()).length > 0, { what: 'a whole listing' })
  await first.end()
  vendor.works = false
  const beganMs = Date.now()
  const second = polling(world, vendor)
  await waitFor(() => second.stale().length > 0, { what: 'it is told' })
  const [told] = second.stale()
  const { wholeAtMs = 0 } = await world.checkpoint()
  expect(wholeAtMs).toBeLessThan(beganMs)
  expect((told?.first_at ?? 0) - wholeAtMs).toBeGreaterThanOrEqual(STALE_AFTER_MS)
  await second.end()
})
