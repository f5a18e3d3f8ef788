// Dead letters keep the record as it was and say why, briefly and without secrets.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { partitionOf } from '../../contracts/placement.ts'
import { attemptsOf, deadLetter, withHeaders, withoutOurs } from '../../runtime/dead-letter.ts'

const record = {
  topic: 'p.exposure.findings',
  partition: 3,
  offset: 9_007_199_254_740_993n,
  key: 'fnd_1',
  value: Buffer.from([0, 255, 1]),
  headers: { 'x-product': 'cortex-xdr' },
}
const headersFor = (message: string, violations: string[] = []) =>
  deadLetter('p.', record, new PipelineError('SINK_REJECTED', 'SINK', message, { violations }), 2)
    .headers

describe('deadLetter', () => {
  it('keeps key, bytes and headers, and tells where the record was and why it is here', () => {
    const error = new PipelineError('SINK_REJECTED', 'SINK', '22003: out of range')
    expect(deadLetter('p.', record, error, 2)).toEqual({
      topic: 'p.exposure.dlq',
      partition: partitionOf('fnd_1', 3),
      key: 'fnd_1',
      value: Buffer.from([0, 255, 1]),
      headers: {
        'x-product': 'cortex-xdr',
        'x-dlq-reason': 'SINK_REJECTED',
        'x-dlq-stage': 'SINK',
        'x-dlq-error': '22003: out of range',
        'x-dlq-topic': 'p.exposure.findings',
        'x-dlq-partition': '3',
        'x-dlq-offset': '9007199254740993',
        'x-dlq-attempts': '2',
      },
    })
  })

  it('holds the reason to 1 kB without cutting a character in half', () => {
    const text = headersFor('é'.repeat(3_000))['x-dlq-error'] ?? ''
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(1_000)
    expect(text).toMatch(/^é+$/)
    expect(headersFor('a', ['name: is not string'])['x-dlq-error']).toBe('a; name: is not string')
  })

  it('counts the headers instead of keeping them when they would not fit', () => {
    const error = new PipelineError('SCHEMA_VIOLATION', 'NORMALIZE', 'no unit')
    const with1 = (bytes: number) => {
      const headers = { 'x-product': 'cortex-xdr', 'x-columns': 'é'.repeat(bytes / 2) }
      return deadLetter('p.', { ...record, headers }, error, 1).headers
    }
    expect(with1(1_000_000)['x-columns']).toHaveLength(500_000)
    expect(with1(1_000_000)).not.toHaveProperty('x-dlq-headers-dropped')
    const dropped = with1(1024 * 1024)
    expect(dropped).toMatchObject({
      'x-dlq-headers-dropped': '2',
      'x-dlq-offset': String(record.offset),
    })
    expect(JSON.stringify(dropped).length).toBeLessThan(1_000)
  })

  it('keeps bytes that are no text, and takes off only what it had put on', () => {
    const bytes = (hex: string) => Buffer.from(hex, 'hex')
    const error = new PipelineError('INVALID_RESPONSE', 'NORMALIZE', 'not JSON')
    const exact = {
      key: bytes('ff00'),
      headers: [
        [bytes('fe'), bytes('ff')],
        [Buffer.from('x-unit'), null],
        [Buffer.from('x-unit'), Buffer.from('u')],
      ] as const,
    }
    const damaged = { ...record, key: '\ufffd\0', headers: { 'x-unit': '' }, exact }
    const letter = deadLetter('p.', damaged, error, 1)
    expect(letter.exact?.key).toEqual(exact.key)
    expect(letter.exact?.headers.slice(0, 3)).toEqual(exact.headers)
    expect(withoutOurs(letter).exact).toEqual(exact)
    const added = letter.exact?.headers.slice(3).map(([name, v]) => `${String(name)}=${String(v)}`)
    expect(added).toContain('x-dlq-reason=INVALID_RESPONSE')
    const replayed = withHeaders(withoutOurs(letter), {
      'x-dlq-attempts': '1',
      'x-dlq-replay': 'r',
    })
    expect(attemptsOf(replayed.headers)).toBe(1)
    const again = deadLetter('p.', { ...damaged, ...replayed }, error, 2)
    const names = again.exact?.headers.map(([name]) => name.toString('latin1')) ?? []
    expect(new Set(names).size).toBe(names.length - 1)
    expect(again.headers).toMatchObject({ 'x-dlq-replay': 'r', 'x-dlq-attempts': '2' })
    expect(withoutOurs(again).exact).toEqual(exact)
  })

  it('does not believe a count of attempts that is none', () => {
    const counts = ['-1', 'many', '1.5', '', '3'].map((text) =>
      attemptsOf({ 'x-dlq-attempts': text }),
    )
    expect(counts).toEqual([0, 0, 0, 0, 3])
    expect(attemptsOf({})).toBe(0)
  })

  it('masks what looks like a secret', () => {
    for (const text of [
      'cannot reach postgres://user:canary@host/db',
      'sent Authorization: Bearer canary',
      'password=canary refused',
      '"api_key": "canary"',
    ]) {
      expect(headersFor(text)['x-dlq-error']).not.toContain('canary')
    }
  })
})
