// An item of CSPM's configuration search, read leniently: its frame, the cloud's own JSON in it.
import { z } from 'zod'
import { type Fields, defineRecord, each } from '../drift.ts'
import { isObject } from '../text.ts'
import { anything, maybeText, requiredId } from '../vendor-json.ts'

/**
 * One element of `items` (what we read; values made up):
 *
 *     { "rrn": "rrn:aws:instance:…", "id": "i-…", "assetId": "3f0a…", "name": "web-1",
 *       "url": "https://…", "accountId": "<12 digits>", "accountName": "prod",
 *       "accountGroupName": "Default Account Group", "cloudType": "aws", "regionId": "us-east-2",
 *       "service": "Amazon EC2", "resourceType": "EC2 Instance", "insertTs": 1694003441966,
 *       "createdTs": 1693000000000, "deleted": false, "vpcId": "vpc-1", "tags": { "Env": "prod" },
 *       "riskGrade": "A", "data": { … as the cloud's own API tells it … } }
 *
 * `createdTs` -1 is never, `regionId` may be empty. An Azure machine comes as an object that holds
 * it beside its interfaces and their addresses: `{ "vm": …, "nics": […], "public_ips": […] }`.
 * @see https://pan.dev/prisma-cloud/api/cspm/search-config-v-2/ (ResourceMetaModelV3)
 */
const itemSchema = z.looseObject({
  assetId: requiredId,
  rrn: maybeText,
  id: maybeText,
  name: maybeText,
  url: maybeText,
  accountId: maybeText,
  accountName: maybeText,
  accountGroupName: maybeText,
  cloudType: maybeText,
  regionId: maybeText,
  service: maybeText,
  resourceType: maybeText,
  createdTs: anything,
  vpcId: maybeText,
  tags: anything,
  riskGrade: maybeText,
  data: anything.transform((value) => (isObject(value) ? value : {})),
})
const dataOfItems = anything.transform((value) =>
  Array.isArray(value)
    ? value.flatMap((item) => (isObject(item) && isObject(item['data']) ? [item['data']] : []))
    : [],
)

export const configUnitSchema = z.object({
  item: itemSchema,
  nics: dataOfItems,
  public_ips: dataOfItems,
})
export type ConfigUnit = z.output<typeof configUnitSchema>
export type CloudData = Readonly<Record<string, unknown>>

/** Both forms of a unit as one. */
export const configUnitOf = (json: unknown): unknown =>
  isObject(json) && isObject(json['vm'])
    ? { item: json['vm'], nics: json['nics'], public_ips: json['public_ips'] }
    : { item: json, nics: [], public_ips: [] }

const frame: Fields = {
  ...each(
    'string',
    `rrn stateId assetId id name url accountId accountName accountGroupName cloudType regionId
     regionName service resourceType vpcId vpcName riskGrade`,
  ),
  ...each('number|string', 'insertTs createdTs resourceTypeId'),
  ...each(
    'boolean',
    `deleted hasNetwork hasExternalFinding hasExternalIntegration hasExtFindingRiskFactors
     allowDrillDown resourceConfigJsonAvailable`,
  ),
  // As the cloud's own API tells it, which is no contract of this vendor.
  ...each('object', 'tags data dynamicData'),
}

export const configUnitDrift = defineRecord({
  fields: { item: frame, ...each('array', 'nics public_ips') },
  values: {
    'item.cloudType': ['aws', 'azure', 'gcp', 'alibaba_cloud', 'oci', 'ibm', 'other'],
    'item.riskGrade': ['A', 'B', 'C', 'D', 'F'],
  },
})

/**
 * The member at `path`. Azure's keys come nested, or with several steps as one literal key, plain
 * or quoted: `{"['properties.osProfile']": {…}}`.
 */
export function flatAt(value: unknown, path: string): unknown {
  const steps = path.split('.')
  if (!isObject(value)) return undefined
  for (let taken = steps.length; taken >= 1; taken -= 1) {
    const key = steps.slice(0, taken).join('.')
    const rest = steps.slice(taken).join('.')
    for (const name of [key, `['${key}']`]) {
      if (!Object.hasOwn(value, name)) continue
      const inner = rest === '' ? value[name] : flatAt(value[name], rest)
      if (inner !== undefined) return inner
    }
  }
  return undefined
}
