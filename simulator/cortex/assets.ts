// Cortex Cloud inventory: POST /public_api/v1/assets, in the live or the documented field names.
import { z } from 'zod'
import { type Answer, json } from '../delivery.ts'
import type { Machine, Provider, TenantSlot } from '../estate.ts'
import { ROWS_HERE, type Row, type Value, jsonAround, pageRows, rowOf, shownRows } from '../rows.ts'
import type { Call } from '../site.ts'
import type { World } from '../world.ts'
import { invalidJson, waitress } from './answers.ts'
import { inventoryTest, requestData, sortRows, windowOf } from './request.ts'

/** `live`: names seen on tenants; `spec`: names of the published specification. */
export type AssetDialect = 'live' | 'spec'

const sortSchema = z
  .array(z.object({ FIELD: z.string(), ORDER: z.enum(['ASC', 'DESC']) }))
  .max(1)
  .default([])
const onDemandSchema = z.array(z.string()).default([])

const ON_DEMAND: ReadonlySet<string> = new Set([
  'xdm.host.ipv4_addresses',
  'xdm.host.ipv6_addresses',
  'xdm.host.mac_addresses',
  'xdm.host.os_family',
  'xdm.host.os_distribution',
  'xdm.host.os_release',
  'xdm.network.internet_exposed',
])
const PLAIN_FIELDS = [
  'xdm.asset.id',
  'xdm.asset.strong_id',
  'xdm.asset.name',
  'xdm.asset.provider',
  'xdm.asset.realm',
  'xdm.asset.type.id',
  'xdm.asset.type.name',
  'xdm.asset.type.category',
  'xdm.asset.type.class',
  'xdm.asset.cloud.region',
  'xdm.asset.first_observed',
  'xdm.asset.last_observed',
] as const

/** The fields there are: under `data` on tenants, under `DATA` in the specification. */
export function assetSchema(dialect: AssetDialect): Answer {
  const rows = [...PLAIN_FIELDS, ...ON_DEMAND].map((field_name) => ({
    field_name,
    field_pretty_name: field_name.split('.').at(-1)?.replaceAll('_', ' '),
    data_type: field_name.endsWith('_observed') ? 'TIMESTAMP' : 'TEXT',
  }))
  return json(200, { reply: dialect === 'live' ? { data: rows } : { DATA: rows } })
}

type AssetType = { id: string; name: string; category: string }
const TYPES: Readonly<Record<Provider | 'on-prem', AssetType>> = {
  aws: { id: 'EC2_INSTANCE', name: 'EC2 Instance', category: 'VM Instance' },
  azure: {
    id: 'AZURE_VIRTUAL_MACHINE',
    name: 'Azure Virtual Machine',
    category: 'VM Instance',
  },
  gcp: {
    id: 'GOOGLE_COMPUTE_ENGINE_VM_INSTANCE',
    name: 'Google Compute Engine VM Instance',
    category: 'VM Instance',
  },
  'on-prem': { id: 'GENERIC_DEVICE', name: 'Generic Device', category: 'Device' },
}

/** The vendor's type of a machine. */
export const assetTypeOf = (machine: Machine): AssetType =>
  TYPES[machine.cloud?.provider ?? 'on-prem']

/** One page of `tenant`'s inventory; `request_data` around the query may be missing. */
export function getAssets(
  world: World,
  tenant: TenantSlot,
  options: { spanMax: number; dialect: AssetDialect },
  call: Call,
): Answer {
  const request = requestData(call.body, true)
  if (request === null) return waitress()
  if ('invalid' in request) return invalidJson(request.invalid)
  const { data } = request
  const window = windowOf(data, options.spanMax)
  const sort = sortSchema.safeParse(data['sort'])
  const onDemand = onDemandSchema.safeParse(data['on_demand_fields'])
  const rows = assetRows(world, tenant, options.dialect)
  const test = inventoryTest(data['filters'], (field) => knowsField(rows, field))
  if (window === null || test === null || !sort.success || !onDemand.success) return waitress()
  const shown = shownRows(rows, call.fault)
  const found = shown.rows.filter((row) => test(row.value()))
  const [order] = sort.data
  const sorted = order ? sortRows(found, order.FIELD, order.ORDER === 'DESC') : found
  const asked = new Set<string>(onDemand.data)
  if ([...asked].some((field) => !ON_DEMAND.has(field))) return waitress()
  const slice = sorted.slice(window.from, window.to)
  const plain = world.files.has('cloud.assets') ? slice : slice.map((row) => askedFor(row, asked))
  const page = pageRows(plain, call.fault)
  // The total ignores the filter, as it does on a real tenant.
  const metadata = { filter_count: found.length, total_count: shown.declared }
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: jsonAround({ reply: { data: ROWS_HERE, metadata } }, page),
  }
}

/** Without rows nothing tells the fields, and nothing can be filtered wrongly. */
const knowsField = (rows: readonly Row[], field: string): boolean =>
  rows.length === 0 || rows.some((row) => field in row.value())

/** Fields on demand come only when `on_demand_fields` names them. */
const askedFor = (row: Row, asked: ReadonlySet<string>): Row =>
  rowOf(row.id, () =>
    Object.fromEntries(
      Object.entries(row.value()).filter(([k]) => !ON_DEMAND.has(k) || asked.has(k)),
    ),
  )

function assetRows(world: World, tenant: TenantSlot, dialect: AssetDialect): readonly Row[] {
  const fromFile = world.files.get('cloud.assets')
  if (fromFile !== undefined) return fromFile
  return world
    .estate()
    .machines.filter((m) => m.inInventory && m.tenant === tenant)
    .map((m) => {
      const value = assetRecord(m, dialect)
      return rowOf(m.cloudAssetId, () => value)
    })
}

/** The record of one machine, with all fields that can be asked for. */
export function assetRecord(machine: Machine, dialect: AssetDialect): Value {
  const { cloud } = machine
  const type = assetTypeOf(machine)
  const addresses = [machine.privateIp, ...(machine.publicIp === null ? [] : [machine.publicIp])]
  return {
    'xdm.asset.id': machine.cloudAssetId,
    'xdm.asset.strong_id': cloud?.instanceId ?? machine.privateIp,
    'xdm.asset.name': machine.hostname,
    ...(dialect === 'live' ? { 'xdm.asset.external_provider_id': cloud?.instanceId ?? null } : {}),
    'xdm.asset.provider': cloud?.provider.toUpperCase() ?? 'ON_PREM',
    'xdm.asset.realm': cloud?.accountId ?? 'Other',
    'xdm.asset.type.id': type.id,
    'xdm.asset.type.name': type.name,
    'xdm.asset.type.category': type.category,
    'xdm.asset.type.class': 'Compute',
    'xdm.asset.cloud.region': cloud?.region ?? null,
    'xdm.asset.first_observed': machine.firstSeenMs,
    'xdm.asset.last_observed': machine.lastSeenMs,
    'xdm.asset.group_ids': dialect === 'live' ? [5, 42] : ['5', '42'],
    ...issueFields(machine, dialect),
    'xdm.host.ipv4_addresses': addresses,
    'xdm.host.ipv6_addresses': [],
    'xdm.host.mac_addresses': [machine.mac],
    'xdm.host.os_family': machine.system.family === 'WINDOWS' ? 'Windows' : 'Linux',
    'xdm.host.os_distribution': machine.system.id,
    'xdm.host.os_release': machine.system.release,
    'xdm.network.internet_exposed': machine.publicIp !== null,
  }
}

function issueFields(machine: Machine, dialect: AssetDialect): Value {
  const open = machine.exposures.filter((e) => e.open && e.inCortex)
  const count = (id: number) => open.filter((e) => e.weakness.severityId === id).length
  const issues = { critical: count(5), high: count(4), medium: count(3), low: count(2) }
  const cases = { critical: 0, high: 0, medium: 0, low: 0 }
  return dialect === 'live'
    ? {
        'xdm.asset.related_issues.critical_issues': issues.critical,
        'xdm.asset.related_issues.issues_breakdown': issues,
        'xdm.asset.related_cases.critical_cases': 0,
        'xdm.asset.related_cases.cases_breakdown': cases,
      }
    : {
        issues_breakdown: issues,
        issues_critical: issues.critical,
        cases_breakdown: cases,
        cases_critical: 0,
      }
}
