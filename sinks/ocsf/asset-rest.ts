// What of an asset its OCSF class has no place for, by the names of the event's own schema.
import type { Asset, NetworkInterface } from '../../contracts/asset.ts'
import { isIpAddress, isMacAddress } from '../addresses.ts'
import { unmappedOf } from './event.ts'

/** In neither class. */
const commonOf = (asset: Asset) => ({
  ...unmappedOf(asset.meta),
  native_url: asset.meta.source.native_url,
  kind: asset.kind,
  hostnames: asset.hostnames,
  fqdns: asset.fqdns,
  public_dns_names: asset.public_dns_names,
  private_ips: asset.private_ips,
  public_ips: asset.public_ips,
  image: asset.image,
  agent: { status: asset.agent?.status, last_seen: asset.agent?.last_seen },
  internet_exposed: asset.internet_exposed,
  exposed_services: asset.exposed_services,
  criticality: asset.criticality,
  risk_factors: asset.risk_factors,
  owners: asset.owners,
  correlation_keys: asset.correlation_keys,
  gone_at: asset.gone_at,
  reopen_count: asset.reopen_count,
  finding_counts: asset.finding_counts,
  vendor_fields: asset.unmapped,
})

/** Beside a device. */
export const deviceRestOf = (asset: Asset) => ({
  ...commonOf(asset),
  native_type: asset.native_type,
  cloud: {
    // Without a provider there is no cloud object that could hold the account.
    ...(asset.cloud?.provider === '' ? accountOf(asset) : {}),
    resource_id: asset.cloud?.resource_id,
    service: asset.cloud?.service,
    resource_type: asset.cloud?.resource_type,
  },
  network_interfaces: asset.network_interfaces.filter(saysMore),
  os: { architecture: asset.os?.architecture },
  tags: asset.tags,
})

/** Beside a resource. */
export const resourceRestOf = (asset: Asset) => ({
  ...commonOf(asset),
  cloud: {
    ...(asset.cloud?.provider === ''
      ? { ...accountOf(asset), region: asset.cloud.region, zone: asset.cloud.zone }
      : {}),
    instance_id: asset.cloud?.instance_id,
    service: asset.cloud?.service,
    resource_type: asset.cloud?.resource_type,
    vpc_id: asset.cloud?.vpc_id,
    image_id: asset.cloud?.image_id,
  },
  network_interfaces: asset.network_interfaces,
  os: asset.os,
  business_units: asset.business_units,
  first_seen: asset.first_seen,
  last_seen: asset.last_seen,
})

const accountOf = ({ cloud }: Asset) => ({
  account_id: cloud?.account_id,
  account_name: cloud?.account_name,
})

/** True for an interface of which OCSF's has not all. */
const saysMore = ({ name, mac, ips, subnet }: NetworkInterface): boolean =>
  subnet !== null || !ips.every(isIpAddress) || (mac !== null && !isMacAddress(mac)) || name === ''
