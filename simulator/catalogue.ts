// The simulated world's software and its weaknesses: ids, scores and texts are made up.
import { type Random, createRandom } from './random.ts'

/** Package types as exposure events name them. */
export type PackageType = 'deb' | 'rpm' | 'apk' | 'os' | 'npm' | 'pypi' | 'maven' | 'go' | 'gem'
/** What the operating system installs by itself. */
export type SystemPackageType = Extract<PackageType, 'deb' | 'rpm' | 'apk' | 'os'>

export type Weakness = {
  /** CVE-… or PRISMA-… */
  readonly id: string
  readonly software: Software
  /** OCSF severity_id 2..5. */
  readonly severityId: number
  /** Null: not scored. */
  readonly cvss: number | null
  readonly vector: string
  /** The vendor's own word; Compute says it unless asked to normalise. */
  readonly word: string
  /** The word in Cortex; null where only the score tells. */
  readonly cortexWord: string | null
  readonly publishedMs: number
  /** Null: no fix, and `status` says so. */
  readonly fix: { readonly patches: readonly number[]; readonly atMs: number } | null
  /** What Compute's `status` says without a fix. */
  readonly openWord: string
  readonly epss: number
  readonly exploit: 'none' | 'poc' | 'in-the-wild'
  readonly description: string
}

export type Software = {
  /** Names of the packages built from it; one weakness shows on each of them. */
  readonly packages: readonly string[]
  /** Null: the type of the operating system's own packages. */
  readonly language: Exclude<PackageType, SystemPackageType> | null
  readonly windows: boolean
  readonly release: string
  /** Patch levels found installed. */
  readonly patches: readonly number[]
  /** True where two versions stay installed side by side, as kernels do. */
  readonly sideBySide: boolean
}

const linux = (packages: string[], release: string, patches: number[]): Software => ({
  packages,
  language: null,
  windows: false,
  release,
  patches,
  sideBySide: packages[0] === 'kernel',
})
const library = (
  language: Exclude<PackageType, SystemPackageType>,
  name: string,
  release: string,
  patches: number[],
): Software => ({
  packages: [name],
  language,
  windows: false,
  release,
  patches,
  sideBySide: false,
})
const windows = (name: string, release: string, patches: number[]): Software => ({
  ...linux([name], release, patches),
  windows: true,
})

const SOFTWARE: readonly Software[] = [
  linux(['openssl', 'libssl3'], '3.0', [2, 7, 9]),
  linux(['openssh-server'], '8.9', [1, 3]),
  linux(['curl', 'libcurl4'], '7.81', [0, 2]),
  linux(['kernel'], '5.15', [88, 91, 97]),
  linux(['glibc'], '2.35', [0, 1]),
  linux(['bash'], '5.1', [4, 16]),
  linux(['sudo'], '1.9', [5, 9]),
  linux(['systemd'], '249', [11, 12]),
  linux(['vim'], '8.2', [3995, 4919]),
  linux(['git'], '2.34', [1, 4]),
  linux(['nginx'], '1.18', [0, 3]),
  linux(['sqlite3'], '3.37', [2]),
  linux(['expat'], '2.4', [7]),
  linux(['krb5'], '1.19', [2, 4]),
  linux(['libxml2'], '2.9', [13, 14]),
  linux(['zlib'], '1.2', [11]),
  linux(['python3'], '3.10', [6, 12]),
  linux(['perl'], '5.34', [0]),
  library('npm', 'minimist', '1.2', [5]),
  library('npm', 'semver', '7.3', [5, 8]),
  library('npm', 'lodash', '4.17', [19, 20]),
  library('pypi', 'requests', '2.27', [0, 1]),
  library('pypi', 'certifi', '2021.10', [8]),
  library('maven', 'org.apache.logging.log4j_log4j-core', '2.14', [0, 1]),
  library('maven', 'com.fasterxml.jackson.core_jackson-databind', '2.12', [3]),
  library('go', 'golang.org/x/net', '0.7', [0]),
  library('go', 'golang.org/x/crypto', '0.14', [0]),
  library('gem', 'rack', '2.2', [3, 6]),
  windows('Windows Server', '10.0.20348', [1547, 1787]),
  windows('.NET Framework', '4.8', [4110, 4390]),
  windows('Microsoft Edge', '119.0', [2151]),
  windows('OpenSSL for Windows', '3.0', [8]),
]

const WEAKNESSES_PER_SOFTWARE = 12
const DAY_MS = 86_400_000
const BANDS = { 2: [0.1, 3.9], 3: [4, 6.9], 4: [7, 8.9], 5: [9, 10] } as const
const WORDS: Readonly<Record<number, readonly string[]>> = {
  2: ['low', 'negligible', 'unimportant', 'Low'],
  3: ['medium', 'moderate', 'Moderate'],
  4: ['high', 'important', 'Important'],
  5: ['critical', 'Critical'],
}
const CORTEX_WORDS: Readonly<Record<number, readonly string[]>> = {
  2: ['Low', 'LOW', 'low'],
  3: ['Medium', 'MEDIUM', 'medium'],
  4: ['High', 'HIGH', 'high'],
  5: ['Critical', 'CRITICAL', 'critical'],
}
const FLAWS = [
  'a heap overflow in the parser',
  'an out-of-bounds read while decoding',
  'uncontrolled recursion on nested input',
  'a use after free in error handling',
  'missing validation of a length field',
  'improper certificate checks',
  'a race between check and use',
] as const

/** All weaknesses of the simulated world; `beforeMs` is later than any date in it. */
export function createCatalogue(seed: number, beforeMs: number): readonly Weakness[] {
  const random = createRandom(`${seed}/catalogue`)
  return SOFTWARE.flatMap((software, s) =>
    Array.from({ length: WEAKNESSES_PER_SOFTWARE }, (_, n) =>
      weakness(random, software, s * WEAKNESSES_PER_SOFTWARE + n, beforeMs),
    ),
  )
}

function weakness(random: Random, software: Software, n: number, beforeMs: number): Weakness {
  const draw = random.next()
  const severityId = draw < 0.08 ? 5 : draw < 0.43 ? 4 : draw < 0.85 ? 3 : 2
  const [low, high] = BANDS[severityId]
  const ours = random.chance(0.04)
  const scored = !random.chance(0.03)
  const publishedMs = beforeMs - (30 + random.below(1_800)) * DAY_MS
  const year = new Date(publishedMs).getUTCFullYear()
  const number = String(90_000 + n * 7 + random.below(7))
  const flaw = random.pick(FLAWS)
  const exploit = random.chance(0.05) ? 'in-the-wild' : random.chance(0.15) ? 'poc' : 'none'
  const word = random.pick(WORDS[severityId] ?? [])
  const cortexWord = random.pick(CORTEX_WORDS[severityId] ?? [])
  return {
    id: ours ? `PRISMA-${year}-0${String(100 + n).padStart(3, '0')}` : `CVE-${year}-${number}`,
    software,
    severityId,
    cvss: scored ? Math.round((low + random.next() * (high - low)) * 10) / 10 : null,
    vector: scored ? vector(random, severityId) : '',
    word,
    // A word may only be missing where the score says the same.
    cortexWord: scored && random.chance(0.05) ? null : cortexWord,
    publishedMs,
    fix: fixOf(random, software, publishedMs),
    openWord: random.pick(['', 'open', 'needed', 'deferred', 'will not fix', 'affected']),
    epss: Math.round(random.next() ** 6 * 100_000) / 100_000,
    exploit,
    description: `${software.packages[0]}: ${flaw} lets an attacker affect the service.`,
  }
}

function fixOf(random: Random, software: Software, publishedMs: number): Weakness['fix'] {
  if (random.chance(0.15)) return null
  const first = Math.max(...software.patches) + 1 + random.below(3)
  const patches = random.chance(0.2) ? [first, first + 2] : [first]
  return { patches, atMs: publishedMs + random.below(20) * DAY_MS }
}

function vector(random: Random, severityId: number): string {
  const access = random.pick(['N', 'N', 'N', 'L', 'A'])
  const impact = severityId >= 4 ? 'C:H/I:H/A:H' : random.pick(['C:L/I:L/A:N', 'C:N/I:N/A:L'])
  return `CVSS:3.1/AV:${access}/AC:${random.pick(['L', 'H'])}/PR:N/UI:N/S:U/${impact}`
}

/** Type of a package of `software` on a system that installs `system` packages. */
export const packageTypeOf = (software: Software, system: SystemPackageType): PackageType =>
  software.language ?? system

/** The version text, in the manner of the package's type. */
export function versionOf(software: Software, type: PackageType, patch: number): string {
  const plain = `${software.release}.${patch}`
  if (type === 'deb') return `${plain}-4ubuntu0.2`
  if (type === 'rpm') return `${plain}-5.el9`
  if (type === 'apk') return `${plain}-r2`
  return type === 'go' ? `v${plain}` : plain
}

/** Versions that fix `weakness`, one per release line; empty where there is no fix. */
export const fixVersions = (weakness: Weakness, type: PackageType): string[] =>
  (weakness.fix?.patches ?? []).map((patch) => versionOf(weakness.software, type, patch))
