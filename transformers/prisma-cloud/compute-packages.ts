// What a Compute scan result says of its packages, for the vulnerabilities that name them.
import { packageTypeOf, purlOf } from '../packages.ts'
import { sortedTexts } from '../text.ts'
import type { ComputeScan, ComputeVulnerability } from './compute-scan.ts'

export type PackageFacts = {
  readonly type: string | null
  readonly paths: string[]
  readonly purl: string | null
  readonly license: string | null
}
type Entry = { readonly type: string | null } & Record<
  'path' | 'purl' | 'license' | 'version',
  string | null
>

/** Looks up the package of a vulnerability of this scan result. */
export type PackageLookup = (vulnerability: ComputeVulnerability) => PackageFacts

/**
 * Where the type comes from, in this order, so that it does not depend on the order of the lists:
 * the vulnerability's own `packageType`; `packages[]` by name and version, then by name alone;
 * `applications[]` (type app); a name that is a Go module path; a scanner of Windows; and last the
 * distribution's format, because a source package's name is in none of the lists.
 */
export function packageLookupOf(scan: ComputeScan): PackageLookup {
  const distro = [scan.osDistro, scan.distro].filter((word) => word !== null).join(' ')
  const wanted = new Set((scan.vulnerabilities ?? []).map((v) => v.packageName))
  const packages = new Map<string, Entry[]>()
  const applications = new Map<string, Entry[]>()
  for (const group of scan.packages) {
    const type = packageTypeOf(group.pkgsType, distro)
    for (const item of group.pkgs) {
      if (item.name !== null && wanted.has(item.name)) add(packages, item.name, { ...item, type })
    }
  }
  for (const item of scan.applications) {
    if (item.name !== null && wanted.has(item.name)) {
      add(applications, item.name, { ...item, type: 'app' })
    }
  }
  return (vulnerability) => {
    const name = vulnerability.packageName ?? ''
    const entries =
      atVersion(packages.get(name), vulnerability.packageVersion) ??
      atVersion(applications.get(name), vulnerability.packageVersion) ??
      packages.get(name) ??
      applications.get(name) ??
      []
    return {
      type:
        packageTypeOf(vulnerability.packageType, distro) ??
        first(entries.map((entry) => entry.type)) ??
        guessedType(vulnerability, distro),
      paths: sortedTexts(entries.flatMap((entry) => entry.path ?? [])),
      purl: first(entries.map((entry) => purlOf(entry.purl)?.bare ?? null)),
      license: first(entries.map((entry) => entry.license)),
    }
  }
}

function guessedType(vulnerability: ComputeVulnerability, distro: string): string | null {
  if (/^[a-z0-9-]+(\.[a-z0-9-]+)+\//.test(vulnerability.packageName ?? '')) return 'go'
  if (vulnerability.type === 'windows' || /windows/i.test(distro)) return 'os'
  return distro === '' ? null : packageTypeOf('package', distro)
}

function atVersion(entries: Entry[] | undefined, version: string | null): Entry[] | undefined {
  const same = entries?.filter((entry) => entry.version === version) ?? []
  return same.length > 0 ? same : undefined
}

function add(map: Map<string, Entry[]>, name: string, entry: Entry): void {
  const entries = map.get(name)
  if (entries) entries.push(entry)
  else map.set(name, [entry])
}

/** The first in sorted order, so that the order of the vendor's lists does not count. */
const first = (texts: readonly (string | null)[]): string | null =>
  texts.filter((text) => text !== null).toSorted()[0] ?? null
