// What every store must do, whatever it is made of and whatever it is told of.
import { describe, expect, it, onTestFinished } from 'vitest'
import type { OpenSink, SinkBatch } from '../../contracts/ports.ts'
import { type Told, historyOf, seeded } from './sink-history.ts'
import { kafkaRules } from './sink-kafka-rules.ts'
import { RULES_TIMEOUT_MS, type Suite, suiteOf, topicOf } from './sink-suite.ts'
import type { ExcusableRule, SinkWorld, SinkWorlds } from './sink-worlds/sink-world.ts'
import { waitFor } from './stack.ts'

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
const TURNS = 30
const ENTITIES = 12
const BATCH_MAX = 12
const LOSS_SHARE = 0.3
/** Fewer than any topic has. */
const PARTITIONS = 3
/** Between the logs of two seeds in one partition. */
const SEED_OFFSETS = 1_000

/** The rules as tests, under the name of the type. */
export function describeSink(type: string, worlds: SinkWorlds): void {
  describe(type, () => {
    describe('what it shows', () => stateRules(suiteOf(worlds)))
    describe('a batch that comes again', () => repetitionRules(suiteOf(worlds)))
    describe('what goes wrong', () => troubleRules(suiteOf(worlds)))
    describe('between Kafka and the store', () => kafkaRules(suiteOf(worlds)))
  })
}

async function openedSink(world: SinkWorld, group = 'g'): Promise<OpenSink> {
  const sink = await world.sink(() => group).open()
  onTestFinished(() => sink.close())
  return sink
}

/** A rule that one may be excused from: then it is shown that it does not hold, and why. */
function excusable(
  { worlds: { excused = {} } }: Suite,
  rule: ExcusableRule,
  title: string,
  test: () => Promise<void>,
): void {
  const reason = excused[rule]
  if (reason === undefined) it(title, test)
  else it(`does not keep "${title}", excused as ${rule}: ${reason}`, { fails: true }, test)
}

function stateRules(suite: Suite): void {
  const { world, batch, subject, expectHeld } = suite
  const { told, gone, other } = subject

  it('shows what was found', async () => {
    const sink = await openedSink(world())
    if (other !== null) {
      const topic = topicOf(world(), other.topic)
      expect(await sink.write(batch([other.told], { topic }))).toEqual([])
    }
    expect(await sink.write(batch([told('f1', 1)]))).toEqual([])
    await expectHeld([...(other === null ? [] : [other.told]), told('f1', 1)])
  })

  it('shows the newest of what changed, in one batch and in the next', async () => {
    const sink = await openedSink(world())
    const first = [told('f1', 1), told('f1', 2), told('f2', 2)]
    await sink.write(batch(first))
    await expectHeld(first)
    const next = [told('f2', 3, 'RESOLVED'), told('f2', 4, 'REOPENED'), told('f1', 4)]
    await sink.write(batch(next, { firstOffset: 3n }))
    await expectHeld([...first, ...next])
  })

  it('shows as resolved what is resolved, and goes on showing it', async () => {
    const sink = await openedSink(world())
    const all = [told('f1', 1), told('f2', 1), told('f1', 2, 'RESOLVED')]
    await sink.write(batch(all))
    await expectHeld(all)
    expect((await world().held()).map(({ uid }) => uid).toSorted()).toEqual(['f1', 'f2'])
  })

  it('takes the end of what it never knew', async () => {
    const sink = await openedSink(world())
    const all = [gone('nobody', 1), told('f1', 1), gone('nobody', 2)]
    expect(await sink.write(batch(all))).toEqual([])
    await expectHeld([told('f1', 1)])
  })

  excusable(suite, 'forgotten', 'shows nothing of what was forgotten', async () => {
    const sink = await openedSink(world())
    await sink.write(batch([told('f1', 1), told('f2', 1), told('f3', 1)]))
    const end = ['f1', 'f2'].map((uid) => gone(uid, 5))
    expect(await sink.write(batch(end, { firstOffset: 3n }))).toEqual([])
    const kept = subject.heldAs(told('f3', 1))
    expect(await world().held()).toEqual([kept])
  })

  it('keeps order within a batch: told and forgotten', async () => {
    const sink = await openedSink(world())
    const all = [told('f1', 1), told('f2', 1), gone('f1', 2)]
    await sink.write(batch(all))
    await expectHeld(all)
  })

  it('is not set back by an older revision that comes late', async () => {
    const sink = await openedSink(world())
    const newest = told('f1', 9, 'RESOLVED')
    await sink.write(batch([newest, told('f1', 4)]))
    expect(await sink.write(batch([told('f1', 1)], { firstOffset: 2n }))).toEqual([])
    expect(await world().held()).toEqual([subject.heldAs(newest)])
  })
}

function repetitionRules({ world, batch, subject, expectHeld }: Suite): void {
  const { told, gone } = subject
  const all = [told('f1', 1), told('f2', 1), told('f1', 2, 'RESOLVED'), gone('f2', 3)]

  it('changes nothing, by the same process and by another', async () => {
    const first = await openedSink(world())
    await first.write(batch(all))
    expect(await first.write(batch(all))).toEqual([])
    await first.close()
    const second = await openedSink(world())
    expect(await second.write(batch(all))).toEqual([])
    await expectHeld(all)
  })

  it('changes nothing where it overlaps what is there', async () => {
    const sink = await openedSink(world())
    const whole = batch(all)
    await sink.write({ ...whole, records: whole.records.slice(0, 3), nextOffset: 3n })
    await sink.write({ ...whole, records: whole.records.slice(1), firstOffset: 1n })
    await expectHeld(all)
  })

  it('fills a store that was emptied as it filled the first', async () => {
    const whole = batch(all)
    const first = await openedSink(world())
    await first.write(whole)
    await first.close()
    await world().empty()
    const second = await openedSink(world(), 'again')
    expect([null, 0n]).toContain(await second.storedOffset(whole.topic, whole.partition))
    await expectHeld([])
    await second.write(whole)
    await expectHeld(all)
  })

  it(
    'leaves the truth though writers are lost in the middle of a batch, by ten seeds',
    async () => {
      const everything: Told[] = []
      for (const seed of SEEDS) {
        const history = historyOf(subject, { seed, turns: TURNS, entities: ENTITIES })
        everything.push(...history)
        const firstOffset = BigInt(seed * SEED_OFFSETS)
        const log = batch(history, { partition: seed % PARTITIONS, firstOffset })
        await writeWithLosses(world(), log, seed)
      }
      await expectHeld(everything)
    },
    RULES_TIMEOUT_MS,
  )
}

/**
 * Each seed is a group of its own, and a part of the log that no other has. A lost writer is still
 * at its batch when the next one begins with it: as after a rebalance that it has not noticed.
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

function troubleRules({ worlds, world, batch, subject, expectHeld }: Suite): void {
  const { told } = subject

  it('refuses one record with a reason, and takes the others', async () => {
    const sink = await openedSink(world())
    const good = [told('f1', 1), told('f3', 1)] as const
    const mixed = batch([good[0], told('f2', 1, 'OPEN', worlds.refused), good[1]])
    const rejections = await sink.write(mixed)
    expect(rejections).toEqual([{ index: 1, reason: expect.stringMatching(/\S{3}/) as string }])
    // As whoever runs it does: the batch again, and without it where nothing was written.
    const rest = sink.commitsOffsets === true ? mixed.records.filter((_, i) => i !== 1) : []
    await sink.write({ ...mixed, records: rest })
    await expectHeld(good)
    expect([null, mixed.nextOffset]).toContain(
      await sink.storedOffset(mixed.topic, mixed.partition),
    )
  })

  it(
    'waits for a store that is away, and writes when it is back',
    async () => {
      const sink = await openedSink(world())
      await sink.write(batch([told('f1', 1)]))
      await world().goAway()
      const next = batch([told('f1', 2, 'RESOLVED')], { firstOffset: 1n })
      const waits = { failure: 'SINK_UNAVAILABLE' }
      await expect(sink.write(next)).rejects.toMatchObject(waits)
      // Some connect at the first write only.
      const opening = world()
        .sink(() => 'g')
        .open()
      const refusal = await opening.then((other) => other.close()).catch((error: unknown) => error)
      if (refusal !== undefined) expect(refusal).toMatchObject(waits)
      await world().comeBack()
      await waitFor(() => sink.write(next), { what: 'written again' })
      await expectHeld([told('f1', 1), told('f1', 2, 'RESOLVED')])
    },
    RULES_TIMEOUT_MS,
  )

  it('closes twice without a word', async () => {
    const sink = await world()
      .sink(() => 'g')
      .open()
    await sink.close()
    await sink.close()
  })
}
