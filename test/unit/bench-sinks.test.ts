// The benchmark of sinks against the list of sinks: none without a store, none without figures.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { w3Section } from '../../bench/w3-document.ts'
import { BENCH_SINKS } from '../../bench/w3-stores.ts'
import { SINKS } from '../../sinks/sinks.ts'

const text = readFileSync(new URL('../../docs/sinks.md', import.meta.url), 'utf8')
const types = Object.keys(SINKS).toSorted()

it('measures every type of sink there is', () => {
  expect([...BENCH_SINKS.keys()].toSorted()).toEqual(types)
})

it('has figures of every type in docs/sinks.md, from the benchmark as a whole', () => {
  const [, section = ''] = text.split('<!-- begin W3 -->')
  const [table = ''] = section.split('<!-- end W3 -->')
  expect(table).toMatch(/^\nWritten by `npm run bench -- W3` on 20\d\d-\d\d-\d\d/)
  const rows = [...table.matchAll(/^\| `([a-z-]+)`: first load /gm)].map(([, type = '']) => type)
  expect(rows.toSorted()).toEqual(types)
})

it('writes its table between its marks, and nothing when only a part was measured', () => {
  const measured = {
    what: '`postgres`: first load',
    records: 10,
    seconds: 2,
    recordsPerSecond: 5,
    cpuSeconds: 1,
    peakRssBytes: 2 ** 20,
  }
  const before = 'a\n<!-- begin W3 -->\nold\n<!-- end W3 -->\nb\n'
  const after = w3Section(before, 'npm run bench -- W3', [measured])
  expect(after).toMatch(/^a\n<!-- begin W3 -->\n[^]*\n<!-- end W3 -->\nb\n$/)
  expect(after).toContain('| `postgres`: first load | 10 | 5 | 10 | 1 |')
  expect(after).not.toContain('old')
  expect(w3Section(before, 'npm run bench -- W3 --quick', [measured])).toBe(before)
})
