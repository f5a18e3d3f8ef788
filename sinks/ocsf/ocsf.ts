// From an event of ours to its OCSF event; each class has a file of its own.
import type { Asset } from '../../contracts/asset.ts'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { Finding } from '../../contracts/finding.ts'
import { isMachine } from '../machines.ts'
import { ocsfOfConnectorError } from './application-error.ts'
import { ocsfOfResource } from './cloud-resources-inventory-info.ts'
import { OCSF_DEFAULT, type OcsfEvent, type OcsfVersion } from './event.ts'
import { ocsfOfDevice } from './inventory-info.ts'
import { ocsfOfFinding } from './vulnerability-finding.ts'

/** The events that OCSF has a class for. */
export type OcsfSubject =
  | { readonly kind: 'asset'; readonly value: Asset }
  | { readonly kind: 'finding'; readonly value: Finding }
  | { readonly kind: 'connector-error'; readonly value: ConnectorError }

/** Pure: the same event gives the same bytes. */
export function ocsfOf(event: OcsfSubject, version: OcsfVersion = OCSF_DEFAULT): OcsfEvent {
  switch (event.kind) {
    case 'asset':
      return isMachine(event.value.kind)
        ? ocsfOfDevice(event.value, version)
        : ocsfOfResource(event.value, version)
    case 'finding':
      return ocsfOfFinding(event.value, version)
    case 'connector-error':
      return ocsfOfConnectorError(event.value, version)
  }
}
