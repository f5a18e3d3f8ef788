// Cortex XDR endpoints: machines with a Cortex agent. The listing tells assets only.
import { z } from 'zod'
import type { AssetState, AssetStatus } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import { assetUid } from '../../contracts/identity.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { cloudOf, providerOf, resourceIdOf } from '../cloud.ts'
import { defineRecord, each } from '../drift.ts'
import { correlationKeysOf, entityUidOf, macsOf } from '../identity-keys.ts'
import { addressesOf } from '../ip.ts'
import { labelPairs, textMapOf } from '../maps.ts'
import { namesOf } from '../names.ts'
import { osFamilyOf, osOf } from '../os.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import {
  anything,
  maybeText,
  objectOrEmpty,
  readRecord,
  requiredId,
  textList,
} from '../vendor-json.ts'
import { interfacesOf } from './fields.ts'

/**
 * One element of `reply.endpoints` of `POST /public_api/v1/endpoints/get_endpoint` (made up):
 *
 *     { "endpoint_id": "0f2c…", "endpoint_name": "web-1", "endpoint_type": "AGENT_TYPE_SERVER",
 *       "endpoint_status": "CONNECTED", "os_type": "AGENT_OS_LINUX", "os_version": "8.0",
 *       "operating_system": "Debian 12", "ip": ["10.0.0.7"], "ipv6": [],
 *       "public_ip": "203.0.113.7", "mac_address": ["00:50:56:00:00:07"], "domain": "example.com",
 *       "alias": "", "users": ["ops"],
 *       "first_seen": 1606218761377, "last_seen": 1606218769163, "install_date": 1606218762089,
 *       "endpoint_version": "8.4.0.1", "group_name": [], "endpointTags": "web",
 *       "cloud_provider": "AWS", "cloud_region": "eu-west-1", "cloud_provider_account_id": "…",
 *       "cloud_instance_id": "i-…", "cloud_id": "" }
 *
 * Lists may be null or a scalar, scalars may come in a list of one; times are milliseconds.
 * @see https://docs-cortex.paloaltonetworks.com/r/Cortex-XDR-REST-API/Get-Endpoint
 */
const endpointSchema = z.looseObject({
  endpoint_id: requiredId,
  endpoint_name: maybeText,
  endpoint_type: maybeText,
  endpoint_status: maybeText,
  endpoint_version: maybeText,
  alias: maybeText,
  domain: maybeText,
  os_type: maybeText,
  os_version: maybeText,
  operating_system: maybeText,
  ip: textList,
  ipv6: textList,
  public_ip: textList,
  mac_address: textList,
  users: textList,
  group_name: textList,
  endpointTags: textList,
  tags: objectOrEmpty(z.looseObject({ server_tags: textList, endpoint_tags: textList })),
  first_seen: anything,
  last_seen: anything,
  install_date: anything,
  cloud_provider: maybeText,
  cloud_region: maybeText,
  cloud_provider_account_id: maybeText,
  cloud_instance_id: maybeText,
  cloud_id: maybeText,
})
type Endpoint = z.output<typeof endpointSchema>

const STATUSES: ReadonlyMap<string, AssetStatus> = new Map([
  ['CONNECTED', 'ACTIVE'],
  ['DISCONNECTED', 'INACTIVE'],
  ['LOST', 'INACTIVE'],
  ['UNINSTALLED', 'GONE'],
])

/** Mapped below, or moved by content updates and scans although nothing changed on the machine. */
const KNOWN = fieldNames(`
  endpoint_id endpoint_name endpoint_type endpoint_status endpoint_version os_type os_version
  operating_system ip ipv6 public_ip mac_address users group_name endpointTags tags first_seen
  last_seen install_date cloud_provider cloud_region cloud_provider_account_id cloud_instance_id
  cloud_id content_version content_status content_release_timestamp last_content_update_time
  scan_status operational_status_details
`)

/** Some tenants wrap scalars in lists of one, and write a list of one as a scalar. */
const driftOf = defineRecord({
  fields: {
    ...each(
      'string|array',
      `endpoint_id endpoint_name endpoint_type endpoint_status endpoint_version endpointTags alias
       domain os_type os_version operating_system ip ipv6 public_ip mac_address users group_name
       active_directory content_version content_status installation_package is_isolated
       operational_status operational_status_description scan_status assigned_prevention_policy
       assigned_extensions_policy cloud_provider cloud_region cloud_provider_account_id
       cloud_instance_id cloud_id`,
    ),
    ...each(
      'number|array',
      `first_seen last_seen install_date isolated_date content_release_timestamp
       last_content_update_time`,
    ),
    operational_status_details: 'array',
    tags: each('string|array', 'server_tags endpoint_tags'),
  },
  values: {
    endpoint_status: [...STATUSES.keys()],
    os_type: ['WINDOWS', 'LINUX', 'MAC', 'MACOS', 'ANDROID', 'IOS', 'CHROMEOS'].flatMap((os) => [
      os,
      `AGENT_OS_${os}`,
    ]),
  },
})

export const xdrEndpoints: Transformer = {
  vendor: 'cortex',
  product: 'cortex-xdr',
  stream: 'xdr.endpoints',
  rank: 0,
  transform(raw) {
    const { record, drift } = readRecord(raw, { schema: endpointSchema, driftOf })
    return { assets: [assetOf(record, raw.facts)], findings: [], findingsKnown: true, drift }
  },
}

function assetOf(endpoint: Endpoint, facts: RawFacts): AssetState {
  const nowMs = facts.fetchedAtMs
  const asset_uid = assetUid({ ...facts, nativeId: endpoint.endpoint_id })
  const names = namesOf(namesGiven(endpoint))
  const own = addressesOf([...endpoint.ip, ...endpoint.ipv6])
  const addresses = addressesOf([...own.all, ...endpoint.public_ip])
  const macs = macsOf(endpoint.mac_address)
  const cloud = placementOf(endpoint)
  const correlation_keys = correlationKeysOf({
    ...names,
    provider: cloud?.provider ?? null,
    accountId: endpoint.cloud_provider_account_id,
    instanceIds: [endpoint.cloud_instance_id],
    resourceId: cloud?.resource_id ?? null,
    imageDigest: null,
    agentId: endpoint.endpoint_id,
    macs,
    publicIps: addresses.public,
    privateIps: addresses.private,
  })
  const lastSeen = timeOf(endpoint.last_seen, 'milliseconds', nowMs)
  const status = STATUSES.get(endpoint.endpoint_status?.toUpperCase() ?? '') ?? 'UNKNOWN'
  return {
    ...names,
    asset_uid,
    entity_uid: entityUidOf(correlation_keys, asset_uid),
    kind: cloud === null ? 'HOST' : 'VIRTUAL_MACHINE',
    native_type: endpoint.endpoint_type ?? '',
    name: endpoint.endpoint_name ?? endpoint.alias ?? endpoint.endpoint_id,
    cloud,
    network_interfaces: interfacesOf(macs, own.all),
    private_ips: addresses.private,
    public_ips: addresses.public,
    os: systemOf(endpoint),
    image: null,
    agent: agentOf(endpoint, lastSeen),
    // A public address may be that of a gateway: the agent does not say who can reach the machine.
    internet_exposed: null,
    exposed_services: [],
    criticality: null,
    risk_factors: [],
    business_units: endpoint.group_name,
    owners: endpoint.users,
    tags: tagsOf(endpoint),
    correlation_keys,
    status,
    first_seen: timeOf(endpoint.first_seen, 'milliseconds', nowMs),
    last_seen: lastSeen ?? nowMs,
    gone_at: status === 'GONE' ? lastSeen : null,
    reopen_count: 0,
    vendor_created_at: timeOf(endpoint.install_date, 'milliseconds', nowMs),
    finding_counts: null,
    unmapped: unmappedOf(endpoint, KNOWN),
  }
}

const systemOf = (endpoint: Endpoint): AssetState['os'] =>
  osOf({
    family: osFamilyOf([endpoint.os_type ?? endpoint.operating_system]),
    name: endpoint.operating_system,
    version: endpoint.os_version,
    architecture: null,
  })

const agentOf = (endpoint: Endpoint, lastSeen: number | null): AssetState['agent'] => ({
  type: 'cortex-xdr',
  id: endpoint.endpoint_id,
  version: endpoint.endpoint_version,
  status: endpoint.endpoint_status,
  last_seen: lastSeen,
})

/** `domain` is a DNS domain or a Windows workgroup; only the former makes a complete name. */
function namesGiven(endpoint: Endpoint): (string | null)[] {
  const { endpoint_name: name, domain } = endpoint
  const isComplete = name === null || name.includes('.') || !domain?.includes('.')
  return [name, isComplete ? null : `${name}.${domain}`]
}

function placementOf(endpoint: Endpoint): AssetState['cloud'] {
  return cloudOf({
    provider: providerOf(endpoint.cloud_provider),
    account_id: endpoint.cloud_provider_account_id,
    region: endpoint.cloud_region,
    resource_id: resourceIdOf(endpoint.cloud_id),
    instance_id: endpoint.cloud_instance_id,
  })
}

/** Tags are words without values, or several of them with commas between. */
function tagsOf(endpoint: Endpoint): Record<string, string> {
  const { server_tags, endpoint_tags } = endpoint.tags
  const words = [...endpoint.endpointTags, ...server_tags, ...endpoint_tags]
    .flatMap((text) => text.split(','))
    .map((word) => word.trim())
  return textMapOf(labelPairs(words.filter((word) => word !== '')))
}
