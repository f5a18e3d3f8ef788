// Keys and headers that are no text come through reading and writing to the byte.
import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { OutRecord } from '../../contracts/processing.ts'
import { topicMessagesOf } from '../../runtime/kafka/outgoing.ts'
import { encodeRecordWith, type EncodeRecord } from '../../runtime/kafka/record-encoder.ts'
import { type HeaderBytes, recordText } from '../../runtime/kafka/record-text.ts'

const require = createRequire(import.meta.url)
const stock = require('kafkajs/src/protocol/recordBatch/record/v0') as EncodeRecord
const encode = encodeRecordWith(stock)

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array))
const text = fc.string({ unit: 'grapheme' }).map((string) => Buffer.from(string))
const part = fc.oneof(bytes, text)
const odd = fc.constantFrom('1', '__proto__', 'toString', '', 'twice').map((n) => Buffer.from(n))
const header = fc.tuple(fc.oneof(part, odd), fc.option(part))
const key = fc.option(part)

/** The bytes of a record with these parts, whatever text they were read as. */
const wire = (keyBytes: Buffer | null, headers: readonly HeaderBytes[]) =>
  encode({ key: keyBytes, value: null, headers }).buffer

function outgoing(keyBytes: Buffer | null, headers: readonly HeaderBytes[]) {
  const record: OutRecord = {
    topic: 't',
    partition: 0,
    value: null,
    ...recordText(keyBytes, headers),
  }
  const message = topicMessagesOf([record])[0]?.messages[0]
  if (message === undefined) throw new Error('no message')
  return message
}

describe('a record that is read and written again', () => {
  it('has the same bytes, whatever its key and headers are', () => {
    fc.assert(
      fc.property(key, fc.array(header, { maxLength: 6 }), (keyBytes, headers) => {
        const again = encode(outgoing(keyBytes, headers)).buffer
        expect(again.equals(wire(keyBytes, headers))).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })

  it('is text alone where text says all', () => {
    const pair = (name: string, value: string): HeaderBytes => [
      Buffer.from(name),
      Buffer.from(value),
    ]
    expect(recordText(Buffer.from('kéy'), [pair('a', '1'), pair('toString', '')])).toEqual({
      key: 'kéy',
      headers: { a: '1', toString: '' },
    })
  })

  it.for([
    ['a key that is no UTF-8', Buffer.from([0xff]), []],
    ['no key', null, []],
    ['a header twice', Buffer.from('k'), [Buffer.from('h'), Buffer.from('h')]],
    ['a name that objects order', Buffer.from('k'), [Buffer.from('b'), Buffer.from('1')]],
  ] as const)('keeps its bytes beside the text with %s', ([, keyBytes, names]) => {
    const headers = names.map((name, at) => [name, Buffer.from(String(at))] as const)
    expect(recordText(keyBytes, headers).exact).toEqual({ key: keyBytes, headers })
  })

  it('shows the first of repeated headers as text', () => {
    const twice = ['1', '2'].map((value) => [Buffer.from('h'), Buffer.from(value)] as const)
    expect(recordText(Buffer.from('k'), twice).headers).toEqual({ h: '1' })
  })
})
