// Rows of CSPM's vulnerability download, as recorded or written by hand, and what is said of them.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { FindingState } from '../../contracts/finding.ts'
import { sampleJson, samplePath, samplesPresent } from '../support/samples.ts'
import { FETCHED_MS, TENANT, expectValid, transformerOf } from '../support/transform.ts'

const CSV = 'text/csv'

/** One row as the source gives it. */
function observeRow(columns: string, row: string) {
  const transformer = transformerOf('cspm.vulnerabilities')
  const { vendor, product } = transformer
  const observation = transformer.transform({
    facts: {
      connection: 'prod',
      vendor,
      product,
      tenant: TENANT,
      stream: 'cspm.vulnerabilities',
      unit: 'u',
      assetNativeId: 'a',
      runId: 'r',
      fetchedAtMs: FETCHED_MS,
      endpoint: '/x',
      page: 1,
      contentType: CSV,
      columns,
      tooLargeBytes: null,
    },
    body: Buffer.from(row),
  })
  expectValid(observation)
  return observation
}
const findingIn = (columns: string, row: string): FindingState => {
  const [finding] = observeRow(columns, row).findings
  if (finding === undefined) throw new Error('no finding')
  return finding
}

describe.runIf(samplesPresent)('a recorded row', () => {
  it('of the download says what its consumers expect of it', () => {
    const text = readFileSync(samplePath('prisma-cloud/cspm/uve_download.csv'), 'utf8').trimEnd()
    const [columns = '', ...rows] = text.split(/\r?\n/)
    const expected = sampleJson('prisma-cloud/cspm/uve_download.expected.json') as Record<
      string,
      unknown
    >[]
    expect(rows).toHaveLength(expected.length)
    for (const [n, row] of rows.entries()) {
      const finding = findingIn(columns, row)
      const want = expected[n] ?? {}
      const iso = (ms: number | null | undefined) =>
        ms == null ? null : new Date(ms).toISOString()
      expect({
        id: want['event.id'],
        provider: finding.asset.cloud_provider,
        account: finding.asset.cloud_account_id,
        package: finding.package?.name,
        versions: finding.package?.versions,
        fixes: finding.fix?.versions,
        discovered: iso(finding.first_seen),
        published: iso(finding.published_at),
        fixDate: iso(finding.fix?.fixed_at),
        cvss: finding.cvss_score,
        epss: finding.epss?.score,
        severity: finding.severity_raw,
        inUse: finding.package?.in_use,
      }).toEqual({
        id: `${row.split(',')[1]}|${finding.vuln_id}`,
        provider: want['cloud.provider'],
        account: want['cloud.account.id'],
        package: want['package.name'],
        versions: want['package.version'],
        fixes: want['package.fixed_version'] ?? [],
        discovered: want['discovered'],
        published: want['published'],
        fixDate: want['fix_date'],
        cvss: want['cvss'],
        epss: want['epss'],
        severity: want['severity'],
        inUse: want['package_in_use'],
      })
    }
    expect(rows.flatMap((row) => observeRow(columns, row).drift)).toEqual([])
    expect(findingIn(columns, rows[0] ?? '')).toMatchObject({
      asset: { kind: 'VIRTUAL_MACHINE' },
      internet_exposed: true,
      known_exploited: false,
      exploit: { available: false, maturity: 'NONE', sources: [] },
      fix: { available: false },
      vendor_status: 'N',
      risk_factors: [],
      unmapped: { DISTRIBUTION: '"ubuntu"', OS_RELEASE: '"jammy"' },
    })
    expect(findingIn(columns, rows[1] ?? '')).toMatchObject({
      asset: { kind: 'CODE_REPOSITORY' },
      exploit: { available: true, maturity: 'POC', sources: ['github.gist'] },
      fix: { available: true, versions: ['3.9.0'] },
      risk_factors: [
        'ATTACK_COMPLEXITY: Low',
        'ATTACK_VECTOR: Network',
        'PRIVILEGES_REQUIRED: None',
        'USER_INTERACTION: None',
      ],
    })
  })
})

describe('a row of the download', () => {
  const columns = 'ASSET_ID,ASSET_TYPE,CVE_ID,PACKAGE_NAME,INSTALLED_VERSIONS,SEVERITY,CISA_KEV'

  it('keeps the id of its finding over versions and severities, not over packages', () => {
    const of = (row: string) => findingIn(columns, row).finding_uid
    const first = of('a,host,CVE-2026-0001,p,[1],high,N')
    expect(of('a,host,cve-2026-0001,p,"[1, 2]",low,Y')).toBe(first)
    expect(of('a,host,CVE-2026-0001,q,[1],high,N')).not.toBe(first)
    expect(of('b,host,CVE-2026-0001,p,[1],high,N')).not.toBe(first)
  })

  it('may hold commas, quotes and line breaks in a field', () => {
    const finding = findingIn(columns, 'a,iac,CVE-2026-0001,"p ""x"",\ny","[2, 1]",high,Y')
    expect(finding.package).toMatchObject({ versions: ['1', '2'] })
    expect(finding.package?.name).toContain('"x",')
    expect(finding).toMatchObject({
      known_exploited: true,
      exploit: { maturity: 'IN_THE_WILD', sources: ['cisa-kev'] },
    })
  })

  it('tells new columns and words, and numbers that are none', () => {
    const drift = (names: string, row: string) => observeRow(`${columns},${names}`, row).drift
    const row = 'a,host,CVE-2026-0001,p,[1]'
    const numbers = 'CVSS_BASE_SCORE,EPSS_SCORE'
    for (const known of ['high,N,7.5,1.7E-4', 'none,N,N/A,N/A', 'N/A,N,,']) {
      expect(drift(numbers, `${row},${known}`)).toEqual([])
    }
    expect(drift('AGE', `${row},urgent,N,3`)).toEqual([
      { kind: 'new-value', path: 'SEVERITY', detail: 'urgent' },
      { kind: 'new-field', path: 'AGE', detail: 'string' },
    ])
    expect(drift(numbers, `${row},high,N,7.5/10,"1,7E-4"`)).toEqual([
      { kind: 'type-change', path: 'CVSS_BASE_SCORE', detail: 'number -> string' },
      { kind: 'type-change', path: 'EPSS_SCORE', detail: 'number -> string' },
    ])
  })

  it('goes to the dead letters without an id, or when it is not one row', () => {
    expect(() => observeRow(columns, 'N/A,host,CVE-1,p,[1],high,N')).toThrow(/lacks what every/)
    expect(() => observeRow(columns, 'a,host')).toThrow(/lacks what every/)
    expect(() => observeRow(columns, 'a,host,"C')).toThrow(/not one row/)
    expect(() => observeRow(columns, 'a,host,C,p,1,high,N\nb,host,C,p,1,high,N')).toThrow(/one row/)
  })
})
