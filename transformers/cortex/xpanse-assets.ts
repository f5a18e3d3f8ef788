// Xpanse internet exposure: machines, domains and certificates as they are seen from outside.
import { z } from 'zod'
import type { AssetState } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { AssetKind } from '../../contracts/event-meta.ts'
import { assetUid } from '../../contracts/identity.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { cloudOf, instanceKeyOf, resourceIdOf, resourceKeyOf } from '../cloud.ts'
import { severityCountsOf } from '../counts.ts'
import { defineRecord, each } from '../drift.ts'
import { correlationKeysOf, entityUidOf, macsOf } from '../identity-keys.ts'
import { addressesOf } from '../ip.ts'
import { labelPairs, textMapOf } from '../maps.ts'
import { namesOf } from '../names.ts'
import { osFamilyOf, osOf } from '../os.ts'
import { flagOf, isObject } from '../text.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import { anything, maybeText, readRecord, requiredId, textList } from '../vendor-json.ts'
import { interfacesOf, kindOfWords } from './fields.ts'
import {
  addressTexts,
  businessUnitsOf,
  cloudProviderOf,
  countedOf,
  criticalityOf,
  withoutNullWords,
} from './xpanse-fields.ts'

const firstId = anything
  .transform((ids): unknown => (Array.isArray(ids) ? (ids as readonly unknown[])[0] : ids))
  .pipe(requiredId)

/**
 * One element of `reply.assets_internet_exposure` (values made up):
 *
 *     { "asm_ids": ["3c17…"], "name": "web-1.example.com", "asset_type": "CLOUD_COMPUTE_INSTANCE",
 *       "cloud_provider": "AWS", "externally_detected_providers": ["Amazon Web Services"],
 *       "region": "eu-west-1", "provider_account": "…", "cloud_id": "arn:aws:ec2:…:instance/i-…",
 *       "ips": ["203.0.113.7"], "ipv6s": [], "mac_addresses": [], "business_units": ["Shop"],
 *       "has_active_externally_services": true, "has_xdr_agent": "NA", "agent_id": null,
 *       "operation_system": null, "asm_va_score": 7.8, "externally_inferred_cves": ["CVE-…"],
 *       "certificate_classifications": [], "domain_resolves": false, "tags": ["BU:Shop"],
 *       "first_observed": 1642047685969, "last_observed": 1649588579189 }
 *
 * `asm_ids` may be a text, business units lists of lists of objects, any scalar the text `null`.
 * Some tenants have other names: `asset_id`, `type`, `ip_address`, `domain`, `active_services`,
 * `business_units_list`, `externally_inferred_vulnerability_score`.
 * @see https://docs-cortex.paloaltonetworks.com/r/Cortex-XSIAM-REST-API/Get-All-Assets
 */
const exposureSchema = z.preprocess(
  (row) => (isObject(row) ? { ...row, asm_ids: row['asm_ids'] ?? row['asset_id'] } : row),
  z.looseObject({
    asm_ids: firstId,
    name: maybeText,
    asset_type: maybeText,
    type: maybeText,
    cloud_provider: maybeText,
    externally_detected_providers: textList,
    region: maybeText,
    provider_account: maybeText,
    cloud_id: maybeText,
    cloud_resource_type: maybeText,
    ips: anything,
    ip_address: anything,
    ipv6s: anything,
    recent_ips: anything,
    last_sampled_ip: anything,
    mac_addresses: textList,
    domain: textList,
    business_units: anything,
    business_units_list: anything,
    tags: textList,
    has_active_externally_services: anything,
    has_active_external_services: anything,
    active_services: anything,
    operation_system: maybeText,
    asm_va_score: anything,
    externally_inferred_vulnerability_score: anything,
    externally_inferred_cves: anything,
    agent_id: maybeText,
    certificate_classifications: textList,
    first_observed: anything,
    last_observed: anything,
  }),
)
type Exposure = z.output<typeof exposureSchema>

const KINDS: ReadonlyMap<string, AssetKind> = new Map([
  ['CERTIFICATE', 'CERTIFICATE'],
  ['DOMAIN', 'DOMAIN'],
  ['CLOUD_COMPUTE_INSTANCE', 'VIRTUAL_MACHINE'],
  // An address that answers is a host, whoever has it.
  ['ON_PREM', 'HOST'],
  ['UNASSOCIATED_RESPONSIVE_IP', 'HOST'],
  ['RESPONSIVEIP', 'HOST'],
])

/** Mapped below; counts; and whether an agent is there, which its id says better. */
const KNOWN = fieldNames(`
  asm_ids asset_id name asset_type type cloud_provider region provider_account cloud_id
  cloud_resource_type ips ip_address ipv6s mac_addresses domain business_units business_units_list
  tags has_active_externally_services has_active_external_services active_services
  operation_system asm_va_score externally_inferred_vulnerability_score agent_id
  certificate_classifications first_observed last_observed has_xdr_agent
`)

const driftOf = defineRecord({
  fields: {
    ...each(
      'string|array',
      `asm_ids asset_id name asset_type type cloud_provider region provider_account cloud_id
       cloud_resource_type domain ipv6s ip_address operation_system agent_id has_xdr_agent
       last_sampled_ip iot_model iot_category iot_profile certificate_issuer
       certificate_algorithm`,
    ),
    ...each(
      'array',
      `ips recent_ips mac_addresses externally_detected_providers business_units
       business_units_list tags management_status sensor service_type externally_inferred_cves
       certificate_classifications ip_ranges`,
    ),
    ...each('boolean|string', 'has_active_externally_services has_active_external_services'),
    ...each('number|string', 'asm_va_score externally_inferred_vulnerability_score'),
    ...each('number', 'first_observed last_observed'),
    active_services: 'any',
    domain_resolves: 'boolean',
    domain_details: 'object',
  },
  values: { asset_type: [...KINDS.keys()], type: [...KINDS.keys()] },
})

export const xpanseAssets: Transformer = {
  vendor: 'cortex',
  product: 'cortex-xpanse',
  stream: 'xpanse.assets',
  rank: 0,
  transform(raw) {
    const reader = { schema: exposureSchema, driftOf, prepare: withoutNullWords }
    const { record, drift } = readRecord(raw, reader)
    return { assets: [assetOf(record, raw.facts)], findings: [], findingsKnown: true, drift }
  },
}

function assetOf(row: Exposure, facts: RawFacts): AssetState {
  const nowMs = facts.fetchedAtMs
  const asset_uid = assetUid({ ...facts, nativeId: row.asm_ids })
  const kind = kindOf(row)
  const provider = cloudProviderOf(row.cloud_provider, row.externally_detected_providers)
  const cloud = placementOf(row, provider)
  const names = namesIn(row, kind)
  const addresses = addressesOf(addressesIn(row))
  const macs = macsOf(row.mac_addresses)
  const correlation_keys = correlationKeysOf({
    ...names,
    provider,
    accountId: row.provider_account,
    instanceIds: [row.cloud_id],
    resourceId: cloud?.resource_id ?? null,
    imageDigest: null,
    agentId: row.agent_id,
    macs,
    publicIps: addresses.public,
    privateIps: addresses.private,
  })
  return {
    ...names,
    asset_uid,
    entity_uid: entityUidOf(correlation_keys, asset_uid),
    kind,
    native_type: row.asset_type ?? row.type ?? '',
    name: row.name ?? row.domain[0] ?? addresses.all[0] ?? row.asm_ids,
    cloud,
    network_interfaces: interfacesOf(macs, addresses.all),
    private_ips: addresses.private,
    public_ips: addresses.public,
    os: osOf({
      family: osFamilyOf([row.operation_system]),
      name: row.operation_system,
      version: null,
      architecture: null,
    }),
    image: null,
    agent: agentOf(row.agent_id),
    internet_exposed: exposedOf(row),
    exposed_services: [],
    criticality: criticalityOf(row.asm_va_score ?? row.externally_inferred_vulnerability_score),
    risk_factors: row.certificate_classifications,
    business_units: businessUnitsOf([row.business_units, row.business_units_list]),
    owners: [],
    tags: textMapOf(labelPairs(row.tags)),
    correlation_keys,
    status: 'ACTIVE',
    first_seen: timeOf(row.first_observed, 'milliseconds', nowMs),
    last_seen: timeOf(row.last_observed, 'milliseconds', nowMs) ?? nowMs,
    gone_at: null,
    reopen_count: 0,
    vendor_created_at: null,
    finding_counts: severityCountsOf(null, countedOf(row.externally_inferred_cves)),
    unmapped: unmappedOf(row, KNOWN),
  }
}

function kindOf(row: Exposure): AssetKind {
  const word = row.asset_type ?? row.type
  return KINDS.get(word?.toUpperCase() ?? '') ?? kindOfWords([word], row.cloud_provider !== null)
}

/** A certificate is issued for names, but it is none of the machines that have them. */
function namesIn({ name, domain }: Exposure, kind: AssetKind): ReturnType<typeof namesOf> {
  const names = namesOf(kind === 'CERTIFICATE' ? [] : [name, ...domain])
  return kind === 'DOMAIN' ? { ...names, public_dns_names: names.fqdns } : names
}

/** A name has no address of its own: then those that it was last seen at. */
function addressesIn(row: Exposure): string[] {
  const own = [row.ips, row.ip_address, row.ipv6s].flatMap(addressTexts)
  return own.length > 0 ? own : [row.recent_ips, row.last_sampled_ip].flatMap(addressTexts)
}

function placementOf(row: Exposure, provider: string | null): AssetState['cloud'] {
  const { cloud_id: id, provider_account: account } = row
  const instanceKey = id === null ? null : instanceKeyOf(provider, account, id)
  return cloudOf({
    provider,
    account_id: account,
    region: row.region,
    resource_id: resourceKeyOf(resourceIdOf(id)),
    instance_id: instanceKey?.split(':').at(-1) ?? null,
    resource_type: row.cloud_resource_type,
  })
}

const agentOf = (id: string | null): AssetState['agent'] =>
  id === null ? null : { type: 'cortex-xdr', id, version: null, status: null, last_seen: null }

/** What answers on the internet is exposed; a name or a certificate alone is not. */
function exposedOf(row: Exposure): boolean | null {
  const { active_services: services } = row
  if (Array.isArray(services)) return services.length > 0
  const stated = row.has_active_externally_services ?? row.has_active_external_services
  return flagOf(stated) ?? (typeof services === 'number' ? services > 0 : flagOf(services))
}
