// The id of a finding. Neither version nor severity is in it, so that neither makes a new one.
import type { FindingState, Locator } from '../contracts/finding.ts'
import { uid } from '../contracts/identity.ts'
import { isOsPackage } from './packages.ts'

export type FindingIdentity = Pick<
  FindingState,
  'asset_uid' | 'kind' | 'vuln_id' | 'package' | 'locator'
>

/** The same weakness of the same package at the same place of the same asset has the same id. */
export const findingUidOf = (finding: FindingIdentity): string =>
  uid('fnd_', [
    finding.asset_uid,
    finding.kind,
    finding.vuln_id.toUpperCase(),
    finding.package?.type ?? '',
    finding.package?.name ?? '',
    placeOf(finding.locator, finding.package?.type ?? null),
  ])

/** `tcp/443` for services; the path for what the system's package manager does not own. */
function placeOf(locator: Locator | null, packageType: string | null): string {
  if (locator === null) return ''
  if (locator.port !== null) return `${locator.protocol ?? ''}/${locator.port}`
  return isOsPackage(packageType) ? '' : (locator.path ?? '')
}
