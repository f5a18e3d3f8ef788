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
import { getIncidentExtraData, getIncidents } from './incidents.ts'
import { searchIssues } from './issues.ts'
import { type TenantBehaviour, keyList, refusalOf, tenantInfo } from './tenant.ts'
import { createTokenPager } from './tokens.ts'
import { getVulnerabilities } from './uvem.ts'
import { createXpanse } from './xpanse.ts'
import type { FindingsBehaviour } from './xql-behaviour.ts'
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
  readonly behaviour: TenantBehaviour
  readonly findings: FindingsBehaviour
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
      const answer = (call: Call) => refusalOf(options.behaviour, found.name) ?? found.answer(call)
      return { ...found, answer: (call) => guarded(call, answer) }
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
    behaviour: options.findings,
  })
  const assets = { spanMax: limits.cloudAssets, dialect: options.dialect }
  const validate = endpointOf('api-keys.validate', [], () => json(200, true))
  const v1 = '/public_api/v1'
  return new Map<string, Endpoint>([
    ['POST /api_keys/validate', validate],
    ['GET /api_keys/validate', validate],
    [
      `POST ${v1}/api_keys/get_api_keys`,
      endpointOf('api-keys.list', [], () => keyList(options.key)),
    ],
    [
      `GET ${v1}/healthcheck`,
      endpointOf('healthcheck', [], () => json(200, { status: 'available' })),
    ],
    [
      `POST ${v1}/system/get_tenant_info`,
      endpointOf('tenant-info', [], () => tenantInfo(options.tenantName, options.behaviour)),
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
    ...tokenRoutes(options),
    ...issueRoutes(options),
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

/** What weaknesses lead to: issues, and incidents of tenants that have none. */
function issueRoutes({ world, tenant, findings }: CortexOptions): [string, Endpoint][] {
  const { issues, restrictedIncidents } = findings
  const v1 = '/public_api/v1'
  const incidents = endpointOf('xdr.incidents', ROW_FAULTS, (call) =>
    getIncidents(world, tenant, restrictedIncidents, call),
  )
  const details = endpointOf('xdr.incident-details', [], (call) =>
    getIncidentExtraData(world, tenant, call),
  )
  const routes: [string, Endpoint][] = [
    [`POST ${v1}/incidents/get_incidents`, incidents],
    [`POST ${v1}/incidents/get_incident_extra_data`, details],
  ]
  // Older tenants answer as for any unknown path.
  if (issues === 'absent') return routes
  const search = endpointOf('cloud.issues', ROW_FAULTS, (call) =>
    searchIssues(world, tenant, issues, call),
  )
  return [...routes, [`POST ${v1}/issue/search`, search]]
}

/** Listings that are paged by token, and what belongs to them. */
function tokenRoutes(options: CortexOptions): [string, Endpoint][] {
  const { world, tenant, limits, behaviour, tenantName } = options
  const pager = createTokenPager({ ...behaviour, tenantName, spanMax: limits.tokenPages })
  const xpanse = createXpanse(world, tenant, behaviour, pager)
  const v1 = '/public_api/v1'
  return [
    [
      `POST ${v1}/assets/get_assets_internet_exposure`,
      endpointOf('xpanse.assets', ROW_FAULTS, xpanse.assets),
    ],
    [
      `POST ${v1}/assets/get_external_services`,
      endpointOf('xpanse.services', ROW_FAULTS, xpanse.services),
    ],
    [
      `POST ${v1}/assets/get_external_service`,
      endpointOf('xpanse.service-details', ROW_FAULTS, xpanse.serviceDetails),
    ],
    [
      'POST /public_api/uvem/v1/get_vulnerabilities',
      endpointOf('cloud.vulnerabilities', ROW_FAULTS, (call) =>
        getVulnerabilities(world, pager, call),
      ),
    ],
  ]
}
