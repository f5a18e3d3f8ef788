// What a connector must end up knowing of what CSPM shows.
import {
  type WeakType,
  cloudMachines,
  cspmSeverity,
  machineAssetId,
  resourcesOf,
  weakRows,
} from './cloud-resources.ts'
import type { Estate } from './estate.ts'
import { cloudEntity } from './truth-facts.ts'
import type { TrueAsset, TrueFinding } from './truth.ts'

/**
 * Whether weaknesses that Compute's own streams show are left out of CSPM's download (`drop`), or
 * told twice, once per product (`keep`).
 */
export type Overlap = 'drop' | 'keep'

/** What no stream of Compute reads. */
const CSPM_ALONE: ReadonlySet<WeakType> = new Set<WeakType>(['package', 'iac'])

type Told = { readonly assets: readonly TrueAsset[]; readonly findings: readonly TrueFinding[] }

/** Assets and open findings; `tenant` is Prisma Cloud's. */
export function cspmTruth(estate: Estate, tenant: string, overlap: Overlap): Told {
  const common = { product: 'prisma-cspm', tenant } as const
  return {
    assets: [
      ...machineAssets(estate).map((asset) => ({ ...common, ...asset })),
      ...resourceAssets(estate).map((asset) => ({ ...common, ...asset })),
    ],
    findings: weakRows(estate)
      .filter((row) => overlap === 'keep' || CSPM_ALONE.has(row.assetType))
      .map((row): TrueFinding => ({
        ...common,
        stream: 'cspm.vulnerabilities',
        assetNativeId: row.assetId,
        vulnId: row.weakness.id,
        // The download does not say of which type a package is.
        packageType: '',
        packageName: row.packageName,
        versions: row.versions,
        severityId: cspmSeverity(row.weakness).id,
        fixVersions: row.fixes,
        cvss: row.weakness.cvss,
      })),
  }
}

const machineAssets = (estate: Estate) =>
  cloudMachines(estate).map((machine) => ({
    stream: 'cspm.config' as const,
    nativeId: machineAssetId(machine),
    name: machine.hostname,
    entity: cloudEntity(machine),
    provider: machine.cloud.provider,
    region: machine.cloud.region,
    accountId: machine.cloud.accountId,
    osFamily: machine.system.family,
    privateIps: [machine.privateIp],
    publicIps: machine.publicIp === null ? [] : [machine.publicIp],
  }))

/** Machines are in the inventory too; their configuration says more, so it alone tells them. */
const resourceAssets = (estate: Estate) =>
  resourcesOf(estate).map((resource) => ({
    stream: 'cspm.inventory' as const,
    nativeId: resource.assetId,
    name: resource.name,
    entity: {
      type: 'cloud_resource_id' as const,
      value: resource.provider === 'azure' ? resource.id.toLowerCase() : resource.id,
    },
    provider: resource.provider,
    region: resource.region === '' ? null : resource.region,
    accountId: resource.accountId,
    osFamily: null,
    privateIps: [],
    publicIps: [],
  }))
