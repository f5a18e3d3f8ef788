// CSPM's inventory: a resource with the result of its policies, perhaps with its details beside it.
import { z } from 'zod'
import type { AssetState } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import { assetUid } from '../../contracts/identity.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { cloudOf } from '../cloud.ts'
import { severityCountsOf, worstOf } from '../counts.ts'
import { type Fields, defineRecord, each } from '../drift.ts'
import { correlationKeysOf, entityUidOf } from '../identity-keys.ts'
import { addressesOf } from '../ip.ts'
import { textMapOf } from '../maps.ts'
import { namesOf } from '../names.ts'
import { isObject, textOf } from '../text.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import {
  anything,
  maybeFlag,
  maybeText,
  objectOrEmpty,
  readRecord,
  requiredId,
  textList,
} from '../vendor-json.ts'
import { cloudProviderOf, fullNameOf, gradeOf, kindOfType } from './cspm-words.ts'

/**
 * One element of `resources` (what we read; values made up):
 *
 *     { "unifiedAssetId": "4b00…", "id": "arn:aws:s3:::logs", "name": "logs", "rrn": "rrn:aws:…",
 *       "accountId": "<12 digits>", "accountName": "prod", "cloudType": "aws",
 *       "regionId": "us-east-2", "assetType": "S3 Bucket", "overallPassed": false,
 *       "alertStatus": { "critical": 0, "high": 0, "medium": 1, "low": 0, "informational": 0 },
 *       "vulnerabilityStatus": { "critical": 0, "high": 2, "medium": 0, "low": 0 } }
 *
 * `vulnerabilityStatus` is absent for most types. With details: `{ "item": …, "uai": … }`.
 * @see https://pan.dev/prisma-cloud/api/cspm/post-resource-scan-info-v-2/ (DecoratedResourceInfo)
 */
const unitSchema = z.object({
  item: z.looseObject({
    unifiedAssetId: requiredId,
    id: maybeText,
    name: maybeText,
    rrn: maybeText,
    accountId: maybeText,
    accountName: maybeText,
    cloudType: maybeText,
    regionId: maybeText,
    assetType: maybeText,
    alertStatus: anything,
    vulnerabilityStatus: anything,
  }),
  // `data.asset` of POST /uai/v1/asset
  details: objectOrEmpty(
    z.looseObject({
      ipAddresses: textList,
      trueInternetExposure: maybeFlag,
      tags: anything,
      vpcId: maybeText,
      serviceName: maybeText,
      createdTs: anything,
      riskGrade: maybeText,
      accountGroup: textList,
    }),
  ),
})
type Unit = z.output<typeof unitSchema>

/** Mapped below; the list of policies, which is long; and what every resource has alike. */
const KNOWN = fieldNames(`
  unifiedAssetId id name rrn accountId accountName cloudType regionId regionName assetType
  alertStatus vulnerabilityStatus scannedPolicies resourceDetailsAvailable
  resourceConfigJsonAvailable
`)

const counts: Fields = each('number', 'critical high medium low informational')
const driftOf = defineRecord({
  fields: {
    item: {
      ...each(
        'string',
        `id name rrn unifiedAssetId accountId accountName cloudType regionId regionName assetType`,
      ),
      ...each('boolean', 'overallPassed resourceDetailsAvailable resourceConfigJsonAvailable'),
      scannedPolicies: [
        { ...each('string', 'id name severity'), labels: 'array', passed: 'boolean' },
      ],
      appNames: 'array',
      alertStatus: counts,
      vulnerabilityStatus: counts,
    },
    // Another endpoint with very many fields: read where there, not watched.
    details: 'object',
  },
  values: { 'item.cloudType': ['aws', 'azure', 'gcp', 'alibaba_cloud', 'oci', 'ibm', 'other'] },
})

/** Both forms of a unit as one. */
function prepare(json: unknown): unknown {
  if (!isObject(json) || !isObject(json['item'])) return { item: json, details: {} }
  const { item, uai } = json
  const data = isObject(uai) ? uai['data'] : null
  return { item, details: isObject(data) ? data['asset'] : {} }
}

export const cspmInventory: Transformer = {
  vendor: 'prisma-cloud',
  product: 'prisma-cspm',
  stream: 'cspm.inventory',
  // The configuration of a resource says more.
  rank: 1,
  transform(raw) {
    const { record, drift } = readRecord(raw, { schema: unitSchema, driftOf, prepare })
    return { assets: [assetOf(record, raw.facts)], findings: [], findingsKnown: true, drift }
  },
}

function assetOf({ item, details }: Unit, facts: RawFacts): AssetState {
  const nowMs = facts.fetchedAtMs
  const asset_uid = assetUid({ ...facts, nativeId: item.unifiedAssetId })
  const provider = cloudProviderOf(item.cloudType)
  const kind = kindOfType(item.assetType)
  const isMachine = kind === 'VIRTUAL_MACHINE'
  const names = namesOf(isMachine ? [item.name] : [])
  const addresses = addressesOf(details.ipAddresses)
  const resourceId = fullNameOf(item.id, item.rrn)
  const correlation_keys = correlationKeysOf({
    provider,
    accountId: item.accountId,
    instanceIds: isMachine ? [item.id] : [],
    resourceId,
    imageDigest: null,
    agentId: null,
    hostnames: names.hostnames,
    fqdns: names.fqdns,
    macs: [],
    publicIps: addresses.public,
    privateIps: addresses.private,
  })
  return {
    ...names,
    asset_uid,
    entity_uid: entityUidOf(correlation_keys, asset_uid),
    kind,
    native_type: item.assetType ?? '',
    name: item.name ?? item.id ?? item.unifiedAssetId,
    cloud: placementOf({ item, details }, provider, resourceId, isMachine),
    network_interfaces: [],
    private_ips: addresses.private,
    public_ips: addresses.public,
    os: null,
    image: null,
    agent: null,
    internet_exposed: details.trueInternetExposure,
    exposed_services: [],
    criticality: criticalityOf(item.alertStatus) ?? gradeOf(details.riskGrade),
    risk_factors: [],
    business_units: details.accountGroup,
    owners: [],
    tags: tagsOf(details.tags),
    correlation_keys,
    status: 'ACTIVE',
    first_seen: null,
    last_seen: nowMs,
    gone_at: null,
    reopen_count: 0,
    vendor_created_at: timeOf(details.createdTs, 'milliseconds', nowMs),
    finding_counts: severityCountsOf(item.vulnerabilityStatus, null),
    unmapped: unmappedOf(item, KNOWN),
  }
}

const placementOf = (
  { item, details }: Unit,
  provider: string | null,
  resourceId: string | null,
  isMachine: boolean,
): AssetState['cloud'] =>
  cloudOf({
    provider,
    account_id: item.accountId,
    account_name: item.accountName,
    region: item.regionId,
    resource_id: resourceId,
    instance_id: isMachine ? item.id : null,
    service: details.serviceName,
    resource_type: item.assetType,
    vpc_id: details.vpcId,
  })

/** The worst severity with an open alert. */
function criticalityOf(alertStatus: unknown): AssetState['criticality'] {
  const open = severityCountsOf(alertStatus, null)
  if (open === null) return null
  const level = worstOf(open)
  return { level, score: null, raw: level === 'INFORMATIONAL' ? 'none' : level.toLowerCase() }
}

const tagsOf = (tags: unknown): Record<string, string> =>
  isObject(tags)
    ? textMapOf(Object.entries(tags).map(([key, value]) => [key, textOf(value) ?? '']))
    : {}
