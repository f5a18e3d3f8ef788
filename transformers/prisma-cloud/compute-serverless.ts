// Prisma Cloud Compute serverless functions, with the weaknesses of their packages and layers.
import type { z } from 'zod'
import type { AssetState } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { cloudOf, providerOf, resourceIdOf, resourceKeyOf } from '../cloud.ts'
import { textMapOf } from '../maps.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import { maybeText, objects } from '../vendor-json.ts'
import {
  KNOWN_OF_SCANS,
  accountOf,
  computeAsset,
  observeScan,
  pairsOf,
  scanFacts,
} from './compute-asset.ts'
import { functionDrift } from './compute-drift.ts'
import { labelSchema, scanSchema } from './compute-scan.ts'

/**
 * A scan result with what only functions have (values made up):
 *
 *     { "_id": "arn:aws:lambda:eu-west-1:<12 digits>:function:resize:$LATEST",
 *       "name": "resize", "provider": "aws", "region": "eu-west-1", "accountID": "<12 digits>",
 *       "runtime": "python3.12", "version": "$LATEST", "handler": "main.handler",
 *       "functionTags": [{ "key": "team", "value": "web" }] }
 *
 * @see https://pan.dev/prisma-cloud/api/cwpp/get-serverless/ (serverless.FunctionInfo)
 */
const functionSchema = scanSchema.extend({
  name: maybeText,
  provider: maybeText,
  region: maybeText,
  accountID: maybeText,
  functionTags: objects(labelSchema),
})
type ComputeFunction = z.output<typeof functionSchema>

/** Variables of the environment may be secrets; invocations are counted up all the time. */
const KNOWN = KNOWN_OF_SCANS.union(
  fieldNames('name provider region accountID functionTags envvars invocations scannerVersion'),
)
/** An ARN of a function with a version or an alias behind it. */
const QUALIFIED = /^(arn:[a-z-]+:lambda:[^:]+:\d+:function:[^:]+):[^:]+$/

export const computeServerless: Transformer = {
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  stream: 'compute.serverless',
  rank: 0,
  transform: (raw) =>
    observeScan(raw, { schema: functionSchema, driftOf: functionDrift, assetOf: functionOf }),
}

function functionOf(fn: ComputeFunction, facts: RawFacts): AssetState {
  const { cloudMetadata: metadata } = fn
  const scanned = scanFacts(fn, facts.fetchedAtMs)
  const resourceId = providerIdOf(fn)
  return computeAsset(
    facts,
    `function|${fn._id}`,
    { resourceId },
    {
      ...scanned,
      kind: 'SERVERLESS_FUNCTION',
      native_type: fn.type ?? 'serverlessScan',
      name: fn.name ?? fn._id,
      cloud: cloudOf({
        provider: providerOf(fn.provider ?? metadata.provider),
        account_id: accountOf(fn.accountID ?? metadata.accountID),
        region: fn.region ?? metadata.region,
        resource_id: resourceId,
      }),
      tags: textMapOf([...Object.entries(scanned.tags), ...pairsOf(fn.functionTags)]),
      unmapped: unmappedOf(fn, KNOWN),
    },
  )
}

/** The function's own id at its provider, whatever version was scanned. */
function providerIdOf(fn: ComputeFunction): string | null {
  const given = [fn.cloudMetadata.resourceURL, fn._id].map(resourceIdOf)
  const id = given.find((candidate) => resourceKeyOf(candidate) !== null) ?? null
  return id === null ? null : (QUALIFIED.exec(id)?.[1] ?? id)
}
