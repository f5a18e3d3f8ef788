// What every store must do that shows entities as they are now, whatever it is made of.
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { PipelineError } from '../../contracts/errors.ts'
import type { OpenSink, SinkBatch } from '../../contracts/ports.ts'
import { runSink, sinkGroup, sinkTopics } from '../../runtime/run-sink.ts'
import { findingEvent } from './events.ts'
import { type EventTopics, eventTopics } from './event-topics.ts'
import { testLog } from './kafka-scene.ts'
import { batchOf } from './postgres.ts'
import { heldAs, historyOf, seeded, toldAsset, toldFinding, toldGone } from './sink-history.ts'
import type { HeldEntity, SinkWorld, SinkWorlds } from './sink-worlds/sink-world.ts'
import { waitFor } from './stack.ts'

const TIMEOUT_MS = 180_000
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
const TURNS = 30
const ENTITIES = 12
const BATCH_MAX = 12
const LOSS_SHARE = 0.3

const sorted = (held: readonly HeldEntity[]) =>
  held.toSorted((a, b) => (a.uid < b.uid ? -1 : Number(a.uid > b.uid)))
async function expectHeld(world: SinkWorld, expected: readonly HeldEntity[]): Promise<void> {
  expect(sorted(await world.held())).toEqual(sorted(expected))
}
const opened = async (world: SinkWorld, group = 'g'): Promise<OpenSink> => {
  const sink = await world.sink(() => group).open()
  onTestFinished(() => sink.close())
  return sink
}

/** The rules as tests, under the name of the type. */
export function describeSink(type: string, worlds: SinkWorlds): void {
  describe(type, () => {
    describe('a store of entities', () => stateRules(worlds))
    describe('a batch that comes again', () => repetitionRules(worlds))
    describe('what goes wrong', () => troubleRules(worlds))
    describe('between Kafka and the store', () => kafkaRules(worlds))
  })
}

function useWorld(worlds: SinkWorlds): () => SinkWorld {
  let world: SinkWorld | null = null
  beforeEach(async () => {
    world = await worlds.open()
  }, TIMEOUT_MS)
  return () => {
    if (world === null) throw new Error('no world is open')
    return world
  }
}

function stateRules(worlds: SinkWorlds): void {
  const open = useWorld(worlds)
  const asset = toldAsset('a1', 1)
  const finding = toldFinding('f1', 1)

  it('shows what was found', async () => {
    const world = open()
    const sink = await opened(world)
    await sink.write(batchOf([asset], { topic: 'exposure.assets' }))
    expect(await sink.write(batchOf([finding]))).toEqual([])
    await expectHeld(world, [heldAs(asset), heldAs(finding)])
  })

  it('shows the newest of what changed, in one batch and in the next', async () => {
    const world = open()
    const sink = await opened(world)
    await sink.write(batchOf([finding, toldFinding('f1', 2)]))
    const resolved = toldFinding('f1', 3, { status: 'RESOLVED' })
    await sink.write(batchOf([resolved], { firstOffset: 2n }))
    await expectHeld(world, [heldAs(resolved)])
  })

  it('shows nothing of what was forgotten, known to it or not', async () => {
    const world = open()
    const sink = await opened(world)
    await sink.write(batchOf([finding, toldFinding('f2', 1), toldFinding('f3', 1)]))
    const gone = ['f1', 'f2', 'nobody'].map((uid) => toldGone('finding', uid, 5))
    expect(await sink.write(batchOf(gone, { firstOffset: 3n }))).toEqual([])
    await expectHeld(world, [heldAs(toldFinding('f3', 1))])
  })

  it('keeps order within a batch: told and forgotten is forgotten', async () => {
    const world = open()
    const sink = await opened(world)
    await sink.write(batchOf([finding, toldFinding('f2', 1), toldGone('finding', 'f1', 2)]))
    await expectHeld(world, [heldAs(toldFinding('f2', 1))])
  })

  it('is not set back by an older revision that comes late', async () => {
    const world = open()
    const sink = await opened(world)
    const newest = toldFinding('f1', 9, { status: 'RESOLVED' })
    await sink.write(batchOf([newest, toldFinding('f1', 4)]))
    expect(await sink.write(batchOf([finding], { firstOffset: 2n }))).toEqual([])
    await expectHeld(world, [heldAs(newest)])
  })
}

function repetitionRules(worlds: SinkWorlds): void {
  const open = useWorld(worlds)
  const batch = batchOf([
    toldFinding('f1', 1),
    toldFinding('f2', 1),
    toldFinding('f1', 2),
    toldGone('finding', 'f2', 3),
  ])
  const truth = [heldAs(toldFinding('f1', 2))]

  it('changes nothing, by the same process and by another', async () => {
    const world = open()
    const first = await opened(world)
    await first.write(batch)
    expect(await first.write(batch)).toEqual([])
    await first.close()
    const second = await opened(world)
    expect(await second.write(batch)).toEqual([])
    await expectHeld(world, truth)
  })

  it('changes nothing where it overlaps what is there', async () => {
    const world = open()
    const sink = await opened(world)
    const records = batch.records.slice(0, 3)
    await sink.write({ ...batch, records, nextOffset: 3n })
    await sink.write({ ...batch, records: batch.records.slice(1), firstOffset: 1n })
    await expectHeld(world, truth)
  })

  it('fills a store that was emptied as it filled the first', async () => {
    const world = open()
    const first = await opened(world)
    await first.write(batch)
    await first.close()
    await world.empty()
    const second = await opened(world, 'again')
    const stored = await second.storedOffset(batch.topic, batch.partition)
    expect([null, 0n]).toContain(stored)
    await expectHeld(world, [])
    await second.write(batch)
    await expectHeld(world, truth)
  })

  it(
    'leaves the truth though writers are lost in the middle of a batch, by ten seeds',
    async () => {
      const world = open()
      const truths: HeldEntity[] = []
      for (const seed of SEEDS) {
        const { told, truth: held } = historyOf(seed, TURNS, ENTITIES)
        truths.push(...held)
        await writeWithLosses(world, batchOf(told, { partition: seed }), seed)
      }
      await expectHeld(world, truths)
    },
    TIMEOUT_MS,
  )
}

/**
 * Each seed is a group and a partition of its own: a log of its own. A lost writer is still at its
 * batch when the next one begins with it: as after a rebalance that it has not noticed.
 */
async function writeWithLosses(world: SinkWorld, log: SinkBatch, seed: number): Promise<void> {
  const random = seeded(seed)
  const group = `seed-${seed}`
  let sink = await world.sink(() => group).open()
  const lost: (() => Promise<void>)[] = []
  for (let at = 0; at < log.records.length;) {
    const size = 1 + Math.floor(random() * BATCH_MAX)
    const records = log.records.slice(at, at + size)
    const firstOffset = log.firstOffset + BigInt(at)
    const nextOffset = firstOffset + BigInt(records.length)
    const slice: SinkBatch = { ...log, records, firstOffset, nextOffset }
    if (random() < LOSS_SHARE) {
      const last = sink
      // What becomes of it is not known to anybody: as if it had died over it.
      const writing = last.write(slice).catch(() => [])
      lost.push(() => writing.then(() => last.close()))
      sink = await world.sink(() => group).open()
    }
    expect(await sink.write(slice)).toEqual([])
    at += records.length
  }
  await sink.close()
  await Promise.all(lost.map((end) => end()))
}

function troubleRules(worlds: SinkWorlds): void {
  const open = useWorld(worlds)
  const { refused } = worlds

  it.runIf(refused !== null)('refuses one record with a reason, and takes the others', async () => {
    const world = open()
    const sink = await opened(world)
    const good = [toldFinding('f1', 1), toldFinding('f3', 1)] as const
    const batch = batchOf([good[0], toldFinding('f2', 1, refused ?? {}), good[1]])
    const rejections = await sink.write(batch)
    expect(rejections).toEqual([{ index: 1, reason: expect.stringMatching(/\S{3}/) as string }])
    await sink.write({ ...batch, records: [] })
    await expectHeld(world, good.map(heldAs))
    expect([null, batch.nextOffset]).toContain(
      await sink.storedOffset(batch.topic, batch.partition),
    )
  })

  it('waits for a store that is away, and writes when it is back', async () => {
    const world = open()
    const sink = await opened(world)
    const batch = batchOf([toldFinding('f1', 1)])
    await sink.write(batch)
    await world.goAway()
    const next = batchOf([toldFinding('f1', 2)], { firstOffset: 1n })
    const waits = { failure: 'SINK_UNAVAILABLE' }
    await expect(sink.write(next)).rejects.toMatchObject(waits)
    await expect(world.sink(() => 'g').open()).rejects.toMatchObject(waits)
    await world.comeBack()
    await waitFor(() => sink.write(next), { what: 'written again' })
    await expectHeld(world, [heldAs(toldFinding('f1', 2))])
  })

  it('closes twice without a word', async () => {
    const sink = await open()
      .sink(() => 'g')
      .open()
    await sink.close()
    await sink.close()
  })
}

async function run(world: SinkWorld, { settings, codecs, admin }: EventTopics) {
  const raised: PipelineError[] = []
  const sink = world.sink((name) => sinkGroup(settings.prefix, name))
  const reporter = {
    raise: (error: PipelineError) => void raised.push(error),
    clear: () => undefined,
  }
  const running = await runSink({ settings, sink, codecs, reporter, log: testLog })
  let stopped: Promise<void> | null = null
  const stop = () => (stopped ??= running.stop())
  onTestFinished(stop)
  const topics = [...sinkTopics(settings.prefix, sink).keys()]
  const caughtUp = async () => {
    const lags = await admin.lag(sinkGroup(settings.prefix, sink.name), topics)
    return lags.every(({ lag }) => lag === 0n)
  }
  return { raised, stop, settled: () => waitFor(caughtUp, { what: 'caught up' }) }
}

function kafkaRules(worlds: SinkWorlds): void {
  const open = useWorld(worlds)
  const held = (uid: string, revision: number): HeldEntity => ({
    kind: 'finding',
    uid,
    revision,
    status: 'OPEN',
  })

  it(
    'dead-letters poison, and goes on behind it',
    async () => {
      const world = open()
      const topics = await eventTopics()
      await topics.put('findings', 'f1', Buffer.from([0, 0, 0, 0, 9, 255]))
      await topics.put('findings', 'f1', findingEvent('f1'))
      const running = await run(world, topics)
      await running.settled()
      await expectHeld(world, [held('f1', 1)])
      expect(running.raised.map(({ failure }) => failure)).toEqual(['SERIALIZATION'])
      expect(await topics.deadLetters()).toHaveLength(1)
    },
    TIMEOUT_MS,
  )

  it(
    'loses nothing while the store is away, and dead-letters nothing for it',
    async () => {
      const world = open()
      const topics = await eventTopics()
      const running = await run(world, topics)
      await topics.put('findings', 'f1', findingEvent('f1'))
      await running.settled()
      await world.goAway()
      await topics.put('findings', 'f2', findingEvent('f2'))
      await topics.put('findings', 'f1', null)
      await waitFor(() => running.raised.length > 0, { what: 'told that the store is away' })
      await world.comeBack()
      await running.settled()
      await expectHeld(world, [held('f2', 1)])
      expect(new Set(running.raised.map(({ failure }) => failure))).toEqual(
        new Set(['SINK_UNAVAILABLE']),
      )
      expect(await topics.deadLetters()).toEqual([])
    },
    TIMEOUT_MS,
  )
}
