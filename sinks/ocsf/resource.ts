// OCSF's resource: what is no machine, and what a finding is about.
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import { isIpAddress } from '../addresses.ts'
import { textOrNull } from '../said.ts'
import { providerName } from './cloud.ts'
import { agentsOf, hostnameOf, ipOf } from './device.ts'
import type { OcsfVersion } from './event.ts'

/** 1.7.0 does not know the attribute `provider`. */
function providerOf(provider: string | null | undefined, version: OcsfVersion): string | null {
  const named = textOrNull(provider)
  return named === null || version === '1.7.0' ? null : providerName(named)
}

/** Region, zone and provider are attributes of the cloud profile: only with a provider. */
export function resourceOf(asset: Asset, version: OcsfVersion) {
  const { cloud, criticality } = asset
  const isCloud = textOrNull(cloud?.provider) !== null
  return {
    uid: textOrNull(cloud?.resource_id) ?? asset.asset_uid,
    uid_alt: asset.asset_uid,
    name: asset.name,
    type: textOrNull(asset.native_type) ?? asset.kind,
    hostname: hostnameOf(asset),
    ip: ipOf(asset),
    provider: providerOf(cloud?.provider, version),
    region: isCloud ? cloud?.region : null,
    zone: isCloud ? cloud?.zone : null,
    criticality: textOrNull(criticality?.raw) ?? criticality?.level,
    tags: Object.entries(asset.tags).map(([name, value]) => ({ name, value })),
    agent_list: agentsOf(asset),
    created_time: asset.vendor_created_at,
  }
}

/** The resource that a finding affects. */
export function affectedResourceOf({ asset, asset_uid }: Finding, version: OcsfVersion) {
  const isCloud = textOrNull(asset.cloud_provider) !== null
  return {
    uid: textOrNull(asset.cloud_resource_id) ?? asset_uid,
    uid_alt: asset_uid,
    name: asset.name,
    type: asset.kind,
    role_id: 3,
    role: 'Affected',
    hostname: asset.hostname,
    ip: asset.ip !== null && isIpAddress(asset.ip) ? asset.ip : null,
    provider: providerOf(asset.cloud_provider, version),
    region: isCloud ? asset.cloud_region : null,
  }
}
