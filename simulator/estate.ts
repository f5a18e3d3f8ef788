// The estate: one imaginary company's machines, out of a seed. Values are replaced, not changed.
import {
  type Software,
  type SystemPackageType,
  type Weakness,
  createCatalogue,
  packageTypeOf,
  versionOf,
} from './catalogue.ts'
import { type Random, createRandom, shareOf } from './random.ts'

/** Time in the estate starts here and moves one hour a step: bytes never depend on the clock. */
export const ESTATE_START_MS = Date.UTC(2025, 5, 2, 8)
export const STEP_MS = 3_600_000
export const MACHINES_MAX = 200_000
const DAY_MS = 86_400_000
const WEAKNESSES_PER_MACHINE_MAX = 30

export type Provider = 'aws' | 'azure' | 'gcp'
export type TenantSlot = 0 | 1

export type System = {
  readonly family: 'LINUX' | 'WINDOWS'
  readonly packages: SystemPackageType
  /** Short id, e.g. `ubuntu`. */
  readonly id: string
  readonly name: string
  readonly version: string
  readonly release: string
  readonly kernel: string
}

export type CloudPlace = {
  readonly provider: Provider
  readonly accountId: string
  readonly region: string
  readonly zone: string
  /** i-… (AWS), vmId (Azure, lower case), number (GCP). */
  readonly instanceId: string
  readonly imageId: string
  readonly instanceType: string
  readonly networkId: string
}

export type Exposure = {
  readonly weakness: Weakness
  readonly packageName: string
  readonly versions: readonly string[]
  readonly discoveredMs: number
  /** False once fixed; it may return. */
  readonly open: boolean
  readonly inCompute: boolean
  readonly inCortex: boolean
}

export type Machine = {
  /** Never used twice. */
  readonly serial: number
  readonly hostname: string
  readonly domain: string
  /** Null: on premises. */
  readonly cloud: CloudPlace | null
  readonly system: System
  readonly mac: string
  readonly privateIp: string
  readonly publicIp: string | null
  readonly tags: Readonly<Record<string, string>>
  readonly firstSeenMs: number
  readonly lastSeenMs: number
  /** Prisma Cloud Compute sees it. */
  readonly inCompute: boolean
  /** The Cortex tenant that sees it; null for none. */
  readonly tenant: TenantSlot | null
  readonly hasAgent: boolean
  readonly inInventory: boolean
  readonly endpointId: string
  readonly cloudAssetId: string
  readonly exposures: readonly Exposure[]
}

export type Estate = {
  readonly seed: number
  readonly step: number
  readonly nowMs: number
  /** Hours in which nothing happened but sights, scans and heartbeats. */
  readonly noise: number
  readonly nextSerial: number
  readonly catalogue: readonly Weakness[]
  /** EPSS by weakness id, where it has moved from the catalogue's. */
  readonly epss: ReadonlyMap<string, number>
  /** Ordered by hostname. */
  readonly machines: readonly Machine[]
}

const linux = (
  packages: SystemPackageType,
  id: string,
  name: string,
  version: string,
  release: string,
): System => ({
  family: 'LINUX',
  packages,
  id,
  name,
  version,
  release,
  kernel: packages === 'rpm' ? '5.14.0-362.el9.x86_64' : '5.15.0-91-generic',
})
const SYSTEMS: readonly System[] = [
  linux('deb', 'ubuntu', 'Ubuntu 22.04.3 LTS', '22.04', 'jammy'),
  linux('deb', 'ubuntu', 'Ubuntu 20.04.6 LTS', '20.04', 'focal'),
  linux('deb', 'debian', 'Debian GNU/Linux 12 (bookworm)', '12', 'bookworm'),
  linux('rpm', 'redhat', 'Red Hat Enterprise Linux 9.3 (Plow)', '9.3', 'RHEL9'),
  linux('rpm', 'amzn', 'Amazon Linux 2023', '2023', 'AMZN2023'),
  linux('apk', 'alpine', 'Alpine Linux v3.19', '3.19', '3.19.1'),
  {
    family: 'WINDOWS',
    packages: 'os',
    id: 'windows',
    name: 'Windows Server 2022 Datacenter',
    version: '10.0.20348',
    release: 'Windows Server 2022',
    kernel: '10.0.20348',
  },
  {
    family: 'WINDOWS',
    packages: 'os',
    id: 'windows',
    name: 'Windows Server 2019 Standard',
    version: '10.0.17763',
    release: 'Windows Server 2019',
    kernel: '10.0.17763',
  },
]

type Pattern = {
  place: Provider | 'on-prem'
  compute: boolean
  tenant: TenantSlot | null
  agent: boolean
  inventory: boolean
}
/**
 * Place, Compute, Cortex tenant, agent, inventory. It repeats every twenty machines, so that five
 * already show every case.
 */
const PATTERN: readonly string[] = [
  'aws C A x i',
  'azure C A x i',
  'aws C B x i',
  'gcp C A x i',
  'on-prem C A x i',
  'aws C - - -',
  'aws - A x i',
  'aws C B - i',
  'azure C B x i',
  'aws C A - i',
  'on-prem - A x -',
  'aws C A x -',
  'aws C B - i',
  'aws - A - i',
  'gcp C B x i',
  'aws C - - -',
  'azure - A x i',
  'aws C B x i',
  'on-prem C B x i',
  'aws C A - i',
]

function patternOf(serial: number): Pattern {
  const [place, compute, tenant, agent, inventory] = (
    PATTERN[serial % PATTERN.length] ?? 'aws C A x i'
  ).split(' ')
  return {
    place: place === 'azure' || place === 'gcp' || place === 'on-prem' ? place : 'aws',
    compute: compute === 'C',
    tenant: tenant === 'A' ? 0 : tenant === 'B' ? 1 : null,
    agent: agent === 'x',
    inventory: inventory === 'i',
  }
}

const REGIONS: Readonly<Record<Provider, readonly string[]>> = {
  aws: ['eu-west-1', 'us-east-1', 'us-west-2'],
  azure: ['westeurope', 'eastus'],
  gcp: ['europe-west1', 'us-central1'],
}
const INSTANCE_TYPES: Readonly<Record<Provider, string>> = {
  aws: 'm5.large',
  azure: 'Standard_D2s_v3',
  gcp: 'n2-standard-2',
}
/** Documentation addresses (RFC 5737): they belong to nobody. */
const PUBLIC_NETS = ['198.51.100', '203.0.113', '192.0.2'] as const

/** A new estate of `count` machines. */
export function createEstate(seed: number, count: number): Estate {
  const catalogue = createCatalogue(seed, ESTATE_START_MS)
  const machines = Array.from({ length: count }, (_, serial) =>
    createMachine(seed, serial, catalogue, ESTATE_START_MS),
  )
  return {
    seed,
    step: 0,
    nowMs: ESTATE_START_MS,
    noise: 0,
    nextSerial: count,
    catalogue,
    epss: new Map(),
    machines: byHostname(machines),
  }
}

/** By hostname: so a new machine lands amid the pages, as it does at the vendor. */
export const byHostname = (machines: readonly Machine[]): Machine[] =>
  machines.toSorted((a, b) => (a.hostname < b.hostname ? -1 : a.hostname > b.hostname ? 1 : 0))

/** Machine number `serial` as it first appears at `nowMs`. */
export function createMachine(
  seed: number,
  serial: number,
  catalogue: readonly Weakness[],
  nowMs: number,
): Machine {
  const random = createRandom(`${seed}/machine/${serial}`)
  const pattern = patternOf(serial)
  const system = random.pick(SYSTEMS)
  const role = random.pick(['web', 'app', 'db', 'build', 'cache', 'batch'])
  const cloud = pattern.place === 'on-prem' ? null : placeIn(seed, random, pattern.place)
  const facing = cloud !== null && random.chance(0.4)
  return {
    serial,
    hostname: `${role}-${String(serial).padStart(5, '0')}`,
    domain: cloud === null ? 'corp.example' : 'cloud.example',
    cloud,
    system,
    mac: `${macPrefix(cloud)}:${pairs(random.hex(6))}`,
    privateIp: `10.${40 + (serial >> 16)}.${(serial >> 8) & 255}.${serial & 255}`,
    publicIp: facing ? publicIp(serial) : null,
    tags: { Role: role, Env: random.pick(['prod', 'stage', 'dev']) },
    firstSeenMs: nowMs - random.below(300) * DAY_MS - random.below(DAY_MS),
    lastSeenMs: nowMs - random.below(STEP_MS),
    inCompute: pattern.compute,
    tenant: pattern.tenant,
    hasAgent: pattern.agent,
    inInventory: pattern.inventory,
    endpointId: random.hex(32),
    cloudAssetId: random.hex(64),
    exposures: exposuresOf(random, { serial, system }, catalogue, nowMs),
  }
}

const publicIp = (serial: number): string =>
  `${PUBLIC_NETS[serial % PUBLIC_NETS.length]}.${1 + (Math.floor(serial / 3) % 254)}`
const pairs = (hex: string): string => (hex.match(/../g) ?? []).join(':')

function macPrefix(cloud: CloudPlace | null): string {
  if (cloud === null) return '00:50:56'
  return { aws: '0a:58:a9', azure: '00:0d:3a', gcp: '42:01:0a' }[cloud.provider]
}

/** Accounts belong to the company, so they depend on the seed alone. */
export function accountsOf(seed: number, provider: Provider): readonly string[] {
  const random = createRandom(`${seed}/accounts/${provider}`)
  if (provider === 'aws') {
    return Array.from({ length: 4 }, () => String(100_000_000_000 + random.below(8e11)))
  }
  if (provider === 'azure') return [uuid(random), uuid(random)]
  return [`sim-prod-${random.hex(4)}`, `sim-data-${random.hex(4)}`]
}

/** A random version 4 UUID, lower case. */
export function uuid(random: Random): string {
  const variant = random.pick(['8', '9', 'a', 'b'])
  const [a, b, c] = [random.hex(8), random.hex(4), random.hex(3)]
  return `${a}-${b}-4${c}-${variant}${random.hex(3)}-${random.hex(12)}`
}

function placeIn(seed: number, random: Random, provider: Provider): CloudPlace {
  const region = random.pick(REGIONS[provider])
  const accountId = random.pick(accountsOf(seed, provider))
  const common = { provider, accountId, region, instanceType: INSTANCE_TYPES[provider] }
  if (provider === 'aws') {
    const zone = region + random.pick(['a', 'b'])
    const instanceId = `i-0${random.hex(16)}`
    const imageId = `ami-0${random.hex(16)}`
    return { ...common, zone, instanceId, imageId, networkId: `vpc-0${random.hex(16)}` }
  }
  if (provider === 'azure') {
    const imageId = 'canonical:0001-com-ubuntu-server-jammy:22_04-lts'
    return { ...common, zone: '1', instanceId: uuid(random), imageId, networkId: 'vnet-main' }
  }
  const instanceId = `${1 + random.below(9)}${String(random.below(1e9)).padStart(9, '0')}${String(
    random.below(1e9),
  ).padStart(9, '0')}`
  return { ...common, zone: `${region}-b`, instanceId, imageId: 'debian-12', networkId: 'default' }
}

/** 0 to 30 weaknesses; few machines have many. */
function exposuresOf(
  random: Random,
  at: { serial: number; system: System },
  catalogue: readonly Weakness[],
  nowMs: number,
): readonly Exposure[] {
  const wanted = random.chance(0.08)
    ? 0
    : Math.floor(random.next() ** 1.6 * (WEAKNESSES_PER_MACHINE_MAX + 1))
  const known = fitting(catalogue, at.system)
  let exposures: readonly Exposure[] = []
  for (let tries = 0; tries < wanted; tries++) {
    exposures = withWeakness(random, at, known, exposures, nowMs)
  }
  return exposures
}

/** The address from which a tenant's agents without an own public address are seen. */
export const gatewayIp = (tenant: TenantSlot): string => `192.0.2.${250 + tenant}`

/** The weaknesses that a machine with `system` can have. */
export const fitting = (catalogue: readonly Weakness[], system: System): readonly Weakness[] =>
  catalogue.filter((w) => w.software.windows === (system.family === 'WINDOWS'))

/** Adds one of `known`, on each package of its software; nothing if met already or full. */
export function withWeakness(
  random: Random,
  at: { serial: number; system: System },
  known: readonly Weakness[],
  exposures: readonly Exposure[],
  nowMs: number,
): readonly Exposure[] {
  const weakness = random.pick(known)
  const { software } = weakness
  const met = exposures.some((e) => e.weakness.id === weakness.id)
  const room = exposures.length + software.packages.length <= WEAKNESSES_PER_MACHINE_MAX
  if (met || !room) return exposures
  const type = packageTypeOf(software, at.system.packages)
  const versions = installedPatches(software, at.serial).map((p) => versionOf(software, type, p))
  const discoveredMs = nowMs - random.below(60) * DAY_MS - random.below(DAY_MS)
  const draw = random.next()
  // A PRISMA-… id is Prisma's own: Cortex does not know it.
  const ours = weakness.id.startsWith('PRISMA')
  const added = software.packages.map((packageName): Exposure => ({
    weakness,
    packageName,
    versions,
    discoveredMs,
    open: true,
    inCompute: ours || draw < 0.9,
    inCortex: !ours && draw >= 0.15,
  }))
  return [...exposures, ...added]
}

/** One machine has one version of a software, whatever its weaknesses; of kernels perhaps two. */
function installedPatches(software: Software, serial: number): readonly number[] {
  const { patches, sideBySide } = software
  const share = shareOf(`${serial}/${software.packages[0]}`)
  if (sideBySide) return patches.slice(0, share < 0.5 ? 1 : 2)
  return patches.slice(Math.floor(share * patches.length)).slice(0, 1)
}
