// From a record of ours to the JSON record beside it. Pure: the same record gives the same bytes.
import { partitionOf } from '../../contracts/placement.ts'
import type { SinkRecord } from '../../contracts/ports.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import { TOPICS } from '../../contracts/topics.ts'
import { jsonTextOf } from '../json-text.ts'
import type { OcsfVersion } from '../ocsf/event.ts'
import { type OcsfSubject, ocsfOf } from '../ocsf/ocsf.ts'

/** Under the brokers' usual 1 MiB for a batch, whatever the compression saves. */
export const JSON_BYTES_MAX = 1_000_000

export type JsonTarget = { readonly topic: string; readonly ocsfVersion: OcsfVersion }

/** The record to write, null where there is nothing to say, or why it cannot be written. */
export type JsonAnswer =
  | { readonly record: OutRecord | null }
  | { readonly record?: never; readonly reason: string }

/** OCSF has no word for a purge, and no class for runs and the dictionary of weaknesses. */
export function jsonRecordOf(given: SinkRecord, { topic, ocsfVersion }: JsonTarget): JsonAnswer {
  const subject = subjectOf(given)
  if (subject === null) return { record: null }
  const event = ocsfOf(subject, ocsfVersion)
  const { text, refused } = jsonTextOf(event)
  if (refused !== null) return { reason: refused }
  const value = Buffer.from(text)
  if (value.length > JSON_BYTES_MAX) {
    return { reason: `the event has ${value.length} bytes of JSON, at most ${JSON_BYTES_MAX} fit` }
  }
  return {
    record: {
      topic,
      // By entity: its events keep their order, though each has a key of its own.
      partition: partitionOf(given.key, TOPICS.ocsf.partitions),
      key: eventUid(subject),
      value,
      headers: {
        'content-type': 'application/json',
        'ocsf-class': String(event.class_uid),
        'ocsf-version': event.metadata.version,
      },
    },
  }
}

function subjectOf(record: SinkRecord): OcsfSubject | null {
  if (record.value === null || record.kind === 'run' || record.kind === 'vulnerability') return null
  // The compiler does not see that `value` was looked at, since `kind` decides its type.
  return record as OcsfSubject
}

/** `metadata.uid` of the event. */
const eventUid = (subject: OcsfSubject): string =>
  subject.kind === 'connector-error' ? subject.value.error_id : subject.value.meta.event_id
