// Fenced sessions and the publisher, on the real broker.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { openPublisher } from '../../runtime/kafka/publisher.ts'
import { openSession, type Session } from '../../runtime/kafka/session.ts'
import { partitionKey } from '../../runtime/kafka/types.ts'
import { openStranger } from '../support/kafka-transactions.ts'
import { openWorld, outRecord, testLog, type World } from '../support/kafka-world.ts'

const open = (world: World, id = 'writer'): Promise<Session> =>
  openSession(world.client, {
    transactionalId: `${world.settings.prefix}${id}`,
    transactionTimeoutMs: 20_000,
  })

const failureOf = async (work: Promise<unknown>): Promise<PipelineError> => {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof PipelineError)) throw new Error('no PipelineError', { cause: error })
  return error
}

/** A commit is answered before the broker's markers make it seen by who only asks. */
const POLL = { timeout: 30_000 }

const keysOf = async (world: World, topic: string): Promise<string[]> =>
  (await world.readAll(topic)).records.map(({ key }) => key)

describe('openSession', () => {
  it('writes outputs, what follows from their offsets, and the group offset at once', async () => {
    const world = await openWorld()
    const topic = await world.topic('out', 2)
    const groupId = `${world.settings.prefix}group`
    const session = await open(world)
    const seen: bigint[] = []
    const written = await session.commit({
      outputs: [outRecord(topic, 0, 'a'), outRecord(topic, 0, 'b'), outRecord(topic, 1, 'c')],
      followUp: (offsets) => {
        seen.push(offsets.get(partitionKey(topic, 0)) ?? -1n)
        return [outRecord(topic, 1, 'tally')]
      },
      offsets: { groupId, topic, partition: 1, next: 7n },
    })
    expect(seen).toEqual([1n])
    expect(written).toEqual(
      new Map([
        [`${topic}/0`, 1n],
        [`${topic}/1`, 1n],
      ]),
    )
    expect(await keysOf(world, topic)).toEqual(['a', 'b', 'c', 'tally'])
    const committed = new Map([
      [0, null],
      [1, 7n],
    ])
    await expect.poll(() => world.admin.committedOffsets(groupId, topic), POLL).toEqual(committed)
    await session.close()
  })

  it('moves offsets alone, again and again, while markers are still on their way', async () => {
    const world = await openWorld()
    const topic = await world.topic('out', 1)
    const groupId = `${world.settings.prefix}group`
    const session = await open(world)
    for (let next = 1n; next <= 20n; next++) {
      await session.commit({ outputs: [], offsets: { groupId, topic, partition: 0, next } })
    }
    const committed = new Map([[0, 20n]])
    await expect.poll(() => world.admin.committedOffsets(groupId, topic), POLL).toEqual(committed)
    await session.close()
  })

  it('fences the owner before it, whose commit throws and leaves nothing to see', async () => {
    const world = await openWorld()
    const topic = await world.topic('out', 1)
    const first = await open(world)
    await first.commit({ outputs: [outRecord(topic, 0, 'first')] })
    const second = await open(world)
    const error = await failureOf(first.commit({ outputs: [outRecord(topic, 0, 'zombie')] }))
    expect(error.message).toContain('another instance has taken over')
    expect(first.alive).toBe(false)
    await second.commit({ outputs: [outRecord(topic, 0, 'second')] })
    expect(await keysOf(world, topic)).toEqual(['first', 'second'])
    await second.close()
  })

  it('settles a transaction that its dead owner left open', async () => {
    const world = await openWorld()
    const topic = await world.topic('out', 1)
    const dead = await (await openStranger(world, 'writer')).begin()
    await dead.send(topic, 'left open')
    const session = await open(world)
    await session.commit({ outputs: [outRecord(topic, 0, 'new')] })
    // With the old one still open this would wait for its timeout of a minute.
    expect(await keysOf(world, topic)).toEqual(['new'])
    await session.close()
  })

  it('is dead after a failure, and nothing of the failed transaction is visible', async () => {
    const world = await openWorld()
    const topic = await world.topic('out', 1)
    const session = await open(world)
    const bug = new Error('cannot make the tally')
    const failed = session.commit({
      outputs: [outRecord(topic, 0, 'lost')],
      followUp: () => {
        throw bug
      },
    })
    expect((await failureOf(failed)).details.cause).toBe(bug)
    expect(session.alive).toBe(false)
    const again = await failureOf(session.commit({ outputs: [outRecord(topic, 0, 'reused')] }))
    expect(again.message).toContain('dead')
    const heir = await open(world)
    await heir.commit({ outputs: [outRecord(topic, 0, 'right')] })
    expect(await keysOf(world, topic)).toEqual(['right'])
    await heir.close()
  })

  it('refuses a second commit while one is under way', async () => {
    const world = await openWorld()
    const topic = await world.topic('out', 1)
    const session = await open(world)
    const first = session.commit({ outputs: [outRecord(topic, 0, 'a')] })
    const error = await failureOf(session.commit({ outputs: [outRecord(topic, 0, 'b')] }))
    expect(error.message).toContain('busy')
    await first
    expect(await keysOf(world, topic)).toEqual(['a'])
    await session.close()
  })

  it('cuts what no request could hold, records of over a megabyte too', async () => {
    const world = await openWorld()
    const topic = await world.topic('out', 1, { 'max.message.bytes': '4000000' })
    const session = await open(world)
    // Hexadecimal noise: compression halves it at best.
    const noise = (bytes: number): string =>
      Buffer.from(
        Uint8Array.from({ length: bytes / 2 }, () => Math.floor(Math.random() * 256)),
      ).toString('hex')
    const big = noise(3_000_000)
    const small = Array.from({ length: 5_000 }, (_, i) =>
      outRecord(topic, 0, `k${i}`, noise(1_000)),
    )
    const outputs = [...small, outRecord(topic, 0, 'big', big), outRecord(topic, 0, 'last')]
    const written = await session.commit({ outputs })
    expect(written.get(partitionKey(topic, 0))).toBe(5_001n)
    const { records } = await world.readAll(topic)
    expect(records.map(({ key }) => key)).toEqual(outputs.map(({ key }) => key))
    expect(records.at(-2)?.value?.toString()).toBe(big)
    await session.close()
  })
})

describe('openPublisher', () => {
  it('writes in order and goes on by itself after a failure', async () => {
    const world = await openWorld()
    const topic = await world.topic('out', 1, { 'max.message.bytes': '10000' })
    const publisher = openPublisher(world.settings, testLog)
    await publisher.send([outRecord(topic, 0, 'a', 'x', { h: 'ü' })])
    const noise = Buffer.from(Array.from({ length: 100_000 }, () => Math.random() * 256))
    const tooBig = { ...outRecord(topic, 0, 'big'), value: noise }
    const error = await failureOf(publisher.send([tooBig]))
    expect(error.failure).toBe('PAYLOAD_TOO_LARGE')
    await Promise.all([
      publisher.send([outRecord(topic, 0, 'b')]),
      publisher.send([outRecord(topic, 0, 'c', null)]),
    ])
    const { records } = await world.readAll(topic)
    expect(records.map(({ key, value }) => [key, value?.toString() ?? null])).toEqual([
      ['a', 'x'],
      ['b', 'v'],
      ['c', null],
    ])
    expect(records[0]?.headers).toEqual({ h: 'ü' })
    await publisher.close()
  })

  it('names the missing topic and the way to make it', async () => {
    const world = await openWorld()
    const publisher = openPublisher(world.settings, testLog)
    const missing = outRecord(`${world.settings.prefix}missing`, 0, 'a')
    const error = await failureOf(publisher.send([missing]))
    expect(error.failure).toBe('CONFIGURATION')
    expect(error.message).toContain('exposure topics apply')
    await publisher.close()
  })
})
