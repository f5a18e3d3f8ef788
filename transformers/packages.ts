// Packages: one word per package format whatever the vendor calls it, and package URLs.
import { packageFormatOf } from './os.ts'

/** Words of Prisma Compute (`packages.Type`), of Cortex and of package URLs. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['jar', 'maven'],
  ['java', 'maven'],
  ['maven', 'maven'],
  ['python', 'pypi'],
  ['pypi', 'pypi'],
  ['nodejs', 'npm'],
  ['npm', 'npm'],
  ['gem', 'gem'],
  ['ruby', 'gem'],
  ['go', 'go'],
  ['golang', 'go'],
  ['nuget', 'nuget'],
  ['binary', 'binary'],
  ['windows', 'os'],
  ['app', 'app'],
  ['application', 'app'],
  ['deb', 'deb'],
  ['dpkg', 'deb'],
  ['rpm', 'rpm'],
  ['apk', 'apk'],
])
const OS_WORDS = new Set(['package', 'os', 'os_package', 'operating_system'])
const OS_TYPES = new Set(['deb', 'rpm', 'apk', 'os'])
const SAYS_NOTHING = new Set(['unknown', 'generic'])

/**
 * deb | rpm | apk | maven | npm | pypi | gem | go | nuget | binary | app | os, or the vendor's own
 * word in lower case; null when it says nothing. A package of the system has its distribution's
 * format, `os` where that is none of the three.
 */
export function packageTypeOf(word: string | null, distro: string | null): string | null {
  const lower = word?.toLowerCase() ?? ''
  if (lower === '' || SAYS_NOTHING.has(lower)) return null
  if (OS_WORDS.has(lower)) return packageFormatOf(distro) ?? 'os'
  return TYPES.get(lower) ?? lower
}

/** True for packages that the operating system's own package manager owns. */
export const isOsPackage = (type: string | null): boolean => type !== null && OS_TYPES.has(type)

export type Purl = {
  readonly type: string
  /** As package managers write it: with the namespace where that is part of the name. */
  readonly name: string
  /** Without version, qualifiers and subpath. */
  readonly bare: string
}

/** The parts of a package URL that name the package; null when it is none. */
export function purlOf(text: string | null): Purl | null {
  if (text === null) return null
  const path = text.replace(/[?#].*$/s, '')
  // The version's @ comes after the last slash; one before it belongs to an npm scope.
  const at = path.lastIndexOf('@')
  const bare = at > path.lastIndexOf('/') ? path.slice(0, at) : path
  const match = /^pkg:\/*([a-z][a-z0-9.+-]*)\/(.+)$/i.exec(bare)
  const [, type, rest] = match ?? []
  if (type === undefined || rest === undefined) return null
  const parts = rest
    .split('/')
    .filter((part) => part !== '')
    .map(decoded)
  const last = parts.at(-1)
  if (last === undefined) return null
  const named = NAMESPACED.get(type.toLowerCase())
  return {
    type: type.toLowerCase(),
    name: named === undefined ? last : parts.join(named),
    bare,
  }
}

/** Ecosystems whose names include the namespace, and what joins the two. */
const NAMESPACED: ReadonlyMap<string, string> = new Map([
  ['npm', '/'],
  ['golang', '/'],
  ['maven', ':'],
])

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    // A stray percent sign: the name as it was written is the best there is.
    return part
  }
}
