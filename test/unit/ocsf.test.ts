// OCSF: the page that tells of it, what every event has, findings, and the checks themselves.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Severity } from '../../contracts/event-meta.ts'
import type { Finding } from '../../contracts/finding.ts'
import { assetRows, errorRows, findingRows, ocsfText } from '../../docs/ocsf-text.ts'
import { NOT_CARRIED } from '../../docs/ocsf-words.ts'
import { ecsOfFinding } from '../../sinks/ecs/finding.ts'
import type { OcsfEvent } from '../../sinks/ocsf/event.ts'
import { ocsfOf } from '../../sinks/ocsf/ocsf.ts'
import { ecsFaults } from '../support/ecs-check.ts'
import { BASE_MS } from '../support/events.ts'
import { ocsfFaults } from '../support/ocsf-check.ts'
import {
  type Json,
  asRead,
  assetOf,
  changed,
  findingOf,
  ofAsset,
  ofError,
  ofFinding,
} from '../support/ocsf-read.ts'

const { cloud } = assetOf()
if (cloud === null) throw new Error('an asset in a cloud')

describe('docs/ocsf.md', () => {
  it('is what the mappings do: write it anew with `npm run mapping`', () => {
    const written = readFileSync(new URL('../../docs/ocsf.md', import.meta.url), 'utf8')
    expect(written).toBe(ocsfText())
  })

  it('has a place for every field in every standard, or a reason', () => {
    const rows = [...findingRows(), ...assetRows(), ...errorRows()]
    const lost = rows.flatMap(([field, columns]) =>
      columns.every((places) => places.length > 0) ? [] : [field],
    )
    expect(lost).toEqual(Object.keys(NOT_CARRIED))
    expect(rows.length).toBeGreaterThan(150)
  })
})

describe('an event of OCSF', () => {
  it.each([
    ['finding', ofFinding(), 2002, 2, 200_201],
    ['machine', ofAsset(), 5001, 5, 500_102],
    ['network device', ofAsset({ kind: 'NETWORK_DEVICE' }), 5001, 5, 500_102],
    ['host', ofAsset({ kind: 'HOST' }), 5001, 5, 500_102],
    ['image', ofAsset({ kind: 'CONTAINER_IMAGE' }), 5023, 5, 502_302],
    ['domain', ofAsset({ kind: 'DOMAIN' }), 5023, 5, 502_302],
    ['error', ofError(), 6008, 6, 600_801],
  ])('has class, category and type of its kind: %s', (_kind, event, uid, category, type) => {
    expect(event).toMatchObject({ class_uid: uid, category_uid: category, type_uid: type })
  })

  it('is of version 1.8.0, or of another that is asked for', () => {
    const value = findingOf()
    expect(ofFinding()['metadata']).toMatchObject({ version: '1.8.0' })
    expect(ocsfOf({ kind: 'finding', value }, '1.7.0').metadata.version).toBe('1.7.0')
  })

  it('names the provider of a resource only where the version knows that', () => {
    const told = { kind: 'SERVERLESS_FUNCTION' } as const
    expect(ofAsset(told)['resources']?.[0]).toMatchObject({ provider: 'AWS' })
    expect(ofAsset(told, '1.7.0')['resources']?.[0]).not.toHaveProperty('provider')
    expect(ofFinding()['resources']?.[0]).toMatchObject({ provider: 'AWS' })
    expect(ofFinding({}, '1.7.0')['resources']?.[0]).not.toHaveProperty('provider')
  })

  it('can be followed to our event, to its entity and to the vendor', () => {
    const { meta } = findingOf()
    expect(ofFinding()['metadata']).toMatchObject({
      uid: meta.event_id,
      correlation_uid: 'cor_1',
      original_event_uid: 'host-1',
      tenant_uid: 'acme',
      log_name: 'compute.hosts',
      log_version: '1',
      log_provider: 'exposure-stream',
      logged_time: BASE_MS + 5,
      product: {
        vendor_name: 'Palo Alto Networks',
        name: 'Prisma Cloud Compute',
        uid: 'prisma-compute',
      },
    })
    expect(ofAsset()['metadata']).toMatchObject({ correlation_uid: 'ent_ast_1' })
    expect(ofError()['metadata']).toMatchObject({ uid: 'e-1', correlation_uid: 'f-1' })
    expect(ofFinding()['unmapped']).toMatchObject({ revision: 7, change_type: 'CREATED' })
  })

  it('applies the profiles whose attributes it has', () => {
    const nowhere = { ...findingOf().asset, cloud_provider: null }
    const image = { ...findingOf().asset, kind: 'CONTAINER_IMAGE' } as const
    const profiles = (event: Json) => event['metadata']?.['profiles'] ?? []
    expect(profiles(ofFinding())).toEqual(['cloud', 'host'])
    expect(profiles(ofFinding({ asset: nowhere }))).toEqual(['host'])
    expect(profiles(ofFinding({ asset: image }))).toEqual(['cloud'])
    expect(profiles(ofFinding({ asset: { ...image, cloud_provider: null } }))).toEqual([])
    expect(profiles(ofAsset({ cloud: null }))).toEqual(['host'])
    expect(profiles(ofAsset({ kind: 'DOMAIN', cloud: null }))).toEqual([])
  })

  it.each([
    ['aws', 'AWS', 10, 'AWS Account'],
    ['gcp', 'GCP', 11, 'GCP Project'],
    ['azure', 'Azure', 13, 'Azure Subscription'],
    ['oci', 'OCI', undefined, undefined],
  ])('names the account by its kind: %s', (provider, name, type_id, type) => {
    const event = ofAsset({ cloud: { ...cloud, provider } })
    expect(event['cloud']).toMatchObject({ provider: name, region: 'eu-west-1' })
    expect(event['cloud']?.['account']?.['uid']).toBe('123456789012')
    expect(event['cloud']?.['account']?.['type_id']).toBe(type_id)
    expect(event['cloud']?.['account']?.['type']).toBe(type)
  })
})

describe('a finding as OCSF', () => {
  it.each([
    ['UNKNOWN', 0],
    ['CREATED', 1],
    ['REOPENED', 1],
    ['UPDATED', 2],
    ['REFRESHED', 2],
    ['RESOLVED', 3],
    ['GONE', 3],
  ] as const)('has the activity of its change: %s', (change, activity) => {
    const event = ofFinding(changed(change))
    expect(event).toMatchObject({ activity_id: activity, type_uid: 200_200 + activity })
  })

  it.each([
    ['UNKNOWN', 0],
    ['OPEN', 1],
    ['REOPENED', 1],
    ['SUPPRESSED', 3],
    ['RESOLVED', 4],
  ] as const)('has the status of its life: %s', (status, statusId) => {
    expect(ofFinding({ status })).toMatchObject({ status_id: statusId })
  })

  it('tells why it is closed, and when', () => {
    const closed = { status: 'RESOLVED', resolution: 'ASSET_GONE', resolved_at: 123 } as const
    const event = ofFinding({ ...closed, vendor_status: 'fixed' })
    expect(event).toMatchObject({ status_detail: 'ASSET_GONE', status_code: 'fixed' })
    expect(event['finding_info']).toMatchObject({ modified_time: 123 })
    expect(ofFinding({ resolution: 'NONE' })).not.toHaveProperty('status_detail')
  })

  it.each([
    ['UNKNOWN', 0],
    ['INFORMATIONAL', 1],
    ['LOW', 2],
    ['MEDIUM', 3],
    ['HIGH', 4],
    ['CRITICAL', 5],
  ] as const)('has the severity %s by its number', (severity: Severity, severityId) => {
    expect(ofFinding({ severity })).toMatchObject({ severity_id: severityId })
  })

  it('is of a CVE or of an advisory, never of both', () => {
    const cve = ofFinding()['vulnerabilities']?.[0]
    expect(cve).toMatchObject({ cve: { uid: 'CVE-2026-0001', related_cwes: [{ uid: 'CWE-79' }] } })
    expect(cve).not.toHaveProperty('advisory')
    for (const vuln_id of [
      'GHSA-1',
      'PRISMA-2026-1',
      'CVE-1',
      'CVE-2026-0001 ',
      'xCVE-2026-0001',
    ]) {
      const other = ofFinding({ vuln_id, aliases: ['CVE-2026-0009', 'GHSA-2'] })
      expect(other['vulnerabilities']?.[0]).toMatchObject({
        advisory: { uid: vuln_id, related_cves: [{ uid: 'CVE-2026-0009' }] },
        related_vulnerabilities: ['CVE-2026-0009', 'GHSA-2'],
      })
      expect(other['vulnerabilities']?.[0]).not.toHaveProperty('cve')
      expect(other['unmapped']?.['cvss']).toHaveLength(1)
    }
  })

  it('gives the base score also as the score that Splunk reads, and EPSS as text', () => {
    const epss = { score: 0.000_88, percentile: 0.37, as_of: 5 }
    const first = ofFinding({ epss })['vulnerabilities']?.[0]?.['cve']
    expect(first?.['cvss']?.[0]).toMatchObject({
      base_score: 8.1,
      overall_score: 8.1,
      depth: 'Base',
      version: '3.1',
    })
    expect(first?.['epss']).toEqual({ score: '0.00088', percentile: 0.37, created_time: 5 })
    expect(ofFinding()['finding_info']).toMatchObject({
      product_uid: 'Palo Alto Networks Prisma Cloud Compute',
    })
  })

  it('has one package per version, and one where no version is told', () => {
    const packages = (more: Partial<Finding>) =>
      ofFinding(more)['vulnerabilities']?.[0]?.['affected_packages']
    const told = findingOf().package
    if (told === null) throw new Error('a finding of a package')
    expect(packages({})).toMatchObject([
      { name: 'openssl', version: '1.1.1', fixed_in_version: '1.1.2', type_id: 2 },
      { name: 'openssl', version: 'a"b,{c}\\', fixed_in_version: '1.1.2', type_id: 2 },
    ])
    expect(packages({ package: { ...told, versions: [], type: 'npm' } })).toMatchObject([
      { version: 'unknown', type_id: 1, package_manager: 'npm' },
    ])
    expect(packages({ package: null })).toBeUndefined()
  })

  it('tells of known exploitation only where the source says yes or no', () => {
    expect(ofFinding()).not.toHaveProperty('enrichments')
    for (const known of [true, false]) {
      expect(ofFinding({ known_exploited: known, kev_due_at: 9 })['enrichments']).toEqual([
        {
          name: 'vulnerabilities[0].cve.uid',
          value: 'CVE-2026-0001',
          type: 'kev',
          provider: 'CISA KEV',
          data: { known_exploited: known, due_at: 9 },
        },
      ])
    }
  })

  it('is on a device where that is a machine, and always affects a resource', () => {
    expect(ofFinding()['device']).toMatchObject({ uid: 'ast_1', uid_alt: 'ent_1', type_id: 6 })
    expect(ofFinding()['resources']).toMatchObject([
      { uid: 'ast_1', uid_alt: 'ast_1', role_id: 3, name: 'web-1' },
    ])
    const image = {
      ...findingOf().asset,
      kind: 'CONTAINER_IMAGE',
      cloud_resource_id: 'arn',
    } as const
    expect(ofFinding({ asset: image })).not.toHaveProperty('device')
    expect(ofFinding({ asset: image })['resources']).toMatchObject([{ uid: 'arn' }])
  })

  it('keeps what OCSF has no place for', () => {
    const more = { risk_score: 0.5, internet_exposed: false, unmapped: { own: '"x"' } }
    expect(ofFinding({ ...more, risk_factors: ['Has fix'] })['unmapped']).toMatchObject({
      risk_score: 0.5,
      internet_exposed: false,
      risk_factors: ['Has fix'],
      vendor_fields: { own: '"x"' },
      reopen_count: 0,
    })
  })

  it('puts no text that is no address where an address is asked for', () => {
    const asset = { ...findingOf().asset, ip: 'web-1' }
    expect(ofFinding({ asset })['device']).not.toHaveProperty('ip')
    expect(ofFinding({ asset })['unmapped']).toMatchObject({ asset_ip: 'web-1' })
  })
})

describe('the checks', () => {
  const event = ocsfOf({ kind: 'finding', value: findingOf() })
  const weakness = asRead(event)['vulnerabilities']?.[0] as object
  it.each([
    ['a type of another activity', { type_uid: 200_202 }],
    ['an empty list', { enrichments: [] }],
    ['a null', { status_detail: null }],
    ['an empty object', { unmapped: {} }],
    ['a name of another number', { severity: 'Low' }],
    ['a number without its name', { severity: undefined }],
    ['an unknown number', { severity_id: 7 }],
    ['99 without a word', { status_id: 99, status: undefined }],
    ['a time as text', { time: '2026-01-01T00:00:00Z' }],
    ['an attribute of nobody', { risk: 1 }],
    ['both kinds of weakness', { vulnerabilities: [{ ...weakness, advisory: { uid: 'a' } }] }],
    ['no weakness', { finding_info: undefined }],
    ['a device that nothing names', { device: { type_id: 6, type: 'Virtual' } }],
    ['no address', { device: { ...(event['device'] as object), ip: '300.0.0.1' } }],
    ['a profile that is not applied', { device: undefined }],
    ['another version', { metadata: { ...event.metadata, version: '1.6.0' } }],
  ])('find %s', (_fault, more: object) => {
    expect(ocsfFaults(event, '1.8.0')).toEqual([])
    expect(ocsfFaults({ ...event, ...more } as OcsfEvent, '1.8.0')).not.toEqual([])
  })

  it('find what ECS does not have', () => {
    const document = ecsOfFinding(findingOf())
    expect(ecsFaults(document)).toEqual([])
    expect(ecsFaults({ ...document, own: 1 })).toEqual(['own is no field of ECS'])
    expect(ecsFaults({ ...document, event: { kind: 'news' } })).toHaveLength(1)
    expect(ecsFaults({ ...document, host: { ip: '10.0.0.1' } })).toHaveLength(1)
  })
})
