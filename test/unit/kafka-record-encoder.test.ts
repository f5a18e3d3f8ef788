// Our record encoder writes the very bytes of the one it replaces.
import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  encodeRecordWith,
  type EncodeRecord,
  type EncodedRecord,
} from '../../runtime/kafka/record-encoder.ts'

// Loaded past runtime/kafka/cures.ts, so that it is the stock one.
const stock = createRequire(import.meta.url)(
  'kafkajs/src/protocol/recordBatch/record/v0',
) as EncodeRecord

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
const some = fc.oneof(bytes, fc.string({ unit: 'grapheme' }), fc.constant(null))
const record = fc.record({
  offsetDelta: fc.nat(5_000),
  timestampDelta: fc.oneof(fc.constant(0), fc.integer(), fc.integer({ min: 0, max: 2 ** 40 })),
  key: some,
  value: some,
  headers: fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: 'grapheme' }), bytes)),
})

describe('encodeRecordWith', () => {
  it('writes what kafkajs writes, for any record', () => {
    const ours = encodeRecordWith(stock)
    fc.assert(
      fc.property(record, (input) => {
        expect(ours(input).buffer.equals(stock(input).buffer)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })

  it('leaves repeated headers and far times to the stock encoder, and nothing else', () => {
    const asked: unknown[] = []
    const spy = (input: object): EncodedRecord => {
      asked.push(input)
      return stock(input)
    }
    const ours = encodeRecordWith(spy)
    const plain = { key: 'k', value: Buffer.from('v'), headers: { h: '1' } }
    ours(plain)
    const repeated = { ...plain, headers: { h: ['1', '2'] } }
    const far = { ...plain, timestampDelta: 2 ** 35 }
    ours(repeated)
    ours(far)
    expect(asked).toEqual([repeated, far])
  })
})
