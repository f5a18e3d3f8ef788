// The estate as CSPM sees it: machines in the cloud, other resources around them, and what is weak.
import { createHash } from 'node:crypto'
import { type Weakness, fixVersions, packageTypeOf, versionOf } from './catalogue.ts'
import {
  type CloudPlace,
  type Estate,
  type Machine,
  type Provider,
  type System,
  accountsOf,
  fitting,
} from './estate.ts'
import { createRandom, shareOf } from './random.ts'

export type CloudMachine = Machine & { readonly cloud: CloudPlace }

/** A resource that only the inventory lists. */
export type CloudResource = {
  /** CSPM's own id, 32 hexadecimal digits. */
  readonly assetId: string
  /** ARN, Azure resource id or Google's name. */
  readonly id: string
  readonly name: string
  readonly provider: Provider
  readonly accountId: string
  readonly region: string
  readonly assetType: string
}

/** Words of the download's ASSET_TYPE column. */
export type WeakType =
  | 'host'
  | 'package'
  | 'iac'
  | 'deployedImage'
  | 'registryImage'
  | 'serverlessFunction'
  | 'vmImage'

/** One row of the vulnerability download. */
export type WeakRow = {
  readonly assetId: string
  readonly assetType: WeakType
  readonly weakness: Weakness
  readonly packageName: string
  /** Sorted. */
  readonly versions: readonly string[]
  /** Sorted. */
  readonly fixes: readonly string[]
  readonly discoveredMs: number
  readonly accountId: string | null
  /** A cloud's name, or `Github` for code. */
  readonly provider: string
  readonly distribution: string | null
  readonly release: string | null
  readonly isExposed: boolean
}

const digest = (text: string, digits: number): string =>
  createHash('sha256').update(text).digest('hex').slice(0, digits)

/** CSPM's id of a machine: the same in config search, inventory and vulnerabilities. */
export const machineAssetId = (machine: Machine): string =>
  digest(`cspm/${machine.cloudAssetId}`, 32)

/** The machines that CSPM sees: those in a cloud. */
export const cloudMachines = (estate: Estate): CloudMachine[] =>
  estate.machines.flatMap((m) => (m.cloud === null ? [] : [{ ...m, cloud: m.cloud }]))

/** The asset type of a machine; its configuration search lists it too. */
export const MACHINE_TYPES: Readonly<Record<Provider, string>> = {
  aws: 'EC2 Instance',
  azure: 'Azure Virtual Machine',
  gcp: 'Compute Instance',
}

/** The vendor's id of a machine: Azure puts the vmId in front of the resource id. */
export function machineId(machine: CloudMachine): string {
  const { provider, instanceId } = machine.cloud
  return provider === 'azure' ? `${instanceId}-${azureId(machine)}` : instanceId
}

/** `/subscriptions/…/virtualMachines/<name>`, in Azure's own mix of cases. */
export const azureId = ({ cloud, hostname }: CloudMachine): string =>
  `/subscriptions/${cloud.accountId}/resourceGroups/RG-Main/providers/Microsoft.Compute/virtualMachines/${hostname}`

const RESOURCE_TYPES: Readonly<Record<Provider, readonly [disk: string, bucket: string]>> = {
  aws: ['EBS Volume', 'S3 Bucket'],
  azure: ['Azure Disk', 'Azure Storage Account'],
  gcp: ['Compute Disk', 'Storage Bucket'],
}

/** A disk per machine, two buckets per account; sorted by CSPM's id. */
export function resourcesOf(estate: Estate): CloudResource[] {
  const disks = cloudMachines(estate).map((m) => {
    const { provider, accountId, region } = m.cloud
    const name = `disk-${m.hostname}`
    return resource(provider, accountId, region, RESOURCE_TYPES[provider][0], name)
  })
  if (disks.length === 0) return []
  const buckets = (['aws', 'azure', 'gcp'] as const).flatMap((provider) =>
    accountsOf(estate.seed, provider).flatMap((accountId) =>
      ['logs', 'backup'].map((use) => {
        const name = `${use}-${digest(`${estate.seed}/${accountId}`, 6)}`
        return resource(provider, accountId, '', RESOURCE_TYPES[provider][1], name)
      }),
    ),
  )
  return [...disks, ...buckets].toSorted((a, b) => (a.assetId < b.assetId ? -1 : 1))
}

function resource(
  provider: Provider,
  accountId: string,
  region: string,
  assetType: string,
  name: string,
): CloudResource {
  const kind = assetType.split(' ').at(-1) ?? ''
  const ids = {
    aws:
      kind === 'Bucket'
        ? `arn:aws:s3:::${name}`
        : `arn:aws:ec2:${region}:${accountId}:volume/${name}`,
    azure: `/subscriptions/${accountId}/resourceGroups/RG-Main/providers/Microsoft.${kind}/${name}`,
    gcp: `//compute.googleapis.com/projects/${accountId}/${kind.toLowerCase()}s/${name}`,
  }
  const id = ids[provider]
  const assetId = digest(`cspm/${id}`, 32)
  return { assetId, id, name, provider, accountId, region, assetType }
}

/** `rrn:<cloud>:<type>:<region>:<account>:<hash>:<id>`. */
export const rrnOf = (
  provider: Provider,
  type: string,
  region: string,
  accountId: string,
  id: string,
): string =>
  `rrn:${provider}:${type}:${region}:${accountId}:${digest(`rrn/${id}`, 40)}:${encodeURIComponent(id)}`

const WORDS: Readonly<Record<number, string>> = { 2: 'low', 3: 'medium', 4: 'high', 5: 'critical' }

/**
 * The word of the download's SEVERITY column, and the OCSF severity_id that it stands for. Some
 * weaknesses have a word beside the four that queries name, or none: `N/A`.
 */
export function cspmSeverity({ id, severityId, cvss }: Weakness): {
  readonly word: string
  readonly id: number
} {
  const share = shareOf(`cspm/severity/${id}`)
  if (share < 0.03) return { word: 'informational', id: 1 }
  if (share < 0.05) return { word: 'none', id: 1 }
  // Without a word only the score tells.
  if (share < 0.08) return { word: 'N/A', id: cvss === null ? 0 : severityId }
  return { word: WORDS[severityId] ?? 'low', id: severityId }
}

/** Every row of the vulnerability download, open ones only, in a fixed order. */
export const weakRows = (estate: Estate): WeakRow[] => [
  ...cloudMachines(estate).flatMap((machine) => machineRows(machine)),
  ...workloadRows(estate),
]

function machineRows(machine: CloudMachine): WeakRow[] {
  if (!machine.inCompute) return []
  const { system, cloud } = machine
  return machine.exposures
    .filter((e) => e.open && e.inCompute)
    .map((e) => ({
      assetId: machineAssetId(machine),
      assetType: 'host',
      weakness: e.weakness,
      packageName: e.packageName,
      versions: e.versions.toSorted(),
      fixes: fixVersions(
        e.weakness,
        packageTypeOf(e.weakness.software, system.packages),
      ).toSorted(),
      discoveredMs: e.discoveredMs,
      accountId: cloud.accountId,
      provider: cloud.provider,
      distribution: system.id,
      release: system.release,
      isExposed: machine.publicIp !== null,
    }))
}

/** What is not a machine: code, images and functions, as many as the estate is big. */
const WORKLOADS: readonly (readonly [WeakType, perMachines: number])[] = [
  ['package', 4],
  ['iac', 10],
  ['deployedImage', 10],
  ['registryImage', 10],
  ['serverlessFunction', 20],
  ['vmImage', 20],
]
const WEAKNESSES_MAX = 12
const STEPS_PER_CHANGE = 4
const OPEN_SHARE = 0.85
const DAY_MS = 86_400_000
const IMAGE_SYSTEM: Pick<System, 'packages' | 'id' | 'release' | 'family'> = {
  packages: 'deb',
  id: 'debian',
  release: 'bookworm',
  family: 'LINUX',
}

function workloadRows(estate: Estate): WeakRow[] {
  return WORKLOADS.flatMap(([type, perMachines]) => {
    const count = estate.machines.length === 0 ? 0 : 1 + Math.floor(estate.nextSerial / perMachines)
    return Array.from({ length: count }, (_, n) => workload(estate, type, n)).flat()
  })
}

/** The number of assets depends on machines ever seen, so that none disappears by itself. */
function workload(estate: Estate, type: WeakType, n: number): WeakRow[] {
  const random = createRandom(`${estate.seed}/${type}/${n}`)
  const isCode = type === 'package' || type === 'iac'
  const assetId = isCode
    ? `${digest(random.hex(16), 8)}-0000-4000-8000-${random.hex(12)}`
    : random.hex(32)
  const known = fitting(estate.catalogue, {
    ...IMAGE_SYSTEM,
    name: '',
    version: '',
    kernel: '',
  }).filter((w) => (type === 'package') === (w.software.language !== null))
  const chosen = new Set(
    Array.from({ length: 1 + random.below(WEAKNESSES_MAX) }, () => random.pick(known)),
  )
  const accountId = isCode ? null : random.pick(accountsOf(estate.seed, 'aws'))
  const discoveredMs = estate.nowMs - (estate.step % 1_000) * 3_600_000 - random.below(90) * DAY_MS
  return [...chosen]
    .filter((weakness) => isOpen(estate, `${assetId}/${weakness.id}`))
    .flatMap((weakness) =>
      weakness.software.packages.map((packageName) => {
        const packageType = packageTypeOf(weakness.software, IMAGE_SYSTEM.packages)
        const [patch = 0] = weakness.software.patches
        return {
          assetId,
          assetType: type,
          weakness,
          packageName,
          versions: [versionOf(weakness.software, packageType, patch)],
          fixes: fixVersions(weakness, packageType).toSorted(),
          discoveredMs,
          accountId,
          provider: isCode ? 'Github' : 'aws',
          distribution: isCode ? null : IMAGE_SYSTEM.id,
          release: isCode ? null : IMAGE_SYSTEM.release,
          isExposed: false,
        }
      }),
    )
}

/** Each weakness is fixed or returns at steps of its own. */
function isOpen(estate: Estate, id: string): boolean {
  const phase = Math.floor(shareOf(id) * STEPS_PER_CHANGE)
  const round = Math.floor((estate.step + phase) / STEPS_PER_CHANGE)
  return shareOf(`${id}/${round}`) < OPEN_SHARE
}
