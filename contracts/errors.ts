// Every failure the product can report: its name, whether waiting helps, and the operator's next
// step.
import type { z } from 'zod'

/** The closed list. The first seven are the names of the vendors' troubleshooting tables. */
export const ERROR_TYPES = [
  'UNKNOWN',
  'AUTHORIZATION_FAILURE',
  'ACCESS_FORBIDDEN',
  'NOT_FOUND',
  'TOO_MANY_REQUESTS',
  'TEMPORARY_FAILURE',
  'TEMPORARY_DISCONNECTED',
  'MISSING_DATA',
  'BAD_REQUEST',
  'INVALID_RESPONSE',
  'SCHEMA_VIOLATION',
  'SERIALIZATION',
  'PAYLOAD_TOO_LARGE',
  'SINK_REJECTED',
  'SINK_UNAVAILABLE',
  'CONFIGURATION',
  'INTERNAL',
  'NOT_LICENSED',
  'QUOTA_EXHAUSTED',
  'CREDENTIAL_EXPIRING',
  'CONTRACT_DRIFT',
] as const
export type ErrorType = (typeof ERROR_TYPES)[number]
export type Failure = Exclude<ErrorType, 'UNKNOWN'>

export const STAGES = [
  'UNKNOWN',
  'CONFIG',
  'AUTH',
  'FETCH',
  'PARSE',
  'PUBLISH_RAW',
  'NORMALIZE',
  'PUBLISH',
  'SINK',
  'REGISTRY',
  'SNAPSHOT',
] as const
export type Stage = Exclude<(typeof STAGES)[number], 'UNKNOWN'>

export type FailureFacts = {
  /** As the vendors' users know it. */
  readonly title: string
  /** True when the same call may succeed later without anybody doing anything. */
  readonly retriable: boolean
  readonly severity: 'LOW' | 'MEDIUM' | 'HIGH' | 'CRITICAL'
  /** What the operator does next. */
  readonly remediation: string
}

export const FAILURES: Readonly<Record<Failure, FailureFacts>> = {
  AUTHORIZATION_FAILURE: {
    title: 'Authorization failure',
    retriable: false,
    severity: 'HIGH',
    remediation:
      'Check that the credentials are correct and still valid, and that they carry the required permissions (README: roles).',
  },
  ACCESS_FORBIDDEN: {
    title: 'Access forbidden error',
    retriable: false,
    severity: 'HIGH',
    remediation:
      'The credentials lack the permission for the named request. Give the service account the role in the README.',
  },
  NOT_FOUND: {
    title: 'Not found error',
    retriable: false,
    severity: 'HIGH',
    remediation:
      "The endpoint could not be reached. Check the API URL (API host, not the console's) against the README.",
  },
  TOO_MANY_REQUESTS: {
    title: 'Too many requests',
    retriable: true,
    severity: 'LOW',
    remediation:
      'The vendor limits requests per user. Use a service account for this connector alone. The pull goes on by itself.',
  },
  TEMPORARY_FAILURE: {
    title: 'Temporary failure',
    retriable: true,
    severity: 'MEDIUM',
    remediation:
      'Nothing to do yet: it is tried again. If it lasts, check the URL and the credentials.',
  },
  TEMPORARY_DISCONNECTED: {
    title: 'Temporary disconnected',
    retriable: true,
    severity: 'CRITICAL',
    remediation:
      "No success for N minutes. Check the URL and the credentials; if both are right, the vendor's status page, then support.",
  },
  MISSING_DATA: {
    title: 'Not seeing my assets or vulnerabilities',
    retriable: false,
    severity: 'HIGH',
    remediation:
      "Compare with the list of retrieved data (docs/mapping.md). Check the scope of the account's role: what the role does not see is not sent.",
  },
  BAD_REQUEST: {
    title: 'Bad request',
    retriable: false,
    severity: 'HIGH',
    remediation:
      'The vendor refused a request of ours. Report it with the request id shown; filters set in exposure.yaml are the first suspect.',
  },
  INVALID_RESPONSE: {
    title: 'Invalid response',
    retriable: true,
    severity: 'MEDIUM',
    remediation:
      'The vendor answered something that is not what it documents (HTML, cut JSON). It is tried again; if it lasts, look for a proxy that answers in its place.',
  },
  SCHEMA_VIOLATION: {
    title: 'Schema violation',
    retriable: false,
    severity: 'LOW',
    remediation:
      'A record lacks what every record of its stream must have. It is kept in the dead-letter topic; compare it with the violations shown.',
  },
  SERIALIZATION: {
    title: 'Serialization failure',
    retriable: false,
    severity: 'MEDIUM',
    remediation:
      'An event did not fit its Avro schema. The raw record is kept in the dead-letter topic; report it with the violations shown.',
  },
  PAYLOAD_TOO_LARGE: {
    title: 'Payload too large',
    retriable: false,
    severity: 'MEDIUM',
    remediation:
      'One unit exceeds 8 MiB and was not published. Narrow the stream, or exclude the asset named.',
  },
  SINK_REJECTED: {
    title: 'Sink rejected a record',
    retriable: false,
    severity: 'MEDIUM',
    remediation:
      'The store refused a record for good. It is kept in the dead-letter topic with the reason of the store.',
  },
  SINK_UNAVAILABLE: {
    title: 'Sink unavailable',
    retriable: true,
    severity: 'HIGH',
    remediation:
      'The store cannot be reached or cannot take more. Writing waits and goes on by itself; check the store.',
  },
  CONFIGURATION: {
    title: 'Configuration error',
    retriable: false,
    severity: 'HIGH',
    remediation: 'Mend the settings named in the message and start again.',
  },
  INTERNAL: {
    title: 'Internal error',
    retriable: false,
    severity: 'HIGH',
    remediation: 'This is a fault of ours. Report it with the message and the version.',
  },
  NOT_LICENSED: {
    title: 'Not licensed',
    retriable: false,
    severity: 'LOW',
    remediation:
      'The tenant has no licence for this stream, so it is skipped. Remove it from exposure.yaml, or add the licence.',
  },
  QUOTA_EXHAUSTED: {
    title: 'Quota exhausted',
    retriable: true,
    severity: 'MEDIUM',
    remediation:
      "The tenant's daily query quota is used up. The pull goes on when it is renewed; raise it, or pull less often.",
  },
  CONTRACT_DRIFT: {
    title: 'Contract drift',
    retriable: false,
    severity: 'LOW',
    remediation:
      'The vendor sends something new or in another form. Records go on; look whether a newer exposure-stream reads it, or report the path shown.',
  },
  CREDENTIAL_EXPIRING: {
    title: 'Credential expiring',
    retriable: false,
    severity: 'MEDIUM',
    remediation: 'Make a new key before the date shown and change the reference in exposure.yaml.',
  },
}

/** What is known of the HTTP call that failed. `url` carries no query; nothing here is a secret. */
export type HttpFault = {
  readonly method: string
  readonly url: string
  readonly status: number | null
  readonly retryAfterMs: number | null
  readonly requestId: string | null
  readonly vendorCode: string | null
  readonly vendorMessage: string | null
  readonly vendorExtra: string | null
}

export type PipelineErrorDetails = {
  readonly cause?: unknown
  readonly http?: HttpFault
  /** `path: message`, at most 20. */
  readonly violations?: readonly string[]
  /** How long the other side asked us to wait. */
  readonly retryAfterMs?: number
  /**
   * What exactly, where one type covers many conditions (a path and its day); in the fingerprint.
   */
  readonly subject?: string
  /** Instead of the table's next step, where more is known. */
  readonly remediation?: string
  /** With NOT_LICENSED: the stream that shows the same, for which a fallback has given way. */
  readonly instead?: string
}

/** The one error class. `message` is safe to show: it holds no secret and no payload. */
export class PipelineError extends Error {
  override readonly name = 'PipelineError'
  readonly failure: Failure
  readonly stage: Stage
  readonly details: PipelineErrorDetails

  constructor(failure: Failure, stage: Stage, message: string, details: PipelineErrorDetails = {}) {
    super(message, details.cause === undefined ? {} : { cause: details.cause })
    this.failure = failure
    this.stage = stage
    this.details = details
  }

  get retriable(): boolean {
    return FAILURES[this.failure].retriable
  }

  get remediation(): string {
    return this.details.remediation ?? FAILURES[this.failure].remediation
  }
}

/** zod's issues as `path: message`, at most 20: the form of `violations`. */
export function violationsOf(error: z.ZodError): string[] {
  return error.issues
    .slice(0, 20)
    .map((i) => `${i.path.map(String).join('.') || '(root)'}: ${i.message}`)
}
