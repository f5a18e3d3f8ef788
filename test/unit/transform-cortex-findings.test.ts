// Cortex findings: rows that name their asset without showing it.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { FETCHED_MS, observe } from '../support/transform.ts'

type Json = Record<string, unknown>
const first = <T>(items: readonly T[]): T => {
  const [item] = items
  if (item === undefined) throw new Error('nothing there')
  return item
}
const rows = (name: string): Json[] =>
  (sampleJson('cortex/constructed/rows.json') as Record<string, Json[]>)[name] ?? []
const row = (fields: Json = {}, more: Json = {}): Json => ({
  'xdm.finding.id': 'f-1',
  'xdm.finding.asset_id': 'a1',
  'xdm.finding.normalized_fields': { 'xdm.vulnerability.cve_id': 'CVE-2026-0001', ...fields },
  ...more,
})
const finding = (fields: Json = {}, more: Json = {}) =>
  first(observe('cloud.findings', row(fields, more)).findings)
function violationsOf(stream: string, unit: unknown): readonly string[] {
  try {
    observe(stream, unit)
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error
    expect(error).toMatchObject({ failure: 'SCHEMA_VIOLATION', stage: 'NORMALIZE' })
    return error.details.violations ?? []
  }
  throw new Error('it was not refused')
}

describe('a finding row', () => {
  it.skipIf(!samplesPresent)('yields the finding and never the asset it names', () => {
    const observation = observe('cloud.findings', first(rows('findings')))
    expect(observation).toMatchObject({ assets: [], findingsKnown: true })
    const machine = first(observe('cloud.assets', first(rows('assets_live_wire'))).assets)
    expect(first(observation.findings)).toMatchObject({
      asset_uid: machine.asset_uid,
      entity_uid: null,
      correlation_uid: null,
      asset: {
        name: 'ip-10-0-1-105.eu-west-3.compute.internal',
        kind: 'VIRTUAL_MACHINE',
        hostname: 'ip-10-0-1-105.eu-west-3.compute.internal',
      },
      vuln_id: 'CVE-2021-41617',
      vuln_id_scheme: 'cve',
      title: 'CVE-2021-41617 found in openssh-server',
      status: 'OPEN',
      severity: 'HIGH',
      severity_raw: 'High',
      cvss_score: 7,
      cvss: [{ version: 'unknown', vector: null, base_score: 7 }],
      epss: { score: 0.00074 },
      known_exploited: null,
      exploit: { available: false, maturity: 'NONE' },
      package: {
        name: 'openssh-server',
        versions: ['1:8.2p1-4ubuntu0.2'],
        type: 'deb',
        purl: 'pkg:deb/ubuntu/openssh-server',
      },
      fix: { available: true, versions: ['1:8.2p1-4ubuntu0.3'] },
      internet_exposed: true,
      // first_observed is null: the day of publication stands in.
      first_seen: Date.UTC(2021, 8, 26, 19, 15),
      published_at: Date.UTC(2021, 8, 26, 19, 15),
      last_seen: 1748399709000,
    })
  })

  it.each([
    [{ 'xdm.finding.first_observed': 1747834085000 }, {}, 1747834085000],
    [
      { 'xdm.finding.first_observed': 0, 'xdm.finding.last_observed': 1748399709000 },
      {},
      1748399709000,
    ],
    [{}, { 'xdm.vulnerability.publish_date': '2021-09-26' }, Date.UTC(2021, 8, 26)],
    [{}, {}, FETCHED_MS],
  ])('with %j and %j was first seen at %i', (more, fields, expected) => {
    expect(finding(fields, more).first_seen).toBe(expected)
  })

  it('is the same whether its fields are an object, a text, or columns', () => {
    const fields = {
      'xdm.vulnerability.cve_id': 'CVE-2026-0001',
      'xdm.vulnerability.severity': 'L',
    }
    const key = 'xdm.finding.normalized_fields'
    const expected = finding(fields)
    expect(finding({}, { [key]: JSON.stringify(fields) })).toEqual(expected)
    expect(finding({}, { [key]: null, ...fields })).toEqual(expected)
  })

  it('lets a column win over the same field inside, unless it is null', () => {
    const key = 'xdm.vulnerability.severity'
    expect(finding({ [key]: 'low' }, { [key]: 'high' }).severity).toBe('HIGH')
    expect(finding({ [key]: 'low' }, { [key]: null }).severity).toBe('LOW')
  })

  it.each([
    ['pkg:npm/%40angular/core@12.3.1', null, 'os', '@angular/core', 'npm'],
    ['pkg:golang/github.com/a/b@v1', null, null, 'github.com/a/b', 'go'],
    [null, 'openssl', 'os', 'openssl', 'deb'],
    [null, 'openssl', null, 'openssl', null],
    [null, 'pkg:pypi/requests@2', null, 'requests', 'pypi'],
    ['pkg:deb/ubuntu/libssl3@3', 'openssl', 'os', 'openssl', 'deb'],
  ])('with URL %j, id %j and word %j names the package %s of type %s', (purl, id, word, n, t) => {
    const { package: affected } = finding({
      'xdm.software_package.purl': purl,
      'xdm.software_package.id': id,
      'xdm.software_package.type': word,
      'xdm.host.os_distribution': 'ubuntu',
    })
    expect(affected).toMatchObject({ name: n, type: t })
  })

  it('knows exploited weaknesses by their risk factor', () => {
    const key = 'xdm.vulnerability.cve_risk_factors'
    expect(finding({ [key]: ['Has fix', 'Exploited in the wild'] })).toMatchObject({
      known_exploited: true,
      exploit: { available: true, maturity: 'IN_THE_WILD' },
      risk_factors: ['Exploited in the wild', 'Has fix'],
    })
    expect(finding({ [key]: ['Has fix'] })).toMatchObject({ known_exploited: false, exploit: null })
    expect(finding().known_exploited).toBeNull()
  })

  it('reads fixes as a list or a text, and says nothing where the row does not', () => {
    const key = 'xdm.vulnerability.fix_versions'
    expect(finding({ [key]: '2.0, 1.9' }).fix).toMatchObject({
      available: true,
      versions: ['1.9', '2.0'],
    })
    expect(finding({ 'xdm.vulnerability.has_a_fix': false }).fix?.available).toBe(false)
    expect(finding().fix).toBeNull()
  })

  it('judges by the score where there is no word, and keeps odd numbers out', () => {
    expect(finding({ 'xdm.vulnerability.cvss_score': 6.199999809265137 })).toMatchObject({
      severity: 'MEDIUM',
      cvss_score: 6.199999809265137,
    })
    expect(finding({ 'xdm.vulnerability.epss_score': 7 }).epss).toBeNull()
    expect(finding({ 'xdm.vulnerability.epss_score': '8.8E-4' }).epss?.score).toBe(0.00088)
  })

  it('that is no longer active shows nothing', () => {
    const observation = observe('cloud.findings', row({}, { 'xdm.finding.is_active': false }))
    expect(observation).toEqual({ assets: [], findings: [], findingsKnown: true, drift: [] })
  })

  it('keeps the id of its finding over versions and severities, not over packages', () => {
    const packaged = (id: string, more: Json = {}) =>
      finding({ 'xdm.software_package.id': id, ...more }).finding_uid
    const same = packaged('openssl', { 'xdm.software_package.version': '3.0.1' })
    expect(packaged('openssl', { 'xdm.software_package.version': '3.0.2' })).toBe(same)
    expect(packaged('openssl', { 'xdm.vulnerability.severity': 'low' })).toBe(same)
    expect(packaged('libssl3')).not.toBe(same)
  })

  it('is refused without its id, its asset or its weakness', () => {
    expect(violationsOf('cloud.findings', {})).toEqual([
      'xdm.finding.id: is missing',
      'xdm.finding.asset_id: is missing',
      'xdm.vulnerability.cve_id: is missing',
    ])
    const broken = row({}, { 'xdm.finding.normalized_fields': '{cut' })
    expect(violationsOf('cloud.findings', broken)).toEqual(['xdm.vulnerability.cve_id: is missing'])
  })
})
