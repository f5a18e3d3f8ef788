// OCSF and ECS: assets as devices and resources, connector errors, documents for Elasticsearch.
import { describe, expect, it } from 'vitest'
import { ERROR_TYPES } from '../../contracts/errors.ts'
import { ecsOfAsset } from '../../sinks/ecs/asset.ts'
import { ecsOfFinding } from '../../sinks/ecs/finding.ts'
import { ocsfOf } from '../../sinks/ocsf/ocsf.ts'
import {
  type Json,
  asRead,
  assetOf,
  changed,
  findingOf,
  ofAsset,
  ofError,
} from '../support/ocsf-read.ts'

const { cloud, os } = assetOf()
if (cloud === null || os === null) throw new Error('an asset in a cloud, with a system')

describe('an asset as OCSF', () => {
  it('is collected, whatever became of it', () => {
    for (const change of ['CREATED', 'UPDATED', 'GONE', 'REOPENED'] as const) {
      const event = ofAsset({ ...changed(change), status: 'GONE' })
      expect(event).toMatchObject({ activity_id: 2, severity_id: 1, status_detail: 'GONE' })
      expect(event['unmapped']).toMatchObject({ change_type: change })
    }
  })

  it.each([
    ['HOST', 'AGENT_TYPE_SERVER', 1],
    ['HOST', 'AGENT_TYPE_WORKSTATION', 2],
    ['HOST', 'laptop', 3],
    ['HOST', 'AGENT_TYPE_MOBILE', 5],
    ['HOST', 'IoT', 7],
    ['HOST', 'host', 0],
    ['VIRTUAL_MACHINE', 'AGENT_TYPE_SERVER', 6],
    ['NETWORK_DEVICE', 'Firewall', 9],
    ['NETWORK_DEVICE', 'server', 0],
  ] as const)('is a device of its type: %s %s', (kind, native_type, type_id) => {
    expect(ofAsset({ kind, native_type })['device']).toMatchObject({ type_id })
  })

  it.each([
    ['WINDOWS', 100, 'Windows'],
    ['LINUX', 200, 'Linux'],
    ['ANDROID', 201, 'Android'],
    ['MACOS', 300, 'macOS'],
    ['IOS', 301, 'iOS'],
    ['UNKNOWN', 0, 'Unknown'],
    ['OTHER', 99, 'Plan 9'],
  ] as const)('has the system %s by its number', (family, type_id, type) => {
    const told = ofAsset({ os: { ...os, family, name: 'Plan 9' } })['device']
    expect(told?.['os']).toMatchObject({ name: 'Plan 9', type_id, type })
  })

  it('has no 99 where the source has no word of its own', () => {
    const told = ofAsset({ os: { ...os, family: 'OTHER', name: null } })['device']
    expect(told?.['os']).toMatchObject({ name: 'Unknown', type_id: 0, type: 'Unknown' })
  })

  it('has one interface per address, and the ports that the internet sees', () => {
    const event = ofAsset({
      public_ips: ['192.0.2.9'],
      network_interfaces: [
        { name: 'a', mac: '00:1b:44:11:3a:b7', ips: ['10.0.0.1', '::1', 'no ip'], subnet: null },
        { name: null, mac: 'no mac', ips: [], subnet: null },
      ],
      exposed_services: [
        { protocol: 'tcp', port: 443, name: null, service_id: null },
        { protocol: 'tcp', port: 70_000, name: null, service_id: null },
      ],
    })
    const mac = '00:1b:44:11:3a:b7'
    expect(event['device']?.['network_interfaces']).toEqual([
      { name: 'a', mac, ip: '10.0.0.1' },
      { name: 'a', mac, ip: '::1' },
      { ip: '192.0.2.9', open_ports: [{ port: 443, protocol_name: 'tcp' }] },
    ])
    expect(event['device']).toMatchObject({ mac, ip: '10.0.0.1' })
    expect(event['unmapped']?.['network_interfaces']).toHaveLength(2)
    expect(ofAsset({ private_ips: [], public_ips: ['192.0.2.9'] })['device']).toMatchObject({
      ip: '192.0.2.9',
    })
  })

  it.each([
    ['UNKNOWN', undefined],
    ['INFORMATIONAL', 0],
    ['LOW', 1],
    ['MEDIUM', 2],
    ['HIGH', 3],
    ['CRITICAL', 4],
  ] as const)('has the risk level of its criticality: %s', (level, riskLevel) => {
    const criticality = { level, score: 87.6, raw: 'word' }
    const device = ofAsset({ criticality })['device']
    expect(device?.['risk_level_id']).toBe(riskLevel)
    expect(device?.['risk_score']).toBe(88)
    expect(ofAsset({ criticality, kind: 'DOMAIN' })['resources']?.[0]).toMatchObject({
      criticality: 'word',
    })
  })

  it('leaves out a score beyond 32 bits, and keeps it beside OCSF', () => {
    const event = ofAsset({ criticality: { level: 'LOW', score: 2 ** 31, raw: '' } })
    expect(event['device']).not.toHaveProperty('risk_score')
    expect(event['unmapped']?.['criticality']).toMatchObject({ score: 2 ** 31 })
  })

  it('is a resource where it is no machine, with tags as pairs', () => {
    const tags = JSON.parse('{"__proto__":"x","env":"prod"}') as Record<string, string>
    const event = ofAsset({ kind: 'CLOUD_RESOURCE', tags })
    expect(event).not.toHaveProperty('device')
    expect(event['resources']).toMatchObject([
      {
        uid: cloud.resource_id,
        uid_alt: 'ast_1',
        name: 'name of ast_1',
        type: 'host',
        region: 'eu-west-1',
        tags: [
          { name: '__proto__', value: 'x' },
          { name: 'env', value: 'prod' },
        ],
      },
    ])
    expect(event).toMatchObject({ region: 'eu-west-1' })
    const machine = JSON.stringify(ocsfOf({ kind: 'asset', value: assetOf({ tags }) }))
    expect(machine).toContain('"tags":{"__proto__":"x","env":"prod"}')
  })

  it('keeps beside OCSF what it knows of a cloud without a name', () => {
    const nameless = { cloud: { ...cloud, provider: '' } }
    const resource = ofAsset({ kind: 'DOMAIN', ...nameless })
    expect(resource).not.toHaveProperty('cloud')
    expect(resource['resources']?.[0]).not.toHaveProperty('region')
    const account = { account_id: '123456789012' }
    expect(resource['unmapped']?.['cloud']).toMatchObject({ ...account, region: 'eu-west-1' })
    expect(ofAsset(nameless)['unmapped']?.['cloud']).toMatchObject(account)
  })

  it('is a container by its image', () => {
    const image = {
      digest: null,
      image_id: 'sha256:1',
      registry: 'r',
      repository: 'p',
      tags: ['t'],
    }
    expect(ofAsset({ kind: 'CONTAINER', image })['container']).toEqual({
      uid: 'host-1',
      name: 'name of ast_1',
      image: { uid: 'sha256:1', name: 'p', path: 'r/p', tag: 't' },
    })
    const digested = { ...image, digest: 'sha256:2' }
    const event = ofAsset({ kind: 'CONTAINER_IMAGE', image: digested })
    expect(event['container']?.['image']).toMatchObject({ uid: 'sha256:2' })
    expect(ofAsset({ kind: 'DOMAIN', image })).not.toHaveProperty('container')
  })

  it('tells its keys as observables, with its own word beside 99', () => {
    const keys = ['fqdn', 'public_ip', 'mac', 'image_digest', 'cert_sha256', 'serial', 'agent_id']
    const correlation_keys = keys.map((type) => ({ type, value: 'v', strong: true }))
    const observables = ofAsset({ correlation_keys })['observables'] as unknown as Json[]
    expect(observables.map((one) => one['type_id'])).toEqual([1, 2, 3, 8, 30, 37, 99])
    expect(observables.at(-1)).toEqual({ type_id: 99, type: 'agent_id', value: 'v' })
  })
})

describe('a connector error as OCSF', () => {
  it('is of translation where a record could not be normalised, else general', () => {
    expect(ofError({ stage: 'NORMALIZE' })).toMatchObject({ activity_id: 2, type_uid: 600_802 })
    expect(ofError({ stage: 'SINK' })).toMatchObject({ activity_id: 1 })
  })

  it.each([
    ['UNKNOWN', 0],
    ['RAISED', 2],
    ['ONGOING', 2],
    ['CLEARED', 1],
  ] as const)('fails until it is cleared: %s', (state, status_id) => {
    expect(ofError({ state })).toMatchObject({ status_id })
  })

  it.each(ERROR_TYPES)('names its type: %s', (error_type) => {
    expect(ofError({ error_type })).toMatchObject({ status_detail: error_type })
  })

  it('counts its occurrences from the first to the last', () => {
    const event = ofError({ occurrences: 3, first_at: 1, last_at: 2 })
    expect(event).toMatchObject({ count: 3, start_time: 1, end_time: 2, time: 2 })
    expect(ofError({ occurrences: 2 ** 40 })).not.toHaveProperty('count')
    expect(ofError({ occurrences: 2 ** 40 })['unmapped']).toMatchObject({ occurrences: 2 ** 40 })
  })
})

describe('a document of ECS', () => {
  it.each([
    ['UNKNOWN', 'unknown', undefined],
    ['OPEN', 'open', undefined],
    ['REOPENED', 'reopened', undefined],
    ['RESOLVED', 'fixed', undefined],
    ['SUPPRESSED', 'open', ['suppressed']],
  ] as const)('has the status of a finding: %s', (status, word, tags) => {
    const document = asRead(ecsOfFinding(findingOf({ status })))
    expect(document['vulnerability']?.['status']).toBe(word)
    expect(document['tags']).toEqual(tags)
  })

  it('has a finding in the fields of weakness, package, host, cloud and resource', () => {
    expect(asRead(ecsOfFinding(findingOf()))).toMatchObject({
      '@timestamp': '2026-01-01T00:00:00.000Z',
      event: { id: findingOf().meta.event_id, kind: 'state', category: ['vulnerability'] },
      observer: { vendor: 'Palo Alto Networks', product: 'Prisma Cloud Compute' },
      vulnerability: {
        id: 'CVE-2026-0001',
        enumeration: 'CVE',
        classification: 'CVSS',
        score: { base: 8.1, version: '3.1' },
        severity: 'High',
      },
      package: { name: 'openssl', type: 'deb', fixed_version: '1.1.2' },
      host: { id: 'ast_1', ip: ['10.0.0.1'] },
      cloud: { provider: 'aws', account: { id: '123456789012' } },
      resource: { id: 'ast_1', name: 'web-1' },
      exposure: { revision: 7, first_seen: '2026-01-01T00:00:00.000Z' },
    })
  })

  it('has a machine as a host, with addresses as ECS writes them', () => {
    const network_interfaces = [{ name: null, mac: '00:1b:44:11:3a:b7', ips: [], subnet: null }]
    const document = asRead(ecsOfAsset(assetOf({ network_interfaces, public_ips: ['no ip'] })))
    expect(document).toMatchObject({
      event: { kind: 'asset', category: ['host'] },
      host: { id: 'ast_1', mac: ['00-1B-44-11-3A-B7'], ip: ['10.0.0.1'], os: { type: 'linux' } },
      cloud: { instance: { id: 'i-0abc' } },
    })
    const domain = asRead(ecsOfAsset(assetOf({ kind: 'DOMAIN' })))
    expect(domain).not.toHaveProperty('host')
    expect(domain['event']).not.toHaveProperty('category')
  })

  it('keeps times that no calendar has as epoch milliseconds', () => {
    const document = asRead(
      ecsOfFinding(findingOf({ due_at: 8.64e15 + 1, first_seen: -62_167_219_200_000 })),
    )
    expect(document['exposure']?.['due_at']).toBe(8.64e15 + 1)
    expect(document['exposure']?.['first_seen']).toBe('0000-01-01T00:00:00.000Z')
  })
})
