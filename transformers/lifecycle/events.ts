// From the state of an entity to its exposure event on Kafka: envelope, headers, placement.
import type { Asset, AssetState } from '../../contracts/asset.ts'
import type { ChangeCause, ChangeType, EventMeta, FieldChange } from '../../contracts/event-meta.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { Finding, FindingState } from '../../contracts/finding.ts'
import { eventId } from '../../contracts/identity.ts'
import { partitionOf } from '../../contracts/placement.ts'
import type { Run } from '../../contracts/run.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import { TOPICS, topicName } from '../../contracts/topics.ts'
import type { Vulnerability, VulnerabilityState } from '../../contracts/vulnerability.ts'
import type { EntityKind, EntityState } from './state.ts'

/** Where the observation behind an event came from. */
export type Origin = {
  readonly facts: OriginFacts
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly timestampMs: number
  /** Of the raw record's bytes; null when a control record stands behind the event. */
  readonly sha256: string | null
}
/** `fetchedAtMs`: the time of observation; for closures the end of the run. */
export type OriginFacts = Pick<
  RawFacts,
  'connection' | 'vendor' | 'product' | 'tenant' | 'stream' | 'runId' | 'fetchedAtMs'
>

export type Change = {
  readonly type: ChangeType
  readonly cause: ChangeCause
  readonly revision: number
  readonly changes: readonly FieldChange[]
  readonly contentHash: string
  readonly backfill: boolean
}

/** Encodes events as Avro. @throws PipelineError SERIALIZATION when one does not fit its schema */
export type Encode = {
  readonly asset: (value: Asset) => Buffer
  readonly finding: (value: Finding) => Buffer
  readonly vulnerability: (value: Vulnerability) => Buffer
  readonly run: (value: Run) => Buffer
}

export function metaOf(
  id: string,
  nativeId: string,
  origin: Origin,
  change: Change,
  mappingVersion: string,
): EventMeta {
  const { facts } = origin
  return {
    event_id: eventId(id, change.revision),
    change_type: change.type,
    revision: change.revision,
    changed_fields: change.changes.map((c) => c.path),
    changes: [...change.changes],
    observed_at: facts.fetchedAtMs,
    ingested_at: origin.timestampMs,
    run_id: facts.runId,
    content_hash: change.contentHash,
    mapping_version: mappingVersion,
    source: {
      vendor: facts.vendor,
      product: facts.product,
      connection_id: facts.connection,
      tenant: facts.tenant,
      stream: facts.stream,
      native_id: nativeId,
      native_url: null,
      raw_topic: origin.topic,
      raw_partition: origin.partition,
      raw_offset: Number(origin.offset),
      raw_sha256: origin.sha256,
    },
    change_cause: change.cause,
    backfill: change.backfill,
  }
}

export function assetRecord(
  state: AssetState,
  meta: EventMeta,
  prefix: string,
  encode: Encode,
): OutRecord {
  const value: Asset = { meta, ...state }
  const body = encode.asset(value)
  return exposureRecord('assets', prefix, state.asset_uid, state.asset_uid, meta, body, null)
}

export function vulnerabilityRecord(
  state: VulnerabilityState,
  meta: EventMeta,
  prefix: string,
  encode: Encode,
): OutRecord {
  const value: Vulnerability = { meta, ...state }
  const key = state.vulnerability_uid
  const body = encode.vulnerability(value)
  return exposureRecord('vulnerabilities', prefix, key, key, meta, body, state.severity_id)
}

/** Placed by the asset, so that a stream processor can join findings with assets. */
export function findingRecord(
  state: FindingState,
  meta: EventMeta,
  prefix: string,
  encode: Encode,
): OutRecord {
  const value: Finding = { meta, ...state }
  const body = encode.finding(value)
  return exposureRecord(
    'findings',
    prefix,
    state.finding_uid,
    state.asset_uid,
    meta,
    body,
    state.severity_id,
  )
}

/** Takes an entity that closed long ago out of its compacted topic; headers only. */
export function tombstoneRecord(
  kind: EntityKind,
  state: EntityState,
  revision: number,
  origin: Origin,
  prefix: string,
): OutRecord {
  const [topic, key, placedBy] = placeOf(kind, state)
  const { connection, product, tenant, fetchedAtMs } = origin.facts
  return {
    topic: topicName(prefix, topic),
    partition: partitionOf(placedBy, TOPICS[topic].partitions),
    key,
    value: null,
    headers: {
      ce_specversion: '1.0',
      ce_id: eventId(key, revision),
      ce_source: `/connectors/${connection}`,
      ce_type: `exposure.${WORD[topic]}.purged.v1`,
      ce_time: new Date(fetchedAtMs).toISOString(),
      ce_subject: key,
      'x-change-type': 'PURGED',
      'x-product': product,
      ...(tenant === '' ? {} : { 'x-tenant': tenant }),
    },
  }
}

/** Topic, key, and what decides the partition. */
function placeOf(kind: EntityKind, state: EntityState) {
  switch (kind) {
    case 'asset': {
      const { asset_uid } = state as AssetState
      return ['assets', asset_uid, asset_uid] as const
    }
    case 'finding': {
      const { finding_uid, asset_uid } = state as FindingState
      return ['findings', finding_uid, asset_uid] as const
    }
    case 'vulnerability': {
      const { vulnerability_uid } = state as VulnerabilityState
      return ['vulnerabilities', vulnerability_uid, vulnerability_uid] as const
    }
  }
}

const WORD = { assets: 'asset', findings: 'finding', vulnerabilities: 'vulnerability' } as const

function exposureRecord(
  topic: keyof typeof WORD,
  prefix: string,
  key: string,
  placedBy: string,
  meta: EventMeta,
  value: Buffer,
  severityId: number | null,
): OutRecord {
  return {
    topic: topicName(prefix, topic),
    partition: partitionOf(placedBy, TOPICS[topic].partitions),
    key,
    value,
    headers: {
      ce_specversion: '1.0',
      ce_id: meta.event_id,
      ce_source: `/connectors/${meta.source.connection_id}`,
      ce_type: `exposure.${WORD[topic]}.${meta.change_type.toLowerCase()}.v1`,
      ce_time: new Date(meta.observed_at).toISOString(),
      ce_subject: key,
      'content-type': 'application/avro',
      // One trace per run and event, made from ids so that a batch done again keeps it.
      traceparent: `00-${eventId(meta.run_id ?? '', 0)}-${meta.event_id.slice(0, 16)}-01`,
      'x-change-type': meta.change_type,
      'x-product': meta.source.product,
      'x-tenant': meta.source.tenant,
      ...(severityId === null ? {} : { 'x-severity-id': String(severityId) }),
    },
  }
}
