// Where the fields of cspm.config come from: the frame of CSPM, the cloud's own JSON in `data`.
import { type StreamMapping, REST, always, below, from, like } from './stream-mapping.ts'

const NIC = 'data.networkInterfaces[]'
const AZURE_NIC = 'nics[].data.properties.ipConfigurations[].properties'
const AWS_IPS = below(
  NIC,
  `privateIpAddress association.publicIp privateIpAddresses[].privateIpAddress
   privateIpAddresses[].association.publicIp ipv6Addresses`,
)
const AZURE_IPS = `${AZURE_NIC}.privateIPAddress ${AZURE_NIC}.publicIPAddress.id
  public_ips[].data.id public_ips[].data.properties.ipAddress`
const GOOGLE_IPS = below(NIC, 'networkIP ipv6Address accessConfigs[].natIP')
const NIC_IPS = `${AWS_IPS} ${AZURE_IPS} ${GOOGLE_IPS}`
const IPS = `data.privateIpAddress data.publicIpAddress ${NIC_IPS}`
const PUBLIC_NAMES = `data.publicDnsName ${NIC}.association.publicDnsName
  public_ips[].data.properties.dnsSettings.fqdn`
const PROFILE = 'data.properties.storageProfile'
const IMAGE = `${PROFILE}.imageReference`
const MACHINE = 'decide whether it is a machine'

export const cspmConfigMapping: StreamMapping = {
  stream: 'cspm.config',
  product: 'prisma-cspm',
  call: 'POST /search/api/v2/config',
  unit: 'a resource; an Azure machine (`vm`) with its interfaces (`nics`) and addresses (`public_ips`)',
  lifted: ['vm'],
  each: null,
  deciding: {
    cloudType: MACHINE,
    id: MACHINE,
    'data.id': MACHINE,
    'data.instanceId': MACHINE,
    'data.kind': MACHINE,
    'data.machineType': MACHINE,
    'nics[].data.id': 'finds the name of an interface without one',
  },
  tables: {
    asset: {
      asset_uid: from('assetId'),
      entity_uid: like('correlation_keys asset_uid', 'first strong key, else the asset itself'),
      kind: from(
        'resourceType cloudType data.instanceId data.id id data.kind data.machineType',
        'VIRTUAL_MACHINE by the JSON of the cloud, else by the type',
      ),
      native_type: from('resourceType'),
      name: like('cloud.instance_id', 'the first there is', 'name id assetId'),
      hostnames: from(
        `name data.privateDnsName data.properties.osProfile.computerName data.hostname data.name
         ${PUBLIC_NAMES}`,
        'of machines',
      ),
      fqdns: like('hostnames', 'those with a domain'),
      public_dns_names: from(PUBLIC_NAMES),
      'cloud.provider': from('cloudType', 'not `other`'),
      'cloud.account_id': from('accountId'),
      'cloud.account_name': from('accountName'),
      'cloud.region': from('regionId'),
      'cloud.zone': from('data.placement.availabilityZone data.zones data.zone'),
      'cloud.resource_id': from(
        'id rrn data.id data.selfLink',
        "in the cloud's form where there is one, else the vendor's `rrn`",
      ),
      'cloud.instance_id': from(
        'data.instanceId data.properties.vmId data.vmId id data.id',
        'of machines',
      ),
      'cloud.service': from('service'),
      'cloud.resource_type': from('resourceType'),
      'cloud.vpc_id': from(`vpcId data.vpcId ${NIC}.network`, 'the first there is'),
      'cloud.image_id': from(
        `data.imageId ${IMAGE}.id ${IMAGE}.publisher ${IMAGE}.offer ${IMAGE}.sku
         data.disks[].sourceImage data.disks[].boot`,
        'of machines',
      ),
      'network_interfaces.name': from(
        `${NIC}.networkInterfaceId nics[].data.name nics[].data.id ${NIC}.name`,
      ),
      'network_interfaces.mac': from(`${NIC}.macAddress nics[].data.properties.macAddress`),
      'network_interfaces.ips': from(NIC_IPS),
      'network_interfaces.subnet': from(`${NIC}.subnetId ${AZURE_NIC}.subnet.id ${NIC}.subnetwork`),
      private_ips: from(IPS),
      public_ips: from(IPS),
      'os.family': from(
        `data.platform data.platformDetails ${PROFILE}.osDisk.osType ${IMAGE}.offer
         data.disks[].licenses data.disks[].boot`,
        'AWS names only Windows',
      ),
      'os.name': from(
        `data.platformDetails data.platform ${IMAGE}.offer ${IMAGE}.sku ${PROFILE}.osDisk.osType
         data.disks[].licenses data.disks[].boot`,
        'the first there is, by cloud',
      ),
      'os.architecture': from('data.architecture'),
      'criticality.level': from('riskGrade', 'A is the best, F the worst'),
      'criticality.raw': from('riskGrade'),
      business_units: from('accountGroupName'),
      tags: from('tags data.tags data.labels'),
      correlation_keys: like(
        `cloud.provider cloud.account_id cloud.instance_id cloud.resource_id hostnames fqdns
         network_interfaces.mac private_ips public_ips`,
        'see the rules',
      ),
      status: always('ACTIVE'),
      last_seen: always('fetch time'),
      vendor_created_at: from('createdTs', '-1 = unknown'),
      unmapped: REST,
    },
  },
  nothing: {
    'internet facing': 'the configuration search does not tell it; cspm.inventory does',
    'CVE findings': 'see cspm.vulnerabilities',
  },
}
