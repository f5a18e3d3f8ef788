// OCSF's cloud object, and the profiles that go with it.
import type { Cloud } from '../../contracts/asset.ts'
import { textOrNull } from '../said.ts'

const NAMES: ReadonlyMap<string, string> = new Map([
  ['aws', 'AWS'],
  ['azure', 'Azure'],
  ['gcp', 'GCP'],
  ['oci', 'OCI'],
  ['alibaba', 'Alibaba Cloud'],
  ['ibm', 'IBM Cloud'],
])
const ACCOUNT_TYPES: ReadonlyMap<string, readonly [id: number, name: string]> = new Map([
  ['aws', [10, 'AWS Account']],
  ['gcp', [11, 'GCP Project']],
  ['azure', [13, 'Azure Subscription']],
])

/** What is known of the place in a cloud. */
export type Placement = Pick<Cloud, 'account_id' | 'region'> &
  Partial<Pick<Cloud, 'account_name' | 'zone'>> & { readonly provider: string | null }

/** Null where no provider is named: OCSF knows no cloud without one. */
export function cloudOf(placement: Placement | null) {
  const provider = textOrNull(placement?.provider)
  if (placement === null || provider === null) return null
  const { account_id: uid, account_name: name = null, region, zone } = placement
  const [typeId, type] = ACCOUNT_TYPES.get(provider) ?? []
  const isNamed = uid !== null || name !== null
  return {
    provider: providerName(provider),
    region,
    zone,
    account: isNamed ? { uid, name, type_id: typeId, type } : null,
  }
}

/** As the provider writes its name; another text as it is. */
export const providerName = (provider: string): string => NAMES.get(provider) ?? provider

/** The profiles that an event applies, by what it has. */
export const profilesOf = (has: { readonly cloud: object | null; readonly device: boolean }) => [
  ...(has.cloud === null ? [] : ['cloud']),
  ...(has.device ? ['host'] : []),
]
