// What each cloud's own JSON says of a machine: addresses, names, system, placement.
import type { NetworkInterface, Os } from '../../contracts/asset.ts'
import { macsOf } from '../identity-keys.ts'
import { addressesOf } from '../ip.ts'
import { osFamilyOf, osOf } from '../os.ts'
import { isObject, textOf } from '../text.ts'
import { type CloudData, type ConfigUnit, flatAt } from './cspm-item.ts'

export type MachineFacts = {
  /** i-… (AWS), vmId (Azure), number (Google). */
  readonly instanceId: string | null
  /** The cloud's own full name of the resource, where the item's id is none. */
  readonly resourceId: string | null
  readonly zone: string | null
  readonly vpcId: string | null
  readonly imageId: string | null
  readonly names: readonly (string | null)[]
  readonly publicNames: readonly (string | null)[]
  /** Addresses that stand beside the interfaces. */
  readonly ips: readonly string[]
  readonly interfaces: readonly NetworkInterface[]
  readonly os: Os | null
  readonly labels: readonly (readonly [string, string])[]
}

/** Null for what is no machine. */
export function machineOf(unit: ConfigUnit, provider: string | null): MachineFacts | null {
  const { data } = unit.item
  if (provider === 'aws' && textOf(data['instanceId'])?.startsWith('i-') === true) return aws(data)
  if (provider === 'azure' && /\/virtualmachines\//i.test(azureIdOf(unit))) return azure(unit)
  const isGoogle = data['kind'] === 'compute#instance' || textOf(data['machineType']) !== null
  return provider === 'gcp' && isGoogle ? google(data) : null
}

const listOf = (value: unknown): CloudData[] =>
  Array.isArray(value) ? value.filter((one) => isObject(one)) : []
const textsIn = (values: readonly unknown[]): string[] =>
  values.map(textOf).filter((text) => text !== null)
/** The last step of a path or URL. */
const tailOf = (value: unknown): string | null => textOf(value)?.split('/').at(-1) ?? null

function interfaceOf(
  name: unknown,
  mac: unknown,
  ips: readonly string[],
  subnet: unknown,
): NetworkInterface {
  return {
    name: textOf(name),
    mac: macsOf(textsIn([mac]))[0] ?? null,
    ips: addressesOf(ips).all,
    subnet: textOf(subnet),
  }
}

/** Lists of key and value, as AWS writes tags; or a map, as the others do. */
function labelsOf(value: unknown): [string, string][] {
  if (isObject(value)) return Object.entries(value).map(([k, v]) => [k, textOf(v) ?? ''])
  return listOf(value).flatMap((tag): [string, string][] => {
    const key = textOf(tag['key'])
    return key === null ? [] : [[key, textOf(tag['value']) ?? '']]
  })
}

function aws(data: CloudData): MachineFacts {
  const nics = listOf(data['networkInterfaces'])
  const platform = textOf(data['platform'])
  const details = textOf(data['platformDetails'])
  return {
    instanceId: textOf(data['instanceId']),
    resourceId: null,
    zone: textOf(flatAt(data, 'placement.availabilityZone')),
    vpcId: textOf(data['vpcId']),
    imageId: textOf(data['imageId']),
    names: [textOf(data['privateDnsName'])],
    publicNames: [
      textOf(data['publicDnsName']),
      ...nics.map((nic) => textOf(flatAt(nic, 'association.publicDnsName'))),
    ],
    ips: textsIn([data['privateIpAddress'], data['publicIpAddress']]),
    interfaces: nics.map((nic) =>
      interfaceOf(nic['networkInterfaceId'], nic['macAddress'], awsIps(nic), nic['subnetId']),
    ),
    // The vendor names only Windows: every other machine of this cloud is a Linux.
    os: osOf({
      family: /windows/i.test(`${platform} ${details}`) ? 'WINDOWS' : 'LINUX',
      name: details ?? platform,
      version: null,
      architecture: textOf(data['architecture']),
    }),
    labels: labelsOf(data['tags']),
  }
}

function awsIps(nic: CloudData): string[] {
  const addresses = listOf(nic['privateIpAddresses'])
  const six = Array.isArray(nic['ipv6Addresses']) ? (nic['ipv6Addresses'] as unknown[]) : []
  return textsIn([
    nic['privateIpAddress'],
    flatAt(nic, 'association.publicIp'),
    ...addresses.map((address) => address['privateIpAddress']),
    ...addresses.map((address) => flatAt(address, 'association.publicIp')),
    ...six.map((address) => (isObject(address) ? address['ipv6Address'] : address)),
  ])
}

/** `/subscriptions/…`; CSPM may put the machine's vmId in front of it. */
export const azureIdOf = ({ item }: ConfigUnit): string => {
  const ids = textsIn([item.data['id'], item.id])
  const id = ids.find((text) => /\/subscriptions\//i.test(text)) ?? ''
  return id.replace(/^.*?(?=\/subscriptions\/)/i, '')
}

function azure(unit: ConfigUnit): MachineFacts {
  const { data, id } = unit.item
  const profile = (path: string) => flatAt(data, `properties.storageProfile.${path}`)
  const [offer, sku] = [
    textOf(profile('imageReference.offer')),
    textOf(profile('imageReference.sku')),
  ]
  const image = textsIn([profile('imageReference.publisher'), offer, sku])
  const publicIps = new Map(
    unit.public_ips.map((ip) => [textOf(ip['id'])?.toLowerCase() ?? '', ip] as const),
  )
  const zones = data['zones']
  return {
    instanceId:
      textOf(flatAt(data, 'properties.vmId')) ??
      textOf(data['vmId']) ??
      /^([0-9a-f-]{36})-\/subscriptions\//i.exec(id ?? '')?.[1] ??
      null,
    resourceId: azureIdOf(unit),
    zone: Array.isArray(zones) ? textOf(zones[0]) : null,
    vpcId: null,
    imageId: textOf(profile('imageReference.id')) ?? (image.length > 0 ? image.join(':') : null),
    names: [textOf(flatAt(data, 'properties.osProfile.computerName'))],
    publicNames: unit.public_ips.map((ip) => textOf(flatAt(ip, 'properties.dnsSettings.fqdn'))),
    ips: [],
    interfaces: unit.nics.map((nic) =>
      interfaceOf(
        nic['name'] ?? tailOf(nic['id']),
        flatAt(nic, 'properties.macAddress'),
        azureIps(nic, publicIps),
        configurationsOf(nic).map((one) => flatAt(one, 'properties.subnet.id'))[0],
      ),
    ),
    os: osOf({
      family: osFamilyOf([textOf(profile('osDisk.osType')), offer]),
      name: textsIn([offer, sku]).join(' ') || textOf(profile('osDisk.osType')),
      version: null,
      architecture: null,
    }),
    labels: labelsOf(data['tags']),
  }
}

const configurationsOf = (nic: CloudData): CloudData[] =>
  listOf(flatAt(nic, 'properties.ipConfigurations') ?? nic['ipConfigurations'])

function azureIps(nic: CloudData, publicIps: ReadonlyMap<string, CloudData>): string[] {
  return configurationsOf(nic).flatMap((configuration) => {
    const id = textOf(flatAt(configuration, 'properties.publicIPAddress.id'))?.toLowerCase()
    const publicIp = id === undefined ? undefined : publicIps.get(id)
    return textsIn([
      flatAt(configuration, 'properties.privateIPAddress'),
      flatAt(publicIp, 'properties.ipAddress') ?? flatAt(publicIp, 'ipAddress'),
    ])
  })
}

function google(data: CloudData): MachineFacts {
  const nics = listOf(data['networkInterfaces'])
  const disks = listOf(data['disks'])
  const boot = disks.find((disk) => disk['boot'] === true) ?? disks[0]
  const licences = Array.isArray(boot?.['licenses']) ? (boot['licenses'] as unknown[]) : []
  const system = tailOf(licences[0])
  const path = /\/projects\/.*$/.exec(textOf(data['selfLink']) ?? '')?.[0]
  return {
    instanceId: textOf(data['id']),
    resourceId: path === undefined ? null : `//compute.googleapis.com${path}`,
    zone: tailOf(data['zone']),
    vpcId: tailOf(nics[0]?.['network']),
    imageId: tailOf(boot?.['sourceImage']),
    names: [textOf(data['hostname']), textOf(data['name'])],
    publicNames: [],
    ips: [],
    interfaces: nics.map((nic) =>
      interfaceOf(
        nic['name'],
        null,
        textsIn([
          nic['networkIP'],
          nic['ipv6Address'],
          ...listOf(nic['accessConfigs']).map((access) => access['natIP']),
        ]),
        tailOf(nic['subnetwork']),
      ),
    ),
    os: osOf({ family: osFamilyOf([system]), name: system, version: null, architecture: null }),
    labels: labelsOf(data['labels']),
  }
}
