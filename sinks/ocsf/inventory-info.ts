// OCSF Device Inventory Info (5001): an asset that is a machine.
import type { Asset } from '../../contracts/asset.ts'
import { said } from '../said.ts'
import { deviceRestOf } from './asset-rest.ts'
import { cloudOf, profilesOf } from './cloud.ts'
import { deviceOf } from './device.ts'
import {
  COLLECT,
  INVENTORY_ACTIVITIES,
  OCSF_DEFAULT,
  type OcsfClass,
  type OcsfEvent,
  type OcsfVersion,
  classified,
  metadataOf,
  severityOf,
} from './event.ts'
import { observableOf } from './observables.ts'

const CLASS: OcsfClass = {
  uid: 5001,
  name: 'Device Inventory Info',
  category: [5, 'Discovery'],
  activities: INVENTORY_ACTIVITIES,
}

/** An asset of a kind for which `isMachine` is true. */
export function ocsfOfDevice(asset: Asset, version: OcsfVersion = OCSF_DEFAULT): OcsfEvent {
  const cloud = cloudOf(asset.cloud)
  return said({
    ...classified(CLASS, COLLECT),
    time: asset.meta.observed_at,
    ...severityOf('INFORMATIONAL'),
    status_detail: asset.status,
    message: asset.name,
    metadata: metadataOf(asset.meta, version, {
      correlationUid: asset.entity_uid,
      profiles: profilesOf({ cloud, device: true }),
    }),
    cloud,
    device: deviceOf(asset),
    observables: asset.correlation_keys.map(observableOf),
    unmapped: deviceRestOf(asset),
  })
}
