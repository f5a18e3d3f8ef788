// Cortex assets: endpoints, and inventory rows in both dialects.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { assetUid } from '../../contracts/identity.ts'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { TENANT, observe } from '../support/transform.ts'

type Json = Record<string, unknown>
const first = <T>(items: readonly T[]): T => {
  const [item] = items
  if (item === undefined) throw new Error('nothing there')
  return item
}
const rows = (name: string): Json[] =>
  (sampleJson('cortex/constructed/rows.json') as Record<string, Json[]>)[name] ?? []
const cortexUid = (product: string, nativeId: string): string =>
  assetUid({ vendor: 'cortex', product, tenant: TENANT, nativeId })
const endpoint = (more: Json = {}) =>
  first(observe('xdr.endpoints', { endpoint_id: '0f2c', ...more }).assets)
const inventory = (more: Json = {}) =>
  first(observe('cloud.assets', { 'xdm.asset.id': 'a1', ...more }).assets)
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

describe('an endpoint', () => {
  it.skipIf(!samplesPresent)('is read from a recorded answer', () => {
    const sample = sampleJson('cortex/xdr.get_endpoint.reply.json') as {
      reply: { endpoints: Json[] }
    }
    const observation = observe('xdr.endpoints', first(sample.reply.endpoints))
    expect(observation).toMatchObject({ findings: [], findingsKnown: true })
    expect(first(observation.assets)).toMatchObject({
      asset_uid: cortexUid('cortex-xdr', '1111'),
      kind: 'HOST',
      native_type: 'AGENT_TYPE_SERVER',
      name: 'ip-3.3.3.3',
      cloud: null,
      private_ips: [],
      public_ips: ['3.3.3.3'],
      os: { family: 'LINUX', name: null },
      agent: { type: 'cortex-xdr', id: '1111', version: '7.0.0.1915', status: 'CONNECTED' },
      status: 'ACTIVE',
      owners: ['ec2-user'],
      business_units: [],
      first_seen: 1575795969644,
      last_seen: 1575875404040,
      vendor_created_at: 1575795969644,
      correlation_keys: [
        { type: 'agent_id', value: 'cortex:1111', strong: true },
        { type: 'public_ip', value: '3.3.3.3', strong: false },
      ],
    })
  })

  it.each([
    ['CONNECTED', 'ACTIVE'],
    ['DISCONNECTED', 'INACTIVE'],
    ['LOST', 'INACTIVE'],
    ['uninstalled', 'GONE'],
    ['SOMETHING', 'UNKNOWN'],
    [null, 'UNKNOWN'],
  ])('with status %j is %s', (endpoint_status, status) => {
    expect(endpoint({ endpoint_status }).status).toBe(status)
  })

  it('in a cloud is the machine that its provider knows', () => {
    const asset = endpoint({
      cloud_provider: 'AWS',
      cloud_instance_id: 'i-0d5e8c751a2249637',
      cloud_provider_account_id: '976369349992',
      cloud_region: 'eu-west-3',
      cloud_id: '',
    })
    expect(asset).toMatchObject({
      kind: 'VIRTUAL_MACHINE',
      entity_uid: 'ent_5rbzyjkpa5n4qo46x53n6ei554',
      cloud: {
        provider: 'aws',
        account_id: '976369349992',
        region: 'eu-west-3',
        instance_id: 'i-0d5e8c751a2249637',
        resource_id: null,
      },
    })
  })

  it('may have its scalars in lists and its lists as scalars', () => {
    const asset = endpoint({
      endpoint_id: ['0f2c'],
      endpoint_name: ['WEB-1'],
      domain: ['example.com'],
      ip: '10.0.0.7',
      users: 'ops',
      group_name: null,
      mac_address: '00:50:56:00:00:07',
    })
    expect(asset).toMatchObject({
      name: 'WEB-1',
      hostnames: ['web-1', 'web-1.example.com'],
      fqdns: ['web-1.example.com'],
      owners: ['ops'],
      network_interfaces: [{ mac: '00:50:56:00:00:07', ips: ['10.0.0.7'] }],
    })
  })

  it('does not make a name of its workgroup, nor a network card of a virtual one', () => {
    const asset = endpoint({
      endpoint_name: 'web-1',
      domain: 'WORKGROUP',
      ip: ['10.0.0.7'],
      mac_address: ['42:00:00:00:00:00', '00:50:56:00:00:07'],
    })
    expect(asset.fqdns).toEqual([])
    expect(asset.correlation_keys.filter((key) => key.type === 'mac')).toHaveLength(1)
    expect(asset.network_interfaces).toHaveLength(3)
  })

  it('has tags of every form', () => {
    expect(endpoint({ endpointTags: 'web, db' }).tags).toEqual({ db: '', web: '' })
    const tags = { server_tags: ['env:prod'], endpoint_tags: ['web'] }
    expect(endpoint({ tags }).tags).toEqual({ env: 'prod', web: '' })
  })

  it('is named by its alias or id where it has no name', () => {
    expect(endpoint({ alias: 'mail' }).name).toBe('mail')
    expect(endpoint().name).toBe('0f2c')
  })

  it('is refused without its id', () => {
    expect(violationsOf('xdr.endpoints', { endpoint_name: 'x' })).toEqual([
      'endpoint_id: is missing',
    ])
  })
})

describe('an inventory row', () => {
  it.skipIf(!samplesPresent)('is read in the field names of a live tenant', () => {
    const asset = first(observe('cloud.assets', first(rows('assets_live_wire'))).assets)
    expect(asset).toMatchObject({
      kind: 'VIRTUAL_MACHINE',
      native_type: 'EC2_INSTANCE',
      name: 'ip-10-0-1-105.eu-west-3.compute.internal',
      entity_uid: 'ent_5rbzyjkpa5n4qo46x53n6ei554',
      cloud: {
        provider: 'aws',
        account_id: '976369349992',
        region: 'eu-west-3',
        instance_id: 'i-0d5e8c751a2249637',
        resource_type: 'EC2 Instance',
      },
      private_ips: ['10.0.1.105'],
      business_units: ['42', '5'],
      finding_counts: { critical: 1, high: 4, medium: 0, low: 2, total: 7 },
      criticality: { level: 'CRITICAL', score: null, raw: 'critical' },
      first_seen: 1747834085000,
      last_seen: 1748399709000,
    })
    // The default name of an EC2 machine is shared by many.
    expect(asset.correlation_keys.map((key) => key.type)).toEqual([
      'cloud_instance_id',
      'private_ip',
    ])
  })

  it.skipIf(!samplesPresent)('is read in the field names of the specification', () => {
    const examples = sampleJson('cortex/spec-examples.json') as Record<
      string,
      {
        response_examples: Record<string, { value: { reply: { data: Json[] } } }>
      }
    >
    const example = examples['POST /public_api/v1/assets']?.response_examples['Example 1']
    const asset = first(observe('cloud.assets', first(example?.value.reply.data ?? [])).assets)
    const id = 'fffd007cff1c15f3a0d152ae630df9630ce00e39bc66811a9fa9b6457a788afc'
    expect(asset).toMatchObject({
      asset_uid: cortexUid('cortex-cloud', id),
      kind: 'HOST',
      native_type: 'GENERIC_DEVICE',
      name: '172.16.33.51',
      hostnames: [],
      cloud: null,
      private_ips: ['172.16.33.51'],
      finding_counts: { critical: 0, high: 0, medium: 0, low: 0, total: 0 },
    })
    expect(asset.correlation_keys).toEqual([
      { type: 'private_ip', value: '172.16.33.51', strong: false },
    ])
  })

  it.skipIf(!samplesPresent)('is read with its fields inside a field', () => {
    const inner = first(rows('asset_inventory'))
    const asset = first(observe('cloud.assets', inner).assets)
    expect(asset).toMatchObject({
      private_ips: ['10.0.1.105'],
      public_ips: ['198.51.100.7'],
      os: { family: 'LINUX', name: 'ubuntu' },
      cloud: { vpc_id: 'vpc-0abc' },
      tags: { Name: 'k8s-escape-demo-node' },
    })
    const text = JSON.stringify(inner['xdm.asset.normalized_fields'])
    const same = observe('cloud.assets', { ...inner, 'xdm.asset.normalized_fields': text })
    expect(first(same.assets)).toEqual(asset)
  })

  it.each([
    ['AWS', 'VM Instance', 'EC2_INSTANCE', 'VIRTUAL_MACHINE'],
    ['GCP', 'VM Instance', 'GOOGLE_COMPUTE_ENGINE_VM_INSTANCE', 'VIRTUAL_MACHINE'],
    ['AZURE', null, 'AZURE_VIRTUAL_MACHINE', 'VIRTUAL_MACHINE'],
    ['AWS', 'Serverless Function', 'LAMBDA_FUNCTION', 'SERVERLESS_FUNCTION'],
    ['AWS', 'Container Image', 'CORE_IMAGE', 'CONTAINER_IMAGE'],
    ['AWS', 'Container', 'KUBERNETES_CONTAINER', 'CONTAINER'],
    ['AWS', 'Storage Bucket', 'S3_BUCKET', 'CLOUD_RESOURCE'],
    ['ON_PREM', 'Device', 'GENERIC_DEVICE', 'HOST'],
    ['ON_PREM', 'Service', 'SOMETHING', 'UNKNOWN'],
  ])('from %s with category %s and type %s is a %s', (provider, category, type, kind) => {
    const asset = inventory({
      'xdm.asset.provider': provider,
      'xdm.asset.type.category': category,
      'xdm.asset.type.id': type,
    })
    expect(asset.kind).toBe(kind)
  })

  it('of a disk is no machine, though its id has the form of one', () => {
    const asset = inventory({
      'xdm.asset.provider': 'GCP',
      'xdm.asset.realm': 'my-project',
      'xdm.asset.strong_id': '4325346532453245',
      'xdm.asset.type.id': 'GOOGLE_COMPUTE_DISK',
    })
    expect(asset.kind).toBe('CLOUD_RESOURCE')
    expect(asset.correlation_keys).toEqual([])
  })

  it('is named by its strong id, then by its id', () => {
    expect(inventory({ 'xdm.asset.strong_id': 's1' }).name).toBe('s1')
    expect(inventory().name).toBe('a1')
  })

  it('is refused without its id', () => {
    expect(violationsOf('cloud.assets', { 'xdm.asset.name': 'x' })).toEqual([
      'xdm.asset.id: is missing',
    ])
  })
})
