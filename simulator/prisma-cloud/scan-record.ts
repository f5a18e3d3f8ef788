// What Compute's scan results have in common, whether of a host, an image or a function.
import { type PackageType, fixVersions, packageTypeOf } from '../catalogue.ts'
import type { Exposure } from '../estate.ts'
import type { Value } from '../rows.ts'
import type { Scanned } from '../workloads.ts'

export type ScanView = {
  /** Severity words in one form instead of the vendors' own. */
  readonly normalizedSeverity: boolean
  /** Without vulnerabilities. */
  readonly compact: boolean
}

const SCAN_VERSION = '34.04.145'
/** No time at all. */
export const NEVER = '0001-01-01T00:00:00Z'
const NORMAL_WORDS: Readonly<Record<number, string>> = {
  2: 'low',
  3: 'medium',
  4: 'high',
  5: 'critical',
}
const PACKAGE_GROUPS: Readonly<Record<PackageType, string>> = {
  deb: 'package',
  rpm: 'package',
  apk: 'package',
  os: 'windows',
  npm: 'nodejs',
  pypi: 'python',
  maven: 'jar',
  go: 'go',
  gem: 'gem',
}

/** As the console writes times. */
export const iso = (ms: number): string => new Date(ms).toISOString()
const named = (names: readonly string[]): Value =>
  Object.fromEntries([...new Set(names)].toSorted().map((name) => [name, {}]))

/** The fields of a scan result; whoever calls it adds or replaces what is its own. */
export function scanRecord(scanned: Scanned, view: ScanView): Value {
  const { system } = scanned
  const isWindows = system.family === 'WINDOWS'
  const open = scanned.exposures.filter((e) => e.open && e.inCompute)
  const rows = open.flatMap((e) =>
    e.versions.map((version) => vulnerability(e, version, scanned, view)),
  )
  const distribution = distributionOf(open)
  return {
    hostname: '',
    binaries: [],
    Secrets: null,
    startupBinaries: [],
    osDistro: system.id,
    osDistroVersion: isWindows ? '' : system.version,
    osDistroRelease: system.release,
    distro: isWindows ? `Microsoft Windows [Version ${system.version}]` : system.name,
    packages: packageGroups(scanned, open),
    files: null,
    packageManager: true,
    applications: [],
    isARM64: false,
    packageCorrelationDone: true,
    image: { created: NEVER },
    history: [],
    complianceIssues: [],
    allCompliance: {},
    ...(view.compact ? {} : { vulnerabilities: rows }),
    repoTag: null,
    tags: [],
    repoDigests: [],
    creationTime: NEVER,
    pushTime: NEVER,
    vulnerabilitiesCount: rows.length,
    complianceIssuesCount: 0,
    vulnerabilityDistribution: distribution,
    complianceDistribution: { critical: 0, high: 0, medium: 0, low: 0, total: 0 },
    vulnerabilityRiskScore: distribution.critical * 1_000_000 + distribution.high * 10_000,
    complianceRiskScore: 0,
    riskFactors: named(open.flatMap(riskFactorsOf)),
    labels: [`osDistro:${system.id}`, `osVersion:${system.version}`],
    installedProducts: { osDistro: system.release },
    scanVersion: SCAN_VERSION,
    scanBuildDate: '20250520',
    firstScanTime: NEVER,
    cloudMetadata: {},
    clusters: [],
    instances: [],
    hosts: {},
    err: '',
    collections: ['All'],
    scanID: 0,
    trustStatus: '',
    firewallProtection: { enabled: false, supported: false, outOfBandMode: '' },
    appEmbedded: false,
    wildFireUsage: null,
    agentless: false,
  }
}

function vulnerability(
  exposure: Exposure,
  version: string,
  scanned: Scanned,
  view: ScanView,
): Value {
  const { weakness, packageName } = exposure
  const type = packageTypeOf(weakness.software, scanned.system.packages)
  const fixes = fixVersions(weakness, type)
  const seconds = (ms: number) => Math.floor(ms / 1_000)
  return {
    text: '',
    id: 40 + (seconds(weakness.publishedMs) % 90),
    severity: view.normalizedSeverity ? NORMAL_WORDS[weakness.severityId] : weakness.word,
    cvss: weakness.cvss ?? 0,
    status: fixes.length === 0 ? weakness.openWord : `fixed in ${fixes.join(', ')}`,
    cve: weakness.id,
    cause: '',
    description: weakness.description,
    title: '',
    vecStr: weakness.vector,
    exploit: weakness.exploit === 'poc' ? 'exploit-db' : '',
    exploits: exploitsOf(exposure),
    riskFactors: named(riskFactorsOf(exposure)),
    link: `https://vulnerabilities.example/${weakness.id}`,
    type: 'image',
    packageName,
    packageType: PACKAGE_GROUPS[type],
    packageVersion: version,
    layerTime: 0,
    templates: null,
    twistlock: false,
    cri: false,
    published: seconds(weakness.publishedMs),
    fixDate: weakness.fix === null ? 0 : seconds(weakness.fix.atMs),
    applicableRules: fixes.map((fix) => `<${fix}`),
    discovered: iso(exposure.discoveredMs),
    functionLayer: '',
  }
}

function exploitsOf({ weakness }: Exposure): Value[] {
  if (weakness.exploit === 'none') return []
  const link = `https://exploits.example/${weakness.id}`
  return weakness.exploit === 'poc'
    ? [{ kind: 'poc', source: 'exploit-db', link }]
    : [{ kind: 'in-the-wild', source: 'cisa-kev', link }]
}

function riskFactorsOf({ weakness }: Exposure): string[] {
  return [
    ...(weakness.fix === null ? [] : ['Has fix']),
    ...(weakness.vector.includes('/AV:N/') ? ['Attack vector: network'] : []),
    ...(weakness.vector.includes('/AC:L/') ? ['Attack complexity: low'] : []),
    ...(weakness.exploit === 'poc' ? ['Exploit exists - POC'] : []),
    ...(weakness.exploit === 'in-the-wild' ? ['Exploit exists - in the wild'] : []),
    ...(weakness.severityId === 5 ? ['Critical severity'] : []),
    ...(weakness.severityId === 4 ? ['High severity'] : []),
  ]
}

function distributionOf(open: readonly Exposure[]) {
  const rows = (severityId: number) =>
    open
      .filter((e) => e.weakness.severityId === severityId)
      .reduce((sum, e) => sum + e.versions.length, 0)
  const [critical, high, medium, low] = [rows(5), rows(4), rows(3), rows(2)]
  return { critical, high, medium, low, total: critical + high + medium + low }
}

/** Installed packages: those with weaknesses, and one sound one, by group. */
function packageGroups(scanned: Scanned, open: readonly Exposure[]): Value[] {
  const system = scanned.system.packages
  const installed = new Map<string, Map<string, Value>>([
    [PACKAGE_GROUPS[system], new Map([['sound', soundPackage(system)]])],
  ])
  for (const { weakness, packageName, versions } of open) {
    const type = packageTypeOf(weakness.software, system)
    const group = installed.get(PACKAGE_GROUPS[type]) ?? new Map<string, Value>()
    installed.set(PACKAGE_GROUPS[type], group)
    const cveCount = open.filter((e) => e.packageName === packageName).length
    const path = weakness.software.language === null ? undefined : `/opt/app/${packageName}`
    for (const version of versions) {
      const entry = packageOf(packageName, version, cveCount, '')
      group.set(`${packageName} ${version}`, path === undefined ? entry : { ...entry, path })
    }
  }
  return [...installed].map(([pkgsType, pkgs]) => ({ pkgsType, pkgs: [...pkgs.values()] }))
}

const soundPackage = (system: string): Value =>
  system === 'os' ? packageOf('KB5034129', '5034129', 0, '') : packageOf('tzdata', '2024a', 0, '')

const packageOf = (name: string, version: string, cveCount: number, license: string): Value => ({
  version,
  name,
  cveCount,
  license,
  layerTime: 0,
})
