// The byte scanner of listings: elements in their very bytes, whatever the JSON and the chunking.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ElementScanner, cutObject, type JsonElement } from '../../runtime/json-elements.ts'
import { LineScanner } from '../../runtime/json-lines.ts'

type Scanner = { push(chunk: Buffer): JsonElement[] }

function pushAll(scanner: Scanner, document: Buffer, cuts: readonly number[]): JsonElement[] {
  const borders = [0, ...cuts.map((c) => c % (document.length + 1)), document.length]
  borders.sort((a, b) => a - b)
  const elements: JsonElement[] = []
  for (let i = 1; i < borders.length; i += 1) {
    elements.push(...scanner.push(document.subarray(borders[i - 1], borders[i])))
  }
  return elements
}

function scan(document: string | Buffer, path: string[] = [], bytesMax?: number) {
  const scanner = new ElementScanner(path, bytesMax)
  const elements = scanner.push(Buffer.from(document))
  return { elements, beside: scanner.end() }
}

const spaces = fc.string({ unit: fc.constantFrom(' ', '\n', '\t', '\r'), maxLength: 3 })
const text = fc
  .tuple(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom<string | undefined>(undefined, '  ', '\t'))
  .map(([value, indent]) => JSON.stringify(value, null, indent))
const cuts = fc.array(fc.nat(), { maxLength: 30 })
const pathOf = fc.array(fc.constantFrom('reply', 'results', 'data', 'a"b', 'é'), { maxLength: 3 })

describe('elements of an array', () => {
  it('are the bytes of the source slices, for any JSON, path, white space and chunking', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(spaces, text, spaces)),
        pathOf,
        fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 3 }),
        cuts,
        (items, path, extra, cutAt) => {
          let document = `[${items.map((parts) => parts.join('')).join(',')}]`
          for (const key of path.toReversed()) {
            const rest = Object.entries(extra).filter(([k]) => k !== key)
            const members = rest.map(([k, v]) => `${JSON.stringify(k)} : ${JSON.stringify(v)}`)
            document = `{${[...members, `${JSON.stringify(key)}:${document}`].join(' , ')}}\n`
          }
          const scanner = new ElementScanner(path)
          const elements = pushAll(scanner, Buffer.from(document), cutAt)
          const beside = scanner.end()
          expect(elements.map((e) => e.bytes?.toString())).toEqual(items.map(([, t]) => t))
          expect(elements.map((e) => e.value)).toEqual(items.map(([, t]) => JSON.parse(t)))
          const emptied = document.replace(`[${items.map((p) => p.join('')).join(',')}]`, '[]')
          expect(beside).toEqual({ found: true, value: JSON.parse(emptied) })
        },
      ),
      { numRuns: 500 },
    )
  })

  it('are refused when the document is cut anywhere', () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1 }), fc.nat(), (items, at) => {
        const document = Buffer.from(`{"reply":{"data":[${items.join(',')}]}}`)
        const cut = document.subarray(0, at % document.length)
        const run = () => scan(cut, ['reply', 'data'])
        expect(run).toThrowError(expect.objectContaining({ failure: 'INVALID_RESPONSE' }))
      }),
      { numRuns: 500 },
    )
  })

  it.each([
    ['trailing garbage', '[1] x'],
    ['a second document', '[1] [2]'],
    ['a missing comma', '[{} {}]'],
    ['a comma too many', '[1,]'],
    ['an unclosed list in an object', '{"a":[1}'],
    ['a word that is none', '[nul]'],
    ['a wrong bracket inside an element', '[{"a":1]}]'],
    ['HTML', '<html><body>Bad gateway</body></html>'],
    ['nothing', ''],
  ])('are refused with INVALID_RESPONSE for %s', (_, document) => {
    const run = () => scan(document)
    expect(run).toThrowError(expect.objectContaining({ failure: 'INVALID_RESPONSE' }))
  })

  it('are none, and the list not found, for a null body or a null list', () => {
    expect(scan('null\n')).toEqual({ elements: [], beside: { found: false, value: null } })
    expect(scan('{"reply":{"data":null}}', ['reply', 'data']).beside.found).toBe(false)
    expect(scan('{"reply":{"data":{"data":[1]}}}', ['reply', 'data']).elements).toEqual([])
  })

  it('above the bound keep only size and head, from which the id can be read', () => {
    const big = JSON.stringify({ _id: 'h-1', type: 'host', pad: 'x'.repeat(200_000), z: 1 })
    const { elements } = scan(`[{"_id":"a"},${big},{"_id":"b"}]`, [], 1_000)
    expect(elements.map((e) => e.bytes?.toString() ?? null)).toEqual([
      '{"_id":"a"}',
      null,
      '{"_id":"b"}',
    ])
    expect(elements[1]?.sizeBytes).toBe(big.length)
    expect(elements[1]?.head.length).toBeLessThanOrEqual(64 * 1024)
    expect(cutObject(elements[1]?.head ?? Buffer.alloc(0))).toEqual({ _id: 'h-1', type: 'host' })
  })

  it('leave no payload in the error', () => {
    const run = () => scan('[{"secret":"canary-1" "x"}]')
    expect(run).toThrowError(
      expect.not.objectContaining({ message: expect.stringContaining('canary') }),
    )
  })
})

describe('lines of NDJSON', () => {
  it('are the bytes of the lines, for any chunking, line end and blank line', () => {
    const line = fc.tuple(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom('\n', '\r\n', ' \n\n'))
    fc.assert(
      fc.property(fc.array(line), cuts, fc.boolean(), (lines, cutAt, lastNewline) => {
        const texts = lines.map(([value]) => JSON.stringify(value))
        let document = lines.map(([, end], i) => (texts[i] ?? '') + end).join('')
        if (!lastNewline) document = document.trimEnd()
        const scanner = new LineScanner()
        const elements = pushAll(scanner, Buffer.from(document), cutAt).concat(scanner.end())
        expect(elements.map((e) => e.bytes?.toString())).toEqual(texts)
      }),
      { numRuns: 300 },
    )
  })

  it('are refused when the last one is cut', () => {
    const scanner = new LineScanner()
    scanner.push(Buffer.from('{"a":1}\n{"a":'))
    expect(() => scanner.end()).toThrowError(
      expect.objectContaining({ failure: 'INVALID_RESPONSE' }),
    )
  })
})
