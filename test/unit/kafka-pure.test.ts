// The parts of the Kafka runtime that need no broker: cutting, acknowledging, dealing out, naming.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { kafkaError } from '../../runtime/kafka/errors.ts'
import { createHealth } from '../../runtime/kafka/health.ts'
import { PARTITION_BYTES_MAX, requestsOf, writtenBy } from '../../runtime/kafka/outgoing.ts'
import { chunksOf } from '../../runtime/kafka/partition-owner.ts'
import { dealOut } from '../../runtime/kafka/sticky-assigner.ts'
import type { KafkaRecord, OutRecord } from '../../runtime/kafka/types.ts'

const record = (partition: number, bytes = 10, topic = 't'): OutRecord => ({
  topic,
  partition,
  key: 'k',
  value: Buffer.alloc(bytes),
  headers: {},
})

describe('requestsOf', () => {
  it('cuts by bytes and count of one partition and keeps the order', () => {
    const records = [record(0, 500_000), record(1, 500_000), record(0, 500_000), record(1)]
    expect(requestsOf(records)).toEqual([
      [records[0], records[1]],
      [records[2], records[3]],
    ])
    const many = Array.from({ length: 4_500 }, () => record(0))
    expect(requestsOf(many).map(({ length }) => length)).toEqual([2_000, 2_000, 500])
    const spread = Array.from({ length: 4_500 }, (_, i) => record(i % 3))
    expect(requestsOf(spread)).toHaveLength(1)
  })

  it('sends a record beyond the bound alone in its partition', () => {
    const big = record(0, PARTITION_BYTES_MAX * 3)
    expect(requestsOf([record(0), big, record(0)]).map(({ length }) => length)).toEqual([1, 1, 1])
  })
})

describe('writtenBy', () => {
  const answer = (partition: number, baseOffset?: string, errorCode = 0) => ({
    topicName: 't',
    partition,
    errorCode,
    ...(baseOffset === undefined ? {} : { baseOffset }),
  })

  it('counts up from the base offset of each partition', () => {
    const written = writtenBy([record(0), record(1), record(0)], [answer(0, '40'), answer(1, '7')])
    expect(written).toEqual(
      new Map([
        ['t/0', 41n],
        ['t/1', 7n],
      ]),
    )
  })

  it.each([
    ['was never sent', [answer(0, '40')]],
    ['was refused', [answer(0, '40'), answer(1, '7', 6)]],
    ['has no offset', [answer(0, '40'), answer(1)]],
    ['has an offset of -1', [answer(0, '40'), answer(1, '-1')]],
    ['is of another topic', [answer(0, '40'), { ...answer(1, '7'), topicName: 'u' }]],
  ])('throws when a partition %s', (_, answers) => {
    const records = [record(0), record(1)]
    expect(() => writtenBy(records, answers)).toThrow('did not acknowledge the records for t/1')
  })
})

describe('chunksOf', () => {
  const raw = (key: string, bytes = 1): KafkaRecord => ({
    ...record(0, bytes),
    key,
    offset: 0n,
    timestampMs: 0,
  })
  const options = {
    chunkRecordsMax: 3,
    chunkBytesMax: 100,
    processor: { isControl: ({ key }: KafkaRecord) => key === 'control' },
  }
  const keys = (records: KafkaRecord[]): string[] =>
    [...chunksOf(records, options)].map((chunk) => chunk.map(({ key }) => key).join(''))

  it('bounds by count and bytes, and keeps every control record alone', () => {
    expect(keys([raw('a'), raw('b'), raw('c'), raw('d')])).toEqual(['abc', 'd'])
    expect(keys([raw('a', 60), raw('b', 60), raw('c', 600), raw('d')])).toEqual([
      'a',
      'b',
      'c',
      'd',
    ])
    const mixed = [raw('a'), raw('control'), raw('control'), raw('b'), raw('c'), raw('control')]
    expect(keys(mixed)).toEqual(['a', 'control', 'control', 'bc', 'control'])
    expect(keys([])).toEqual([])
  })
})

describe('dealOut', () => {
  const member = (memberId: string, ...claims: [number, number][]) => ({
    memberId,
    claims: claims.map(([partition, committedAtMs]) => ({ partition, committedAtMs })),
  })
  const partitions = [0, 1, 2, 3, 4, 5]

  it('moves as little as possible when a member joins or leaves', () => {
    const all: [number, number][] = partitions.map((p) => [p, 1])
    expect(dealOut(partitions, [member('new'), member('old', ...all)])).toEqual(
      new Map([
        ['old', [0, 1, 2]],
        ['new', [3, 4, 5]],
      ]),
    )
    expect(dealOut(partitions, [member('b', [3, 1], [4, 1], [5, 1])])).toEqual(
      new Map([['b', partitions]]),
    )
  })

  it('gives everything, to shares that differ by one at most', () => {
    const members = [member('a', [0, 1], [1, 1], [2, 1], [3, 1]), member('b', [4, 1]), member('c')]
    for (let count = 0; count < 20; count++) {
      const dealt = dealOut(
        Array.from({ length: count }, (_, i) => i),
        members,
      )
      const sizes = [...dealt.values()].map(({ length }) => length)
      expect([...dealt.values()].flat().toSorted((a, b) => a - b)).toHaveLength(count)
      expect(new Set([...dealt.values()].flat()).size).toBe(count)
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
    }
  })

  it('believes the latest commit when a member that slept claims what others have', () => {
    const zombie = member('a', [0, 100], [1, 100])
    const owner = member('b', [0, 900], [1, 900])
    expect(dealOut([0, 1, 2, 3], [zombie, owner])).toEqual(
      new Map([
        ['b', [0, 1]],
        ['a', [2, 3]],
      ]),
    )
  })
})

describe('kafkaError', () => {
  const thrown = (fields: object) => Object.assign(new Error('as Kafka says'), fields)

  it.each([
    [{ type: 'TOPIC_AUTHORIZATION_FAILED' }, 'ACCESS_FORBIDDEN'],
    [{ type: 'SASL_AUTHENTICATION_FAILED' }, 'AUTHORIZATION_FAILURE'],
    [{ name: 'KafkaJSSASLAuthenticationError' }, 'AUTHORIZATION_FAILURE'],
    [{ type: 'UNKNOWN_TOPIC_OR_PARTITION' }, 'CONFIGURATION'],
    [{ type: 'MESSAGE_TOO_LARGE' }, 'PAYLOAD_TOO_LARGE'],
    [{ type: 'INVALID_PRODUCER_EPOCH' }, 'TEMPORARY_FAILURE'],
    [{ type: 'NOT_ENOUGH_REPLICAS' }, 'TEMPORARY_FAILURE'],
    [{ code: 'ECONNREFUSED' }, 'TEMPORARY_FAILURE'],
    [{ name: 'KafkaJSConnectionError' }, 'TEMPORARY_FAILURE'],
    [{ name: 'TypeError' }, 'INTERNAL'],
  ])('names %o', (fields, failure) => {
    expect(kafkaError(thrown(fields))).toMatchObject({ failure })
    expect(kafkaError(new Error('outer', { cause: thrown(fields) }))).toMatchObject({ failure })
  })

  it('keeps an error of ours, tells the address, and takes anything', () => {
    const ours = new PipelineError('SINK_UNAVAILABLE', 'SINK', 'down')
    expect(kafkaError(new Error('outer', { cause: ours }))).toBe(ours)
    const away = kafkaError(thrown({ code: 'ECONNREFUSED' }), 'FETCH', ['kafka:9092'])
    expect(away.message).toContain('does not answer at kafka:9092')
    expect(kafkaError('text')).toMatchObject({ failure: 'INTERNAL' })
    expect(kafkaError(null)).toMatchObject({ failure: 'INTERNAL' })
  })
})

describe('createHealth', () => {
  const transient = new PipelineError('TEMPORARY_FAILURE', 'FETCH', 'away')

  it('tells of lasting trouble once, and again after it was over', () => {
    const told: string[] = []
    const health = createHealth({ onTrouble: (error) => void told.push(error.failure) })
    health.failed(transient)
    health.failed(transient)
    expect(told).toEqual([])
    for (let i = 0; i < 5; i++) health.failed(transient)
    expect(told).toEqual(['TEMPORARY_FAILURE'])
    health.worked()
    health.failed(new PipelineError('INTERNAL', 'FETCH', 'a bug'))
    expect(told).toEqual(['TEMPORARY_FAILURE', 'INTERNAL'])
  })
})
