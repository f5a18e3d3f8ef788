// Records of Xpanse: an exposed asset in both dialects, a service, and the details of a service.
import { type Exposure, type Machine, type TenantSlot, gatewayIp } from '../estate.ts'
import type { Value } from '../rows.ts'
import type { Facing, Service } from '../xpanse-estate.ts'
import { isOld } from './uvem.ts'

const PROVIDER_NAMES = { aws: 'Amazon Web Services', azure: 'Microsoft Azure', gcp: 'Google' }
const MINUTE_MS = 60_000
/** The vendor rounds times of sight to the minute in listings, and not in details. */
const toMinute = (ms: number): number => Math.floor(ms / MINUTE_MS) * MINUTE_MS

/** The same unit as a text, as a list of lists of objects, or under two names. */
const businessUnits = (serial: number): unknown =>
  serial % 2 === 0
    ? ['Simulated']
    : [
        [
          {
            creation_time: 1_684_197_662_636,
            family: 'business_units',
            family_alias: 'BU',
            id: 'BU:1',
            name: 'Simulated',
            parent_id: null,
          },
        ],
      ]

/** One asset of get_assets_internet_exposure. */
export function facingRecord(facing: Facing, tenant: TenantSlot, dialect: 'spec' | 'live'): Value {
  const { type, id, name, machine } = facing
  const isMachine = type === 'CLOUD_COMPUTE_INSTANCE' || type === 'ON_PREM'
  const ips = isMachine && machine !== null ? [machine.publicIp ?? gatewayIp(tenant)] : []
  const cves = isMachine && machine !== null ? openIds(machine) : []
  const times = {
    // A certificate was never observed by itself.
    first_observed: machine === null ? null : machine.firstSeenMs,
    last_observed: machine === null ? null : machine.lastSeenMs,
  }
  const score = isMachine && machine !== null ? worstScore(machine) : null
  const rest = {
    ...(isMachine && machine !== null ? machineFields(machine) : NO_MACHINE),
    management_status: [],
    iot_model: null,
    sensor: ['XPANSE'],
    service_type: [],
    certificate_classifications: type === 'CERTIFICATE' ? ['Wildcard', 'Expired'] : [],
    certificate_issuer: type === 'CERTIFICATE' ? 'Simulated CA' : null,
    certificate_algorithm: type === 'CERTIFICATE' ? 'SHA256withRSA' : null,
    ip_ranges: [],
    domain_resolves: type === 'DOMAIN',
    ...times,
  }
  const isActive = isMachine && machine?.publicIp !== null
  if (dialect === 'live') {
    return {
      asset_id: id,
      name,
      type: type.toLowerCase(),
      ip_address: ips,
      domain: type === 'DOMAIN' ? name : null,
      business_units_list: ['Simulated'],
      active_services: isActive ? ['SshServer'] : [],
      externally_inferred_vulnerability_score: score ?? 'null',
      externally_inferred_cves: cves,
      ...rest,
    }
  }
  return {
    asm_ids: [id],
    name,
    asset_type: type,
    ips,
    business_units: businessUnits(machine?.serial ?? 0),
    has_active_externally_services: isActive,
    asm_va_score: score,
    externally_inferred_cves: cves,
    ...rest,
  }
}

const NO_MACHINE = {
  cloud_provider: null,
  externally_detected_providers: ['Other'],
  region: null,
  provider_account: null,
  has_xdr_agent: 'NA',
  mac_addresses: [],
  cloud_id: null,
  operation_system: null,
  agent_id: null,
}

function machineFields(machine: Machine): Value {
  const { cloud, system } = machine
  return {
    // Only what the tenant has onboarded is named; the rest is told by its addresses.
    cloud_provider: cloud !== null && machine.inInventory ? cloud.provider.toUpperCase() : null,
    externally_detected_providers: [cloud === null ? 'On Prem' : PROVIDER_NAMES[cloud.provider]],
    region: cloud?.region ?? null,
    provider_account: cloud?.accountId ?? null,
    has_xdr_agent: machine.hasAgent ? 'yes' : 'NA',
    mac_addresses: cloud === null ? [machine.mac] : [],
    cloud_id: cloudId(machine),
    operation_system: system.name,
    agent_id: machine.hasAgent ? machine.endpointId : null,
  }
}

/** The provider's own id: an ARN, a vmId, a number. */
function cloudId({ cloud }: Machine): string | null {
  if (cloud === null) return null
  if (cloud.provider !== 'aws') return cloud.instanceId
  return `arn:aws:ec2:${cloud.region}:${cloud.accountId}:instance/${cloud.instanceId}`
}

const openIds = (machine: Machine): string[] => [
  ...new Set(machine.exposures.filter((e) => e.open && e.inCortex).map((e) => e.weakness.id)),
]

function worstScore(machine: Machine): number | null {
  const scores = machine.exposures
    .filter((e) => e.open && e.inCortex)
    .map((e) => e.weakness.cvss)
    .filter((score) => score !== null)
  return scores.length === 0 ? null : Math.max(...scores)
}

/** One service of get_external_services. */
export function serviceRecord(service: Service): Value {
  const { id, machine, ip, name, type, port, isActive, exposures } = service
  const cves = exposures.filter((e) => e.open)
  const scores = cves.map((e) => e.weakness.cvss).filter((score) => score !== null)
  return {
    service_id: id,
    service_name: name,
    service_type: type,
    // A bare text in one of the vendor's examples.
    ip_address: machine.serial % 3 === 0 ? ip : [ip],
    domain: type === 'HttpServer' ? [`${machine.hostname}.${machine.domain}`] : [],
    externally_detected_providers: [
      machine.cloud === null ? 'On Prem' : PROVIDER_NAMES[machine.cloud.provider],
    ],
    is_active: isActive ? 'Active' : 'Inactive',
    first_observed: toMinute(machine.firstSeenMs),
    last_observed: toMinute(machine.lastSeenMs),
    port,
    protocol: 'TCP',
    active_classifications: isActive ? [type] : [],
    inactive_classifications: isActive ? [] : [type],
    discovery_type: 'ColocatedOnIp',
    business_units: businessUnits(machine.serial),
    externally_inferred_vulnerability_score: scores.length === 0 ? 'null' : Math.max(...scores),
    externally_inferred_cves: cves.map((e) => e.weakness.id),
  }
}

/** One element of get_external_service. */
export function detailsRecord(service: Service): Value {
  const { machine, ip, port, type, exposures, isActive } = service
  const times = { firstObserved: machine.firstSeenMs, lastObserved: machine.lastSeenMs }
  const activityStatus = isActive ? 'Active' : 'Inactive'
  return {
    ...serviceRecord(service),
    details: {
      serviceKey: `${ip}:${port}`,
      serviceKeyType: 'IP',
      businessUnits: [{ name: 'Simulated' }],
      providerDetails: [{ name: 'Simulated', ...times }],
      certificates: [],
      domains: [],
      ips: [{ ip, protocol: 'TCP', activityStatus, ...times }],
      classifications: [{ name: type, activityStatus, values: [], ...times }],
      tlsVersions: [],
      inferredCvesObserved: exposures.map((exposure) => inferredCve(machine, exposure)),
      enrichedObservationSource: 'CLOUD',
      ip_ranges: {},
    },
  }
}

function inferredCve(machine: Machine, exposure: Exposure): Value {
  const { weakness, packageName, versions, open, discoveredMs } = exposure
  const { cvss, cortexWord } = weakness
  const word = cortexWord?.toUpperCase() ?? null
  const old = isOld(weakness)
  const score2 = cvss === null ? null : Math.max(0.1, Math.round(cvss * 8) / 10)
  return {
    inferredCve: {
      cveId: weakness.id,
      cvssScoreV2: old ? cvss : score2,
      cveSeverityV2: old ? word : 'MEDIUM',
      cvssScoreV3: old ? null : cvss,
      cveSeverityV3: old ? null : word,
      inferredCveMatchMetadata: {
        inferredCveMatchType: 'ExactVersionMatch',
        product: packageName,
        confidence: 'High',
        vendor: `${packageName.split(/[^a-z]/i)[0]}_project`,
        version: versions[0] ?? '',
      },
    },
    activityStatus: open ? 'Active' : 'Inactive',
    firstObserved: discoveredMs,
    lastObserved: machine.lastSeenMs,
  }
}
