// Cortex Cloud inventory: assets of every class, in field names of the live API and of its spec.
import { z } from 'zod'
import type { AssetState, Criticality } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { AssetKind } from '../../contracts/event-meta.ts'
import { assetUid } from '../../contracts/identity.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { cloudOf, instanceKeyOf, providerOf, resourceIdOf } from '../cloud.ts'
import { severityCountsOf, worstOf } from '../counts.ts'
import { defineRecord, each } from '../drift.ts'
import { correlationKeysOf, entityUidOf, macsOf } from '../identity-keys.ts'
import { addressesOf } from '../ip.ts'
import { labelPairs, textMapOf } from '../maps.ts'
import { namesOf } from '../names.ts'
import { osFamilyOf, osOf } from '../os.ts'
import { isObject, textOf, textsOf } from '../text.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import { anything, maybeFlag, maybeText, readRecord, requiredId, textList } from '../vendor-json.ts'
import { interfacesOf, kindOfWords, withInnerFields } from './fields.ts'

/**
 * One element of `reply.data` of `POST /public_api/v1/assets`; keys are literal (values made up):
 *
 *     { "xdm.asset.id": "7a3b…", "xdm.asset.strong_id": "i-…", "xdm.asset.name": "web-1",
 *       "xdm.asset.external_provider_id": "i-…", "xdm.asset.provider": "AWS",
 *       "xdm.asset.realm": "<account>", "xdm.asset.cloud.region": "eu-west-1",
 *       "xdm.asset.type.id": "EC2_INSTANCE", "xdm.asset.type.name": "EC2 Instance",
 *       "xdm.asset.type.category": "VM Instance", "xdm.asset.type.class": "Compute",
 *       "xdm.asset.first_observed": 1747834085000, "xdm.asset.last_observed": 1748399709000,
 *       "xdm.asset.group_ids": [5], "xdm.host.ipv4_addresses": ["10.0.0.7"],
 *       "xdm.asset.related_issues.critical_issues": 1,
 *       "xdm.asset.related_issues.issues_breakdown": { "critical": 1, "high": 4, … } }
 *
 * The specification calls the last one `issues_breakdown`. `xdm.host.*` comes only when asked for.
 * @see https://docs-cortex.paloaltonetworks.com/r/Cortex-CLOUD-API/Get-all-or-filtered-assets
 */
const assetSchema = z.looseObject({
  'xdm.asset.id': requiredId,
  'xdm.asset.strong_id': maybeText,
  'xdm.asset.name': maybeText,
  'xdm.asset.external_provider_id': maybeText,
  'xdm.asset.external_fqdn': textList,
  'xdm.asset.provider': maybeText,
  'xdm.asset.realm': maybeText,
  'xdm.asset.cloud.region': maybeText,
  'xdm.asset.type.id': maybeText,
  'xdm.asset.type.name': maybeText,
  'xdm.asset.type.category': maybeText,
  'xdm.asset.type.class': maybeText,
  'xdm.asset.first_observed': anything,
  'xdm.asset.last_observed': anything,
  'xdm.asset.group_ids': textList,
  'xdm.asset.tags': anything,
  'xdm.asset.related_issues.issues_breakdown': anything,
  issues_breakdown: anything,
  'xdm.host.ipv4_addresses': textList,
  'xdm.host.ipv6_addresses': textList,
  'xdm.host.mac_addresses': textList,
  'xdm.host.fqdn': textList,
  'xdm.host.os_family': maybeText,
  'xdm.host.os_distribution': maybeText,
  'xdm.host.os_release': maybeText,
  'xdm.network.internet_exposed': maybeFlag,
  'xdm.cloud.vpc_id': maybeText,
})
const prepare = withInnerFields('xdm.asset.normalized_fields')
type Row = z.output<typeof assetSchema>

/** Mapped below, or counts that move although nothing changed on the asset. */
const KNOWN = fieldNames(`
  xdm.asset.id xdm.asset.strong_id xdm.asset.name xdm.asset.external_provider_id
  xdm.asset.external_fqdn xdm.asset.realm xdm.asset.cloud.region
  xdm.asset.type.id xdm.asset.type.name xdm.asset.type.category xdm.asset.first_observed
  xdm.asset.last_observed xdm.asset.group_ids xdm.asset.tags issues_breakdown issues_critical
  cases_breakdown cases_critical xdm.asset.related_issues.issues_breakdown
  xdm.asset.related_issues.critical_issues xdm.asset.related_cases.cases_breakdown
  xdm.asset.related_cases.critical_cases xdm.host.ipv4_addresses xdm.host.ipv6_addresses
  xdm.host.mac_addresses xdm.host.fqdn xdm.host.os_family xdm.host.os_distribution
  xdm.host.os_release xdm.network.internet_exposed xdm.cloud.vpc_id xdm.asset.raw_fields
`)

/** Keys are literal. Lists may be one text. */
const driftOf = defineRecord({
  fields: {
    ...each(
      'string',
      `xdm.asset.id xdm.asset.strong_id xdm.asset.name xdm.asset.external_provider_id
       xdm.asset.provider xdm.asset.realm xdm.asset.cloud.region xdm.asset.type.id
       xdm.asset.type.name xdm.asset.type.category xdm.asset.type.class xdm.host.os_family
       xdm.host.os_distribution xdm.host.os_release xdm.cloud.vpc_id xdm.agent.type`,
    ),
    ...each('number|string', 'xdm.asset.first_observed xdm.asset.last_observed'),
    ...each(
      'array|string',
      `xdm.asset.external_fqdn xdm.asset.group_ids xdm.host.ipv4_addresses xdm.host.ipv6_addresses
       xdm.host.mac_addresses xdm.host.fqdn`,
    ),
    ...each(
      'number',
      `xdm.asset.related_issues.critical_issues xdm.asset.related_cases.critical_cases
       issues_critical cases_critical`,
    ),
    ...each(
      'object',
      `xdm.asset.related_issues.issues_breakdown xdm.asset.related_cases.cases_breakdown
       issues_breakdown cases_breakdown`,
    ),
    ...each('any', 'xdm.asset.tags xdm.asset.raw_fields'),
    'xdm.network.internet_exposed': 'boolean|string',
  },
  values: {
    'xdm.asset.type.class': [
      'Compute',
      'Data',
      'Network',
      'Identity',
      'External Surface',
      'AI',
      'Other',
    ],
  },
})

export const cloudAssets: Transformer = {
  vendor: 'cortex',
  product: 'cortex-cloud',
  stream: 'cloud.assets',
  rank: 0,
  transform(raw) {
    const { record, drift } = readRecord(raw, { schema: assetSchema, driftOf, prepare })
    return { assets: [assetOf(record, raw.facts)], findings: [], findingsKnown: true, drift }
  },
}

function assetOf(row: Row, facts: RawFacts): AssetState {
  const nowMs = facts.fetchedAtMs
  const id = row['xdm.asset.id']
  const strongId = row['xdm.asset.strong_id']
  const asset_uid = assetUid({ ...facts, nativeId: id })
  const provider = providerOf(row['xdm.asset.provider'])
  const kind = kindOf(row, provider !== null)
  const instanceIds = instanceIdsOf(row, kind, provider)
  const cloud = placementOf(row, provider, instanceIds[0] ?? null)
  const fqdns = [...row['xdm.asset.external_fqdn'], ...row['xdm.host.fqdn']]
  const names = namesOf([row['xdm.asset.name'], ...fqdns])
  const ips = [...row['xdm.host.ipv4_addresses'], ...row['xdm.host.ipv6_addresses']]
  // A device that only the network saw has its address for a strong id.
  const addresses = addressesOf(strongId === null ? ips : [...ips, strongId])
  const macs = macsOf(row['xdm.host.mac_addresses'])
  const image = imageOf(kind, strongId)
  const correlation_keys = correlationKeysOf({
    ...names,
    provider,
    accountId: row['xdm.asset.realm'],
    instanceIds,
    resourceId: cloud?.resource_id ?? null,
    imageDigest: image?.digest ?? null,
    agentId: null,
    macs,
    publicIps: addresses.public,
    privateIps: addresses.private,
  })
  const counts = severityCountsOf(
    row['xdm.asset.related_issues.issues_breakdown'] ?? row.issues_breakdown,
    null,
  )
  return {
    ...names,
    asset_uid,
    entity_uid: entityUidOf(correlation_keys, asset_uid),
    kind,
    native_type: row['xdm.asset.type.id'] ?? row['xdm.asset.type.name'] ?? '',
    name: row['xdm.asset.name'] ?? strongId ?? id,
    cloud,
    network_interfaces: interfacesOf(macs, addresses.all),
    private_ips: addresses.private,
    public_ips: addresses.public,
    os: operatingSystemOf(row),
    image,
    agent: null,
    internet_exposed: row['xdm.network.internet_exposed'],
    exposed_services: [],
    criticality: criticalityOf(counts),
    risk_factors: [],
    business_units: row['xdm.asset.group_ids'],
    owners: [],
    tags: tagsOf(row['xdm.asset.tags']),
    correlation_keys,
    status: 'ACTIVE',
    first_seen: timeOf(row['xdm.asset.first_observed'], 'milliseconds', nowMs),
    last_seen: timeOf(row['xdm.asset.last_observed'], 'milliseconds', nowMs) ?? nowMs,
    gone_at: null,
    reopen_count: 0,
    vendor_created_at: null,
    finding_counts: counts,
    unmapped: unmappedOf(row, KNOWN),
  }
}

const kindOf = (row: Row, isCloud: boolean): AssetKind =>
  kindOfWords(
    [
      row['xdm.asset.type.category'],
      row['xdm.asset.type.id'],
      row['xdm.asset.type.name'],
      row['xdm.asset.type.class'] === 'External Surface' ? 'external surface' : null,
    ],
    isCloud,
  )

/** Disks and networks have ids of the same form in some clouds, so only machines count. */
function instanceIdsOf(row: Row, kind: AssetKind, provider: string | null): string[] {
  if (kind !== 'VIRTUAL_MACHINE') return []
  const given = [row['xdm.asset.strong_id'], row['xdm.asset.external_provider_id']]
  return given
    .filter((id) => id !== null)
    .filter((id) => instanceKeyOf(provider, row['xdm.asset.realm'] ?? 'unknown', id) !== null)
}

function placementOf(
  row: Row,
  provider: string | null,
  instanceId: string | null,
): AssetState['cloud'] {
  return cloudOf({
    provider,
    account_id: row['xdm.asset.realm'],
    region: row['xdm.asset.cloud.region'],
    resource_id: resourceIdOf(row['xdm.asset.external_provider_id']),
    instance_id: instanceId,
    resource_type: row['xdm.asset.type.name'],
    vpc_id: row['xdm.cloud.vpc_id'],
  })
}

function operatingSystemOf(row: Row): AssetState['os'] {
  const family = row['xdm.host.os_family']
  const name = row['xdm.host.os_distribution']
  return osOf({
    family: osFamilyOf([family ?? name]),
    name: name ?? family,
    version: row['xdm.host.os_release'],
    architecture: null,
  })
}

function imageOf(kind: AssetKind, strongId: string | null): AssetState['image'] {
  const digest = /^sha256:[0-9a-f]{64}$/i.test(strongId ?? '') ? strongId?.toLowerCase() : undefined
  if (kind !== 'CONTAINER_IMAGE' || digest === undefined) return null
  return { digest, image_id: null, registry: null, repository: null, tags: [] }
}

/** The worst severity with an open issue. The counts themselves are finding_counts. */
function criticalityOf(counts: AssetState['finding_counts']): Criticality | null {
  if (counts === null) return null
  const level = worstOf(counts)
  return { level, score: null, raw: level === 'INFORMATIONAL' ? 'none' : level.toLowerCase() }
}

/** A map, or `k:v` texts. */
function tagsOf(value: unknown): Record<string, string> {
  if (!isObject(value)) return textMapOf(labelPairs(textsOf(value)))
  return textMapOf(Object.entries(value).map(([key, tag]) => [key, textOf(tag) ?? '']))
}
