// XDR endpoints: POST /public_api/v1/endpoints/get_endpoint, paged by window.
import { z } from 'zod'
import type { Answer } from '../delivery.ts'
import { type Machine, type TenantSlot, gatewayIp } from '../estate.ts'
import { ROWS_HERE, type Row, type Value, jsonAround, pageRows, rowOf, shownRows } from '../rows.ts'
import type { Call } from '../site.ts'
import type { World } from '../world.ts'
import { invalidJson, waitress } from './answers.ts'
import { requestData, sortRows, standardTest, windowOf } from './request.ts'

const FILTER_FIELDS: Readonly<Record<string, string>> = {
  endpoint_id_list: 'endpoint_id',
  endpoint_status: 'endpoint_status',
  first_seen: 'first_seen',
  last_seen: 'last_seen',
  ip_list: 'ip',
  hostname: 'endpoint_name',
  platform: 'os_type',
  public_ip_list: 'public_ip',
  cloud_provider: 'cloud_provider',
  cloud_region: 'cloud_region',
  cloud_provider_account_id: 'cloud_provider_account_id',
  cloud_instance_id: 'cloud_instance_id',
  cloud_id: 'cloud_id',
}
const sortSchema = z
  .object({
    field: z.enum(['endpoint_id', 'first_seen', 'last_seen']),
    // Case matters there.
    keyword: z.enum(['ASC', 'DESC']),
  })
  .default({ field: 'last_seen', keyword: 'ASC' })

/** One page of `tenant`'s endpoints. */
export function getEndpoint(world: World, tenant: TenantSlot, spanMax: number, call: Call): Answer {
  const request = requestData(call.body, false)
  if (request === null) return waitress()
  if ('invalid' in request) return invalidJson(request.invalid)
  const window = windowOf(request.data, spanMax)
  const test = standardTest(request.data['filters'], FILTER_FIELDS)
  const sort = sortSchema.safeParse(request.data['sort'])
  if (window === null || test === null || !sort.success) return waitress()
  const shown = shownRows(endpointRows(world, tenant), call.fault)
  const found = shown.rows.filter((row) => test(row.value()))
  const sorted = sortRows(found, sort.data.field, sort.data.keyword === 'DESC')
  const page = pageRows(sorted.slice(window.from, window.to), call.fault)
  const total_count = found.length + shown.declared - shown.rows.length
  const reply = { total_count, result_count: page.length, endpoints: ROWS_HERE }
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: jsonAround({ reply }, page),
  }
}

function endpointRows(world: World, tenant: TenantSlot): readonly Row[] {
  const fromFile = world.files.get('xdr.endpoints')
  if (fromFile !== undefined) return fromFile
  return world
    .estate()
    .machines.filter((m) => m.hasAgent && m.tenant === tenant)
    .map((m) => {
      const value = endpointRecord(m, tenant)
      return rowOf(m.endpointId, () => value)
    })
}

/** The record of one agent. */
export function endpointRecord(machine: Machine, tenant: TenantSlot): Value {
  const { system } = machine
  const windows = system.family === 'WINDOWS'
  return {
    endpoint_id: machine.endpointId,
    endpoint_name: machine.hostname,
    endpoint_type: 'AGENT_TYPE_SERVER',
    endpoint_status: machine.lastSeenMs % 10 === 0 ? 'DISCONNECTED' : 'CONNECTED',
    os_type: windows ? 'AGENT_OS_WINDOWS' : 'AGENT_OS_LINUX',
    os_version: system.version,
    operating_system: system.name,
    ip: [machine.privateIp],
    ipv6: [],
    public_ip: machine.publicIp ?? gatewayIp(tenant),
    mac_address: [machine.mac],
    domain: machine.cloud === null ? machine.domain : 'WORKGROUP',
    alias: '',
    // Lists, empty lists and null all occur.
    users: [null, [], [windows ? 'Administrator' : 'ec2-user']][machine.serial % 3],
    group_name: [null, [], ['servers']][(machine.serial >> 1) % 3],
    active_directory: null,
    first_seen: machine.firstSeenMs,
    last_seen: machine.lastSeenMs,
    install_date: machine.firstSeenMs,
    content_version: '1470-3190',
    installation_package: windows ? 'windows' : 'linux',
    endpoint_version: '8.3.0.120',
    is_isolated: 'AGENT_UNISOLATED',
    isolated_date: null,
    operational_status: 'PROTECTED',
    operational_status_description: null,
    scan_status: 'SCAN_STATUS_NONE',
    content_status: 'UP_TO_DATE',
    tags: { server_tags: Object.values(machine.tags), endpoint_tags: [] },
    assigned_prevention_policy: windows ? 'Windows Default' : 'Linux Default',
    ...cloudFields(machine),
  }
}

function cloudFields({ cloud, hostname }: Machine): Value {
  if (cloud === null) {
    return {
      cloud_provider: '',
      cloud_region: '',
      cloud_provider_account_id: '',
      cloud_instance_id: '',
      cloud_id: '',
    }
  }
  const { accountId, region, zone, instanceId } = cloud
  const resourceIds = {
    aws: `arn:aws:ec2:${region}:${accountId}:instance/${instanceId}`,
    azure:
      `/subscriptions/${accountId}/resourceGroups/rg-main/providers/` +
      `Microsoft.Compute/virtualMachines/${hostname}`,
    gcp: `//compute.googleapis.com/projects/${accountId}/zones/${zone}/instances/${instanceId}`,
  }
  return {
    cloud_provider: cloud.provider.toUpperCase(),
    cloud_region: region,
    cloud_provider_account_id: accountId,
    // Azure's vmId comes in capitals here and in small letters elsewhere.
    cloud_instance_id: cloud.provider === 'azure' ? instanceId.toUpperCase() : instanceId,
    cloud_id: resourceIds[cloud.provider],
  }
}
