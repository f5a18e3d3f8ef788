// Weaknesses of Compute hosts: one finding of several rows, its package, fix, exploits and times.
import { describe, expect, it } from 'vitest'
import { FETCHED_MS, observe } from '../support/transform.ts'

const STREAM = 'compute.hosts'

type Json = Record<string, unknown>
const vulnerability = (more: Json = {}): Json => ({
  cve: 'CVE-2026-0001',
  severity: 'high',
  cvss: 7.5,
  vecStr: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H',
  status: 'fixed in 3.0.2',
  packageName: 'openssl',
  packageVersion: '3.0.1',
  ...more,
})
const hostWith = (...vulnerabilities: Json[]): Json => ({
  _id: 'web-1',
  distro: 'Ubuntu 24.04.1 LTS',
  vulnerabilities,
})
const findingOf = (more: Json, host: Json = {}) => {
  const [finding] = observe(STREAM, { ...hostWith(vulnerability(more)), ...host }).findings
  if (!finding) throw new Error('no finding')
  return finding
}

describe('one weakness in several rows', () => {
  it('is one finding with all versions and the highest severity', () => {
    const rows = [
      vulnerability({ packageVersion: '3.0.1', severity: 'low' }),
      vulnerability({ packageVersion: '3.0.0', severity: 'critical', status: 'fixed in 3.0.3' }),
      vulnerability({ packageVersion: '3.0.1', severity: 'medium' }),
    ]
    const { findings } = observe(STREAM, hostWith(...rows))
    expect(findings).toHaveLength(1)
    expect(findings[0]).toMatchObject({
      severity: 'CRITICAL',
      severity_raw: 'critical',
      package: { versions: ['3.0.0', '3.0.1'] },
      fix: { versions: ['3.0.2', '3.0.3'] },
    })
    expect(observe(STREAM, hostWith(...rows.toReversed())).findings).toEqual(findings)
  })

  it('keeps its id over versions, severities and letter case, not over packages', () => {
    const { finding_uid } = findingOf({})
    expect(findingOf({ packageVersion: '9', severity: 'low', cvss: 1 }).finding_uid).toBe(
      finding_uid,
    )
    expect(findingOf({ cve: 'cve-2026-0001' }).finding_uid).toBe(finding_uid)
    expect(findingOf({ packageName: 'libssl3' }).finding_uid).not.toBe(finding_uid)
    expect(findingOf({ packageType: 'nodejs' }).finding_uid).not.toBe(finding_uid)
    expect(findingOf({ cve: 'CVE-2026-0002' }).finding_uid).not.toBe(finding_uid)
  })
})

describe('first seen', () => {
  const first = '2025-12-01T00:00:00Z'
  it.each([
    ['discovered after the first scan', '2025-12-09T00:00:00Z', first, Date.UTC(2025, 11, 9)],
    ['discovered before the first scan', '2022-08-10T20:15:00Z', first, FETCHED_MS],
    ['discovered on a host without a first scan', '2025-12-09T00:00:00Z', null, FETCHED_MS],
    ['never discovered', '0001-01-01T00:00:00Z', first, FETCHED_MS],
    ['discovered later than fetched', '2026-01-15T09:00:00Z', first, FETCHED_MS],
  ])('%s', (_what, discovered, firstScanTime, expected) => {
    expect(findingOf({ discovered }, { firstScanTime }).first_seen).toBe(expected)
  })
})

describe('the package of a weakness', () => {
  const packages = [
    { pkgsType: 'package', pkgs: [{ name: 'openssl', version: '3.0.1', license: 'Apache-2.0' }] },
    {
      pkgsType: 'nodejs',
      pkgs: [
        { name: 'qs', version: '6.5.0', path: '/b/qs', purl: 'pkg:npm/qs@6.5.0' },
        { name: 'qs', version: '6.5.0', path: '/a/qs', purl: 'pkg:npm/qs@6.5.0' },
        { name: 'qs', version: '6.9.0', path: '/c/qs' },
      ],
    },
    { pkgsType: 'jar', pkgs: [{ name: 'log4j-core', version: '2.14.1', path: '/app/log4j.jar' }] },
  ]

  it('is found in the lists by name and version', () => {
    expect(findingOf({}, { packages }).package).toMatchObject({
      type: 'deb',
      license: 'Apache-2.0',
      paths: [],
    })
    const qs = findingOf({ packageName: 'qs', packageVersion: '6.5.0' }, { packages })
    expect(qs.package).toMatchObject({
      type: 'npm',
      purl: 'pkg:npm/qs',
      paths: ['/a/qs', '/b/qs'],
    })
  })

  it.each([
    ['its own word', { packageType: 'python' }, {}, 'pypi'],
    ['the same name in another version', { packageName: 'log4j-core' }, { packages }, 'maven'],
    ['an application', {}, { applications: [{ name: 'openssl', version: '3.0.1' }] }, 'app'],
    ['a module path', { packageName: 'github.com/golang-jwt/jwt/v4' }, {}, 'go'],
    ['the distribution', { binaryPkgs: ['libssl3'] }, {}, 'deb'],
    ['a scanner of Windows', { type: 'windows' }, { distro: '' }, 'os'],
    ['nothing', {}, { distro: '' }, null],
  ])('has its type from %s', (_what, row, host, type) => {
    expect(findingOf(row, host).package?.type).toBe(type)
  })

  it('is null where the row names none', () => {
    expect(findingOf({ packageName: '' }).package).toBeNull()
  })
})

describe('fixes and exploits', () => {
  it.each([
    ['fixed in 1.18.4, 1.17.12', true, ['1.17.12', '1.18.4']],
    ['Fixed in 2.0', true, ['2.0']],
    ['will not fix', false, []],
    ['deferred', false, []],
  ])('reads the status %j', (status, available, versions) => {
    expect(findingOf({ status }).fix).toMatchObject({ available, versions, text: status })
  })

  it('says nothing about a fix where the row does not', () => {
    expect(findingOf({ status: '' }).fix).toBeNull()
    expect(findingOf({ status: '', riskFactors: { 'Has fix': {} } }).fix?.available).toBe(true)
  })

  it.each([
    [
      'a listed exploit of CISA',
      { exploits: [{ source: 'cisa-kev', kind: 'in-the-wild', link: 'https://e.example/1' }] },
      true,
      { available: true, maturity: 'IN_THE_WILD', urls: ['https://e.example/1'] },
    ],
    ['the old word', { exploit: 'cisa-kev' }, true, { available: true, maturity: 'IN_THE_WILD' }],
    [
      'a proof of concept',
      { exploits: [{ source: 'exploit-db', kind: 'poc' }] },
      false,
      { available: true, maturity: 'POC', sources: ['exploit-db'] },
    ],
    ['an empty list', { exploits: [] }, false, null],
    ['an empty word', { exploit: '' }, null, { available: false, maturity: 'NONE' }],
    [
      'a risk factor',
      { riskFactors: { 'Exploit exists - in the wild': {} } },
      null,
      { available: true, maturity: 'IN_THE_WILD' },
    ],
  ])('reads %s', (_what, row, known, exploit) => {
    const finding = findingOf(row)
    expect(finding.known_exploited).toBe(known)
    if (exploit === null) expect(finding.exploit?.available ?? false).toBe(false)
    else expect(finding.exploit).toMatchObject(exploit)
  })

  it('says nothing about exploits where the row does not', () => {
    expect(findingOf({})).toMatchObject({ known_exploited: null, exploit: null })
  })
})
