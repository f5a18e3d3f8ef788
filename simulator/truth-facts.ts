// What is true of a machine's identity and of a weakness, whichever stream shows it.
import { fixVersions, packageTypeOf } from './catalogue.ts'
import type { Exposure, Machine } from './estate.ts'
import type { TrueAsset } from './truth.ts'

/** The identity that a provider's own id of the machine gives. */
export function cloudEntity(machine: Machine): TrueAsset['entity'] {
  const { cloud } = machine
  if (cloud === null) return { type: null, value: null }
  const id = cloud.provider === 'gcp' ? `${cloud.accountId}:${cloud.instanceId}` : cloud.instanceId
  return { type: 'cloud_instance_id', value: `${cloud.provider}:${id}` }
}

/** What is true of a weakness on whatever has it. */
export function factsOf(
  { system }: Pick<Machine, 'system'>,
  { weakness, packageName, versions }: Exposure,
) {
  const packageType = packageTypeOf(weakness.software, system.packages)
  return {
    vulnId: weakness.id,
    packageType,
    packageName,
    versions: versions.toSorted(),
    severityId: weakness.severityId,
    fixVersions: fixVersions(weakness, packageType).toSorted(),
    cvss: weakness.cvss,
  }
}
