// Replacements inside kafkajs 2.2.4. They must be in place before kafkajs itself is loaded.
import { createRequire } from 'node:module'
import { PipelineError } from '../../contracts/errors.ts'
import { environment } from '../environment.ts'
import { encodeRecordWith, type EncodeRecord } from './record-encoder.ts'
import type { HeaderBytes } from './record-text.ts'
import { sendMessagesWith, type CreateSendMessages, type SendTools } from './send-messages.ts'

const require = createRequire(import.meta.url)
const VERSION = '2.2.4'

// The shapes below are those of kafkajs' own sources, which have no types.
type RecordContext = {
  readonly producerId: string
  readonly inTransaction: boolean
  readonly isControlBatch: boolean
}
type DecodedRecord = {
  readonly offset: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly isControlRecord: boolean
  readonly batchContext: RecordContext
  readonly [other: string]: unknown
}
type DecodedBatch = RecordContext & {
  readonly firstOffset: string
  readonly lastOffsetDelta: number
  readonly maxTimestamp: string
  readonly records: DecodedRecord[]
}
type AbortedTransaction = { readonly producerId: string; readonly firstOffset: string }
type FilterInput = {
  readonly messages: DecodedRecord[]
  readonly abortedTransactions?: readonly AbortedTransaction[] | null
}
type Decode = (decoder: object) => Promise<DecodedBatch>

/**
 * Puts the replacements in place, once. The three that decide correctness are left out when
 * EXPOSURE_KAFKA_CURES is `off`, so that a test can show what happens without them.
 * @throws PipelineError INTERNAL for another kafkajs, or when it has been loaded already
 */
export function applyCures(): void {
  const { version } = require('kafkajs/package.json') as { version: string }
  if (version !== VERSION) {
    throw new PipelineError('INTERNAL', 'CONFIG', `kafkajs is ${version}, must be ${VERSION}`)
  }
  if (require.cache[require.resolve('kafkajs')] !== undefined) {
    throw new PipelineError('INTERNAL', 'CONFIG', 'kafkajs was loaded before its cures')
  }
  // Those that others load come first: who has loaded the stock one keeps it.
  replace<EncodeRecord>('protocol/recordBatch/record/v0', encodeRecordWith)
  replace<DecodeRecord>('protocol/recordBatch/record/v0/decoder', keepingHeaderBytes)
  replace<GroupMessages>('producer/groupMessagesPerPartition', () => groupPerPartition)
  const isOff = environment('EXPOSURE_KAFKA_CURES') === 'off'
  replace<Decode>('protocol/recordBatch/v0/decoder', (decode) =>
    boundedByBytes(isOff ? decode : movingPastHoles(decode)),
  )
  if (!isOff) {
    replace<(input: FilterInput) => DecodedRecord[]>(
      'consumer/filterAbortedMessages',
      () => withoutAborted,
    )
    replace<CreateSendMessages>('producer/sendMessages', sendingOnce)
  }
  showEmptyBatches(require('kafkajs/src/consumer/batch') as { prototype: BatchLike })
  quietRequestQueue(require('kafkajs/src/network/requestQueue') as { prototype: QueueLike })
  connectOnce(require('kafkajs/src/network/connection') as { prototype: ConnectionLike })
}

function replace<T>(path: string, make: (stock: T) => T): void {
  const id = require.resolve(`kafkajs/src/${path}`)
  if (id in require.cache) {
    throw new PipelineError('INTERNAL', 'CONFIG', `${path} of kafkajs was loaded before its cure`)
  }
  const stock = require(id) as T
  const cached = require.cache[id]
  if (cached === undefined) throw new PipelineError('INTERNAL', 'CONFIG', `no module ${path}`)
  cached.exports = make(stock)
}

/**
 * Compaction leaves batches without records, or with a hole at their end. Stock kafkajs takes its
 * position from records alone: it asks for an empty batch again for ever, without an error. One
 * made-up control record at the batch's last offset moves it on; control records reach no handler.
 */
function movingPastHoles(decode: Decode): Decode {
  return async (decoder) => {
    const batch = await decode(decoder)
    const last = (BigInt(batch.firstOffset) + BigInt(batch.lastOffsetDelta)).toString()
    if (batch.records.at(-1)?.offset === last) return batch
    batch.records.push({
      magicByte: 2,
      attributes: 0,
      timestamp: batch.maxTimestamp,
      offset: last,
      key: null,
      value: null,
      headers: {},
      isControlRecord: true,
      batchContext: batch,
    })
    return batch
  }
}

/** Of the values that one fetch brings for one partition, but for the batch that goes beyond it. */
export const FETCHED_VALUE_BYTES_MAX = 8 * 1024 * 1024

/**
 * A fetch is asked for by its compressed bytes, and a description over and over again compresses a
 * thousandfold: two megabytes would be two gigabytes in memory. What is behind the bound is left
 * as if the broker had cut it off there, and is what the next fetch begins with.
 */
function boundedByBytes(decode: Decode): Decode {
  // All batches of one partition in one answer are read from the same decoder.
  const read = new WeakMap<object, number>()
  return async (decoder) => {
    const before = read.get(decoder) ?? 0
    if (before >= FETCHED_VALUE_BYTES_MAX) {
      throw Object.assign(new Error('enough for one fetch'), { name: 'KafkaJSPartialMessageError' })
    }
    const batch = await decode(decoder)
    const bytes = batch.records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)
    read.set(decoder, before + bytes)
    return batch
  }
}

/** A control record's key is its version (int16) and its type (int16): 0 ends an aborted one. */
const endsAborted = (record: DecodedRecord): boolean =>
  record.key !== null && record.key.length >= 4 && record.key.readInt16BE(2) === 0

/**
 * The Java client's filter. The stock one takes at most one aborted transaction per record, trusts
 * the order of the broker's list (which is that of completion) and takes any record whose key is
 * 0x00000000 for a marker: overlapping aborted transactions then leak to the handler.
 */
function withoutAborted({ messages, abortedTransactions }: FilterInput): DecodedRecord[] {
  if (abortedTransactions === undefined || abortedTransactions === null) return messages
  if (abortedTransactions.length === 0) return messages
  const begun = abortedTransactions
    .map((t) => ({ producerId: t.producerId, first: BigInt(t.firstOffset) }))
    .toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  const active = new Set<string>()
  let next = 0
  return messages.filter((record) => {
    const offset = BigInt(record.offset)
    for (let t = begun[next]; t !== undefined && t.first <= offset; t = begun[++next]) {
      active.add(t.producerId)
    }
    const { producerId, inTransaction, isControlBatch } = record.batchContext
    if (isControlBatch) {
      if (endsAborted(record)) active.delete(producerId)
      return true
    }
    return !(inTransaction && active.has(producerId)) || record.isControlRecord
  })
}

type Decoder = {
  readVarInt(): number
  readVarIntBytes(): Buffer | null
  readVarIntArray(read: unknown): unknown[]
}
type DecodeRecord = (decoder: Decoder, context?: unknown) => object
const NO_BYTES = Buffer.alloc(0)
const headerBytes = new WeakMap<object, readonly HeaderBytes[]>()

/**
 * The stock one makes text of names, and an object of the headers, which has no place for order
 * and repetition: a damaged record must come to the dead letters byte for byte. It also copies
 * that object for every header. `headers` of a message stays empty: ask `headerBytesOf`.
 */
function keepingHeaderBytes(decode: DecodeRecord): DecodeRecord {
  return (decoder, context) => {
    const pairs: HeaderBytes[] = []
    // Each record has a decoder of its own.
    decoder.readVarIntArray = () => {
      for (let left = decoder.readVarInt(); left > 0; left--) {
        pairs.push([decoder.readVarIntBytes() ?? NO_BYTES, decoder.readVarIntBytes()])
      }
      return []
    }
    const record = decode(decoder, context)
    headerBytes.set(record, pairs)
    return record
  }
}

/** The headers of a message that a consumer of this process was given, as they came. */
export const headerBytesOf = (message: object): readonly HeaderBytes[] =>
  headerBytes.get(message) ?? []

type GroupMessages = (input: {
  topic: string
  partitionMetadata: readonly unknown[]
  messages: readonly unknown[]
  partitioner: (input: unknown) => number
}) => Record<number, unknown[]>

/** The stock one copies the list for every message: 20,000 messages take 2 s instead of 3 ms. */
const groupPerPartition: GroupMessages = ({ topic, partitionMetadata, messages, partitioner }) => {
  const groups: Record<number, unknown[]> = {}
  if (partitionMetadata.length === 0) return groups
  for (const message of messages) {
    const partition = partitioner({ topic, partitionMetadata, message })
    const group = groups[partition]
    if (group === undefined) groups[partition] = [message]
    else group.push(message)
  }
  return groups
}

const sendingOnce = (): CreateSendMessages =>
  sendMessagesWith({
    groupPerPartition,
    linesOf: require('kafkajs/src/producer/responseSerializer') as SendTools['linesOf'],
  })

type BatchLike = { isEmpty(): boolean; isEmptyDueToFiltering(): boolean; rawMessages: unknown[] }

/**
 * A fetch that held only markers or aborted records passes stock handlers by, so that the offsets a
 * store or group keeps stand still behind such a tail and lag never reaches 0. Ours see it, empty.
 */
function showEmptyBatches({ prototype }: { prototype: BatchLike }): void {
  prototype.isEmptyDueToFiltering = () => false
  prototype.isEmpty = function isEmpty(this: BatchLike): boolean {
    return this.rawMessages.length === 0
  }
}

type QueueLike = {
  throttleCheckTimeoutId: NodeJS.Timeout | null
  readonly throttledUntil: number
  readonly pending: readonly unknown[]
  checkPendingRequests(): void
  scheduleCheckPendingRequests(): void
}
const QUEUE_CHECK_MS = 10

/** The stock queue polls every millisecond for ever, and with negative times; ours when it must. */
function quietRequestQueue({ prototype }: { prototype: QueueLike }): void {
  prototype.scheduleCheckPendingRequests = function schedule(this: QueueLike): void {
    const throttledMs = this.throttledUntil - Date.now()
    if (this.throttleCheckTimeoutId !== null) return
    if (throttledMs <= 0 && this.pending.length === 0) return
    const waitMs = throttledMs > 0 ? throttledMs : QUEUE_CHECK_MS
    this.throttleCheckTimeoutId = setTimeout(() => {
      this.throttleCheckTimeoutId = null
      this.checkPendingRequests()
    }, waitMs)
  }
}

type ConnectionLike = {
  connect: (this: ConnectionLike) => Promise<unknown>
  disconnect: (this: ConnectionLike) => Promise<unknown>
}

/**
 * Fetches of several partitions that meet no connection each open a socket, and all but the last
 * are forgotten: they keep a process from ending, and when the broker ends one that is idle, what
 * is under way on the other fails. Whoever comes while one is opened waits for that one, unless it
 * is given up meanwhile: stock kafkajs may then leave those that wait for it without an answer.
 */
function connectOnce({ prototype }: { prototype: ConnectionLike }): void {
  const { connect, disconnect } = prototype
  const opening = new WeakMap<ConnectionLike, Promise<unknown>>()
  prototype.connect = function connectShared(this: ConnectionLike): Promise<unknown> {
    const known = opening.get(this)
    if (known !== undefined) return known
    const connected = connect.call(this).finally(() => {
      if (opening.get(this) === connected) opening.delete(this)
    })
    opening.set(this, connected)
    return connected
  }
  prototype.disconnect = function giveUp(this: ConnectionLike): Promise<unknown> {
    opening.delete(this)
    return disconnect.call(this)
  }
}
