// CSPM's inventory with the result of its policies, and the details of one asset.
import { z } from 'zod'
import {
  type CloudResource,
  MACHINE_TYPES,
  cloudMachines,
  machineAssetId,
  machineId,
  resourcesOf,
  rrnOf,
} from '../cloud-resources.ts'
import { type Answer, html, json } from '../delivery.ts'
import type { Estate } from '../estate.ts'
import { shareOf } from '../random.ts'
import { type Row, ROWS_HERE, type Value, jsonAround, pageRows, rowOf, shownRows } from '../rows.ts'
import type { Call } from '../site.ts'
import type { World } from '../world.ts'
import { redlock } from './answers.ts'
import type { CspmBehaviour } from './cspm-behaviour.ts'
import { parsed } from './cspm.ts'

const LIMIT_MAX = 10_000
const position = z.looseObject({ offset: z.int().min(0) })
const scanBody = z.looseObject({
  limit: z.int().min(1).max(LIMIT_MAX).optional(),
  // The vendor's two specifications of it: an opaque text, or an object.
  pageToken: z.union([z.string(), position]).nullish(),
})
const assetBody = z.looseObject({ assetId: z.string(), type: z.literal('asset') })

/** `GET` and `POST /v2/resource/scan_info`. */
export function scanInfo(world: World, behaviour: CspmBehaviour, call: Call): Answer {
  const given = call.method === 'GET' ? queryOf(call) : parsed(call.body)
  const body = scanBody.safeParse(given)
  if (!body.success) return redlock(400, 'bad_request')
  const { limit = LIMIT_MAX, pageToken } = body.data
  const offset = offsetOf(pageToken ?? null)
  if (offset === null) return redlock(400, 'bad_request', 'pageToken')
  if (limit > behaviour.scanTimeoutAbove) return html(504, 'Gateway Time-out')
  const shown = shownRows(inventoryRows(world), call.fault)
  const end = offset + Math.min(limit, behaviour.scanRowsMax)
  const rows = pageRows(shown.rows.slice(offset, end), call.fault)
  const value = {
    resources: ROWS_HERE,
    ...(end < shown.rows.length ? { nextPageToken: tokenAt(end, limit, behaviour) } : {}),
    pageSize: rows.length,
    totalMatchedCount: shown.declared,
    timestamp: world.estate().nowMs,
  }
  const headers = { 'content-type': 'application/json' }
  return { status: 200, headers, body: jsonAround(value, rows) }
}

function queryOf({ query }: Call): Value {
  const limit = query.get('limit')
  return {
    ...(limit === null ? {} : { limit: Number(limit) }),
    pageToken: query.get('pageToken'),
  }
}

function tokenAt(offset: number, limit: number, behaviour: CspmBehaviour): unknown {
  const { scanToken, tokenBytesMin } = behaviour
  return scanToken === 'object'
    ? { failedEventOffset: false, lastRowIdx: offset - 1, limit, offset }
    : Buffer.from(JSON.stringify({ offset }).padEnd(tokenBytesMin)).toString('base64url')
}

function offsetOf(pageToken: string | z.infer<typeof position> | null): number | null {
  if (pageToken === null) return 0
  if (typeof pageToken !== 'string') return pageToken.offset
  const decoded = position.safeParse(parsed(Buffer.from(pageToken, 'base64url')))
  return decoded.data?.offset ?? null
}

/** Machines and everything else, by CSPM's id. */
function inventoryRows(world: World): readonly Row[] {
  const fromFile = world.files.get('cspm.inventory')
  if (fromFile !== undefined) return fromFile
  const estate = world.estate()
  return allResources(estate)
    .toSorted((a, b) => (a.assetId < b.assetId ? -1 : 1))
    .map((r) => rowOf(r.assetId, () => scanItem(r)))
}

const allResources = (estate: Estate): CloudResource[] => [
  ...cloudMachines(estate).map((m) => ({
    assetId: machineAssetId(m),
    id: machineId(m),
    name: m.hostname,
    provider: m.cloud.provider,
    accountId: m.cloud.accountId,
    region: m.cloud.region,
    assetType: MACHINE_TYPES[m.cloud.provider],
  })),
  ...resourcesOf(estate),
]

const isMachine = ({ assetType, provider }: CloudResource): boolean =>
  assetType === MACHINE_TYPES[provider]

function scanItem(r: CloudResource): Value {
  const count = (severity: string) => Math.floor(shareOf(`${r.assetId}/${severity}`) ** 4 * 4)
  const counts = { critical: count('critical'), high: count('high'), medium: count('medium') }
  const failed = counts.critical + counts.high + counts.medium > 0
  return {
    id: r.id,
    name: r.name,
    rrn: rrnOf(r.provider, isMachine(r) ? 'instance' : 'other', r.region, r.accountId, r.id),
    unifiedAssetId: r.assetId,
    accountId: r.accountId,
    accountName: `account ${r.accountId.slice(0, 6)}`,
    cloudType: r.provider,
    regionId: r.region,
    regionName: r.region,
    assetType: r.assetType,
    overallPassed: !failed,
    scannedPolicies: [
      { id: 'policy-1', name: 'Simulated policy', severity: 'high', labels: [], passed: !failed },
    ],
    alertStatus: { ...counts, low: count('low'), informational: 0 },
    // Missing for most types.
    ...(isMachine(r) ? { vulnerabilityStatus: { critical: 0, high: 1, medium: 2, low: 0 } } : {}),
    appNames: ['CSPM'],
    resourceDetailsAvailable: true,
    resourceConfigJsonAvailable: true,
  }
}

/** `POST /uai/v1/asset`: what is not there is told with status 200. */
export function assetDetails(world: World, call: Call): Answer {
  const body = assetBody.safeParse(parsed(call.body))
  if (!body.success) return redlock(400, 'bad_request')
  const estate = world.estate()
  const { assetId } = body.data
  const found = allResources(estate).find((r) => r.assetId === assetId)
  if (found === undefined || call.fault?.kind === 'empty') {
    const error = { message: 'Asset not found', path: ['asset'], pathAsString: '/asset' }
    const errors = [{ ...error, locations: [], extensions: { errorType: 'NOT_FOUND' } }]
    return json(200, { data: { asset: null }, errors })
  }
  return json(200, { data: { asset: detailsOf(found) }, errors: [] })
}

/** Public addresses are documentation ones; a third of the resources is exposed. */
function detailsOf(r: CloudResource): Value {
  const share = shareOf(r.assetId)
  const exposed = share < 1 / 3
  return {
    id: r.assetId,
    externalAssetId: r.id,
    cloudType: r.provider,
    createdTs: 1_700_000_000_000,
    insertTs: 1_740_000_000_000,
    name: r.name,
    regionId: r.region,
    riskGrade: 'B',
    tags: { Owner: 'platform' },
    assetType: r.assetType,
    assetClass: 'Storage',
    deleted: false,
    ipAddresses: exposed ? [`203.0.113.${1 + Math.floor(share * 200)}`] : [],
    trueInternetExposure: exposed ? 'y' : share < 2 / 3 ? 'n' : null,
  }
}
