// What holds of every sink on a real broker: its filter, its start, its own pace.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { TOPICS, topicName } from '../../contracts/topics.ts'
import { sinkGroup } from '../../runtime/run-sink.ts'
import { assetEvent, errorEvent, findingEvent } from '../support/events.ts'
import { eventTopics } from '../support/event-topics.ts'
import { type MemorySink, startMemorySink } from '../support/memory-sink.ts'
import { waitFor } from '../support/stack.ts'

const keys = ({ kept }: MemorySink) => kept.map(({ key }) => key).toSorted()
const settled = (sink: MemorySink) => waitFor(() => sink.caughtUp(), { what: 'caught up' })
const away = (more = {}) => new PipelineError('SINK_UNAVAILABLE', 'SINK', 'away', more)

describe('the filter of a sink', () => {
  it('leaves out what it does not name, and offsets move past it', async () => {
    const topics = await eventTopics()
    await topics.put('assets', 'a1', assetEvent('a1'))
    await topics.put('findings', 'low', findingEvent('low', 1, { severity: 'LOW' }))
    await topics.put('findings', 'high', findingEvent('high'))
    await topics.put('assets', 'a2', null)
    const filter = { kinds: ['finding' as const], severities: ['HIGH' as const] }
    const sink = await startMemorySink(topics, { filter })
    await settled(sink)
    expect(keys(sink)).toEqual(['a2', 'high'])
    expect(sink.raised).toEqual([])
  })

  it('does not read topics of which the store takes nothing', async () => {
    const topics = await eventTopics()
    await topics.put('assets', 'a1', assetEvent('a1'))
    await topics.put('connectorErrors', 'p1', errorEvent('e1', 'p1'))
    const sink = await startMemorySink(topics, { kinds: ['connector-error'] })
    await settled(sink)
    expect(keys(sink)).toEqual(['p1'])
    const { admin, settings } = topics
    const group = sinkGroup(settings.prefix, 'memory')
    const offsets = await admin.committedOffsets(group, topicName(settings.prefix, 'assets'))
    expect([...offsets.values()]).toEqual(Array(TOPICS.assets.partitions).fill(null))
  })
})

describe('the start of a sink', () => {
  it('is the beginning when nothing else is said', async () => {
    const topics = await eventTopics()
    await topics.put('findings', 'f1', findingEvent('f1'))
    const sink = await startMemorySink(topics)
    await settled(sink)
    expect(keys(sink)).toEqual(['f1'])
  })

  it('may be now: only what comes later is written, also after a restart', async () => {
    const topics = await eventTopics()
    await topics.put('findings', 'before', findingEvent('before'))
    const first = await startMemorySink(topics, { start: 'now' })
    // The group has its offsets once the sink has begun, whether or not records came.
    await settled(first)
    await first.stop()
    await topics.put('findings', 'between', findingEvent('between'))
    const second = await startMemorySink(topics, { start: 'now' })
    await topics.put('findings', 'after', findingEvent('after'))
    await waitFor(() => second.kept.length === 2, { what: 'both records' })
    expect(first.kept).toEqual([])
    expect(keys(second)).toEqual(['after', 'between'])
  })

  it('may be now: what is told while the sink is still starting is written', async () => {
    const topics = await eventTopics()
    const opening = Promise.withResolvers<void>()
    const starting = startMemorySink(topics, { start: 'now', onOpen: () => opening.promise })
    const clockMs = Date.now() + 1
    await waitFor(() => Date.now() > clockMs, { what: 'the clock' })
    await topics.put('findings', 'meanwhile', findingEvent('meanwhile'))
    opening.resolve()
    const sink = await starting
    await settled(sink)
    expect(keys(sink)).toEqual(['meanwhile'])
  })

  it('holds for a store that keeps offsets and has none yet', async () => {
    const topics = await eventTopics()
    await topics.put('findings', 'same', findingEvent('before'))
    const sink = await startMemorySink(topics, { start: 'now', stored: 0n })
    await settled(sink)
    await topics.put('findings', 'same', findingEvent('after'))
    await waitFor(() => sink.kept.length > 0, { what: 'the later record' })
    expect(sink.kept.map(({ offset }) => offset)).toEqual([1n])
  })

  it('may be a time', async () => {
    const topics = await eventTopics()
    await topics.put('findings', 'before', findingEvent('before'))
    const fromMs = Date.now() + 1
    await waitFor(() => Date.now() > fromMs, { what: 'the clock' })
    await topics.put('findings', 'after', findingEvent('after'))
    const start = new Date(fromMs).toISOString()
    const sink = await startMemorySink(topics, { start })
    await settled(sink)
    expect(keys(sink)).toEqual(['after'])
  })

  it('counts only while the group has no offsets', async () => {
    const topics = await eventTopics()
    await topics.put('findings', 'f1', findingEvent('f1'))
    const first = await startMemorySink(topics)
    await settled(first)
    await first.stop()
    // Another partition, in which the group has committed nothing.
    await topics.put('assets', 'a1', assetEvent('a1'))
    const second = await startMemorySink(topics, { start: 'now' })
    await settled(second)
    expect(keys(second)).toEqual(['a1'])
  })

  it('is decided once by sinks that begin at the same time', async () => {
    const topics = await eventTopics()
    await topics.put('findings', 'before', findingEvent('before'))
    const both = await Promise.all([
      startMemorySink(topics, { start: 'now' }),
      startMemorySink(topics, { start: 'now' }),
    ])
    await Promise.all(both.map(settled))
    await topics.put('findings', 'after', findingEvent('after'))
    await waitFor(() => both.flatMap(keys).length > 0, { what: 'the later record' })
    await Promise.all(both.map(settled))
    expect(both.flatMap(keys)).toEqual(['after'])
  })
})

describe('the pace of a sink', () => {
  it('is not that of another, which waits for its store', async () => {
    const topics = await eventTopics()
    await topics.put('findings', 'f1', findingEvent('f1'))
    const waiting = await startMemorySink(topics, {
      name: 'away',
      onWrite: () => {
        throw away()
      },
    })
    const sink = await startMemorySink(topics, { name: 'there' })
    await settled(sink)
    await waitFor(() => waiting.raised.length > 0, { what: 'told of the other' })
    expect(keys(sink)).toEqual(['f1'])
    expect(waiting.kept).toEqual([])
    expect(await topics.deadLetters()).toEqual([])
  })

  it('is the one the store asks for', async () => {
    const topics = await eventTopics()
    await topics.put('findings', 'f1', findingEvent('f1'))
    const atMs: number[] = []
    const retryAfterMs = 1_500
    const sink = await startMemorySink(topics, {
      onWrite: ({ records }) => {
        if (records.length === 0) return
        atMs.push(performance.now())
        if (atMs.length === 1) throw away({ retryAfterMs })
      },
    })
    await settled(sink)
    const [first = 0, second = 0] = atMs
    expect(second - first).toBeGreaterThan(retryAfterMs - 50)
    expect(keys(sink)).toEqual(['f1'])
  })
})
