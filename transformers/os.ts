// The operating system's family and a distribution's package format, from vendors' free words.
import type { Os, OsFamily } from '../contracts/asset.ts'

const LINUX = new RegExp(
  [
    'linux|ubuntu|debian|kali|mint|distroless',
    'centos|red ?hat|rhel|fedora|suse|amazon|amzn|oracle|rocky|alma|photon|mariner',
    'alpine|wolfi|chainguard|manjaro|arch|gentoo',
    'flatcar|bottlerocket|coreos|\\bcos\\b|container-optimized',
  ].join('|'),
  'i',
)
const FAMILIES: readonly (readonly [RegExp, OsFamily])[] = [
  [/windows|^win\d/i, 'WINDOWS'],
  [/mac ?os|os ?x\b|darwin|agent_os_mac/i, 'MACOS'],
  [/android/i, 'ANDROID'],
  [/\bios\b|_ios\b|ipados/i, 'IOS'],
  [LINUX, 'LINUX'],
]
const PACKAGE_FORMATS: readonly (readonly [RegExp, string])[] = [
  [/debian|ubuntu|\bmint\b|kali|distroless/i, 'deb'],
  [/red ?hat|rhel|centos|amazon|amzn|fedora|suse|sles|oracle|rocky|alma|photon|mariner/i, 'rpm'],
  [/alpine|wolfi|chainguard/i, 'apk'],
]

/** UNKNOWN without any word, OTHER for words that name none we know. */
export function osFamilyOf(words: readonly (string | null)[]): OsFamily {
  const text = words.filter((word) => word !== null).join(' ')
  if (text === '') return 'UNKNOWN'
  return FAMILIES.find(([pattern]) => pattern.test(text))?.[1] ?? 'OTHER'
}

/** deb | rpm | apk; null for systems with another format. */
export function packageFormatOf(distro: string | null): string | null {
  return PACKAGE_FORMATS.find(([pattern]) => pattern.test(distro ?? ''))?.[1] ?? null
}

/** The record, or null when nothing at all is known. */
export function osOf(given: Pick<Os, 'family' | 'name' | 'version' | 'architecture'>): Os | null {
  const { family, name, version, architecture } = given
  const known = family !== 'UNKNOWN' || name !== null || version !== null
  return known ? { family, name, version, architecture, kernel: null, cpe: null } : null
}
