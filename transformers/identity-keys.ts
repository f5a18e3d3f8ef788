// Who an asset is for other sources: typed keys, strongest first, and the entity_uid they give.
import type { CorrelationKey } from '../contracts/asset.ts'
import { uid } from '../contracts/identity.ts'
import { instanceKeyOf, resourceKeyOf } from './cloud.ts'

/** Names that an installation gives by itself, so that many machines have them. */
const DEFAULT_NAME = /^(localhost|localhost\d?|ip-\d{1,3}([-.]\d{1,3}){3})(\.|$)/

export type Identity = {
  readonly provider: string | null
  readonly accountId: string | null
  /** Texts that may be the provider's id of the machine, best first. */
  readonly instanceIds: readonly (string | null)[]
  readonly resourceId: string | null
  /** `sha256:…` of a container image's manifest. */
  readonly imageDigest: string | null
  /** `sha256:…` of a container image's configuration; absent: no image. */
  readonly imageId?: string | null
  /** Cortex agent id. */
  readonly agentId: string | null
  readonly hostnames: readonly string[]
  readonly fqdns: readonly string[]
  readonly macs: readonly string[]
  readonly publicIps: readonly string[]
  readonly privateIps: readonly string[]
}

/** Strong keys in the order in which they decide the entity, then the weak ones, which never do. */
export function correlationKeysOf(identity: Identity): CorrelationKey[] {
  const { provider, accountId } = identity
  const instanceKeys = identity.instanceIds.map((id) =>
    id === null ? null : instanceKeyOf(provider, accountId, id),
  )
  const strong: [string, string | null | undefined][] = [
    ['cloud_instance_id', instanceKeys.find((key) => key !== null)],
    ['image_digest', identity.imageDigest],
    ['image_id', identity.imageId],
    ['cloud_resource_id', resourceKeyOf(identity.resourceId)],
    ['agent_id', identity.agentId === null ? null : `cortex:${identity.agentId}`],
  ]
  const weak: [string, readonly string[]][] = [
    ['fqdn', identity.fqdns.filter((name) => !DEFAULT_NAME.test(name))],
    ['hostname', shortNames(identity.hostnames)],
    ['mac', identity.macs.filter((mac) => !isLocallyAdministered(mac))],
    ['public_ip', identity.publicIps],
    ['private_ip', identity.privateIps],
  ]
  return [
    ...strong.flatMap(([type, value]) => (value ? [{ type, value, strong: true }] : [])),
    ...weak.flatMap(([type, values]) => values.map((value) => ({ type, value, strong: false }))),
  ]
}

/** Equal for two sources that share the strongest key; without one the asset is its own entity. */
export function entityUidOf(keys: readonly CorrelationKey[], assetUid: string): string {
  const first = keys.find((key) => key.strong)
  return uid('ent_', first ? [first.type, first.value] : ['asset_uid', assetUid])
}

/** Lower-case colon form, sorted and distinct; what is no address of one card is left out. */
export function macsOf(texts: readonly string[]): string[] {
  const macs = texts.flatMap((text) => {
    const hex = text.toLowerCase().replace(/[^0-9a-f]/g, '')
    const separated = /^[0-9a-f]{2}([:.-]?[0-9a-f]{2}){5}$/i.test(text.trim())
    if (!separated || hex.length !== 12 || /^(0+|f+)$/.test(hex)) return []
    return [hex.replace(/(..)(?=.)/g, '$1:')]
  })
  return [...new Set(macs)].toSorted()
}

/** The first label, which is what a source without DNS names would call the machine. */
function shortNames(hostnames: readonly string[]): string[] {
  const names = hostnames
    .filter((name) => !DEFAULT_NAME.test(name))
    .map((name) => name.split('.')[0] ?? name)
  return [...new Set(names)].toSorted()
}

/** Set by software: virtual switches and clouds give the same ones again and again. */
const isLocallyAdministered = (mac: string): boolean =>
  (Number.parseInt(mac.slice(0, 2), 16) & 0b10) !== 0
