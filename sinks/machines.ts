// Which assets are machines: standards have fields of their own for those.
import type { AssetKind } from '../contracts/event-meta.ts'

const MACHINES: ReadonlySet<AssetKind> = new Set(['HOST', 'VIRTUAL_MACHINE', 'NETWORK_DEVICE'])

/** OCSF tells of a machine by a device, ECS by a host; both of all others by a resource. */
export const isMachine = (kind: AssetKind): boolean => MACHINES.has(kind)
