// The CVE dictionary: recorded entries, numbers of 32 bits, and the ways to say that nobody knows.
import { describe, expect, it } from 'vitest'
import { uid } from '../../contracts/identity.ts'
import { vulnerability } from '../../contracts/vulnerability.ts'
import { withoutFloatNoise } from '../../transformers/floats.ts'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { FETCHED_MS, avroType, observe } from '../support/transform.ts'
import { assetEvent } from '../support/events.ts'

type Json = Record<string, unknown>
const type = avroType('Vulnerability')
const { meta } = assetEvent('vln_x')

/** What an entry says, held against the contract to the letter. */
function entryOf(row: Json) {
  const { vulnerabilities, assets, findings, drift } = observe('cloud.vulnerabilities', row)
  expect([assets, findings]).toEqual([[], []])
  const [state, ...more] = vulnerabilities ?? []
  if (state === undefined || more.length > 0) throw new Error('not exactly one entry')
  expect(vulnerability.omit({ meta: true }).safeParse(state).error).toBeUndefined()
  expect(type.isValid({ ...state, meta }, { noUndeclaredFields: true })).toBe(true)
  return { state, drift }
}
const stateOf = (more: Json) => entryOf({ vulnerability_id: 'CVE-2026-0001', ...more }).state

describe.runIf(samplesPresent)('the recorded dictionary', () => {
  const rows = () =>
    (
      sampleJson('cortex/uvem.get_vulnerabilities.reply.json') as {
        reply: { vulnerabilities: Json[] }
      }
    ).reply.vulnerabilities
  const recorded = (id: string) => {
    const row = rows().find((r) => r['vulnerability_id'] === id)
    if (row === undefined) throw new Error(`no ${id}`)
    return entryOf(row).state
  }

  it('is read as a whole, without drift and each entry once', () => {
    const all = rows().map(entryOf)
    expect(all).toHaveLength(290)
    expect(all.flatMap(({ drift }) => drift)).toEqual([])
    expect(new Set(all.map(({ state }) => state.vulnerability_uid)).size).toBe(290)
    // 52 have a score of 0 and 15 have none: neither is an assessment.
    expect(all.filter(({ state }) => state.cvss_score === null)).toHaveLength(67)
  })

  it('tells an exploited weakness', () => {
    expect(recorded('CVE-2025-30066')).toMatchObject({
      vulnerability_uid: uid('vln_', ['cortex', 'cortex-cloud', 'CVE-2025-30066']),
      severity: 'HIGH',
      severity_raw: 'high',
      cvss_score: 8.6,
      cvss: [{ version: 'unknown', vector: null, base_score: 8.6, source: 'nvd' }],
      epss: { score: 0.27641 },
      known_exploited: true,
      exploit: { available: true, maturity: 'IN_THE_WILD', sources: ['Threat Actors'] },
      published_at: Date.UTC(2025, 2, 15),
      modified_at: Date.UTC(2025, 2, 19),
      status: 'LISTED',
      unmapped: {
        attack_vector: '"Network"',
        cvss_score_source: '"NVD"',
        cvss_severity_source: '"NVD"',
      },
    })
  })

  it('tells where a weakness is known, and of which nobody knows more than its id', () => {
    expect(recorded('CVE-2025-30348')).toMatchObject({
      severity: 'UNKNOWN',
      packages: ['qt6-base', 'qtbase-opensource-src', 'qtbase-opensource-src-gles'],
      vendors: ['ubuntu'],
      distributions: [
        'ubuntu:bionic',
        'ubuntu:focal',
        'ubuntu:jammy',
        'ubuntu:noble',
        'ubuntu:xenial',
      ],
      published_at: Date.UTC(2025, 2, 21),
      modified_at: null,
    })
    expect(recorded('CVE-2025-52541')).toMatchObject({
      severity: 'UNKNOWN',
      cvss_score: null,
      cvss: [],
      epss: null,
      known_exploited: null,
      exploit: null,
      published_at: null,
      modified_at: null,
      last_seen: FETCHED_MS,
    })
  })
})

describe('an entry', () => {
  it('has the score that was meant, and the version where one is said', () => {
    expect(stateOf({ cvss_score: 6.199999809265137, cvss_version: '3.x' })).toMatchObject({
      cvss_score: 6.2,
      severity: 'MEDIUM',
      cvss: [{ version: 'unknown', base_score: 6.2 }],
    })
    expect(stateOf({ cvss_score: 5, cvss_version: '2.0' }).cvss).toMatchObject([{ version: '2.0' }])
  })

  it.each([
    ['unimportant', 'LOW'],
    ['critical', 'CRITICAL'],
    [null, 'UNKNOWN'],
  ])('of severity %j is %s', (cvss_severity, severity) => {
    expect(stateOf({ cvss_severity }).severity).toBe(severity)
  })

  it('known to be exploited has an exploit; one that is not may have one or not', () => {
    expect(stateOf({ cisa_kev: true }).exploit).toMatchObject({ available: true, sources: [] })
    expect(stateOf({ cisa_kev: false })).toMatchObject({ known_exploited: false, exploit: null })
  })

  it('has no probability outside 0 to 1', () => {
    expect(stateOf({ epss_score: 7 }).epss).toBeNull()
    expect(stateOf({ epss_score: 0.9749900102615356 }).epss?.score).toBe(0.97499)
  })

  it('has its id in capitals, and is refused without', () => {
    const { vuln_id } = entryOf({ vulnerability_id: 'cve-2026-0002' }).state
    expect(vuln_id).toBe('CVE-2026-0002')
    expect(() => observe('cloud.vulnerabilities', {})).toThrow('must have')
  })
})

describe('a number of 32 bits', () => {
  it.each([
    [6.199999809265137, 6.2],
    [9.800000190734863, 9.8],
    [0.00052, 0.00052],
    [7.5, 7.5],
    [0, 0],
    [0.123456789012, 0.123456789012],
  ])('%d was meant as %d', (given, meant) => {
    expect(withoutFloatNoise(given)).toBe(meant)
  })
})
