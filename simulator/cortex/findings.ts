// Rows of the XQL dataset `findings`: one per asset, package version and CVE, and some others.
import { createHash } from 'node:crypto'
import { type PackageType, fixVersions, packageTypeOf } from '../catalogue.ts'
import type { Estate, Exposure, Machine, TenantSlot } from '../estate.ts'
import { type Row, type Value, rowOf } from '../rows.ts'
import type { World } from '../world.ts'
import { assetTypeOf } from './assets.ts'

/** All rows of `tenant`, open or not, of every category. */
export function findingRows(world: World, tenant: TenantSlot): readonly Row[] {
  const fromFile = world.files.get('cloud.findings')
  if (fromFile !== undefined) return fromFile
  const estate = world.estate()
  const machines = estate.machines.filter((m) => m.inInventory && m.tenant === tenant)
  return machines.flatMap((m) => [...weaknessRows(estate, m, tenant), ...postureRows(m)])
}

function weaknessRows(estate: Estate, machine: Machine, tenant: TenantSlot): Row[] {
  return machine.exposures
    .filter((e) => e.inCortex)
    .flatMap((e) =>
      e.versions.map((version) => {
        const id = idOf([machine.cloudAssetId, e.weakness.id, e.packageName, version])
        return rowOf(id, () => weaknessRow(estate, machine, tenant, e, version, id))
      }),
    )
}

const idOf = (parts: readonly string[]): string =>
  `f-${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)}`

function weaknessRow(
  estate: Estate,
  machine: Machine,
  tenant: TenantSlot,
  exposure: Exposure,
  version: string,
  id: string,
): Value {
  const { weakness, packageName, open, discoveredMs } = exposure
  const normalized = normalizedFields(estate, machine, exposure, version)
  return {
    'xdm.finding.id': id,
    ...assetFields(machine),
    'xdm.finding.name': `${weakness.id} found in ${packageName}`,
    'xdm.finding.description_template': weakness.description,
    'xdm.finding.category': 'VULNERABILITY',
    'xdm.finding.owner': 'CWP',
    'xdm.finding.is_active': open,
    // Often null on real tenants.
    'xdm.finding.first_observed': discoveredMs % 5 < 2 ? null : discoveredMs,
    'xdm.finding.last_observed': machine.lastSeenMs,
    // An object on some tenants, its JSON text on others.
    'xdm.finding.normalized_fields': tenant === 0 ? normalized : JSON.stringify(normalized),
  }
}

function normalizedFields(
  estate: Estate,
  machine: Machine,
  { weakness, packageName }: Exposure,
  version: string,
): Value {
  const { system } = machine
  const type = packageTypeOf(weakness.software, system.packages)
  const fixes = fixVersions(weakness, type)
  return {
    'xdm.vulnerability.cve_id': weakness.id,
    'xdm.vulnerability.severity': weakness.cortexWord,
    'xdm.vulnerability.cvss_score': weakness.cvss,
    'xdm.vulnerability.cvss_vector': weakness.vector === '' ? null : weakness.vector,
    'xdm.vulnerability.epss_score': estate.epss.get(weakness.id) ?? weakness.epss,
    'xdm.vulnerability.exploitable': weakness.exploit !== 'none',
    'xdm.vulnerability.has_a_fix': fixes.length > 0,
    'xdm.vulnerability.fix_versions': fixes,
    'xdm.vulnerability.publish_date': new Date(weakness.publishedMs).toISOString(),
    'xdm.vulnerability.cve_vendor_link': `https://vulnerabilities.example/${weakness.id}`,
    'xdm.vulnerability.cve_risk_factors': [
      ...(fixes.length > 0 ? ['Has fix'] : []),
      ...(weakness.exploit === 'in-the-wild' ? ['Exploited in the wild'] : []),
      ...(weakness.vector.includes('/AV:N/') ? ['Remote execution'] : []),
    ],
    'xdm.software_package.id': packageName,
    'xdm.software_package.version': version,
    'xdm.software_package.purl': purlOf(type, system.id, packageName, version),
    'xdm.software_package.type': weakness.software.language ?? 'os',
    'xdm.host.os_distribution': system.id,
    'xdm.host.os_release': system.release,
    'xdm.host.os_family': system.family === 'WINDOWS' ? 'Windows' : 'Linux',
    'xdm.host.ipv4_addresses': [machine.privateIp],
    'xdm.network.internet_exposed': machine.publicIp !== null,
  }
}

/** Null where the type has no package URL. */
export function purlOf(
  type: PackageType,
  distro: string,
  name: string,
  version: string,
): string | null {
  switch (type) {
    case 'os':
      return null
    case 'deb':
    case 'rpm':
    case 'apk':
      return `pkg:${type}/${distro}/${name}@${version}`
    case 'go':
      return `pkg:golang/${name}@${version}`
    case 'maven':
      return `pkg:maven/${name.replace('_', '/')}@${version}`
    case 'npm':
    case 'pypi':
    case 'gem':
      return `pkg:${type}/${name}@${version}`
  }
}

const assetFields = (machine: Machine): Value => ({
  'xdm.finding.asset_id': machine.cloudAssetId,
  'xdm.finding.asset_name': machine.hostname,
  'xdm.finding.asset_type': assetTypeOf(machine).name,
})

/** Findings that are no weaknesses: a query without a filter for the category meets them. */
function postureRows(machine: Machine): Row[] {
  if (machine.serial % 5 !== 0) return []
  const id = idOf([machine.cloudAssetId, 'posture'])
  return [
    rowOf(id, () => ({
      'xdm.finding.id': id,
      ...assetFields(machine),
      'xdm.finding.name': 'Disk without encryption',
      'xdm.finding.description_template': 'The machine has a disk without encryption.',
      'xdm.finding.category': 'CONFIGURATION',
      'xdm.finding.owner': 'CSPM',
      'xdm.finding.is_active': true,
      'xdm.finding.first_observed': machine.firstSeenMs,
      'xdm.finding.last_observed': machine.lastSeenMs,
      'xdm.finding.normalized_fields': {},
    })),
  ]
}
