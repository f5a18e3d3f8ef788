// ECS document of an asset: the fields of `host`, `cloud`, `container`, `resource`.
import type { Asset, OsFamily } from '../../contracts/asset.ts'
import { isIpAddress, isMacAddress } from '../addresses.ts'
import { isMachine } from '../machines.ts'
import { said, textOrNull } from '../said.ts'
import { type EcsDocument, dateOf, envelopeOf, frameOf } from './document.ts'

const INFORMATIONAL = 1

/** `host.os.type`: one of the words that ECS allows. */
const OS_TYPES: Readonly<Record<OsFamily, string | null>> = {
  UNKNOWN: null,
  WINDOWS: 'windows',
  LINUX: 'linux',
  MACOS: 'macos',
  ANDROID: 'android',
  IOS: 'ios',
  OTHER: null,
}

/** ECS event of an asset, the whole state. Pure. */
export function ecsOfAsset(asset: Asset): EcsDocument {
  const { meta, cloud } = asset
  const isHost = isMachine(asset.kind)
  const words = { kind: 'asset', category: isHost ? 'host' : null }
  return said({
    ...frameOf(meta, words, INFORMATIONAL),
    message: asset.name,
    host: isHost ? hostOf(asset) : null,
    cloud: {
      provider: textOrNull(cloud?.provider),
      account: { id: cloud?.account_id, name: cloud?.account_name },
      region: cloud?.region,
      availability_zone: cloud?.zone,
      instance: { id: cloud?.instance_id },
      service: { name: cloud?.service },
    },
    container: containerOf(asset),
    resource: {
      id: textOrNull(cloud?.resource_id) ?? asset.asset_uid,
      name: asset.name,
      type: textOrNull(asset.native_type) ?? asset.kind,
    },
    exposure: restOf(asset),
  })
}

function hostOf(asset: Asset) {
  const { os } = asset
  const macs = asset.network_interfaces.flatMap(({ mac }) =>
    mac !== null && isMacAddress(mac) ? [macOf(mac)] : [],
  )
  return {
    id: asset.asset_uid,
    name: asset.name,
    hostname: asset.hostnames[0] ?? asset.fqdns[0],
    ip: [...new Set([...asset.private_ips, ...asset.public_ips])].filter(isIpAddress),
    mac: [...new Set(macs)],
    architecture: os?.architecture,
    type: textOrNull(asset.native_type),
    os: {
      name: os?.name,
      version: os?.version,
      kernel: os?.kernel,
      type: os === null ? null : OS_TYPES[os.family],
    },
  }
}

/** ECS writes MAC addresses as RFC 7042 does. */
const macOf = (mac: string): string => mac.toUpperCase().replaceAll(':', '-')

function containerOf({ kind, meta, name, image }: Asset) {
  const isContainer = kind === 'CONTAINER'
  const digest = textOrNull(image?.digest)
  const path = [image?.registry, image?.repository].filter((part) => textOrNull(part) !== null)
  return {
    id: isContainer ? meta.source.native_id : null,
    name: isContainer ? name : null,
    image: {
      name: textOrNull(path.join('/')),
      tag: image?.tags,
      hash: { all: digest === null ? [] : [digest] },
    },
  }
}

/** What ECS has no field for, or only one where there are several. */
const restOf = (asset: Asset) => ({
  ...envelopeOf(asset.meta),
  asset_uid: asset.asset_uid,
  entity_uid: asset.entity_uid,
  kind: asset.kind,
  native_type: asset.native_type,
  hostnames: asset.hostnames,
  fqdns: asset.fqdns,
  public_dns_names: asset.public_dns_names,
  cloud: asset.cloud,
  network_interfaces: asset.network_interfaces,
  private_ips: asset.private_ips,
  public_ips: asset.public_ips,
  os: asset.os,
  image: asset.image,
  agent: asset.agent === null ? null : { ...asset.agent, last_seen: dateOf(asset.agent.last_seen) },
  internet_exposed: asset.internet_exposed,
  exposed_services: asset.exposed_services,
  criticality: asset.criticality,
  risk_factors: asset.risk_factors,
  business_units: asset.business_units,
  owners: asset.owners,
  // Pairs, not an object: every name of an object would be a field of the index.
  tags: Object.entries(asset.tags).map(([name, value]) => ({ name, value })),
  correlation_keys: asset.correlation_keys,
  status: asset.status,
  first_seen: dateOf(asset.first_seen),
  last_seen: dateOf(asset.last_seen),
  gone_at: dateOf(asset.gone_at),
  reopen_count: asset.reopen_count,
  vendor_created_at: dateOf(asset.vendor_created_at),
  finding_counts: asset.finding_counts,
  vendor_fields: asset.unmapped,
})
