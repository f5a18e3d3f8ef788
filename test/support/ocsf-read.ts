// Events of ours as readers of OCSF get them, for looking at any path.
import type { Asset } from '../../contracts/asset.ts'
import type { ChangeType } from '../../contracts/event-meta.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { OcsfVersion } from '../../sinks/ocsf/event.ts'
import { ocsfOf } from '../../sinks/ocsf/ocsf.ts'
import { assetEvent, errorEvent, findingEvent } from './events.ts'

export type Json = { readonly [name: string]: Json } & readonly Json[]

export const asRead = (document: object): Json => JSON.parse(JSON.stringify(document)) as Json

/** The finding `fnd_1`, the asset `ast_1`, both at revision 7. */
export const findingOf = (more: Partial<Finding> = {}) => findingEvent('fnd_1', 7, more)
export const assetOf = (more: Partial<Asset> = {}) => assetEvent('ast_1', 7, more)

export const ofFinding = (more: Partial<Finding> = {}, version: OcsfVersion = '1.8.0') =>
  asRead(ocsfOf({ kind: 'finding', value: findingOf(more) }, version))
export const ofAsset = (more: Partial<Asset> = {}, version: OcsfVersion = '1.8.0') =>
  asRead(ocsfOf({ kind: 'asset', value: assetOf(more) }, version))
/** The error `e-1` of fingerprint `f-1`. */
export const ofError = (more: Parameters<typeof errorEvent>[2] = {}) =>
  asRead(ocsfOf({ kind: 'connector-error', value: errorEvent('e-1', 'f-1', more) }))

/** The envelope with another change. */
export const changed = (change_type: ChangeType) => ({
  meta: { ...findingOf().meta, change_type },
})
