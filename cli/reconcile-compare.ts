// One store against the exposure topics: which keys differ, up to where its sink is.
import { PipelineError } from '../contracts/errors.ts'
import { AUDIT_KINDS, type AuditKind, type SinkAudit } from '../contracts/ports.ts'
import { partitionKey } from '../contracts/processing.ts'
import { topicName } from '../contracts/topics.ts'
import type { Codecs } from '../runtime/codecs.ts'
import { SINK_HEADER } from '../runtime/dead-letter.ts'
import { readLetters } from '../runtime/dead-letters.ts'
import type { Admin } from '../runtime/kafka/admin.ts'
import type { LogReader } from '../runtime/kafka/log-reader.ts'
import { sinkGroup } from '../runtime/run-sink.ts'
import type { ConfiguredSink } from '../sinks/sinks.ts'
import {
  AUDIT_TOPICS,
  type Entity,
  type FoldOptions,
  type Positions,
  foldAll,
  foldOnly,
  recordPlace,
} from './reconcile-fold.ts'

export type ReconcileAccess = {
  readonly prefix: string
  readonly admin: Admin
  readonly reader: LogReader
  readonly codecs: Codecs
}

export type Compared = ReconcileAccess & {
  readonly configured: ConfiguredSink
  readonly audit: SinkAudit
  /** Keys that are compared each way, at most AUDIT_UIDS_MAX. */
  readonly sample: number
  readonly seed: number
}

export type DifferenceType = 'missing' | 'extra' | 'other revision'

export type Difference = {
  readonly type: DifferenceType
  readonly uid: string
  /** In the topic; null: it is not to be there. */
  readonly expected: number | null
  /** In the store; null: it is not there. */
  readonly held: number | null
}

export type KindReport = {
  readonly kind: AuditKind
  /** Entities to be shown, and shown; null: not counted. */
  readonly inTopic: number | null
  readonly inStore: number | null
  /** Of inTopic: entities of which the store has refused all that is left. */
  readonly doubtful: number
  /** True where all was comparable and the numbers must agree. */
  readonly isCounted: boolean
  /** Keys that were looked at, and whether these are all. */
  readonly compared: number
  readonly isWhole: boolean
  /** Records that the sink has not read yet, markers of transactions included. */
  readonly lag: number
  /** By uid. */
  readonly differences: readonly Difference[]
  /** Keys that the store refused for good: their records are dead letters. */
  readonly refused: number
  /** Keys of which nobody can say whether they are to be there: before its start, or too old. */
  readonly undecided: number
}

/** Compares every kind that the sink writes. @throws PipelineError when a server is away */
export async function compareSink(compared: Compared): Promise<KindReport[]> {
  const { sink, filter } = compared.configured
  const kinds = AUDIT_KINDS.filter(
    (kind) => (sink.kinds?.includes(kind) ?? true) && (filter?.kinds?.includes(kind) ?? true),
  )
  const places: (readonly [AuditKind, SinkPlace])[] = []
  for (const kind of kinds) places.push([kind, await positionsOf(compared, kind)])
  // Dead letters are written before a sink moves on: of what is below its place, these are all.
  const refused = places.length === 0 ? new Set<string>() : await refusedBy(compared)
  const reports: KindReport[] = []
  for (const [kind, place] of places) {
    reports.push(await compareKind(compared, kind, place, refused))
  }
  return reports
}

type SinkPlace = Awaited<ReturnType<typeof positionsOf>>

async function compareKind(
  compared: Compared,
  kind: AuditKind,
  { positions, lag }: SinkPlace,
  refused: ReadonlySet<string>,
): Promise<KindReport> {
  const { configured, audit, sample, seed } = compared
  const fold: FoldOptions = { ...compared, kind, filter: configured.filter, positions, refused }
  const { entities, counts } = await foldAll(fold, { sample, seed })
  const { count, doubtful } = counts
  const expected = entities.entries().filter(([, { revision }]) => revision !== null)
  const asked = expected.slice(0, sample)
  const inStore = await audit.count(kind)
  const uids = asked.map(([uid]) => uid)
  const held = await audit.revisions(kind, uids)
  const shown = await audit.sample(kind, sample, seed)
  const others = shown.filter((uid) => !held.has(uid))
  const heldOthers = await audit.revisions(kind, others)
  const judge = judgeOf(audit, await startsOf(compared, kind, asked, held))
  const suspects = new Set([
    ...asked.filter(([uid, one]) => judge(one, held.get(uid)) !== null).map(([uid]) => uid),
    // What the fold has left out is looked at once more as well.
    ...others.filter((uid) => judge(entities.get(uid), heldOthers.get(uid)) !== null),
  ])
  const found = await lookAgain(compared, fold, suspects, judge)
  const isStill = lag.isExact && lag.isSame((await positionsOf(compared, kind)).positions)
  const isWhole = entities.isWhole && expected.length <= sample && shown.length < sample
  return {
    kind,
    inTopic: count,
    inStore,
    doubtful,
    isCounted: isStill && isCountable(configured) && count !== null && inStore !== null,
    compared: new Set([...uids, ...shown]).size,
    isWhole,
    lag: lag.records,
    ...found,
  }
}

/** With other filters, or another start, the topic does not say how many there are. */
const isCountable = ({ filter, start }: ConfiguredSink): boolean =>
  (start ?? 'beginning') === 'beginning' &&
  Object.keys(filter ?? {}).every((name) => name === 'kinds')

/** Where the sink is: by its store, where that keeps offsets, else by its consumer group. */
async function positionsOf(
  { admin, audit, prefix, configured: { sink } }: Compared,
  kind: AuditKind,
) {
  const topic = topicName(prefix, AUDIT_TOPICS[kind])
  const positions = new Map<string, bigint>()
  let records = 0n
  let isExact = true
  for (const { partition, committed, end } of await admin.lag(sinkGroup(prefix, sink.name), [
    topic,
  ])) {
    const stored = await audit.storedOffset(topic, partition)
    const position = stored ?? committed ?? 0n
    positions.set(partitionKey(topic, partition), position)
    if (end <= position) continue
    records += end - position
    // Some of these may be in the store: its sink was killed, or waits, before it committed.
    if (stored === null) isExact = false
  }
  const isSame = (other: Positions) =>
    [...positions].every(([place, position]) => other.get(place) === position)
  return { positions, lag: { records: Number(records), isExact, isSame } }
}

type Starts = ReadonlyMap<string, bigint>

/**
 * Where a sink has begun in each partition that did not begin at the beginning: nobody keeps that,
 * so it is what its store has of the partition, or the offset of the time, whichever is lower.
 */
async function startsOf(
  { configured: { start = 'beginning' }, reader, prefix }: Compared,
  kind: AuditKind,
  asked: readonly (readonly [string, Entity])[],
  held: ReadonlyMap<string, number>,
): Promise<Starts | null> {
  if (start === 'beginning') return null
  const starts = new Map<string, bigint>()
  const topic = topicName(prefix, AUDIT_TOPICS[kind])
  if (start !== 'now') {
    for (const partition of await reader.partitions(topic)) {
      const offset = await reader.offsetAt(topic, partition, Date.parse(start))
      starts.set(partitionKey(topic, partition), offset)
    }
  }
  for (const [uid, { partition, offset, revision }] of asked) {
    const place = partitionKey(topic, partition)
    const known = starts.get(place)
    if (held.get(uid) !== revision) continue
    if (known === undefined || offset < known) starts.set(place, offset)
  }
  return starts
}

type Judgement = DifferenceType | 'undecided' | null
type Judge = (entity: Entity | undefined, held: number | undefined) => Judgement

/** Null: the store shows what the topic says, or what it says by now. */
function judgeOf(
  { keptMs = Infinity, keepsForgotten = false }: SinkAudit,
  starts: Starts | null,
): Judge {
  const oldestMs = Date.now() - keptMs
  return (entity, held) => {
    if (entity === undefined) return held === undefined ? null : 'extra'
    const { revision, laterRevision } = entity
    const isLater = held !== undefined && laterRevision !== null && held <= laterRevision
    if (revision === null) {
      if (held === undefined || isLater || (keepsForgotten && entity.isForgotten)) return null
      return entity.isWhole ? 'extra' : 'undecided'
    }
    if (held === undefined) {
      if (entity.isForgottenLater) return null
      const startsAt =
        starts === null ? 0n : (starts.get(partitionKey(entity.topic, entity.partition)) ?? null)
      const isBefore = startsAt === null || entity.offset < startsAt
      return isBefore || entity.timestampMs < oldestMs ? 'undecided' : 'missing'
    }
    return held === revision || (isLater && held > revision) ? null : 'other revision'
  }
}

/** The sink goes on while it is looked at: only what differs from every later state does differ. */
async function lookAgain(
  compared: Compared,
  fold: FoldOptions,
  suspects: ReadonlySet<string>,
  judge: Judge,
): Promise<Pick<KindReport, 'differences' | 'refused' | 'undecided'>> {
  if (suspects.size === 0) return { differences: [], refused: 0, undecided: 0 }
  const uids = [...suspects].toSorted()
  const held = await heldOf(compared, fold.kind, uids)
  // After the store was asked: what it has written is in the topic by then.
  const entities = await foldOnly(fold, suspects)
  const differences: Difference[] = []
  let [refused, undecided] = [0, 0]
  for (const uid of uids) {
    const entity = entities.get(uid)
    const type = judge(entity, held.get(uid))
    const place = entity && recordPlace(entity.topic, entity.partition, entity.offset)
    if (type === null) continue
    if (type === 'undecided') undecided++
    else if (type !== 'extra' && place !== undefined && fold.refused.has(place)) refused++
    else {
      const expected = entity?.revision ?? null
      differences.push({ type, uid, expected, held: held.get(uid) ?? null })
    }
  }
  return { differences, refused, undecided }
}

/** In two calls, as these are at most twice as many as one takes. */
async function heldOf({ audit, sample }: Compared, kind: AuditKind, uids: readonly string[]) {
  const first = await audit.revisions(kind, uids.slice(0, sample))
  const rest = uids.slice(sample)
  return rest.length === 0 ? first : new Map([...first, ...(await audit.revisions(kind, rest))])
}

/** Dead letters of one sink that are kept in mind, about 100 bytes each. */
const REFUSED_MAX = 1_000_000

/** Places of records that the store has refused. @throws PipelineError when these are too many */
async function refusedBy({ reader, prefix, configured: { sink } }: Compared): Promise<Set<string>> {
  const places = new Set<string>()
  await readLetters(reader, prefix, {
    fates: new Map(),
    onLetter({ record, topic, topicPartition, topicOffset }) {
      if (record.headers[SINK_HEADER] !== sink.name) return
      if (places.size <= REFUSED_MAX) places.add(recordPlace(topic, topicPartition, topicOffset))
    },
  })
  if (places.size > REFUSED_MAX) {
    const message = `${sink.name} has refused more than ${REFUSED_MAX} records`
    throw new PipelineError('BAD_REQUEST', 'SINK', message, {
      remediation: 'Look at `exposure dlq list`, replay or purge them, then compare again.',
    })
  }
  return places
}
