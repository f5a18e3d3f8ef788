// OCSF Application Error (6008): a fault of a connector, a transformer or a sink.
import type { ConnectorError } from '../../contracts/connector-error.ts'
import { said, textOrNull } from '../said.ts'
import {
  LOG_PROVIDER,
  OCSF_DEFAULT,
  type OcsfClass,
  type OcsfEvent,
  type OcsfVersion,
  classified,
  integerOrNull,
  severityOf,
} from './event.ts'

const CLASS: OcsfClass = {
  uid: 6008,
  name: 'Application Error',
  category: [6, 'Application Activity'],
  activities: { 1: 'General Error', 2: 'Translation Error' },
}
const GENERAL = 1
const TRANSLATION = 2

const STATUSES: Readonly<Record<ConnectorError['state'], readonly [id: number, name: string]>> = {
  UNKNOWN: [0, 'Unknown'],
  RAISED: [2, 'Failure'],
  ONGOING: [2, 'Failure'],
  CLEARED: [1, 'Success'],
}

/** Its time is that of the latest occurrence. */
export function ocsfOfConnectorError(
  error: ConnectorError,
  version: OcsfVersion = OCSF_DEFAULT,
): OcsfEvent {
  const [statusId, status] = STATUSES[error.state]
  return said({
    ...classified(CLASS, error.stage === 'NORMALIZE' ? TRANSLATION : GENERAL),
    time: error.last_at,
    ...severityOf(error.severity),
    status_id: statusId,
    status,
    status_code: error.http === null ? null : statusCodeOf(error.http.status),
    status_detail: error.error_type,
    message: error.message,
    count: integerOrNull(error.occurrences),
    start_time: error.first_at,
    end_time: error.last_at,
    metadata: {
      version,
      product: {
        vendor_name: LOG_PROVIDER,
        name: LOG_PROVIDER,
        version: textOrNull(error.version),
      },
      uid: error.error_id,
      correlation_uid: error.fingerprint,
      log_provider: LOG_PROVIDER,
      log_name: 'connector-errors',
    },
    unmapped: restOf(error),
  })
}

const statusCodeOf = (status: number | null) => (status === null ? null : String(status))

const restOf = (error: ConnectorError) => ({
  fingerprint: error.fingerprint,
  state: error.state,
  stage: error.stage,
  retryable: error.retryable,
  attempt: error.attempt,
  next_attempt_at: error.next_attempt_at,
  connection_id: error.connection_id,
  vendor: error.vendor,
  product: error.product,
  stream: error.stream,
  run_id: error.run_id,
  sink_id: error.sink_id,
  remediation: error.remediation,
  http: error.http,
  record: error.record,
  violations: error.violations,
  occurrences: error.occurrences,
  instance: error.instance,
})
