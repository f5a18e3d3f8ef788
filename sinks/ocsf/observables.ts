// OCSF's observables: what analysts search for across events.
import type { CorrelationKey } from '../../contracts/asset.ts'

type TypeId = readonly [id: number, name: string]
const HOSTNAME: TypeId = [1, 'Hostname']
const IP_ADDRESS: TypeId = [2, 'IP Address']
const RESOURCE: TypeId = [10, 'Resource UID']
const TYPES: ReadonlyMap<string, TypeId> = new Map([
  ['hostname', HOSTNAME],
  ['fqdn', HOSTNAME],
  ['private_ip', IP_ADDRESS],
  ['public_ip', IP_ADDRESS],
  ['mac', [3, 'MAC Address']],
  ['image_digest', [8, 'Hash']],
  ['cloud_instance_id', RESOURCE],
  ['cloud_resource_id', RESOURCE],
  ['cert_sha256', [30, 'Fingerprint']],
  ['serial', [37, 'Serial Number']],
  ['cve', [18, 'CVE Object: uid']],
  ['advisory', [44, 'Advisory Object: uid']],
])

/** A type that OCSF does not have keeps its own word beside 99. */
export function observableOf({ type, value }: Pick<CorrelationKey, 'type' | 'value'>) {
  const own: TypeId = type === '' ? [0, 'Unknown'] : [99, type]
  const [typeId, name] = TYPES.get(type) ?? own
  return { type_id: typeId, type: name, value }
}

/** As observableOf, at a place in the event; none where there is no value. */
export const observableAt = (name: string, type: string, value: string | null | undefined) =>
  value === null || value === undefined ? [] : [{ name, ...observableOf({ type, value }) }]
