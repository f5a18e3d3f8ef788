// Items of the configuration search: the cloud's own JSON of machines inside CSPM's frame.
import {
  type CloudMachine,
  MACHINE_TYPES,
  azureId,
  cloudMachines,
  machineAssetId,
  machineId,
  rrnOf,
} from '../cloud-resources.ts'
import type { Estate, Provider } from '../estate.ts'
import { type Row, type Value, rowOf } from '../rows.ts'

/** Names that the search knows. */
export const API_NAMES = [
  'aws-ec2-describe-instances',
  'azure-vm-list',
  'azure-network-nic-list',
  'azure-network-public-ip-address-list',
  'gcloud-compute-instances-list',
] as const
export type ApiName = (typeof API_NAMES)[number]

const SERVICES: Readonly<Record<Provider, string>> = {
  aws: 'Amazon EC2',
  azure: 'Azure Compute',
  gcp: 'Google Compute Engine',
}
const GRADES = ['A', 'B', 'C', 'D', 'F'] as const
/** Every so many machines one stood there before, which is told as deleted. */
const DELETED_EVERY = 7

/** The rows of one api.name, deleted ones among them. */
export function configRows(estate: Estate, apiName: ApiName): Row[] {
  const machines = cloudMachines(estate)
  const of = (provider: Provider) => machines.filter((m) => m.cloud.provider === provider)
  const azure = of('azure')
  switch (apiName) {
    case 'aws-ec2-describe-instances':
      return of('aws').flatMap((m) => withDeleted(m, awsData(m)))
    case 'gcloud-compute-instances-list':
      return of('gcp').flatMap((m) => withDeleted(m, gcpData(m)))
    case 'azure-vm-list':
      return azure.flatMap((m) => withDeleted(m, azureData(m)))
    case 'azure-network-nic-list':
      return azure.map((m) => part(m, nicId(m), 'Azure Network Interface', nicData(m)))
    case 'azure-network-public-ip-address-list':
      return azure
        .filter((m) => m.publicIp !== null)
        .map((m) => part(m, publicIpId(m), 'Azure Public IP', publicIpData(m)))
  }
}

function withDeleted(machine: CloudMachine, data: Value): Row[] {
  const row = rowOf(machineAssetId(machine), () => machineItem(machine, data))
  if (machine.serial % DELETED_EVERY !== 3) return [row]
  const assetId = machineAssetId(machine).split('').toReversed().join('')
  const gone = rowOf(assetId, () => ({ ...machineItem(machine, data), assetId, deleted: true }))
  return [gone, row]
}

function machineItem(machine: CloudMachine, data: Value): Value {
  const { cloud, hostname, serial, tags } = machine
  const { provider, region, accountId, networkId } = cloud
  const id = machineId(machine)
  return {
    ...frame(machine, id, MACHINE_TYPES[provider], SERVICES[provider]),
    rrn: rrnOf(provider, 'instance', region, accountId, id),
    assetId: machineAssetId(machine),
    name: hostname,
    createdTs: serial % 5 === 4 ? -1 : machine.firstSeenMs,
    deleted: false,
    vpcId: networkId,
    vpcName: networkId,
    tags,
    riskGrade: GRADES[serial % GRADES.length],
    data,
  }
}

/** What every item has around `data`. */
const frame = (
  machine: CloudMachine,
  id: string,
  resourceType: string,
  service: string,
): Value => ({
  stateId: `st-${machine.serial}`,
  id,
  accountId: machine.cloud.accountId,
  accountName: `account ${machine.cloud.accountId.slice(0, 6)}`,
  accountGroupName: 'Default Account Group',
  cloudType: machine.cloud.provider,
  regionId: machine.cloud.region,
  regionName: machine.cloud.region,
  service,
  resourceType,
  insertTs: machine.lastSeenMs,
  hasNetwork: true,
  hasExternalFinding: machine.exposures.length > 0,
  hasExternalIntegration: false,
  hasExtFindingRiskFactors: false,
  allowDrillDown: true,
  resourceConfigJsonAvailable: true,
})

function part(machine: CloudMachine, id: string, resourceType: string, data: Value): Row {
  const assetId = machineAssetId(machine).slice(0, 30) + (resourceType.endsWith('IP') ? 'ff' : 'ee')
  const { region, accountId } = machine.cloud
  return rowOf(assetId, () => ({
    ...frame(machine, id, resourceType, 'Azure Virtual Network'),
    rrn: rrnOf('azure', 'other', region, accountId, id),
    assetId,
    name: id.slice(id.lastIndexOf('/') + 1),
    createdTs: machine.firstSeenMs,
    deleted: false,
    tags: {},
    data,
  }))
}

const publicName = ({ publicIp, cloud }: CloudMachine): string =>
  publicIp === null
    ? ''
    : `ec2-${publicIp.replaceAll('.', '-')}.${cloud.region}.compute.amazonaws.com`

function awsData(machine: CloudMachine): Value {
  const { cloud, privateIp, publicIp, serial, system, tags } = machine
  const privateDnsName = `ip-${privateIp.replaceAll('.', '-')}.${cloud.region}.compute.internal`
  const eni = `eni-0${cloud.instanceId.slice(3, 19)}`
  const association =
    publicIp === null
      ? {}
      : { association: { publicIp, publicDnsName: publicName(machine), ipOwnerId: 'amazon' } }
  return {
    instanceId: cloud.instanceId,
    instanceType: cloud.instanceType,
    imageId: cloud.imageId,
    architecture: 'x86_64',
    ...(system.family === 'WINDOWS' ? { platform: 'windows' } : {}),
    platformDetails: system.family === 'WINDOWS' ? 'Windows' : 'Linux/UNIX',
    state: { code: 16, name: 'running' },
    placement: { availabilityZone: cloud.zone, tenancy: 'default' },
    privateIpAddress: privateIp,
    ...(publicIp === null ? {} : { publicIpAddress: publicIp }),
    privateDnsName,
    publicDnsName: publicName(machine),
    vpcId: cloud.networkId,
    subnetId: `subnet-${serial % 4}`,
    tags: Object.entries(tags).map(([key, value]) => ({ key, value })),
    networkInterfaces: [
      {
        networkInterfaceId: eni,
        macAddress: machine.mac,
        status: 'in-use',
        subnetId: `subnet-${serial % 4}`,
        vpcId: cloud.networkId,
        privateIpAddress: privateIp,
        privateDnsName,
        privateIpAddresses: [
          { primary: true, privateIpAddress: privateIp, privateDnsName, ...association },
        ],
        ipv6Addresses: [],
        groups: [{ groupId: 'sg-1', groupName: 'web' }],
        ...association,
      },
    ],
  }
}

/** Half of the machines come with Azure's keys flattened, as some tenants show them. */
const isFlat = (machine: CloudMachine): boolean => machine.serial % 2 === 0

function azureData(machine: CloudMachine): Value {
  const { cloud, hostname, system } = machine
  const [publisher = '', offer = '', sku = ''] = cloud.imageId.split(':')
  const properties: Value = {
    vmId: cloud.instanceId.toUpperCase(),
    hardwareProfile: { vmSize: cloud.instanceType },
    osProfile: { computerName: hostname },
    storageProfile: {
      osDisk: { osType: system.family === 'WINDOWS' ? 'Windows' : 'Linux' },
      imageReference: { publisher, offer, sku, version: 'latest' },
    },
    networkProfile: { networkInterfaces: [{ id: nicId(machine) }] },
  }
  const outside = { id: azureId(machine), name: hostname, location: cloud.region, zones: ['1'] }
  if (!isFlat(machine)) return { ...outside, properties }
  const flat = Object.entries(properties).map(([key, value]) => [`['properties.${key}']`, value])
  return { ...outside, ...Object.fromEntries(flat) }
}

const networkId = ({ cloud }: CloudMachine, kind: string, name: string): string =>
  `/subscriptions/${cloud.accountId}/resourceGroups/RG-Main/providers/Microsoft.Network/${kind}/${name}`
const nicId = (m: CloudMachine): string => networkId(m, 'networkInterfaces', `nic-${m.hostname}`)
const publicIpId = (m: CloudMachine): string =>
  networkId(m, 'publicIPAddresses', `ip-${m.hostname}`)

function nicData(machine: CloudMachine): Value {
  const { hostname, mac, privateIp, publicIp } = machine
  const ipConfiguration = {
    name: 'ipconfig1',
    properties: {
      privateIPAddress: privateIp,
      primary: true,
      subnet: { id: networkId(machine, 'virtualNetworks', 'vnet-main/subnets/default') },
      // Azure's services write one id in different cases.
      ...(publicIp === null ? {} : { publicIPAddress: { id: publicIpId(machine).toUpperCase() } }),
    },
  }
  const properties = {
    macAddress: mac.toUpperCase().replaceAll(':', '-'),
    virtualMachine: { id: azureId(machine).toLowerCase() },
    ipConfigurations: [ipConfiguration],
  }
  const outside = { id: nicId(machine), name: `nic-${hostname}` }
  if (!isFlat(machine)) return { ...outside, properties }
  const flat = Object.entries(properties).map(([key, value]) => [`['properties.${key}']`, value])
  return { ...outside, ...Object.fromEntries(flat) }
}

const publicIpData = (machine: CloudMachine): Value => ({
  id: publicIpId(machine),
  name: `ip-${machine.hostname}`,
  properties: {
    ipAddress: machine.publicIp,
    dnsSettings: { fqdn: `${machine.hostname}.${machine.cloud.region}.cloudapp.azure.com` },
  },
})

function gcpData(machine: CloudMachine): Value {
  const { cloud, hostname, privateIp, publicIp, system, tags } = machine
  const project = `https://www.googleapis.com/compute/v1/projects/${cloud.accountId}`
  const zone = `${project}/zones/${cloud.zone}`
  const access = publicIp === null ? [] : [{ type: 'ONE_TO_ONE_NAT', natIP: publicIp }]
  const os = system.family === 'WINDOWS' ? 'windows-cloud' : `${system.id}-os-cloud`
  return {
    id: cloud.instanceId,
    kind: 'compute#instance',
    name: hostname,
    zone,
    machineType: `${zone}/machineTypes/${cloud.instanceType}`,
    status: 'RUNNING',
    selfLink: `${zone}/instances/${hostname}`,
    labels: Object.fromEntries(
      Object.entries(tags).map(([key, value]) => [key.toLowerCase(), value]),
    ),
    networkInterfaces: [
      {
        name: 'nic0',
        network: `${project}/global/networks/${cloud.networkId}`,
        subnetwork: `${project}/regions/${cloud.region}/subnetworks/default`,
        networkIP: privateIp,
        ...(access.length === 0 ? {} : { accessConfigs: access }),
      },
    ],
    disks: [
      {
        boot: true,
        licenses: [
          `${project.replace(cloud.accountId, os)}/global/licenses/${system.id}-${system.version}`,
        ],
      },
    ],
  }
}
