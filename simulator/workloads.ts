// What runs beside the machines: images, VM images, functions and containers. They follow from the
// estate alone, so that it stays the one state; a step changes a few of them.
import type { Weakness } from './catalogue.ts'
import {
  ESTATE_START_MS,
  type Estate,
  type Exposure,
  type Machine,
  type Provider,
  STEP_MS,
  type System,
  accountsOf,
  withWeakness,
} from './estate.ts'
import { createRandom, shareOf } from './random.ts'

const DAY_MS = 86_400_000
const IMAGES_MAX = 2_000
/** Steps after which the oldest image, VM image and function is replaced by a new one. */
const STEPS_PER_RELEASE = 4
/** Steps within which every weakness that is ever fixed is fixed. */
const FIX_STEPS = 40
const FIXED_SHARE = 0.4

/** What a scanner looks into. */
export type Scanned = {
  /** Never used twice within its kind. */
  readonly serial: number
  readonly system: System
  readonly exposures: readonly Exposure[]
}
type Aged = { readonly firstSeenMs: number; readonly lastSeenMs: number }

export type Image = Scanned &
  Aged & {
    /** `sha256:…` of the configuration. */
    readonly imageId: string
    /** `sha256:…` of the manifest; null for what was never in a registry. */
    readonly digest: string | null
    readonly registry: string
    readonly repository: string
    readonly tag: string
    readonly createdMs: number
    readonly isDeployed: boolean
    readonly isInRegistry: boolean
  }

export type VmImage = Scanned &
  Aged & {
    /** Digits, as the console numbers them. */
    readonly id: string
    readonly name: string
    readonly accountId: string
    readonly region: string
    readonly amiId: string
  }

export type CloudFunction = Scanned &
  Aged & {
    readonly id: string
    /** Id at the provider without a version; null where the console does not tell it. */
    readonly resourceId: string | null
    readonly name: string
    readonly provider: Provider
    readonly accountId: string
    readonly region: string
    readonly runtime: string
    readonly version: string
  }

export type Container = {
  readonly id: string
  readonly name: string
  readonly machine: Machine
  readonly image: Image
  readonly privateIp: string
  readonly cluster: string | null
  readonly namespace: string | null
  /** Published on the machine. */
  readonly port: number | null
  readonly startedMs: number
}

export type Workloads = {
  readonly images: readonly Image[]
  readonly vmImages: readonly VmImage[]
  readonly functions: readonly CloudFunction[]
  readonly containers: readonly Container[]
}

const system = (
  packages: 'deb' | 'rpm' | 'apk',
  id: string,
  name: string,
  version: string,
  release: string,
): System => ({ family: 'LINUX', packages, id, name, version, release, kernel: '' })
const BASES: readonly System[] = [
  system('deb', 'debian', 'Debian GNU/Linux 12 (bookworm)', '12', 'bookworm'),
  system('apk', 'alpine', 'Alpine Linux v3.19', '3.19', '3.19.1'),
  system('rpm', 'redhat', 'Red Hat Enterprise Linux 9.3 (Plow)', '9.3', 'RHEL9'),
]

const made = new WeakMap<Estate, Workloads>()

/** The workloads of `estate`; made once for each. */
export function workloadsOf(estate: Estate): Workloads {
  const known = made.get(estate)
  if (known !== undefined) return known
  const machines = estate.machines.length
  const some = (count: number) => (machines === 0 ? 0 : count)
  const images = serials(estate, some(Math.min(IMAGES_MAX, Math.max(8, Math.ceil(machines / 5)))))
  const workloads = {
    images: images.map((serial) => imageOf(estate, serial)),
    vmImages: serials(estate, some(2 + Math.ceil(machines / 50))).map((s) => vmImageOf(estate, s)),
    functions: serials(estate, some(3 + Math.ceil(machines / 10))).map((s) =>
      functionOf(estate, s),
    ),
  }
  const all = { ...workloads, containers: containersOf(estate, workloads.images) }
  made.set(estate, all)
  return all
}

/** `count` serials in a row; every release drops the first one and adds one. */
function serials(estate: Estate, count: number): number[] {
  const first = Math.floor(estate.step / STEPS_PER_RELEASE)
  return Array.from({ length: count }, (_, n) => first + n)
}

function imageOf(estate: Estate, serial: number): Image {
  const random = createRandom(`${estate.seed}/image/${serial}`)
  const base = random.pick(BASES)
  const application = random.pick(['shop', 'billing', 'search', 'gateway', 'worker'])
  const imageId = `sha256:${random.hex(64)}`
  const digest = `sha256:${random.hex(64)}`
  const createdMs = ESTATE_START_MS - (5 + random.below(200)) * DAY_MS
  const isInRegistry = serial % 4 !== 0
  return {
    serial,
    system: base,
    exposures: exposuresOf(estate, `image/${serial}`, base, () => true),
    ...agesOf(estate, `image/${serial}`),
    imageId,
    // Of what only runs on a host some have no digest at all.
    digest: isInRegistry || serial % 8 === 4 ? digest : null,
    registry: isInRegistry ? 'registry.example' : '',
    repository: `team/${application}-${serial}`,
    tag: `1.${serial}.0`,
    createdMs,
    isDeployed: serial % 4 !== 3,
    isInRegistry,
  }
}

function vmImageOf(estate: Estate, serial: number): VmImage {
  const random = createRandom(`${estate.seed}/vm-image/${serial}`)
  const base = random.pick(BASES)
  return {
    serial,
    system: base,
    exposures: exposuresOf(estate, `vm-image/${serial}`, base, () => true),
    ...agesOf(estate, `vm-image/${serial}`),
    id: `${1 + random.below(9)}${String(random.below(1e9)).padStart(9, '0')}`,
    name: `golden-${base.id}-${serial}`,
    accountId: random.pick(accountsOf(estate.seed, 'aws')),
    region: 'eu-west-1',
    amiId: `ami-0${random.hex(16)}`,
  }
}

const REGIONS: Readonly<Record<Provider, string>> = {
  aws: 'eu-west-1',
  azure: 'westeurope',
  gcp: 'europe-west1',
}

function functionOf(estate: Estate, serial: number): CloudFunction {
  const random = createRandom(`${estate.seed}/function/${serial}`)
  const provider = (['aws', 'azure', 'gcp'] as const)[serial % 3] ?? 'aws'
  const accountId = random.pick(accountsOf(estate.seed, provider))
  const region = REGIONS[provider]
  const name = `fn-${random.pick(['resize', 'notify', 'import', 'audit'])}-${serial}`
  const [base = system('deb', '', '', '', '')] = BASES
  const isLibrary = ({ software }: Weakness) => software.language !== null
  const version = provider === 'aws' ? '$LATEST' : ''
  return {
    serial,
    system: base,
    exposures: exposuresOf(estate, `function/${serial}`, base, isLibrary),
    ...agesOf(estate, `function/${serial}`),
    ...functionIds(provider, accountId, region, name),
    name,
    provider,
    accountId,
    region,
    runtime: random.pick(['python3.11', 'nodejs20.x', 'java17']),
    version,
  }
}

function functionIds(provider: Provider, accountId: string, region: string, name: string) {
  if (provider === 'aws') {
    const arn = `arn:aws:lambda:${region}:${accountId}:function:${name}`
    return { id: `${arn}:$LATEST`, resourceId: arn }
  }
  if (provider === 'azure') {
    const group = `/subscriptions/${accountId}/resourceGroups/rg-Main`
    const id = `${group}/providers/Microsoft.Web/sites/${name}`
    return { id, resourceId: id.toLowerCase() }
  }
  return { id: `${accountId}-${region}-${name}`, resourceId: null }
}

/** Two on every second Linux machine that Compute sees, if the images they need are deployed. */
function containersOf(estate: Estate, images: readonly Image[]): Container[] {
  const hosts = estate.machines.filter(
    (m) => m.inCompute && m.system.family === 'LINUX' && m.serial % 2 === 0,
  )
  return hosts.flatMap((machine) =>
    [0, 1].flatMap((n) => {
      const image = imageAt(images, machine.serial + n)
      return image?.isDeployed === true ? [containerOf(estate, machine, image, n)] : []
    }),
  )
}

/** Whatever image has taken this place: the others stay where they are when one is replaced. */
function imageAt(images: readonly Image[], place: number): Image | undefined {
  const first = images[0]?.serial ?? 0
  const count = Math.max(images.length, 1)
  return images[(((place - first) % count) + count) % count]
}

function containerOf(estate: Estate, machine: Machine, image: Image, n: number): Container {
  const random = createRandom(`${estate.seed}/container/${machine.serial}/${image.serial}`)
  const isInCluster = machine.cloud !== null
  return {
    id: random.hex(64),
    name: `${image.repository.split('/')[1]}-${machine.serial}`,
    machine,
    image,
    privateIp: `172.17.${machine.serial & 255}.${2 + n}`,
    cluster: isInCluster ? 'main' : null,
    namespace: isInCluster ? random.pick(['default', 'payments']) : null,
    port: isInCluster ? null : 8_000 + n,
    startedMs: ESTATE_START_MS - random.below(5) * DAY_MS - random.below(DAY_MS),
  }
}

function agesOf(estate: Estate, what: string): Aged {
  const random = createRandom(`${estate.seed}/seen/${what}`)
  const scanned = createRandom(`${estate.seed}/scan/${what}/${estate.step + estate.noise}`)
  return {
    firstSeenMs: ESTATE_START_MS - (1 + random.below(100)) * DAY_MS,
    lastSeenMs: estate.nowMs + estate.noise * STEP_MS - scanned.below(STEP_MS),
  }
}

const WEAKNESSES_MAX = 14

/** Some are fixed as the steps go by; none returns. */
function exposuresOf(
  estate: Estate,
  what: string,
  base: System,
  fits: (weakness: Weakness) => boolean,
): readonly Exposure[] {
  const random = createRandom(`${estate.seed}/exposures/${what}`)
  const known = estate.catalogue.filter((w) => !w.software.windows && fits(w))
  const at = { serial: random.below(1_000), system: base }
  let exposures: readonly Exposure[] = []
  const wanted = random.below(WEAKNESSES_MAX)
  for (let tries = 0; tries < wanted; tries += 1) {
    exposures = withWeakness(random, at, known, exposures, ESTATE_START_MS)
  }
  return exposures.map((e) => ({
    ...e,
    inCompute: true,
    open: isOpen(estate, what, e.weakness.id),
  }))
}

function isOpen(estate: Estate, what: string, weaknessId: string): boolean {
  const share = shareOf(`${estate.seed}/fixed/${what}/${weaknessId}`)
  return share >= FIXED_SHARE || estate.step < 1 + (share / FIXED_SHARE) * FIX_STEPS
}
