// From a batch to what is asked of the store: documents to write, documents to take away.
import type { Rejection, SinkBatch, SinkRecord } from '../../contracts/ports.ts'
import { ecsOfAsset } from '../ecs/asset.ts'
import { ecsOfFinding } from '../ecs/finding.ts'
import { jsonTextOf } from '../json-text.ts'
import { type OcsfSubject, ocsfOf } from '../ocsf/ocsf.ts'
import type { OpenSearchConfig } from './config.ts'
import type { Index, Indices } from './indices.ts'

/** One line of a bulk request, or two with its document. */
export type Operation = {
  /** Of the record in its batch. */
  readonly index: number
  /** Ends with a line feed. */
  readonly lines: string
}

/** A document that a tombstone takes away, if it is from before the tombstone. */
export type Removal = {
  readonly index: number
  readonly store: Index
  readonly uid: string
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

export type Plan = {
  readonly removals: readonly Removal[]
  readonly operations: readonly Operation[]
  readonly rejections: readonly Rejection[]
}

/** What the store allows; a longer id would refuse the whole request. */
const ID_BYTES_MAX = 512

type Planner = {
  readonly batch: SinkBatch
  readonly indices: Indices
  readonly format: OpenSearchConfig['format']
}

/** Records before the last tombstone of their key are in no index of the current state. */
export function planOf(planner: Planner): Plan {
  const { batch } = planner
  const removals: Removal[] = []
  const operations: Operation[] = []
  const rejections: Rejection[] = []
  const lastTombstone = new Map<string, number>()
  batch.records.forEach(({ key, value }, index) => {
    if (value === null) lastTombstone.set(key, index)
  })
  for (const [index, record] of batch.records.entries()) {
    const refused = refusedBeforehand(record)
    if (refused !== null) {
      rejections.push({ index, reason: refused })
      continue
    }
    const last = lastTombstone.get(record.key) ?? -1
    if (index === last) removals.push(...removalsOf(planner, record, index))
    const told = operationsOf(planner, record, index, index > last)
    if (typeof told === 'string') rejections.push({ index, reason: told })
    else operations.push(...told)
  }
  return { removals, operations, rejections }
}

/** What would refuse the whole request, and not only this record. */
function refusedBeforehand({ key, value }: SinkRecord): string | null {
  if (key === '') return 'its key is empty'
  if (Buffer.byteLength(key) > ID_BYTES_MAX) return `its key exceeds ${ID_BYTES_MAX} bytes`
  if (!key.isWellFormed()) return 'its key holds half of a surrogate pair'
  const revision = value !== null && 'meta' in value ? value.meta.revision : 0
  return Number.isSafeInteger(revision) && revision >= 0 ? null : 'its revision is no version'
}

function removalsOf({ batch, indices }: Planner, record: SinkRecord, index: number): Removal[] {
  if (record.kind !== 'asset' && record.kind !== 'finding') return []
  const { topic, partition } = batch
  const { key: uid, offset } = record
  return [{ index, store: indices[record.kind], uid, topic, partition, offset }]
}

/** The operations, or why the record is refused. */
function operationsOf(
  planner: Planner,
  record: SinkRecord,
  index: number,
  isCurrent: boolean,
): Operation[] | string {
  const { indices } = planner
  const document = documentOf(planner, record)
  if (document === null || record.value === null) return []
  const { text, refused } = jsonTextOf(document)
  if (refused !== null) return refused
  const operation = (action: object): Operation => ({
    index,
    lines: `${JSON.stringify(action)}\n${text}\n`,
  })
  const create = ({ name }: Index, id: string) => operation({ create: { _index: name, _id: id } })
  const put = ({ name }: Index, version: number) =>
    operation({ index: { _index: name, _id: record.key, version, version_type: 'external' } })
  if (record.kind === 'connector-error') return [create(indices.errorLog, record.value.error_id)]
  if (record.kind !== 'asset' && record.kind !== 'finding') return []
  const { revision, event_id: eventId } = record.value.meta
  const current = isCurrent ? [put(indices[record.kind], revision)] : []
  return record.kind === 'asset' ? current : [...current, create(indices.findingLog, eventId)]
}

/** The document with our own fields beside the standard's; null where there is none. */
function documentOf({ batch, format }: Planner, record: SinkRecord): object | null {
  const standard = standardOf(record, format)
  if (standard === null) return null
  const { topic, partition } = batch
  // As text, which the index reads as a number: beyond 2^53 a number would be another one.
  return { ...standard, kafka: { topic, partition, offset: String(record.offset) } }
}

function standardOf(record: SinkRecord, format: OpenSearchConfig['format']): object | null {
  const { kind, value } = record
  if (value === null || kind === 'vulnerability' || kind === 'run') return null
  if (format === 'ecs' && kind === 'asset') return ecsOfAsset(value)
  if (format === 'ecs' && kind === 'finding') return ecsOfFinding(value)
  const event = ocsfOf({ kind, value } as OcsfSubject)
  // Data streams sort by this field.
  return { '@timestamp': event.time, ...event }
}
