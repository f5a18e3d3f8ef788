// Rows of the XQL datasets that tell weaknesses: which there are is each tenant's own matter.
import { type PackageType, fixVersions, packageTypeOf } from '../catalogue.ts'
import type { Exposure, Machine, TenantSlot } from '../estate.ts'
import { shareOf } from '../random.ts'
import { type Row, type Value, rowOf } from '../rows.ts'
import type { World } from '../world.ts'
import { assetTypeOf } from './assets.ts'
import { findingRows, purlOf } from './findings.ts'

export const DATASETS = ['findings', 'uvm_findings', 'va_endpoints', 'va_cves'] as const
export type DatasetName = (typeof DATASETS)[number]

/** Where the newer datasets are, Host Insights still answers, but tells a third of the truth. */
const UNDERSTATED_SHARE = 0.3
const EXCLUDED_SHARE = 0.05
const SEVERITIES: Readonly<Record<number, readonly [word: string, sev: string]>> = {
  2: ['LOW', 'SEV_040_LOW'],
  3: ['MEDIUM', 'SEV_050_MEDIUM'],
  4: ['HIGH', 'SEV_060_HIGH'],
  5: ['CRITICAL', 'SEV_070_CRITICAL'],
}
/** Dates of a weakness do not move. */
const DAY_MS = 86_400_000

/** All rows of a dataset; `datasets` are those that the tenant has. */
export function datasetRows(
  world: World,
  tenant: TenantSlot,
  dataset: string,
  datasets: readonly DatasetName[],
): readonly Row[] {
  if (dataset === 'findings') return findingRows(world, tenant)
  const machines = world.estate().machines.filter((m) => m.tenant === tenant)
  const isUnderstated = datasets.includes('findings') || datasets.includes('uvm_findings')
  switch (dataset) {
    case 'uvm_findings':
      return machines.filter((m) => m.inInventory).flatMap((m) => flatRows(world, m))
    case 'va_endpoints':
      return world.files.get('xdr.findings') ?? endpointRows(machines, isUnderstated)
    case 'va_cves':
      return cveRows(machines, isUnderstated)
    default:
      return []
  }
}

function flatRows(world: World, machine: Machine): Row[] {
  const { epss } = world.estate()
  return machine.exposures
    .filter((e) => e.inCortex && e.open)
    .flatMap((e) =>
      e.versions.map((version) =>
        rowOf(`${machine.cloudAssetId}|${e.weakness.id}|${e.packageName}|${version}`, () =>
          flatRow(machine, e, version, epss.get(e.weakness.id) ?? e.weakness.epss),
        ),
      ),
    )
}

function flatRow(machine: Machine, exposure: Exposure, version: string, epss: number): Value {
  const { weakness, packageName, discoveredMs } = exposure
  const type: PackageType = packageTypeOf(weakness.software, machine.system.packages)
  const fixes = fixVersions(weakness, type)
  const [, sev] = SEVERITIES[weakness.severityId] ?? []
  return {
    asset_id: machine.cloudAssetId,
    asset_name: machine.hostname,
    asset_category: assetTypeOf(machine).category,
    asset_type: assetTypeOf(machine).id,
    vulnerability_id: weakness.id,
    cvss_score: weakness.cvss,
    cvss_severity: weakness.cortexWord === null ? null : sev,
    affected_software: packageName,
    package_version: version,
    package_type: weakness.software.language ?? 'os',
    package_purl: purlOf(type, machine.system.id, packageName, version),
    os_distribution: machine.system.id,
    file_path: null,
    first_observed: discoveredMs,
    last_observed: machine.lastSeenMs,
    cve_publish_date: weakness.publishedMs,
    fix_available: fixes.length > 0,
    fix_versions: fixes,
    remediation: fixes.length > 0 ? `Upgrade ${packageName}` : null,
    cortex_vulnerability_risk_score: weakness.severityId * 18,
    exploitable: weakness.exploit !== 'none',
    epss_score: epss,
    cve_risk_factors: weakness.exploit === 'in-the-wild' ? ['Exploited in the wild'] : [],
    exploit_level: weakness.exploit === 'poc' ? 'POC' : 'NONE',
  }
}

/** True where a tenant's own people have excluded the CVE: it is listed, and does not count. */
export const isExcluded = (cve: string): boolean => shareOf(`excluded/${cve}`) < EXCLUDED_SHARE

/** The CVEs of an endpoint as Host Insights lists them, sorted. */
export function cvesOf(machine: Machine, isUnderstated: boolean): string[] {
  const ids = machine.exposures.filter((e) => e.inCortex && e.open).map((e) => e.weakness.id)
  return [...new Set(ids)]
    .filter((id) => !isUnderstated || shareOf(`understated/${id}`) < UNDERSTATED_SHARE)
    .toSorted()
}

function endpointRows(machines: readonly Machine[], isUnderstated: boolean): Row[] {
  return machines
    .filter((m) => m.hasAgent)
    .map((m) =>
      rowOf(m.endpointId, () => {
        const cves = cvesOf(m, isUnderstated)
        const worst = m.exposures
          .filter((e) => cves.includes(e.weakness.id))
          .toSorted((a, b) => b.weakness.severityId - a.weakness.severityId)[0]?.weakness
        return {
          endpoint_id: m.endpointId,
          endpoint_name: m.hostname,
          cves: cves.length === 0 ? null : cves,
          severity: worst === undefined ? null : SEVERITIES[worst.severityId]?.[0],
          severity_score: worst?.cvss ?? null,
        }
      }),
    )
}

function cveRows(machines: readonly Machine[], isUnderstated: boolean): Row[] {
  const hosts = new Map<string, { exposure: Exposure; names: string[]; windows: boolean }>()
  for (const machine of machines.filter((m) => m.hasAgent)) {
    const listed = new Set(cvesOf(machine, isUnderstated))
    for (const exposure of machine.exposures.filter((e) => e.inCortex && e.open)) {
      const { id } = exposure.weakness
      if (!listed.delete(id)) continue
      const windows = machine.system.family === 'WINDOWS'
      const known = hosts.get(id) ?? { exposure, names: [], windows }
      known.names.push(machine.hostname)
      hosts.set(id, known)
    }
  }
  return [...hosts].map(([id, { exposure, names, windows }]) =>
    rowOf(id, () => {
      const { weakness, packageName } = exposure
      return {
        name: id,
        severity: SEVERITIES[weakness.severityId]?.[0] ?? 'NONE',
        severity_score: weakness.cvss,
        exploitability_score: null,
        impact_score: null,
        type: weakness.software.language === null ? 'OPERATING_SYSTEM' : 'APPLICATION',
        os_type: windows ? 'AGENT_OS_WINDOWS' : ['AGENT_OS_LINUX'],
        affected_hosts: names.length === 1 ? names[0] : names,
        affected_products: [`${packageName} ${weakness.software.release}`],
        publication_date: weakness.publishedMs,
        modification_date: weakness.publishedMs + DAY_MS,
        description: weakness.description,
        is_excluded: isExcluded(id) ? 'YES' : 'NO',
      }
    }),
  )
}
