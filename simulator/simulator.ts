// Starts the simulated vendors: one Prisma Cloud, two Cortex tenants, and a control server.
import { PipelineError } from '../contracts/errors.ts'
import { type ControlActions, startControl } from './control.ts'
import type { AssetDialect } from './cortex/assets.ts'
import type { ApiKey, SecurityLevel } from './cortex/auth.ts'
import { createCortexSite } from './cortex/site.ts'
import {
  FINDINGS_BEHAVIOUR,
  type FindingsBehaviour,
  type FindingsBehaviours,
} from './cortex/xql-behaviour.ts'
import { TENANT_BEHAVIOUR, type TenantBehaviour, isShown } from './cortex/tenant.ts'
import type { Overlap } from './cspm-truth.ts'
import { type Estate, MACHINES_MAX, createEstate, uuid } from './estate.ts'
import { STEPS_MAX, evolve, noisy } from './evolve.ts'
import { type FaultControl, createFaults } from './faults.ts'
import { type History, createHistory } from './history.ts'
import { readPageFiles } from './page-files.ts'
import type { CspmBehaviour } from './prisma-cloud/cspm-behaviour.ts'
import { createPrismaSite } from './prisma-cloud/site.ts'
import { createRandom } from './random.ts'
import { type RunningSite, type Site, startSite } from './site.ts'
import { type SiteStats, createCounter } from './stats.ts'
import { type Truth, truthOf } from './truth.ts'
import { PAGE_LIMITS, type PageLimits, type World } from './world.ts'

export type SimulatorOptions = {
  /** The same seed gives the same estate and the same bytes. */
  readonly seed: number
  /** 0..200,000. */
  readonly machines: number
  /** 0 or absent: a free one. All listen on 127.0.0.1. */
  readonly prismaPort?: number
  readonly cortexPorts?: readonly [number, number]
  readonly controlPort?: number
  /** Listings served from files instead of the estate: stream name to path. */
  readonly files?: Readonly<Record<string, string>>
  /** Epoch milliseconds; for tokens, nonces and rate limits. Default: the system's. */
  readonly clock?: () => number
  /** Default: the vendors' own. */
  readonly pageLimits?: Partial<PageLimits>
  /** Default true: 30 in 30 s to each Compute listing, 10 a second to each Cortex tenant. */
  readonly rateLimits?: boolean
  /** Life of a Prisma Cloud token. Default 600,000. */
  readonly tokenTtlMs?: number
  /** When the Cortex keys end, epoch milliseconds. Default: never. */
  readonly cortexKeysEndMs?: number
  /** PENDING answers before an XQL result. Default 2. */
  readonly xqlPendingPolls?: number
  /**
   * True: it remembers when each entity was there. Default false: every step then costs a truth.
   */
  readonly history?: boolean
  /** Field names of Cortex assets. Default `live`. */
  readonly assetDialect?: AssetDialect
  /** How CSPM answers where that is not known. */
  readonly cspm?: Partial<CspmBehaviour>
  /** Licences and role of each Cortex tenant, and how it answers where that is not known. */
  readonly cortexTenants?: readonly [Partial<TenantBehaviour>, Partial<TenantBehaviour>]
  /** How each Cortex tenant tells weaknesses: datasets, quota, issues, incidents. */
  readonly cortexFindings?: readonly [Partial<FindingsBehaviour>, Partial<FindingsBehaviour>]
}

export type PrismaAccess = {
  readonly url: string
  readonly accessKeyId: string
  readonly secretKey: string
  readonly prismaId: string
}
export type CortexAccess = {
  readonly url: string
  readonly apiKey: string
  readonly apiKeyId: number
  readonly securityLevel: SecurityLevel
  readonly tenant: string
}
export type Stats = { readonly sites: readonly SiteStats[] }

export type Simulator = {
  readonly prisma: PrismaAccess
  /** The first has a Standard key, the second an Advanced one. */
  readonly cortex: readonly [CortexAccess, CortexAccess]
  /** Serves truth, faults, evolve and stats to other processes. */
  readonly controlUrl: string
  /** `overlap` as configured: whether CSPM's download repeats what Compute shows. */
  readonly truth: (overlap?: Overlap) => Truth
  /** Null unless the option is set. */
  readonly history: () => History | null
  readonly faults: FaultControl
  /** Moves the estate on by `steps` hours, 1 by default; returns its step. */
  readonly evolve: (steps?: number) => number
  /** Lets `hours` go by in which nothing happens but sights, scans and heartbeats; 1 by default. */
  readonly noise: (hours?: number) => void
  readonly stats: () => Stats
  /** Breaks what is under way; a second call does nothing more. */
  readonly stop: () => Promise<void>
}

const TOKEN_TTL_MS = 600_000
const XQL_PENDING_POLLS = 2
const TENANT_NAMES = ['sim-alpha', 'sim-beta'] as const

/**
 * Listens on 127.0.0.1 until `stop()`.
 * @throws PipelineError CONFIGURATION for an impossible size or an unreadable file
 */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  checkSize(options.machines)
  const files = readPageFiles(options.files ?? {})
  let estate = createEstate(options.seed, options.machines)
  const world: World = { estate: () => estate, files }
  const keys = createKeys(options.seed, options.cortexKeysEndMs ?? null)
  const tenants = { prisma: keys.prismaId, cortex: TENANT_NAMES }
  const faults = createFaults()
  const sites = createSites(options, world, keys)
  const counters = sites.map((site) => createCounter(site.vendor, site.tenant))
  const ports = [options.prismaPort ?? 0, ...(options.cortexPorts ?? [0, 0])]
  const clock = options.clock ?? Date.now
  const truth = (overlap?: Overlap) =>
    shownTruth(
      truthOf(estate, tenants, new Set(files.keys()), overlap, findingsOf(options)),
      options,
    )
  const keeper = options.history === true ? createHistory() : null
  keeper?.note(truth(), clock())
  const actions = {
    truth,
    history: () => keeper?.history() ?? null,
    faults,
    evolve: (steps: number = 1) => {
      checkSteps(steps)
      for (let i = 0; i < steps; i++) {
        estate = evolve(estate)
        keeper?.note(truth(), clock())
      }
      return estate.step
    },
    noise: (hours: number = 1) => {
      estate = repeated(noisy, estate, hours)
    },
    stats: () => ({ sites: counters.map((counter) => counter.stats) }),
  } satisfies ControlActions
  const started: RunningSite[] = []
  const start = async (begin: Promise<RunningSite>) => {
    const site = await begin
    started.push(site)
    return site.url
  }
  let stopping: Promise<unknown> | null = null
  const stop = async () => {
    stopping ??= Promise.all(started.map((site) => site.stop()))
    await stopping
  }
  try {
    const urls: string[] = []
    for (const [i, site] of sites.entries()) {
      const counter = counters[i] ?? createCounter(site.vendor, site.tenant)
      urls.push(await start(startSite(site, { port: ports[i] ?? 0, faults, counter, clock })))
    }
    const controlUrl = await start(startControl(options.controlPort ?? 0, actions))
    return { ...accessesOf(keys, urls), controlUrl, ...actions, stop }
  } catch (error) {
    // A port was taken: those already open must not outlive the failure.
    await stop()
    throw error
  }
}

function repeated(change: (estate: Estate) => Estate, estate: Estate, times: number): Estate {
  checkSteps(times)
  let last = estate
  for (let i = 0; i < times; i++) last = change(last)
  return last
}

function checkSteps(steps: number): void {
  if (Number.isInteger(steps) && steps >= 1 && steps <= STEPS_MAX) return
  throw new RangeError(`steps must be 1 to ${STEPS_MAX}`)
}

function checkSize(machines: number): void {
  if (Number.isInteger(machines) && machines >= 0 && machines <= MACHINES_MAX) return
  const message = `machines must be a whole number from 0 to ${MACHINES_MAX}`
  throw new PipelineError('CONFIGURATION', 'CONFIG', message)
}

type Keys = {
  readonly prisma: { readonly accessKeyId: string; readonly secretKey: string }
  readonly prismaId: string
  readonly cortex: readonly [ApiKey, ApiKey]
}

/** How to reach each site, with its key. */
function accessesOf(keys: Keys, urls: readonly string[]): Pick<Simulator, 'prisma' | 'cortex'> {
  const [prismaUrl = '', firstUrl = '', secondUrl = ''] = urls
  return {
    prisma: { url: prismaUrl, ...keys.prisma, prismaId: keys.prismaId },
    cortex: [
      { url: firstUrl, ...accessOf(keys.cortex[0]), tenant: TENANT_NAMES[0] },
      { url: secondUrl, ...accessOf(keys.cortex[1]), tenant: TENANT_NAMES[1] },
    ],
  }
}

const accessOf = ({ apiKey, apiKeyId, securityLevel }: ApiKey) => ({
  apiKey,
  apiKeyId,
  securityLevel,
})

/** Keys that nobody can take for real ones. */
function createKeys(seed: number, endsMs: number | null): Keys {
  const random = createRandom(`${seed}/keys`)
  return {
    prisma: {
      accessKeyId: uuid(random),
      secretKey: `simulated-secret-key-${random.hex(16)}`,
    },
    prismaId: `1${String(random.below(1e9)).padStart(9, '0')}`,
    cortex: [
      {
        apiKey: `simulated-standard-key-${random.hex(32)}`,
        apiKeyId: 12,
        securityLevel: 'standard',
        endsMs,
      },
      {
        apiKey: `simulated-advanced-key-${random.hex(96)}`,
        apiKeyId: 34,
        securityLevel: 'advanced',
        endsMs,
      },
    ],
  }
}

const behaviourOf = ({ cortexTenants }: SimulatorOptions, tenant: 0 | 1): TenantBehaviour => ({
  ...TENANT_BEHAVIOUR,
  ...cortexTenants?.[tenant],
})

/** What the tenants have not bought, nobody can know from them. */
function shownTruth(truth: Truth, options: SimulatorOptions): Truth {
  const behaviours = [behaviourOf(options, 0), behaviourOf(options, 1)] as const
  const isTold = ({ tenant, stream }: { tenant: string; stream: string }) => {
    const slot = TENANT_NAMES.findIndex((name) => name === tenant)
    return slot < 0 || isShown(behaviours[slot === 0 ? 0 : 1], stream)
  }
  const hasDictionary = behaviours.some((one) => isShown(one, 'cloud.vulnerabilities'))
  return {
    ...truth,
    assets: truth.assets.filter(isTold),
    findings: truth.findings.filter(isTold),
    vulnerabilities: hasDictionary ? truth.vulnerabilities : [],
  }
}

const findingsOf = ({ cortexFindings = [{}, {}] }: SimulatorOptions): FindingsBehaviours => [
  { ...FINDINGS_BEHAVIOUR, ...cortexFindings[0] },
  { ...FINDINGS_BEHAVIOUR, ...cortexFindings[1] },
]

function createSites(options: SimulatorOptions, world: World, keys: Keys): Site[] {
  const limits = { ...PAGE_LIMITS, ...options.pageLimits }
  const rateLimits = options.rateLimits ?? true
  const prisma = createPrismaSite({
    world,
    key: keys.prisma,
    prismaId: keys.prismaId,
    tokenTtlMs: options.tokenTtlMs ?? TOKEN_TTL_MS,
    hostRowsMax: limits.computeHosts,
    rateLimits,
    cspm: options.cspm ?? {},
  })
  const cortex = ([0, 1] as const).map((tenant) =>
    createCortexSite({
      world,
      tenant,
      tenantName: TENANT_NAMES[tenant],
      key: keys.cortex[tenant],
      limits,
      dialect: options.assetDialect ?? 'live',
      xqlPendingPolls: options.xqlPendingPolls ?? XQL_PENDING_POLLS,
      rateLimits,
      behaviour: behaviourOf(options, tenant),
      findings: findingsOf(options)[tenant],
    }),
  )
  return [prisma, ...cortex]
}
