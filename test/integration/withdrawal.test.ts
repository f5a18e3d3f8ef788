// A fallback stream that is not needed any more: when what it showed is taken back, and how often.
import { describe, expect, it } from 'vitest'
import { type Order, controlOf, parseOrder } from '../../contracts/envelope.ts'
import { PipelineError } from '../../contracts/errors.ts'
import type { PullEnd } from '../../contracts/ports.ts'
import { RAW_PARTITIONS } from '../../contracts/topics.ts'
import { type RunCheckpoint, loadCheckpoints, releasedRecord } from '../../runtime/checkpoint.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { type TurnOutcome, runConnection } from '../../runtime/run-connection.ts'
import { CONNECTION, TENANT, listOf, listSource } from '../support/list-source.ts'
import { type SourceWorld, openSourceWorld } from '../support/source-world.ts'

const FALLBACK = 'compute.hosts'
const BETTER = 'compute.images'
const BEST = 'compute.containers'
const PARTIAL: PullEnd = { verdict: 'PARTIAL', declared: null, reason: 'cut off' }
const COMPLETE: PullEnd = { verdict: 'COMPLETE', declared: null, reason: null }

/** What the vendor has at the time; a stream that gives way names the one that is read instead. */
type Vendor = {
  readonly better: PullEnd | { readonly instead: string } | 'away'
  readonly best?: PullEnd
  readonly fallback: PullEnd | { readonly instead: string } | 'not licensed'
}

/** One turn of each stream, the better ones first. */
async function turn(world: SourceWorld, vendor: Vendor, process = world.process()) {
  const { options, reporter } = process
  const streamOf = (stream: string, says: PullEnd | Vendor['better'] | Vendor['fallback']) => ({
    ...listSource({
      stream,
      chunks: listOf(2),
      ...(typeof says === 'object' && 'verdict' in says ? { end: says } : {}),
      before: () => {
        if (says === 'away') throw new PipelineError('ACCESS_FORBIDDEN', 'FETCH', 'not for you')
      },
    }),
    fallback: stream !== BEST,
    available: async () => {
      const { instead } = typeof says === 'object' && 'instead' in says ? says : {}
      if (says !== 'not licensed' && instead === undefined) return null
      const details = instead === undefined ? {} : { instead }
      return new PipelineError('NOT_LICENSED', 'FETCH', 'not needed', details)
    },
  })
  const connector = {
    vendor: 'prisma-cloud' as const,
    sources: [
      ...(vendor.best === undefined ? [] : [streamOf(BEST, vendor.best)]),
      streamOf(BETTER, vendor.better),
      streamOf(FALLBACK, vendor.fallback),
    ],
    apiHost: () => 'h',
    connect: () => null,
    resolveTenant: async () => TENANT,
    check: async () => [],
    close: async () => undefined,
  }
  const config = { name: CONNECTION, tenant: TENANT, every: 3_600_000, jitter: 0 }
  const outcomes: TurnOutcome[] = await runConnection(config, connector, {
    ...options,
    metrics: createMetrics(),
    once: true,
    random: () => 0,
  })
  await reporter.flush(5_000)
  return { verdicts: outcomes.map(({ verdict }) => verdict) }
}

async function orders(world: SourceWorld): Promise<{ partition: number; order: Order }[]> {
  const found = (await world.raw()).filter(({ headers }) => controlOf(headers) === 'remove')
  return found.map(({ partition, value }) => ({
    partition,
    order: parseOrder(value ?? Buffer.alloc(0)),
  }))
}
async function checkpointOf(world: SourceWorld): Promise<RunCheckpoint | undefined> {
  const { prefix, readToEnd } = world.process().options
  return (await loadCheckpoints(prefix, readToEnd)).get(`${CONNECTION}|${FALLBACK}`)
}
const replaced = { better: COMPLETE, fallback: { instead: BETTER } } as const

describe('a fallback stream that has given way', () => {
  it('is taken back in every partition, once, and begins anew when it is needed', async () => {
    const world = await openSourceWorld()
    await turn(world, { better: 'away', fallback: COMPLETE })
    const seen = await checkpointOf(world)
    expect((await turn(world, replaced)).verdicts).toEqual(['COMPLETE', 'SKIPPED'])
    const ordered = await orders(world)
    expect(ordered.map(({ partition }) => partition)).toEqual(
      Array.from({ length: RAW_PARTITIONS }, (_, partition) => partition),
    )
    expect(ordered[0]?.order).toMatchObject({
      control: 'remove',
      keep: false,
      connection: CONNECTION,
      stream: FALLBACK,
      tenant: TENANT,
    })
    expect(ordered[0]?.order.orderedAtMs).toBeGreaterThan(seen?.newestFetchedAtMs ?? Infinity)
    const withdrawn = await checkpointOf(world)
    expect(withdrawn).toMatchObject({ runId: seen?.runId, lastComplete: null, position: null })
    expect(withdrawn?.withdrawnAtMs).toBe(ordered[0]?.order.orderedAtMs)
    await turn(world, replaced)
    expect(await orders(world)).toHaveLength(RAW_PARTITIONS)
    // Needed for a while, and then no more: what it showed meanwhile is taken back too.
    await turn(world, { better: 'away', fallback: COMPLETE })
    expect((await checkpointOf(world))?.withdrawnAtMs).toBeUndefined()
    await turn(world, replaced)
    expect(await orders(world)).toHaveLength(2 * RAW_PARTITIONS)
  })

  it('is not compared with what an operator had released of it', async () => {
    const world = await openSourceWorld()
    const { options } = world.process()
    await turn(world, { better: 'away', fallback: COMPLETE })
    const name = { connection: CONNECTION, stream: FALLBACK }
    const session = await options.openSession(`${world.settings.prefix}release`)
    const released = { runId: `${Date.now() + 1}-000000`, fetched: 90 }
    await session.commit({ outputs: [releasedRecord(options.prefix, name, released)] })
    await session.close()
    await turn(world, replaced)
    await turn(world, { better: 'away', fallback: COMPLETE })
    const ends = (await world.ends()).filter(({ end }) => end.stream === FALLBACK)
    expect(new Set(ends.map(({ end }) => end.hold))).toEqual(new Set([null]))
  })

  it('keeps what it showed until the better stream has been COMPLETE since', async () => {
    const world = await openSourceWorld()
    // Whole before the fallback was needed: that says nothing of what it showed later.
    await turn(world, { better: COMPLETE, fallback: COMPLETE })
    await turn(world, { better: 'away', fallback: { instead: BETTER } })
    await turn(world, { better: PARTIAL, fallback: { instead: BETTER } })
    expect(await orders(world)).toEqual([])
    await turn(world, replaced)
    expect(await orders(world)).toHaveLength(RAW_PARTITIONS)
  })

  it('follows a better stream that has itself given way', async () => {
    const world = await openSourceWorld()
    await turn(world, { better: 'away', fallback: COMPLETE })
    const better = { instead: BEST }
    await turn(world, { best: PARTIAL, better, fallback: { instead: BETTER } })
    expect(await orders(world)).toEqual([])
    await turn(world, { best: COMPLETE, better, fallback: { instead: BETTER } })
    const streams = (await orders(world)).map(({ order }) => 'stream' in order && order.stream)
    // The better one too has begun a run, but has shown nothing.
    expect(new Set(streams)).toEqual(new Set([FALLBACK]))
  })
})

describe('a stream that is skipped', () => {
  it('leaves no condition open that only a run of it would clear', async () => {
    const world = await openSourceWorld()
    const process = world.process()
    await turn(world, { better: COMPLETE, fallback: PARTIAL }, process)
    const open = () => process.reporter.open().map((event) => `${event.stream} ${event.error_type}`)
    expect(open()).toEqual([`${FALLBACK} MISSING_DATA`])
    await turn(world, replaced, process)
    expect(open()).toEqual([])
    expect(process.told.map(({ state }) => state)).toEqual(['RAISED', 'CLEARED'])
  })
})

describe('a stream that is skipped for want of a licence', () => {
  it('keeps what it showed, though another stream is whole', async () => {
    const world = await openSourceWorld()
    await turn(world, { better: 'away', fallback: COMPLETE })
    await turn(world, { better: COMPLETE, fallback: 'not licensed' })
    expect(await orders(world)).toEqual([])
  })
})
