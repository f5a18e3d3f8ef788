// One input partition as its exactly-once owner: fence, restored state, chunks as transactions.
import { PipelineError } from '../../contracts/errors.ts'
import type { Logger } from '../log.ts'
import { createKafka, type KafkaClient } from './client.ts'
import { openCluster, type Cluster } from './cluster.ts'
import { isRebalance, kafkaError } from './errors.ts'
import { failpoint } from './failpoints.ts'
import { readerOf, type LogReader } from './log-reader.ts'
import { openSession, type Session } from './session.ts'
import type { Claim } from './sticky-assigner.ts'
import type { BatchControl, FetchedBatch } from './supervised-consumer.ts'
import {
  partitionKey,
  type KafkaRecord,
  type KafkaSettings,
  type PartitionStore,
  type Processor,
  type Step,
} from './types.ts'

const TRANSACTION_TIMEOUT_MS = 20_000

export type OwnerOptions<S extends PartitionStore> = {
  readonly settings: KafkaSettings
  readonly groupId: string
  readonly inputTopic: string
  readonly stateTopic: string
  readonly transactionalIdPrefix: string
  readonly processor: Processor<S>
  readonly chunkRecordsMax: number
  readonly chunkBytesMax: number
  readonly log: Logger
}

/** The right to write, as of its opening. Thrown away after any error; cheap to open again. */
type Fence = { readonly session: Session; committed: bigint | null; placed: boolean }

/**
 * What is in memory: committed facts only. Below `position` the state log is in here, so that after
 * a failure, or a rebalance that left the partition here, only the rest is read.
 */
type Held<S> = { readonly store: S; position: bigint; committedAtMs: number }

export type PartitionOwner = {
  /** Everything of one fetch, in chunks. Resolves what is done even when it ends early. */
  work(batch: FetchedBatch, control: BatchControl): Promise<void>
  /** What this process holds in memory, for the next join. */
  claims(): Claim[]
  /** Lets go of every partition but these. */
  keepOnly(partitions: ReadonlySet<number>): void
  /** Bounded; never throws. */
  close(): Promise<void>
}

export function createPartitionOwner<S extends PartitionStore>(
  options: OwnerOptions<S>,
): PartitionOwner {
  const producers = createKafka(options.settings, 'exposure-processor', options.log)
  const cluster = openCluster(createKafka(options.settings, 'exposure-state', options.log))
  const owner: Owner<S> = {
    options,
    producers,
    cluster,
    reader: readerOf(producers, cluster),
    fences: new Map(),
    stores: new Map(),
    closing: new Set(),
  }
  return {
    work: (batch, control) => work(owner, batch, control),
    claims: () =>
      [...owner.stores].map(([partition, { committedAtMs }]) => ({ partition, committedAtMs })),
    keepOnly(partitions) {
      for (const p of new Set([...owner.stores.keys(), ...owner.fences.keys()])) {
        if (partitions.has(p)) continue
        owner.stores.delete(p)
        dropFence(owner, p)
      }
    },
    async close() {
      for (const p of owner.fences.keys()) dropFence(owner, p)
      await Promise.all(owner.closing)
      await owner.reader.close()
    },
  }
}

type Owner<S extends PartitionStore> = {
  readonly options: OwnerOptions<S>
  readonly producers: KafkaClient
  readonly cluster: Cluster
  readonly reader: LogReader
  readonly fences: Map<number, Fence>
  readonly stores: Map<number, Held<S>>
  readonly closing: Set<Promise<void>>
}

/** Closing is awaited at the end only: a rebalance must not wait for a connection. */
function dropFence<S extends PartitionStore>(owner: Owner<S>, partition: number): void {
  const fence = owner.fences.get(partition)
  owner.fences.delete(partition)
  if (fence === undefined) return
  const closing = fence.session.close().finally(() => owner.closing.delete(closing))
  owner.closing.add(closing)
}

/**
 * The order is what makes it exact. The fence decides every earlier transaction; only then do the
 * end of the state log and the committed offset say what has happened, and both say the same.
 */
async function open<S extends PartitionStore>(
  owner: Owner<S>,
  partition: number,
  control: BatchControl,
): Promise<Fence> {
  const { settings, groupId, inputTopic, stateTopic, processor } = owner.options
  const session = await openSession(owner.producers, {
    transactionalId: `${owner.options.transactionalIdPrefix}.${partition}`,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
  })
  try {
    failpoint('processor.fenced')
    await control.heartbeat()
    const held = owner.stores.get(partition) ?? {
      store: processor.createStore(partition),
      position: 0n,
      committedAtMs: 0,
    }
    owner.stores.set(partition, held)
    const { end } = await owner.reader.readToEnd(
      stateTopic,
      partition,
      (record) => held.store.load(record.key, record.value),
      {
        from: held.position,
        // A restore can outlast the session. Given up in between, it goes on where it stood.
        onFetch: async (position) => {
          held.position = position
          await control.heartbeat()
        },
      },
    )
    held.position = end
    failpoint('processor.restored')
    const committed = await owner.cluster.committedOffset(groupId, inputTopic, partition)
    failpoint('processor.offset-read')
    const fence = { session, committed, placed: false }
    owner.fences.set(partition, fence)
    return fence
  } catch (error) {
    await session.close()
    if (isRebalance(error)) throw error
    // The state log was made anew, or a record could not be loaded: half a copy is none.
    owner.stores.delete(partition)
    throw kafkaError(error, 'FETCH', settings.brokers)
  }
}

async function work<S extends PartitionStore>(
  owner: Owner<S>,
  batch: FetchedBatch,
  control: BatchControl,
): Promise<void> {
  const { partition } = batch
  try {
    await workThrough(owner, batch, control)
  } catch (error) {
    // A rebalance is met between chunks, with nothing under way: fence and copy stay good as long
    // as the partition stays here, and a stale fence is refused by Kafka at its next use.
    if (!isRebalance(error)) dropFence(owner, partition)
    throw error
  }
}

async function workThrough<S extends PartitionStore>(
  owner: Owner<S>,
  batch: FetchedBatch,
  control: BatchControl,
): Promise<void> {
  const { inputTopic } = owner.options
  const { partition } = batch
  const fence = owner.fences.get(partition) ?? (await open(owner, partition, control))
  if (!fence.placed) {
    // Once per fence: over markers and aborted records the position rightly runs ahead of the
    // committed offset, and seeking back on each batch would never end.
    fence.placed = true
    if (fence.committed !== null && batch.fetchedOffset > fence.committed) {
      control.seek(inputTopic, partition, fence.committed)
      return
    }
  }
  const floor = fence.committed ?? 0n
  const records = batch.records.filter(({ offset }) => offset >= floor)
  if (records.length === 0) {
    // Markers, or work of before the fence. Moving the group's offset lets lag reach 0; resolving
    // is a must, or the same batch comes for ever.
    if (batch.nextOffset > floor) await commitStep(owner, partition, fence, null, batch.nextOffset)
    control.resolve(batch.nextOffset)
    return
  }
  for (const chunk of chunksOf(records, owner.options)) {
    if (!control.isRunning()) return
    const last = chunk.at(-1) === records.at(-1)
    const next = last ? batch.nextOffset : (chunk.at(-1)?.offset ?? floor) + 1n
    await workChunk(owner, partition, fence, chunk, next, control)
    control.resolve(next)
    failpoint('processor.resolved')
    // After the commit: before it, every rebalance would throw finished work away.
    await control.heartbeat()
  }
}

/** Chunks bounded by count and bytes; a control record is a chunk of its own. */
export function* chunksOf(
  records: readonly KafkaRecord[],
  options: {
    readonly chunkRecordsMax: number
    readonly chunkBytesMax: number
    readonly processor: { isControl(record: KafkaRecord): boolean }
  },
): Generator<readonly KafkaRecord[]> {
  let chunk: KafkaRecord[] = []
  let bytes = 0
  for (const record of records) {
    const size = record.key.length + (record.value?.length ?? 0)
    const control = options.processor.isControl(record)
    const full =
      control || chunk.length >= options.chunkRecordsMax || bytes + size > options.chunkBytesMax
    if (full && chunk.length > 0) {
      yield chunk
      chunk = []
      bytes = 0
    }
    if (control) {
      yield [record]
      continue
    }
    chunk.push(record)
    bytes += size
  }
  if (chunk.length > 0) yield chunk
}

async function workChunk<S extends PartitionStore>(
  owner: Owner<S>,
  partition: number,
  fence: Fence,
  chunk: readonly KafkaRecord[],
  next: bigint,
  control: BatchControl,
): Promise<void> {
  const { processor } = owner.options
  const store = heldBy(owner, partition).store
  const [first] = chunk
  if (first === undefined || !processor.isControl(first)) {
    await processor.prepare?.(chunk)
    await commitStep(owner, partition, fence, processor.data(store, chunk), next)
    return
  }
  // Each step is committed when the one after it is known: only the last carries the offset, so
  // that a crash in between brings the control record again. Data records could not do this: they
  // would be judged anew against newer state.
  let pending: Step | null = null
  for (const step of processor.control(store, first)) {
    if (pending !== null) {
      await commitStep(owner, partition, fence, pending, null)
      await control.heartbeat()
    }
    pending = step
  }
  await commitStep(owner, partition, fence, pending, next)
}

function heldBy<S extends PartitionStore>(owner: Owner<S>, partition: number): Held<S> {
  const held = owner.stores.get(partition)
  if (held !== undefined) return held
  const text = `partition ${partition} is no longer held here`
  throw new PipelineError('TEMPORARY_FAILURE', 'NORMALIZE', text)
}

/** One transaction; memory changes only when the broker has said yes. `next` null: no offset. */
async function commitStep<S extends PartitionStore>(
  owner: Owner<S>,
  partition: number,
  fence: Fence,
  step: Step | null,
  next: bigint | null,
): Promise<void> {
  const { groupId, inputTopic, stateTopic } = owner.options
  const written = await fence.session.commit({
    outputs: step?.outputs ?? [],
    followUp: (offsets) =>
      step === null
        ? []
        : [
            ...step.tail(offsets),
            ...step.state(offsets).map(({ key, value }) => ({
              topic: stateTopic,
              partition,
              key,
              value,
              headers: {},
            })),
          ],
    ...(next === null ? {} : { offsets: { groupId, topic: inputTopic, partition, next } }),
  })
  const held = heldBy(owner, partition)
  if (owner.fences.get(partition) !== fence) {
    // Taken away while the commit was under way; whoever holds it now reads it from the log.
    throw new PipelineError('TEMPORARY_FAILURE', 'NORMALIZE', `partition ${partition} has moved on`)
  }
  try {
    step?.apply(written)
  } catch (error) {
    // Half applied: the log knows better.
    owner.stores.delete(partition)
    throw error
  }
  failpoint('processor.applied')
  const stateOffset = written.get(partitionKey(stateTopic, partition))
  if (stateOffset !== undefined) held.position = stateOffset + 1n
  if (next !== null) fence.committed = next
  held.committedAtMs = Date.now()
}
