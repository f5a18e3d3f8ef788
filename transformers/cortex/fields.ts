// What the Cortex listings share: flattened fields, kinds of assets, interfaces without pairing.
import type { NetworkInterface } from '../../contracts/asset.ts'
import type { AssetKind } from '../../contracts/event-meta.ts'
import { isObject } from '../text.ts'

const FIELDS_CHARACTERS_MAX = 1_000_000
/** The first that matches the vendor's words for category and type, lower-cased. */
const KINDS: readonly (readonly [RegExp, AssetKind])[] = [
  [/container image|(core|runtime) image/, 'CONTAINER_IMAGE'],
  [/serverless|lambda|cloud function|function app/, 'SERVERLESS_FUNCTION'],
  [/vm instance|virtual machine|ec2 instance/, 'VIRTUAL_MACHINE'],
  [/(code|vcs|git) repository/, 'CODE_REPOSITORY'],
  [/certificate/, 'CERTIFICATE'],
  [/ip range/, 'IP_RANGE'],
  [/\bdomain\b/, 'DOMAIN'],
  [/external (service|surface)/, 'EXTERNAL_SERVICE'],
  [/(^|\|)container(\||$)/, 'CONTAINER'],
]
const MACHINES: readonly (readonly [RegExp, AssetKind])[] = [
  [/firewall|router|network device/, 'NETWORK_DEVICE'],
  [/device|endpoint|server|workstation|\bhost\b/, 'HOST'],
]

/**
 * Lifts the fields of the object at `key` to the row itself; some tenants write it as JSON text.
 * A field of the row wins over one inside, unless it is null. What is no object stays as it is.
 */
export function withInnerFields(key: string): (row: unknown) => unknown {
  return (row) => {
    if (!isObject(row)) return row
    const { [key]: inner, ...outer } = row
    const fields = typeof inner === 'string' ? parsed(inner) : inner
    if (!isObject(fields)) return row
    const stated = Object.entries(outer).filter(([, value]) => value !== null)
    return Object.fromEntries([...Object.entries(fields), ...stated])
  }
}

/** `words`: the vendor's category, type id, type name. `isCloud`: a cloud provider is known. */
export function kindOfWords(words: readonly (string | null)[], isCloud: boolean): AssetKind {
  const text = words
    .filter((word) => word !== null)
    .join('|')
    .toLowerCase()
    .replaceAll('_', ' ')
  const kinds = isCloud ? KINDS : [...KINDS, ...MACHINES]
  const known = kinds.find(([pattern]) => pattern.test(text))?.[1]
  return known ?? (isCloud ? 'CLOUD_RESOURCE' : 'UNKNOWN')
}

/**
 * Cortex lists addresses and cards apart. One card has all addresses; with several nobody says
 * which has which, so the addresses stand in an interface of their own.
 */
export function interfacesOf(macs: readonly string[], ips: readonly string[]): NetworkInterface[] {
  const empty = { name: null, mac: null, ips: [], subnet: null }
  const [only] = macs
  if (only !== undefined && macs.length === 1) return [{ ...empty, mac: only, ips: [...ips] }]
  const cards = macs.map((mac) => ({ ...empty, mac }))
  return ips.length === 0 ? cards : [...cards, { ...empty, ips: [...ips] }]
}

function parsed(text: string): unknown {
  if (text.length > FIELDS_CHARACTERS_MAX) return null
  try {
    return JSON.parse(text) as unknown
  } catch {
    // Not JSON: the row's required fields are then missing, which is what gets reported.
    return null
  }
}
