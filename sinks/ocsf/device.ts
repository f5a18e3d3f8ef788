// OCSF's device: a machine as its asset tells it, or the little that a finding knows of it.
import type { Asset, Criticality, Os, OsFamily } from '../../contracts/asset.ts'
import type { AssetKind, Severity } from '../../contracts/event-meta.ts'
import type { Finding } from '../../contracts/finding.ts'
import { isIpAddress, isMacAddress } from '../addresses.ts'
import { productNames } from '../products.ts'
import { textOrNull } from '../said.ts'
import { integerOrNull } from './event.ts'

type TypeId = readonly [id: number, name: string]
const UNKNOWN: TypeId = [0, 'Unknown']
const VIRTUAL: TypeId = [6, 'Virtual']
/** Words of the vendors' own types; the first that is found counts. */
const HOST_TYPES: readonly (readonly [word: RegExp, type: TypeId])[] = [
  [/server/i, [1, 'Server']],
  [/workstation|desktop/i, [2, 'Desktop']],
  [/laptop|notebook/i, [3, 'Laptop']],
  [/mobile/i, [5, 'Mobile']],
  [/\biot\b/i, [7, 'IOT']],
]
const NETWORK_TYPES: readonly (readonly [word: RegExp, type: TypeId])[] = [
  [/firewall/i, [9, 'Firewall']],
  [/switch/i, [10, 'Switch']],
  [/router/i, [12, 'Router']],
  [/load.?balancer/i, [15, 'Load Balancer']],
]

function typeOf(kind: AssetKind, nativeType: string) {
  const words = kind === 'NETWORK_DEVICE' ? NETWORK_TYPES : HOST_TYPES
  const named = words.find(([word]) => word.test(nativeType))?.[1] ?? UNKNOWN
  const [id, name] = kind === 'VIRTUAL_MACHINE' ? VIRTUAL : named
  return { type_id: id, type: name }
}

const SYSTEMS: Readonly<Record<OsFamily, TypeId>> = {
  UNKNOWN,
  WINDOWS: [100, 'Windows'],
  LINUX: [200, 'Linux'],
  MACOS: [300, 'macOS'],
  ANDROID: [201, 'Android'],
  IOS: [301, 'iOS'],
  OTHER: UNKNOWN,
}

/** OCSF asks for a name; a family alone gives it. Beside 99 stands the source's own word. */
function osOf(os: Os | null) {
  if (os === null) return null
  const own = textOrNull(os.name)
  const known = SYSTEMS[os.family]
  const [id, type] = os.family === 'OTHER' && own !== null ? ([99, own] as const) : known
  return {
    name: own ?? type,
    type_id: id,
    type,
    version: os.version,
    kernel_release: os.kernel,
    cpe_name: os.cpe,
  }
}

const RISK_LEVELS: Readonly<Record<Severity, TypeId | null>> = {
  UNKNOWN: null,
  INFORMATIONAL: [0, 'Info'],
  LOW: [1, 'Low'],
  MEDIUM: [2, 'Medium'],
  HIGH: [3, 'High'],
  CRITICAL: [4, 'Critical'],
}

function riskOf(criticality: Criticality | null) {
  const level = criticality === null ? null : RISK_LEVELS[criticality.level]
  return {
    risk_level_id: level?.[0],
    risk_level: level?.[1],
    risk_score: integerOrNull(criticality?.score),
  }
}

type Interface = {
  readonly name: string | null
  readonly mac: string | null
  readonly ip: string | null
}

/** One interface per address; one without addresses is named by its MAC or its name. */
function interfacesOf(asset: Asset) {
  const openPorts = openPortsOf(asset)
  const exposedIp = asset.public_ips.find(isIpAddress) ?? null
  const listed = asset.network_interfaces.flatMap(({ name, mac, ips }): Interface[] => {
    const bare = { name: textOrNull(name), mac: mac !== null && isMacAddress(mac) ? mac : null }
    const addresses = ips.filter(isIpAddress)
    if (addresses.length > 0) return addresses.map((ip) => ({ ...bare, ip }))
    return bare.name === null && bare.mac === null ? [] : [{ ...bare, ip: null }]
  })
  if (openPorts.length === 0 || exposedIp === null) return listed
  const isListed = listed.some(({ ip }) => ip === exposedIp)
  const all = isListed ? listed : [...listed, { name: null, mac: null, ip: exposedIp }]
  return all.map((one) => (one.ip === exposedIp ? { ...one, open_ports: openPorts } : one))
}

const PORT_MAX = 65_535

const openPortsOf = ({ exposed_services: services }: Asset) =>
  services.flatMap(({ port, protocol }) =>
    port === null || port < 0 || port > PORT_MAX ? [] : [{ port, protocol_name: protocol }],
  )

/** The address by which the asset is found: a private one where it has any. */
export const ipOf = ({ private_ips, public_ips }: Asset): string | null =>
  [...private_ips, ...public_ips].find(isIpAddress) ?? null

export const hostnameOf = ({ hostnames, fqdns }: Asset): string | null =>
  textOrNull(hostnames[0] ?? fqdns[0])

const PROTECTION: TypeId = [1, 'Endpoint Detection and Response']
const AGENTS: ReadonlyMap<string, TypeId> = new Map([
  ['cortex-xdr', PROTECTION],
  ['prisma-defender', PROTECTION],
])

/** The agent that the vendor runs on the asset, as a list of one. */
export function agentsOf({ agent, meta }: Asset) {
  if (agent === null) return []
  const [typeId, type] = AGENTS.get(agent.type) ?? UNKNOWN
  return [
    {
      uid: agent.id,
      name: agent.type,
      version: agent.version,
      type_id: typeId,
      type,
      vendor_name: productNames(meta.source).vendor,
    },
  ]
}

/** The machine that an asset tells of. */
export const deviceOf = (asset: Asset) => ({
  uid: asset.asset_uid,
  uid_alt: asset.entity_uid,
  name: asset.name,
  ...typeOf(asset.kind, asset.native_type),
  hostname: hostnameOf(asset),
  ip: ipOf(asset),
  mac: asset.network_interfaces.map(({ mac }) => mac ?? '').find(isMacAddress),
  instance_uid: asset.cloud?.instance_id,
  region: asset.cloud?.region,
  zone: asset.cloud?.zone,
  vpc_uid: asset.cloud?.vpc_id,
  image: imageOf(asset.cloud?.image_id),
  os: osOf(asset.os),
  network_interfaces: interfacesOf(asset),
  agent_list: agentsOf(asset),
  is_managed: asset.agent === null ? null : true,
  groups: asset.business_units.map((name) => ({ name })),
  ...riskOf(asset.criticality),
  first_seen_time: asset.first_seen,
  last_seen_time: asset.last_seen,
  created_time: asset.vendor_created_at,
})

const imageOf = (uid: string | null | undefined) =>
  uid === null || uid === undefined ? null : { uid }

/** The machine that a finding is on, as far as the finding knows it. */
export const deviceOfFinding = ({ asset, asset_uid, entity_uid }: Finding) => ({
  uid: asset_uid,
  uid_alt: entity_uid,
  name: asset.name,
  ...typeOf(asset.kind, ''),
  hostname: asset.hostname,
  ip: asset.ip !== null && isIpAddress(asset.ip) ? asset.ip : null,
  region: asset.cloud_region,
})
