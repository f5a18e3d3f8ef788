// OCSF Cloud Resources Inventory Info (5023): an asset that is no machine.
import type { Asset } from '../../contracts/asset.ts'
import { said, textOrNull } from '../said.ts'
import { resourceRestOf } from './asset-rest.ts'
import { cloudOf, profilesOf } from './cloud.ts'
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
import { resourceOf } from './resource.ts'

const CLASS: OcsfClass = {
  uid: 5023,
  name: 'Cloud Resources Inventory Info',
  category: [5, 'Discovery'],
  activities: INVENTORY_ACTIVITIES,
}

/** An asset of a kind for which `isMachine` is false. */
export function ocsfOfResource(asset: Asset, version: OcsfVersion = OCSF_DEFAULT): OcsfEvent {
  const cloud = cloudOf(asset.cloud)
  return said({
    ...classified(CLASS, COLLECT),
    time: asset.meta.observed_at,
    ...severityOf('INFORMATIONAL'),
    status_detail: asset.status,
    message: asset.name,
    metadata: metadataOf(asset.meta, version, {
      correlationUid: asset.entity_uid,
      profiles: profilesOf({ cloud, device: false }),
    }),
    cloud,
    region: cloud?.region,
    container: containerOf(asset),
    resources: [resourceOf(asset, version)],
    observables: asset.correlation_keys.map(observableOf),
    unmapped: resourceRestOf(asset),
  })
}

/** A container, or the image that containers are made of. */
function containerOf({ kind, meta, name, image }: Asset) {
  if (kind !== 'CONTAINER' && kind !== 'CONTAINER_IMAGE') return null
  const uid = textOrNull(image?.digest) ?? textOrNull(image?.image_id)
  const path = [image?.registry, image?.repository].filter((part) => textOrNull(part) !== null)
  return {
    uid: kind === 'CONTAINER' ? meta.source.native_id : null,
    name,
    image:
      uid === null
        ? null
        : { uid, name: image?.repository, path: textOrNull(path.join('/')), tag: image?.tags[0] },
  }
}
