// Issues: POST /public_api/v1/issue/search. The one policy here raises them for high and critical
// weaknesses of assets in the inventory, and resolves them when the weakness is fixed.
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { fixVersions, packageTypeOf } from '../catalogue.ts'
import type { Answer } from '../delivery.ts'
import type { Exposure, Machine, TenantSlot } from '../estate.ts'
import { ROWS_HERE, type Row, type Value, jsonAround, pageRows, rowOf, shownRows } from '../rows.ts'
import type { Call } from '../site.ts'
import type { World } from '../world.ts'
import { invalidJson, waitress } from './answers.ts'
import { assetTypeOf } from './assets.ts'
import { purlOf } from './findings.ts'
import { requestData, sortRows, standardTest, windowOf } from './request.ts'

/** `live`: as tenants answer; `spec`: as the specification says; `absent`: older tenants. */
export type IssueDialect = 'live' | 'spec' | 'absent'

const SPAN_MAX = 100
const RAISED_SEVERITY_MIN = 4
const EXCLUDED_SHARE = 20
const FIX_MS = 3_600_000
const FILTERS = {
  id: 'id',
  category: 'category',
  severity: 'severity',
  last_modified: 'last_update_timestamp',
  observation_time: 'observation_time',
  asset_ids: 'asset_ids',
}
const sortSchema = z
  .object({
    field: z.enum(['id', 'severity', 'observation_time']),
    keyword: z.enum(['asc', 'desc']),
  })
  .optional()
const includedSchema = z.array(z.string()).default([])
/** Names of the specification for those of tenants. */
const SPEC_NAMES: Readonly<Record<string, string>> = {
  'detection.method': 'detection_method',
  'detection.rule_id': 'detection_rule_id',
  'status.progress': 'status',
  last_update_timestamp: 'last_modified',
  findings: 'finding_ids',
}

/** One page. */
export function searchIssues(
  world: World,
  tenant: TenantSlot,
  dialect: Exclude<IssueDialect, 'absent'>,
  call: Call,
): Answer {
  const request = requestData(call.body, false)
  if (request === null) return waitress()
  if ('invalid' in request) return invalidJson(request.invalid)
  const { data } = request
  const window = windowOf(data, SPAN_MAX)
  const test = standardTest(data['filters'], FILTERS)
  const sort = sortSchema.safeParse(data['sort'])
  const included = includedSchema.safeParse(data['include_fields'])
  if (window === null || test === null || !sort.success || !included.success) return waitress()
  const shown = shownRows(issueRows(world, tenant), call.fault)
  const found = shown.rows.filter((row) => test(row.value()))
  const { field, keyword } = sort.data ?? { field: 'observation_time', keyword: 'desc' }
  const slice = sortRows(found, field, keyword === 'desc').slice(window.from, window.to)
  const isFixed = world.files.has('cloud.issues')
  const asked = slice.map((row) => (isFixed ? row : askedFor(row, included.data, dialect)))
  const page = pageRows(asked, call.fault)
  const count = found.length + shown.declared - shown.rows.length
  const reply =
    dialect === 'live'
      ? { DATA: ROWS_HERE, FILTER_COUNT: count, TOTAL_COUNT: shown.declared }
      : { total_count: shown.declared, result_count: page.length, issues: ROWS_HERE }
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: jsonAround({ reply }, page),
  }
}

/** `normalized_fields` come only when asked for. */
const askedFor = (row: Row, included: readonly string[], dialect: IssueDialect): Row =>
  rowOf(row.id, () => {
    const fields = Object.entries(row.value()).filter(
      ([name]) => name !== 'normalized_fields' || included.includes(name),
    )
    if (dialect === 'live') return Object.fromEntries(fields)
    const named = Object.fromEntries(fields.map(([name, v]) => [SPEC_NAMES[name] ?? name, v]))
    return { ...named, _insert_time: new Date(Number(named['_insert_time'])).toISOString() }
  })

/** True where the policy raises an issue for a weakness. */
export const isRaised = (machine: Machine, { weakness, inCortex }: Exposure): boolean =>
  machine.inInventory && inCortex && weakness.severityId >= RAISED_SEVERITY_MIN

/** True where somebody has excluded the issue: it is listed, and does not count. */
export const isIssueExcluded = (machine: Machine, exposure: Exposure): boolean =>
  issueId(machine, exposure) % EXCLUDED_SHARE === 0

function issueRows(world: World, tenant: TenantSlot): readonly Row[] {
  const fromFile = world.files.get('cloud.issues')
  if (fromFile !== undefined) return fromFile
  return world
    .estate()
    .machines.filter((m) => m.tenant === tenant)
    .flatMap((m) =>
      m.exposures
        .filter((e) => isRaised(m, e))
        .map((e) => rowOf(String(issueId(m, e)), () => issueRecord(m, e))),
    )
}

/** The same issue has the same number for ever. */
function issueId(machine: Machine, { weakness, packageName }: Exposure): number {
  const parts = JSON.stringify([machine.cloudAssetId, weakness.id, packageName])
  return createHash('sha256').update(parts).digest().readUIntBE(0, 5)
}

/** The record as tenants name its fields. */
function issueRecord(machine: Machine, exposure: Exposure): Value {
  const { weakness, packageName, discoveredMs, open } = exposure
  const id = issueId(machine, exposure)
  const type = assetTypeOf(machine)
  const { cloud } = machine
  return {
    id,
    external_id: `sim-${id}`,
    name: `${weakness.id} on ${machine.hostname}`,
    description: weakness.description,
    owner: 'CWP',
    domain: 'Posture',
    category: 'VULNERABILITY',
    severity: weakness.severityId === 5 ? 'CRITICAL' : 'HIGH',
    'detection.method': 'VULNERABILITY_POLICY',
    'detection.rule_id': 'RULE-1',
    _insert_time: discoveredMs + FIX_MS,
    observation_time: discoveredMs,
    last_update_timestamp: machine.lastSeenMs,
    'status.progress': open ? (id % 3 === 0 ? 'In Progress' : 'New') : 'Resolved',
    'status.resolution_reason': open ? null : 'FIXED',
    'status.resolution_comment': null,
    resolution_time: open ? null : machine.lastSeenMs,
    findings: [],
    asset_ids: [machine.cloudAssetId],
    asset_names: [machine.hostname],
    asset_classes: ['Compute'],
    asset_categories: [type.category],
    asset_types: [type.name],
    asset_providers: [cloud === null ? 'ON_PREM' : cloud.provider.toUpperCase()],
    asset_regions: cloud === null ? [] : [cloud.region],
    asset_accounts: cloud === null ? [] : [cloud.accountId],
    asset_external_provider_ids: cloud === null ? [] : [cloud.instanceId],
    case_ids: [],
    remediation: exposure.weakness.fix === null ? '' : `Upgrade ${packageName}`,
    is_excluded: isIssueExcluded(machine, exposure),
    is_starred: false,
    tags: [],
    normalized_fields: normalizedFields(machine, exposure),
  }
}

function normalizedFields({ system }: Machine, exposure: Exposure): Value {
  const { weakness, packageName, versions } = exposure
  const type = packageTypeOf(weakness.software, system.packages)
  const [version = ''] = versions
  return {
    'xdm.vulnerability.cve_id': weakness.id,
    'xdm.vulnerability.severity': weakness.severityId === 5 ? 'CRITICAL' : 'HIGH',
    'xdm.vulnerability.cvss_score': weakness.cvss,
    'xdm.vulnerability.cvss_vector': weakness.vector === '' ? null : weakness.vector,
    'xdm.vulnerability.fix_versions': fixVersions(weakness, type),
    'xdm.software_package.id': packageName,
    'xdm.software_package.version': versions.length === 1 ? version : versions,
    'xdm.software_package.purl': purlOf(type, system.id, packageName, version),
    'xdm.software_package.type': weakness.software.language ?? 'os',
    'xdm.host.os_distribution': system.id,
  }
}
