// The words of vendors one by one: times, severities, scores, texts, maps, and what has no home.
import { describe, expect, it } from 'vitest'
import { cvssOf } from '../../transformers/cvss.ts'
import { MAP_KEYS_MAX, labelPairs, textMapOf } from '../../transformers/maps.ts'
import { severityOf } from '../../transformers/severity.ts'
import { cutText, flagOf, numberOf, textOf, textsOf } from '../../transformers/text.ts'
import { dueAfterDays, timeOf } from '../../transformers/times.ts'
import {
  UNMAPPED_BYTES_MAX,
  UNMAPPED_KEYS_MAX,
  fieldNames,
  unmappedOf,
} from '../../transformers/unmapped.ts'

const NOW_MS = Date.UTC(2026, 0, 15)

describe('times', () => {
  it.each([
    [1660162500, 'seconds', 1660162500000],
    ['1660162500', 'seconds', 1660162500000],
    [1748399709000, 'milliseconds', 1748399709000],
    ['2022-08-10T20:15:00Z', 'seconds', 1660162500000],
    ['2022-08-10T20:15Z', 'milliseconds', 1660162500000],
    ['2022-08-10T22:15:00+02:00', 'milliseconds', 1660162500000],
    ['2022-08-10T20:15:00.123456789Z', 'milliseconds', 1660162500123],
    ['2022-08-10 20:15:00', 'milliseconds', 1660162500000],
    ['2022-08-10', 'milliseconds', Date.UTC(2022, 7, 10)],
  ] as const)('reads %j in %s', (value, unit, expected) => {
    expect(timeOf(value, unit, NOW_MS)).toBe(expected)
  })

  it.each([
    0,
    -1,
    null,
    '',
    'N/A',
    '[N/A]',
    '0001-01-01T00:00:00Z',
    '0000-01-01T00:00:00Z',
    '9999-12-31T23:59:59Z',
    '1989-12-31T23:59:59Z',
    '2022-02-31x',
    'soon',
    1e300,
    2 ** 63,
    true,
    {},
  ])('takes %j for no time', (value) => {
    expect(timeOf(value, 'milliseconds', NOW_MS)).toBeNull()
    expect(timeOf(value, 'seconds', NOW_MS)).toBeNull()
  })

  it('takes a day ahead of the fetch for a clock that is off, and more for no time', () => {
    const day = 86_400_000
    expect(timeOf(NOW_MS + day, 'milliseconds', NOW_MS)).toBe(NOW_MS + day)
    expect(timeOf(NOW_MS + day + 1, 'milliseconds', NOW_MS)).toBeNull()
  })

  it('keeps the end of a grace period when the next scan counts one day less', () => {
    const scan = Date.UTC(2026, 0, 10, 7, 12)
    const next = scan + 86_400_000 + 3_600_000
    expect(dueAfterDays(scan, 5)).toBe(Date.UTC(2026, 0, 15))
    expect(dueAfterDays(next, 4)).toBe(dueAfterDays(scan, 5))
    expect(dueAfterDays(scan, null)).toBeNull()
  })
})

describe('severity', () => {
  it.each([
    ['critical', null, 'CRITICAL', 5],
    ['SEV_050_CRITICAL', null, 'CRITICAL', 5],
    ['SEV_070_CRITICAL', null, 'CRITICAL', 5],
    [' Important ', null, 'HIGH', 4],
    ['SEV_040_HIGH', null, 'HIGH', 4],
    ['moderate', null, 'MEDIUM', 3],
    ['SEV_050_MEDIUM', null, 'MEDIUM', 3],
    ['negligible', 9.8, 'LOW', 2],
    ['not yet assigned', null, 'LOW', 2],
    ['SEV_020_LOW', null, 'LOW', 2],
    ['SEV_030_INFO', null, 'INFORMATIONAL', 1],
    ['SEV_010_INFORMATIONAL', null, 'INFORMATIONAL', 1],
    ['', 3.9, 'LOW', 2],
    [null, 4, 'MEDIUM', 3],
    ['N/A', 7, 'HIGH', 4],
    ['SEV_090_UNKNOWN', 9, 'CRITICAL', 5],
    ['whatever', 6.9, 'MEDIUM', 3],
    ['whatever', null, 'UNKNOWN', 0],
  ] as const)('reads %j with score %j as %s', (raw, score, severity, severity_id) => {
    expect(severityOf(raw, score)).toEqual({
      severity,
      severity_id,
      severity_raw: raw === null || raw === 'N/A' ? '' : raw.trim(),
    })
  })
})

describe('CVSS', () => {
  it('takes the version from the vector and prefers the newest', () => {
    const { cvss, cvss_score } = cvssOf([
      { score: '5.2', vector: 'AV:N/AC:L/Au:N/C:N/I:N/A:P' },
      { score: 9.1, vector: 'CVSS:3.1/AV:N/AC:L' },
      { score: 8.7, vector: 'CVSS:4.0/AV:N/AC:L' },
    ])
    expect(cvss.map((entry) => [entry.version, entry.base_score])).toEqual([
      ['4.0', 8.7],
      ['3.1', 9.1],
      ['2.0', 5.2],
    ])
    expect(cvss_score).toBe(8.7)
  })

  it.each([
    [0, null],
    [11, 'CVSS:3.1/AV:N'],
    [-1, null],
    [null, 'CVSS:3.1/AV:N'],
    ['high', null],
  ])('takes the score %j with vector %j for not scored', (score, vector) => {
    expect(cvssOf([{ score, vector }])).toEqual({ cvss: [], cvss_score: null })
  })

  it('keeps a real score of 0 and a score without a vector', () => {
    expect(cvssOf([{ score: 0, vector: 'CVSS:3.1/AV:L' }]).cvss_score).toBe(0)
    expect(cvssOf([{ score: 6.2, vector: '' }]).cvss[0]?.version).toBe('unknown')
  })
})

describe('text', () => {
  it('strips NUL and lone surrogates and keeps real characters', () => {
    expect(textOf('a\0b\ud800c\udc00😀é')).toBe('abc😀é')
  })

  it('never cuts inside a character', () => {
    expect(cutText('ab😀', 3)).toBe('ab')
  })

  it('refuses numbers that have lost digits', () => {
    expect(textOf(2 ** 53 + 2)).toBeNull()
    expect(textOf(42)).toBe('42')
  })

  it('unwraps lists of one and sorts lists of many', () => {
    expect(textOf(['one'])).toBe('one')
    expect(textOf(['one', 'two'])).toBeNull()
    expect(textsOf(['b', 'a', 'b', null, 5, 'N/A'])).toEqual(['5', 'a', 'b'])
    expect(textsOf('alone')).toEqual(['alone'])
    expect(textsOf(null)).toEqual([])
  })

  it('reads numbers and flags in every spelling', () => {
    expect(['8.8E-4', '5.2', 7, ['3'], '', 'x', Number.NaN].map(numberOf)).toEqual([
      0.00088,
      5.2,
      7,
      3,
      null,
      null,
      null,
    ])
    expect(['Y', 'n', true, 'TRUE', 0, '', null, 'maybe'].map(flagOf)).toEqual([
      true,
      false,
      true,
      true,
      false,
      null,
      null,
      null,
    ])
  })
})

describe('maps', () => {
  it('prefixes the prototype, joins several values and sorts', () => {
    const map = textMapOf([
      ['b', '2'],
      ['__proto__', 'x'],
      ['a', '2'],
      ['a', '1'],
      ['', 'y'],
    ])
    expect(Object.entries(map)).toEqual([
      ['_', 'y'],
      ['___proto__', 'x'],
      ['a', '1, 2'],
      ['b', '2'],
    ])
    expect(Object.getPrototypeOf(map)).toBe(Object.prototype)
  })

  it('keeps at most MAP_KEYS_MAX keys', () => {
    const pairs = Array.from({ length: MAP_KEYS_MAX + 9 }, (_, i) => [`k${i}`, ''] as const)
    expect(Object.keys(textMapOf(pairs))).toHaveLength(MAP_KEYS_MAX)
  })

  it('splits labels at the first colon', () => {
    expect(labelPairs(['a:b:c', 'alone'])).toEqual([
      ['a', 'b:c'],
      ['alone', ''],
    ])
  })
})

describe('what has no home', () => {
  it('is JSON with sorted keys, without what is known or empty', () => {
    const record = { z: { b: 1, a: ['y', 'x'] }, known: 1, none: null, zero: 0, list: [], t: 'a\0' }
    expect(unmappedOf(record, fieldNames('known'))).toEqual({
      t: '"a"',
      z: '{"a":["x","y"],"b":1}',
      zero: '0',
    })
  })

  it('names what is too long, too deep or too much instead of keeping it', () => {
    let deep: unknown = 1
    for (let i = 0; i < 100_000; i += 1) deep = [deep]
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`m${i + 10}`, i]))
    const record = { deep, long: 'x'.repeat(UNMAPPED_BYTES_MAX), ...many }
    const kept = unmappedOf(record, new Set())
    expect(Object.keys(kept)).toHaveLength(UNMAPPED_KEYS_MAX)
    expect(kept['deep']).toBeUndefined()
    expect(JSON.parse(kept['_omitted'] ?? '')).toEqual(expect.arrayContaining(['deep', 'long']))
  })
})
