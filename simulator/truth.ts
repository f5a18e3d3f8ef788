// What a connector must end up knowing: told from the estate, never from what the API answered.
import { type Overlap, cspmTruth } from './cspm-truth.ts'
import { type Estate, type Machine, gatewayIp } from './estate.ts'
import {
  FINDINGS_BEHAVIOUR,
  type FindingsBehaviours,
  cortexFindingsTruth,
} from './cortex/xql-behaviour.ts'
import { cloudEntity, factsOf } from './truth-facts.ts'
import { workloadTruth } from './workload-truth.ts'
import { type TrueVulnerability, dictionaryTruth, xpanseTruth } from './xpanse-truth.ts'

/** Streams by the name that files and truth use. */
export const STREAMS = [
  'compute.hosts',
  'compute.images',
  'compute.registry',
  'compute.vms',
  'compute.serverless',
  'compute.containers',
  'compute.cloud-vms',
  'cspm.config',
  'cspm.inventory',
  'cspm.vulnerabilities',
  'xdr.endpoints',
  'xpanse.assets',
  'xpanse.services',
  'cloud.assets',
  'cloud.findings',
  'cloud.vulnerabilities',
  'xdr.findings',
  'cloud.issues',
  'xdr.incidents',
] as const
export type StreamName = (typeof STREAMS)[number]
export type Product =
  | 'prisma-compute'
  | 'prisma-cspm'
  | 'cortex-xdr'
  | 'cortex-xpanse'
  | 'cortex-cloud'

/** Types of keys that decide the entity. */
export type StrongKey =
  | 'cloud_instance_id'
  | 'image_digest'
  | 'image_id'
  | 'cloud_resource_id'
  | 'agent_id'

export type TrueAsset = {
  readonly product: Product
  readonly tenant: string
  readonly stream: StreamName
  /** Other streams that show the same asset; absent: none. */
  readonly alsoIn?: readonly StreamName[]
  readonly nativeId: string
  readonly name: string
  /** The strongest identity the product gives; type and value are null where it gives none. */
  readonly entity:
    | { readonly type: StrongKey; readonly value: string }
    | { readonly type: null; readonly value: null }
  /** aws | azure | gcp, or null on premises. */
  readonly provider: string | null
  readonly region: string | null
  readonly accountId: string | null
  /** In cloud.assets it is told to those that ask for `xdm.host.os_family`; null: nobody tells. */
  readonly osFamily: 'LINUX' | 'WINDOWS' | null
  readonly privateIps: readonly string[]
  readonly publicIps: readonly string[]
}

export type TrueFinding = {
  readonly product: Product
  readonly tenant: string
  readonly stream: StreamName
  /** Other streams that show the same finding; absent: none. */
  readonly alsoIn?: readonly StreamName[]
  readonly assetNativeId: string
  readonly vulnId: string
  /** Null: nobody tells. */
  readonly packageType: string | null
  readonly packageName: string
  /** Sorted. */
  readonly versions: readonly string[]
  readonly severityId: number
  /** Sorted as text. */
  readonly fixVersions: readonly string[]
  /** Null: not scored. */
  readonly cvss: number | null
}

export type Truth = {
  readonly seed: number
  readonly step: number
  readonly assets: readonly TrueAsset[]
  /** Open ones only. */
  readonly findings: readonly TrueFinding[]
  /** The CVE dictionary, one for all tenants. */
  readonly vulnerabilities: readonly TrueVulnerability[]
}

export type Tenants = {
  readonly prisma: string
  readonly cortex: readonly [string, string]
}

/**
 * The truth of `estate`, without the streams in `hidden` (those served from files). `overlap` as
 * the connection is configured; `cortex` as its tenants tell weaknesses.
 */
export function truthOf(
  estate: Estate,
  tenants: Tenants,
  hidden: ReadonlySet<string>,
  overlap: Overlap = 'drop',
  cortex: FindingsBehaviours = [FINDINGS_BEHAVIOUR, FINDINGS_BEHAVIOUR],
): Truth {
  const assets: TrueAsset[] = []
  const findings: TrueFinding[] = []
  for (const machine of estate.machines) {
    assets.push(...assetsOf(machine, tenants))
    findings.push(...findingsOf(machine, tenants))
  }
  findings.push(...cortexFindingsTruth(estate, tenants.cortex, cortex))
  const workloads = workloadTruth(estate, tenants.prisma)
  assets.push(...workloads.assets)
  findings.push(...workloads.findings)
  const cspm = cspmTruth(estate, tenants.prisma, overlap)
  assets.push(...cspm.assets)
  findings.push(...cspm.findings)
  const xpanse = xpanseTruth(estate, tenants)
  assets.push(...xpanse.assets)
  findings.push(...xpanse.findings)
  return {
    seed: estate.seed,
    step: estate.step,
    assets: assets.filter((a) => !hidden.has(a.stream)),
    findings: findings.filter((f) => !hidden.has(f.stream)),
    vulnerabilities: hidden.has('cloud.vulnerabilities') ? [] : dictionaryTruth(estate),
  }
}

function assetsOf(machine: Machine, tenants: Tenants): TrueAsset[] {
  const found: TrueAsset[] = []
  const name = machine.hostname
  const place = {
    provider: machine.cloud?.provider ?? null,
    region: machine.cloud?.region ?? null,
    accountId: machine.cloud?.accountId ?? null,
  }
  const osFamily = machine.system.family
  if (machine.inCompute) {
    found.push({
      product: 'prisma-compute',
      tenant: tenants.prisma,
      stream: 'compute.hosts',
      nativeId: computeNativeId(machine),
      name,
      entity: cloudEntity(machine),
      ...place,
      osFamily,
      // A Windows Defender tells no interfaces, and none tells public addresses.
      privateIps: osFamily === 'WINDOWS' ? [] : [machine.privateIp],
      publicIps: [],
    })
  }
  if (machine.tenant === null) return found
  const tenant = tenants.cortex[machine.tenant]
  if (machine.hasAgent) {
    found.push({
      product: 'cortex-xdr',
      tenant,
      stream: 'xdr.endpoints',
      nativeId: machine.endpointId,
      name,
      entity:
        machine.cloud === null
          ? { type: 'agent_id', value: `cortex:${machine.endpointId}` }
          : cloudEntity(machine),
      ...place,
      osFamily,
      privateIps: [machine.privateIp],
      publicIps: [machine.publicIp ?? gatewayIp(machine.tenant)],
    })
  }
  if (machine.inInventory) {
    found.push({
      product: 'cortex-cloud',
      tenant,
      stream: 'cloud.assets',
      nativeId: machine.cloudAssetId,
      name,
      entity: cloudEntity(machine),
      ...place,
      osFamily,
      privateIps: [machine.privateIp],
      publicIps: machine.publicIp === null ? [] : [machine.publicIp],
    })
  }
  return found
}

function findingsOf(machine: Machine, tenants: Tenants): TrueFinding[] {
  if (!machine.inCompute) return []
  return machine.exposures
    .filter((e) => e.open && e.inCompute)
    .map((e) => ({
      product: 'prisma-compute',
      tenant: tenants.prisma,
      stream: 'compute.hosts',
      assetNativeId: computeNativeId(machine),
      ...factsOf(machine, e),
    }))
}

/** Compute's native id in exposure events: kind and `_id`, as hosts and images share one space. */
const computeNativeId = (machine: Machine): string => `host|${machine.hostname}`
