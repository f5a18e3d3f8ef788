// CSPM's machines and resources, as recorded or by hand: every field where the model wants it.
import { describe, expect, it } from 'vitest'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { FETCHED_MS, observe, observeBytes } from '../support/transform.ts'

const AWS = {
  rrn: 'rrn:aws:instance:us-east-2:111111111111:2c40:i-0e000e0000eb41c1a',
  id: 'i-0e000e0000eb41c1a',
  assetId: '3f0aaa00cde5f8e2ddfc000d00c5ceb3',
  name: 'web-1',
  accountId: '111111111111',
  accountName: 'AWS Cloud Account',
  accountGroupName: 'Group 1',
  cloudType: 'aws',
  regionId: 'us-east-2',
  regionName: 'AWS Ohio',
  service: 'Amazon EC2',
  resourceType: 'EC2 Instance',
  insertTs: 1694003441966,
  createdTs: 1693000000000,
  deleted: false,
  vpcId: 'vpc-1',
  tags: { Env: 'prod' },
  riskGrade: 'C',
  data: {
    instanceId: 'i-0e000e0000eb41c1a',
    imageId: 'ami-1',
    platformDetails: 'Linux/UNIX',
    architecture: 'x86_64',
    placement: { availabilityZone: 'us-east-2b' },
    privateIpAddress: '10.0.0.5',
    publicIpAddress: '203.0.113.9',
    privateDnsName: 'ip-10-0-0-5.us-east-2.compute.internal',
    publicDnsName: 'ec2-203-0-113-9.us-east-2.compute.amazonaws.com',
    tags: [{ key: 'Team', value: 'shop' }],
    networkInterfaces: [
      {
        networkInterfaceId: 'eni-1',
        macAddress: '02:00:00:00:00:01',
        subnetId: 'subnet-1',
        privateIpAddress: '10.0.0.5',
        privateIpAddresses: [{ privateIpAddress: '10.0.0.5' }, { privateIpAddress: '10.0.0.6' }],
        ipv6Addresses: [{ ipv6Address: '2001:DB8::1' }],
        association: { publicIp: '203.0.113.9' },
      },
    ],
  },
}

describe('a machine of the configuration search', () => {
  it('of AWS is told with its interfaces, names, system and placement', () => {
    const [asset] = observe('cspm.config', AWS).assets
    expect(asset).toMatchObject({
      kind: 'VIRTUAL_MACHINE',
      native_type: 'EC2 Instance',
      name: 'web-1',
      hostnames: [
        'ec2-203-0-113-9.us-east-2.compute.amazonaws.com',
        'ip-10-0-0-5.us-east-2.compute.internal',
        'web-1',
      ],
      public_dns_names: ['ec2-203-0-113-9.us-east-2.compute.amazonaws.com'],
      cloud: {
        provider: 'aws',
        account_id: '111111111111',
        account_name: 'AWS Cloud Account',
        region: 'us-east-2',
        zone: 'us-east-2b',
        resource_id: AWS.rrn,
        instance_id: 'i-0e000e0000eb41c1a',
        service: 'Amazon EC2',
        resource_type: 'EC2 Instance',
        vpc_id: 'vpc-1',
        image_id: 'ami-1',
      },
      network_interfaces: [
        {
          name: 'eni-1',
          mac: '02:00:00:00:00:01',
          ips: ['10.0.0.5', '10.0.0.6', '2001:db8::1', '203.0.113.9'],
          subnet: 'subnet-1',
        },
      ],
      private_ips: ['10.0.0.5', '10.0.0.6'],
      public_ips: ['2001:db8::1', '203.0.113.9'],
      os: { family: 'LINUX', name: 'Linux/UNIX', architecture: 'x86_64' },
      internet_exposed: null,
      criticality: { level: 'MEDIUM', score: null, raw: 'C' },
      business_units: ['Group 1'],
      tags: { Env: 'prod', Team: 'shop' },
      vendor_created_at: 1693000000000,
      last_seen: FETCHED_MS,
    })
    expect(asset?.correlation_keys[0]).toEqual({
      type: 'cloud_instance_id',
      value: 'aws:i-0e000e0000eb41c1a',
      strong: true,
    })
  })

  const id = '/subscriptions/S-1/resourceGroups/RG/providers/Microsoft.Compute/virtualMachines/vm1'
  const ipId = '/subscriptions/s-1/providers/Microsoft.Network/publicIPAddresses/ip1'
  const vmId = '0f8fad5b-d9cb-469f-a165-70867728950e'
  const frame = { assetId: 'a1', cloudType: 'azure', accountId: 's-1', name: 'vm1' }
  const nested = {
    vm: {
      ...frame,
      id: `${vmId}-${id}`,
      resourceType: 'Azure Virtual Machine',
      data: {
        id,
        zones: ['2'],
        properties: {
          vmId,
          osProfile: { computerName: 'VM1' },
          storageProfile: {
            osDisk: { osType: 'Windows' },
            imageReference: { publisher: 'MS', offer: 'WindowsServer', sku: '2022' },
          },
        },
      },
    },
    nics: [
      {
        ...frame,
        data: {
          name: 'nic1',
          properties: {
            macAddress: '00-0D-3A-11-22-33',
            ipConfigurations: [
              {
                properties: {
                  privateIPAddress: '10.1.0.4',
                  publicIPAddress: { id: ipId.toUpperCase() },
                  subnet: { id: '/subnets/one' },
                },
              },
            ],
          },
        },
      },
    ],
    public_ips: [
      {
        ...frame,
        data: {
          id: ipId,
          properties: {
            ipAddress: '203.0.113.7',
            dnsSettings: { fqdn: 'vm1.westeurope.cloudapp.azure.com' },
          },
        },
      },
    ],
  }
  const flat = {
    ...nested,
    vm: {
      ...nested.vm,
      data: {
        id,
        zones: ['2'],
        "['properties.vmId']": vmId,
        "['properties.osProfile']": { computerName: 'VM1' },
        'properties.storageProfile': nested.vm.data.properties.storageProfile,
      },
    },
    nics: nested.nics.map((nic) => ({
      ...nic,
      data: {
        name: 'nic1',
        "['properties.macAddress']": nic.data.properties.macAddress,
        "['properties.ipConfigurations']": nic.data.properties.ipConfigurations,
      },
    })),
  }

  it.each([
    ['nested', nested],
    ['flattened', flat],
  ])('of Azure is told alike with keys %s', (_, unit) => {
    const [asset] = observe('cspm.config', unit).assets
    expect(asset).toMatchObject({
      kind: 'VIRTUAL_MACHINE',
      hostnames: ['vm1', 'vm1.westeurope.cloudapp.azure.com'],
      public_dns_names: ['vm1.westeurope.cloudapp.azure.com'],
      cloud: {
        provider: 'azure',
        zone: '2',
        instance_id: vmId,
        resource_id: id.toLowerCase(),
        image_id: 'MS:WindowsServer:2022',
      },
      network_interfaces: [
        {
          name: 'nic1',
          mac: '00:0d:3a:11:22:33',
          ips: ['10.1.0.4', '203.0.113.7'],
          subnet: '/subnets/one',
        },
      ],
      private_ips: ['10.1.0.4'],
      public_ips: ['203.0.113.7'],
      os: { family: 'WINDOWS', name: 'WindowsServer 2022' },
    })
    expect(asset?.correlation_keys.slice(0, 2)).toEqual([
      { type: 'cloud_instance_id', value: `azure:${vmId}`, strong: true },
      { type: 'cloud_resource_id', value: id.toLowerCase(), strong: true },
    ])
  })

  it('of Google is told with project, zone, network and licence', () => {
    const [asset] = observe('cspm.config', {
      assetId: 'g1',
      cloudType: 'gcp',
      accountId: 'Proj-1',
      id: '1234567890123456789',
      name: 'gce-1',
      regionId: '',
      createdTs: -1,
      data: {
        kind: 'compute#instance',
        id: '1234567890123456789',
        name: 'gce-1',
        zone: 'https://www.googleapis.com/compute/v1/projects/proj-1/zones/us-central1-a',
        selfLink:
          'https://www.googleapis.com/compute/v1/projects/proj-1/zones/us-central1-a/instances/gce-1',
        labels: { env: 'prod' },
        networkInterfaces: [
          {
            name: 'nic0',
            network: 'https://x/projects/proj-1/global/networks/main',
            subnetwork: 'https://x/projects/proj-1/regions/us-central1/subnetworks/sub',
            networkIP: '10.2.0.2',
            accessConfigs: [{ natIP: '198.51.100.4' }],
          },
        ],
        disks: [{ boot: true, licenses: ['https://x/global/licenses/ubuntu-2204-lts'] }],
      },
    }).assets
    expect(asset).toMatchObject({
      kind: 'VIRTUAL_MACHINE',
      cloud: {
        provider: 'gcp',
        region: null,
        zone: 'us-central1-a',
        vpc_id: 'main',
        instance_id: '1234567890123456789',
        resource_id: '//compute.googleapis.com/projects/proj-1/zones/us-central1-a/instances/gce-1',
      },
      network_interfaces: [{ name: 'nic0', ips: ['10.2.0.2', '198.51.100.4'], subnet: 'sub' }],
      os: { family: 'LINUX', name: 'ubuntu-2204-lts' },
      tags: { env: 'prod' },
      vendor_created_at: null,
    })
    expect(asset?.correlation_keys[0]?.value).toBe('gcp:proj-1:1234567890123456789')
  })

  it('without an id goes to the dead letters, as does what is no JSON', () => {
    expect(() => observe('cspm.config', { name: 'x' })).toThrow(/lacks what every record/)
    expect(() => observeBytes('cspm.config', Buffer.from('{'))).toThrow(/not UTF-8 JSON/)
  })
})

describe.runIf(samplesPresent)('a recorded unit', () => {
  it('of the configuration search that is no machine is a cloud resource', () => {
    const item = sampleJson('prisma-cloud/cspm/search_config.item.cloudtrail.json')
    const observation = observe('cspm.config', item)
    expect(observation.assets[0]).toMatchObject({
      kind: 'CLOUD_RESOURCE',
      native_type: 'Cloud Trail Status',
      name: 'trail-status',
      hostnames: [],
      cloud: {
        provider: 'aws',
        account_id: '888888888888',
        resource_id: 'arn:aws:trail:us-west-1:888888888888:trail/control',
        service: 'AWS CloudTrail',
      },
      network_interfaces: [],
      os: null,
      criticality: null,
      vendor_created_at: Date.UTC(2023, 1, 17, 11, 7, 40),
    })
    expect(observation.drift?.map((d) => d.path)).toEqual(['item._note'])
  })

  it('of the inventory gives kind, criticality by alerts, and counts only where told', () => {
    const [workspace, instance] = sampleJson(
      'prisma-cloud/cspm/scan_info.resources.json',
    ) as unknown[]
    const first = observe('cspm.inventory', workspace)
    expect(first.drift).toEqual([])
    expect(first.assets[0]).toMatchObject({
      kind: 'CLOUD_RESOURCE',
      native_type: 'Azure Log Analytics Workspace',
      name: 'sampleworkpace',
      cloud: { provider: 'azure', region: 'westeurope', account_name: 'Azure Account' },
      criticality: { level: 'MEDIUM', score: null, raw: 'medium' },
      finding_counts: null,
      internet_exposed: null,
    })
    expect(first.assets[0]?.cloud?.resource_id).toMatch(/^\/subscriptions\/aa88885-.*workspaces/)
    const second = observe('cspm.inventory', instance)
    expect(second.drift).toEqual([])
    expect(second.assets[0]).toMatchObject({
      kind: 'VIRTUAL_MACHINE',
      name: 'IS-39814 (Connectors EC-11111)',
      hostnames: [],
      cloud: { provider: 'aws', instance_id: 'i-0e000e0000eb41c1', region: 'us-east-2' },
      criticality: { level: 'INFORMATIONAL', raw: 'none' },
      finding_counts: { critical: 0, high: 0, medium: 0, low: 0, total: 0 },
    })
  })
})
