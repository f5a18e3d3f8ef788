// Where the fields of compute.containers come from.
import { type StreamMapping, REST, always, below, from, like } from './stream-mapping.ts'

const NETWORK = 'info.networkSettings.networks[]'
const IPS = `${NETWORK}.ipAddress info.networkSettings.ipAddress`
const PORTS = 'info.network.ports info.networkSettings.ports'

export const computeContainersMapping: StreamMapping = {
  stream: 'compute.containers',
  product: 'prisma-compute',
  call: 'GET /api/v<version>/containers',
  unit: 'a running container',
  lifted: [],
  each: null,
  deciding: {},
  tables: {
    asset: {
      asset_uid: from('_id', '`container|<_id>`'),
      entity_uid: like('asset_uid', 'the asset itself'),
      kind: always('CONTAINER'),
      native_type: always('container'),
      name: from('info.name _id', 'the first there is'),
      'cloud.provider': from('info.cloudMetadata.provider'),
      'cloud.account_id': from('info.cloudMetadata.accountID'),
      'cloud.region': from('info.cloudMetadata.region'),
      'network_interfaces.name': from(`${NETWORK}.name`),
      'network_interfaces.mac': from(`${NETWORK}.macAddress info.networkSettings.macAddress`),
      'network_interfaces.ips': from(IPS, 'the second only where there is no list'),
      private_ips: from(IPS),
      public_ips: from(IPS),
      'image.digest': from('info.image info.imageName', 'behind the `@`'),
      'image.image_id': from('info.imageID'),
      'image.registry': from('info.image info.imageName', 'the first there is'),
      'image.repository': from('info.image info.imageName', 'the first there is'),
      'image.tags': from('info.image info.imageName', 'the first there is'),
      'exposed_services.port': from(PORTS, 'ports of the machine, not those of its own loopback'),
      business_units: from('collections'),
      tags: from(below('info', 'labels externalLabels cluster namespace')),
      status: always('ACTIVE'),
      last_seen: from('scanTime', 'else fetch time'),
      vendor_created_at: from('info.startTime'),
      unmapped: REST,
    },
  },
  nothing: {
    'public DNS name': 'not told of containers',
    'operating system details': "they are the image's, see compute.images",
    'internet facing': 'published ports are told, not who reaches them',
    'Palo Alto criticality data': "it is the image's, see compute.images",
    'CVE findings': "they are the image's, see compute.images",
  },
}
