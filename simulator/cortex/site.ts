// One Cortex tenant: its API key, its rate limit and its endpoints.
import { type Answer, json } from '../delivery.ts'
import type { TenantSlot } from '../estate.ts'
import type { FaultKind } from '../faults.ts'
import type { Call, Endpoint, Site } from '../site.ts'
import { createWindow } from '../stats.ts'
import type { PageLimits, World } from '../world.ts'
import { statusAnswer, tooManyRequests, unauthorized, waitress } from './answers.ts'
import { type AssetDialect, assetSchema, getAssets } from './assets.ts'
import { type ApiKey, createKeyCheck, otherLevel } from './auth.ts'
import { getEndpoint } from './endpoints.ts'
import { createXql } from './xql.ts'

export type CortexOptions = {
  readonly world: World
  readonly tenant: TenantSlot
  readonly tenantName: string
  readonly key: ApiKey
  readonly limits: PageLimits
  readonly dialect: AssetDialect
  readonly xqlPendingPolls: number
  readonly rateLimits: boolean
}

/** 10 requests a second to a tenant, all endpoints together. */
const REQUESTS_MAX = 10
const REQUESTS_WINDOW_MS = 1_000
const ROW_FAULTS: readonly FaultKind[] = ['empty', 'missing-rows', 'drop-field']

/** The site of one tenant. */
export function createCortexSite(options: CortexOptions): Site {
  const checkKey = createKeyCheck(options.key)
  const admit = options.rateLimits ? createWindow(REQUESTS_MAX, REQUESTS_WINDOW_MS) : () => true
  const guarded = (call: Call, answer: (call: Call) => Answer): Answer => {
    if (!admit(call.nowMs)) return tooManyRequests()
    const { securityLevel } = options.key
    const level = call.fault?.kind === 'wrong-level' ? otherLevel(securityLevel) : securityLevel
    return checkKey(call.headers, call.nowMs, level) ? answer(call) : unauthorized()
  }
  const endpoints = routes(options)
  const unknown = endpointOf('unknown', [], () => waitress())
  return {
    vendor: 'cortex',
    tenant: options.tenantName,
    find: (method, path) => {
      const found = endpoints.get(`${method} ${path}`) ?? unknown
      return { ...found, answer: (call) => guarded(call, found.answer) }
    },
    statusAnswer: (answer) => statusAnswer(answer),
    // Keys, not tokens: there is nothing to expire.
    expireTokens: () => undefined,
  }
}

const endpointOf = (
  name: string,
  shows: readonly FaultKind[],
  answer: (call: Call) => Answer,
): Endpoint => ({ name, shows: new Set<FaultKind>([...shows, 'wrong-level']), answer })

function routes(options: CortexOptions): Map<string, Endpoint> {
  const { world, tenant, limits } = options
  const xql = createXql({
    world,
    tenant,
    tenantName: options.tenantName,
    pendingPolls: options.xqlPendingPolls,
    inlineRowsMax: limits.xqlInline,
  })
  const assets = { spanMax: limits.cloudAssets, dialect: options.dialect }
  const validate = endpointOf('api-keys.validate', [], () => json(200, true))
  const v1 = '/public_api/v1'
  return new Map<string, Endpoint>([
    ['POST /api_keys/validate', validate],
    ['GET /api_keys/validate', validate],
    [
      `POST ${v1}/api_keys/get_api_keys`,
      endpointOf('api-keys.list', [], () => json(200, keyList(options.key))),
    ],
    [
      `GET ${v1}/healthcheck`,
      endpointOf('healthcheck', [], () => json(200, { status: 'available' })),
    ],
    [
      `POST ${v1}/system/get_tenant_info`,
      endpointOf('tenant-info', [], () => json(200, tenantInfo(options.tenantName))),
    ],
    [
      `POST ${v1}/endpoints/get_endpoint`,
      endpointOf('xdr.endpoints', ROW_FAULTS, (call) =>
        getEndpoint(world, tenant, limits.xdrEndpoints, call),
      ),
    ],
    [
      `POST ${v1}/assets`,
      endpointOf('cloud.assets', ROW_FAULTS, (call) => getAssets(world, tenant, assets, call)),
    ],
    [
      `GET ${v1}/assets/schema`,
      endpointOf('cloud.assets-schema', [], () => assetSchema(options.dialect)),
    ],
    [
      `POST ${v1}/xql/start_xql_query`,
      endpointOf('xql.start', ['empty', 'missing-rows'], xql.start),
    ],
    [`POST ${v1}/xql/get_query_results`, endpointOf('xql.results', ROW_FAULTS, xql.results)],
    [`POST ${v1}/xql/get_query_results_stream`, endpointOf('xql.stream', ROW_FAULTS, xql.stream)],
    [`POST ${v1}/xql/get_quota`, endpointOf('xql.quota', [], xql.quota)],
    [`POST ${v1}/xql/get_datasets`, endpointOf('xql.datasets', [], xql.datasets)],
  ])
}

/** The one key of the tenant, without its secret. */
const keyList = ({ apiKeyId, securityLevel, endsMs }: ApiKey) => ({
  reply: {
    DATA: [
      {
        id: apiKeyId,
        creation_time: 1_740_000_000_000,
        user_name: 'Simulated Reader',
        roles: ['Viewer'],
        security_level: securityLevel.toUpperCase(),
        comment: '',
        expiration: endsMs,
      },
    ],
    FILTER_COUNT: 1,
    TOTAL_COUNT: 1,
  },
})

/** Ends of licences come in three forms: 0, a number, a text. */
const tenantInfo = (name: string) => ({
  reply: {
    tenant_name: name,
    xsiam_premium_expiration: 1_900_000_000_000,
    purchased_xsiam_premium: 1,
    host_insights_expiration: 'Nov 7th 2035 07:59:59',
    enabled_host_insights: 1,
    forensics_expiration: 0,
  },
})
