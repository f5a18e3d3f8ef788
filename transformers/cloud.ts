// Cloud placement: one word per provider, and which texts are a provider's own ids of a machine.
import type { Cloud } from '../contracts/asset.ts'

const PROVIDERS: ReadonlyMap<string, string | null> = new Map([
  ['aws', 'aws'],
  ['amazon', 'aws'],
  ['azure', 'azure'],
  ['gcp', 'gcp'],
  ['google', 'gcp'],
  ['oci', 'oci'],
  ['oracle', 'oci'],
  ['alibaba', 'alibaba'],
  ['alibabacloud', 'alibaba'],
  ['ibm', 'ibm'],
  ['onprem', null],
  ['onpremise', null],
  ['onpremises', null],
  ['none', null],
])
const AWS_INSTANCE = /(?:^|:instance\/)(i-[0-9a-f]{8,17})$/i
/** The vmId alone, or as Prisma writes Azure machines: `<vmId>-/subscriptions/…`. */
const AZURE_VM = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:-\/subscriptions\/.*)?$/i
const GCP_INSTANCE = /^\d{6,20}$/

/** aws | azure | gcp | oci | alibaba | ibm | other; null when it is no cloud. */
export function providerOf(text: string | null): string | null {
  if (text === null) return null
  const known = PROVIDERS.get(text.toLowerCase().replace(/[^a-z0-9]/g, ''))
  return known === undefined ? 'other' : known
}

/**
 * `aws:i-0abc`, `azure:<vmid>`, `gcp:<project>:<numeric>`; null unless the text has the form that
 * the provider gives its ids: other texts (private addresses, names) are not unique.
 */
export function instanceKeyOf(
  provider: string | null,
  accountId: string | null,
  id: string,
): string | null {
  if (provider === 'aws') return prefixed('aws', AWS_INSTANCE.exec(id)?.[1])
  if (provider === 'azure') return prefixed('azure', AZURE_VM.exec(id)?.[1])
  if (provider !== 'gcp' || accountId === null || !GCP_INSTANCE.test(id)) return null
  return `gcp:${accountId.toLowerCase()}:${id}`
}

/** The id if it is an ARN, an Azure resource id or a Google full name; else null. */
export function resourceKeyOf(id: string | null): string | null {
  if (id === null) return null
  return /^arn:[a-z-]+:.+/.test(id) ||
    /^\/subscriptions\/[^/]+\/.+/.test(id) ||
    /^\/\/[a-z0-9-]+\.googleapis\.com\/projects\/.+/.test(id)
    ? id
    : null
}

/** Azure resource ids differ only in case between Azure's own services. */
export const resourceIdOf = (id: string | null): string | null =>
  id !== null && /^\/subscriptions\//i.test(id) ? id.toLowerCase() : id

/** A placement with the fields that nobody gave set to null. */
export function cloudOf(
  given: Partial<Omit<Cloud, 'provider'>> & { provider: string | null },
): Cloud | null {
  const { provider, ...rest } = given
  if (provider === null) return null
  return { ...NOWHERE, ...rest, provider }
}

const NOWHERE: Omit<Cloud, 'provider'> = {
  account_id: null,
  account_name: null,
  region: null,
  zone: null,
  resource_id: null,
  instance_id: null,
  service: null,
  resource_type: null,
  vpc_id: null,
  image_id: null,
}

const prefixed = (provider: string, id: string | undefined): string | null =>
  id === undefined ? null : `${provider}:${id.toLowerCase()}`
