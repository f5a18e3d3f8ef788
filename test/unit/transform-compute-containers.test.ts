// Containers and discovered machines of Compute: recorded answers read by eye, and the rules.
import { describe, expect, it } from 'vitest'
import { assetUid, uid } from '../../contracts/identity.ts'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { TENANT, observe } from '../support/transform.ts'

type Json = Record<string, unknown>
const FOLDER = 'prisma-cloud/compute/'
const sample = (name: string): Json => {
  const [record] = samplesPresent ? (sampleJson(FOLDER + name) as Json[]) : [{}]
  if (!record) throw new Error(`no record in ${name}`)
  return record
}
const uidOf = (nativeId: string) =>
  assetUid({ vendor: 'prisma-cloud', product: 'prisma-compute', tenant: TENANT, nativeId })
const assetOf = (stream: string, record: Json) => {
  const [asset] = observe(stream, record).assets
  if (!asset) throw new Error('no asset')
  return asset
}
const keysOf = (stream: string, record: Json) =>
  assetOf(stream, record)
    .correlation_keys.filter((key) => key.strong)
    .map(({ type, value }) => `${type}=${value}`)

describe.skipIf(!samplesPresent)('the recorded container of a console', () => {
  const record = sample('containers.recorded-23.01.735.0.json')
  const asset = samplesPresent ? assetOf('compute.containers', record) : null

  it('is an asset with address, image and published ports, and no findings', () => {
    const { findings, findingsKnown, drift } = observe('compute.containers', record)
    expect([findings, findingsKnown, drift]).toEqual([[], true, []])
    expect(asset).toMatchObject({
      asset_uid: uidOf(
        'container|f79fcb783f9b6e7b2c87ac9648eb0b8bdf4936becb7428af3a0d1ad3f4fb3b8b',
      ),
      kind: 'CONTAINER',
      name: 'twistlock_console',
      hostnames: [],
      cloud: null,
      network_interfaces: [
        { name: 'bridge', mac: '02:42:ac:11:00:02', ips: ['172.17.0.2'], subnet: null },
      ],
      private_ips: ['172.17.0.2'],
      public_ips: [],
      image: {
        digest: null,
        image_id: 'sha256:5d055096d90a5cff61e29853ff0f9f172def0ff5c647df57b794aa9acfb2a866',
        registry: null,
        repository: 'twistlock/private',
        tags: ['console_23_01_735'],
      },
      exposed_services: [8083, 8084].map((port) => ({
        protocol: null,
        port,
        name: null,
        service_id: null,
      })),
      last_seen: Date.UTC(2023, 0, 3, 14, 53, 4, 85),
      vendor_created_at: Date.UTC(2023, 0, 3, 14, 52, 55, 198),
    })
    expect(asset?.unmapped['hostname']).toBe('"servo-vmware71"')
    expect(asset?.correlation_keys).toEqual([])
  })

  it('keeps command lines to itself', () => {
    expect(JSON.stringify(asset)).not.toContain('mongod')
  })
})

describe.skipIf(!samplesPresent)('containers of clusters', () => {
  it('stand in GKE with cluster, namespace and labels', () => {
    const asset = assetOf('compute.containers', sample('containers.gke.json'))
    expect(asset).toMatchObject({
      asset_uid: uidOf('container|testid1'),
      name: 'testname1',
      cloud: {
        provider: 'gcp',
        region: 'us-central1-c',
        account_id: 'test-nam',
        instance_id: null,
      },
      image: { image_id: null, repository: 'testimage', tags: [] },
      private_ips: [],
      exposed_services: [],
      business_units: ['test1', 'test2', 'test3'],
    })
    expect(asset.tags).toMatchObject({
      cluster: 'test',
      namespace: 'test-system',
      'io.kubernetes.pod.namespace': 'kube-system',
    })
  })

  it('have the image by its canonical name', () => {
    const asset = assetOf('compute.containers', sample('containers.demisto.0.json'))
    expect(asset).toMatchObject({
      asset_uid: uidOf('container|a1'),
      name: 'a7',
      image: { repository: 'img3', image_id: null },
      tags: { aa: '', cluster: 'demo', namespace: 'system' },
      unmapped: { clusterType: '"GKE"', app: '"a2"' },
      last_seen: Date.UTC(2023, 8, 26, 1, 46, 44, 579),
    })
  })

  it('and hosts of another console are told without drift', () => {
    for (const name of ['containers.gke.json', 'containers.demisto.0.json']) {
      expect(observe('compute.containers', sample(name)).drift).toEqual([])
    }
  })
})

describe('a port of a container', () => {
  const portsOf = (info: Json) =>
    assetOf('compute.containers', { _id: 'c', info }).exposed_services.map((s) => s.port)

  it('is told only where the machine passes it on to others', () => {
    expect(portsOf({ network: { ports: [{ container: 80, host: 0 }] } })).toEqual([])
    expect(portsOf({ network: { ports: [{ host: 80, hostIP: '127.0.0.1' }] } })).toEqual([])
    expect(portsOf({ network: { ports: [{ host: 99_999, hostIP: '' }] } })).toEqual([])
    expect(
      portsOf({
        network: { ports: [{ host: 443, hostIP: '::' }] },
        networkSettings: { ports: [{ hostPort: 80, hostIP: '0.0.0.0' }, { hostPort: 443 }] },
      }),
    ).toEqual([80, 443])
  })
})

describe('a discovered machine', () => {
  const record = {
    _id: 'i-0123456789abcdef0',
    hostname: 'ip-10-0-0-7',
    fqdn: 'ip-10-0-0-7.eu-west-1.compute.internal',
    name: 'web-1',
    provider: 'aws',
    accountID: '123456789012',
    region: 'eu-west-1',
    arn: 'arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0',
    awsVPCID: 'vpc-1',
    awsSubnetID: 'subnet-1',
    imageID: 'ami-1',
    os: 'linux',
    osInfo: { distro: 'ubuntu', version: '24.04', fullName: 'Ubuntu 24.04 LTS' },
    architecture: 'x86_64',
    hasDefender: false,
    createdAt: '2026-01-01T00:00:00Z',
    timestamp: '2026-01-03T14:53:04Z',
    tags: [{ key: 'env', value: 'prod' }],
  }

  it('has its place, names, subnet and system, and no agent', () => {
    const asset = assetOf('compute.cloud-vms', record)
    expect(asset).toMatchObject({
      asset_uid: uidOf('cloud-vm|i-0123456789abcdef0'),
      entity_uid: uid('ent_', ['cloud_instance_id', 'aws:i-0123456789abcdef0']),
      kind: 'VIRTUAL_MACHINE',
      name: 'web-1',
      hostnames: ['ip-10-0-0-7', 'ip-10-0-0-7.eu-west-1.compute.internal'],
      fqdns: ['ip-10-0-0-7.eu-west-1.compute.internal'],
      cloud: {
        provider: 'aws',
        account_id: '123456789012',
        region: 'eu-west-1',
        instance_id: 'i-0123456789abcdef0',
        resource_id: record.arn,
        vpc_id: 'vpc-1',
        image_id: 'ami-1',
      },
      network_interfaces: [{ name: null, mac: null, ips: [], subnet: 'subnet-1' }],
      os: { family: 'LINUX', name: 'Ubuntu 24.04 LTS', version: '24.04', architecture: 'x86_64' },
      agent: null,
      tags: { env: 'prod' },
      last_seen: Date.UTC(2026, 0, 3, 14, 53, 4),
      vendor_created_at: Date.UTC(2026, 0, 1),
      unmapped: { hasDefender: 'false' },
    })
    // Names that an installation gives by itself identify nothing.
    expect(asset.correlation_keys.map((key) => key.type)).toEqual([
      'cloud_instance_id',
      'cloud_resource_id',
    ])
  })

  it('has the agent that the console says is there', () => {
    const asset = assetOf('compute.cloud-vms', { ...record, hasDefender: true })
    expect(asset.agent?.type).toBe('prisma-defender')
  })

  it('of Google is known by project and number', () => {
    const google = { _id: '3622109390333342719', provider: 'gcp', accountID: 'proj-1' }
    expect(keysOf('compute.cloud-vms', google)).toEqual([
      'cloud_instance_id=gcp:proj-1:3622109390333342719',
    ])
  })
})
