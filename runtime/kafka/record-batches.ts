// Decodes the answer to a Fetch request (version 11) for one partition, read_committed.
import zlib from 'node:zlib'
import { PipelineError } from '../../contracts/errors.ts'
import { type HeaderBytes, recordText } from './record-text.ts'
import type { KafkaRecord } from './types.ts'

/*
 * kafkajs' own decoding takes positions from records, so that it sees neither empty batches nor
 * holes, and copies every key and value. This one takes them from the headers of the batches.
 *
 * Fetch response v11: throttle_ms int32, error int16, session int32, [topics]
 *   topic: name string, [partitions]
 *     partition: id int32, error int16, high_watermark int64, last_stable int64, log_start int64,
 *       [aborted: producer_id int64, first_offset int64], preferred_replica int32, records bytes
 * Record batch v2: base_offset int64 @0, length int32 @8, attributes int16 @21,
 *   last_offset_delta int32 @23, first_timestamp int64 @27, max_timestamp int64 @35,
 *   producer_id int64 @43, count int32 @57, records @61
 */
const BATCH_HEADER_BYTES = 61
/** Bytes of a batch before what `length` counts. */
const BATCH_PREFIX_BYTES = 12
const TRANSACTIONAL = 0x10
const CONTROL = 0x20
const LOG_APPEND_TIME = 0x08
const CODEC_MASK = 0x07
/** A batch of ours holds at most 8 MiB and some; what claims to be far bigger is not ours. */
const UNZIPPED_BYTES_MAX = 128 * 1024 * 1024
/** zlib answers piece by piece, 16 kB by default. */
const PIECE_BYTES = 512 * 1024
const UNKNOWN_TOPIC_OR_PARTITION = 3

type Aborted = { readonly producerId: number; readonly firstOffset: number }

export type FetchedPartition = {
  /** Kafka's code; 0 is none. With another code the rest is empty. */
  readonly errorCode: number
  readonly lastStableOffset: number
  /** In order of their first offsets. */
  readonly aborted: readonly Aborted[]
  readonly records: Buffer
}

export type DecodeCounts = {
  records: number
  /** Records of aborted transactions that were left out. */
  abortedRecords: number
  /** Transaction markers met. */
  markers: number
  /** Batches without records, as compaction leaves them. */
  emptyBatches: number
}

const int64 = (bytes: Buffer, at: number): number =>
  bytes.readInt32BE(at) * 4_294_967_296 + bytes.readUInt32BE(at + 4)

const failed = (errorCode: number): FetchedPartition => ({
  errorCode,
  lastStableOffset: -1,
  aborted: [],
  records: Buffer.alloc(0),
})

/** The one partition of an answer to a fetch of one partition. */
export function decodeFetch(answer: Buffer): FetchedPartition {
  const topError = answer.readInt16BE(4)
  if (topError !== 0) return failed(topError)
  if (answer.readInt32BE(10) === 0) return failed(UNKNOWN_TOPIC_OR_PARTITION)
  let at = 14 + 2 + answer.readInt16BE(14) + 4 + 4
  const errorCode = answer.readInt16BE(at)
  if (errorCode !== 0) return failed(errorCode)
  const lastStableOffset = int64(answer, at + 10)
  at += 26
  const abortedCount = answer.readInt32BE(at)
  at += 4
  const aborted: Aborted[] = []
  for (let i = 0; i < abortedCount; i++, at += 16) {
    aborted.push({ producerId: int64(answer, at), firstOffset: int64(answer, at + 8) })
  }
  aborted.sort((a, b) => a.firstOffset - b.firstOffset)
  const size = answer.readInt32BE(at + 4)
  const records = size > 0 ? answer.subarray(at + 8, at + 8 + size) : Buffer.alloc(0)
  return { errorCode, lastStableOffset, aborted, records }
}

/** Where the next fetch begins, from the headers alone; `position` when no batch is complete. */
export function positionAfter(records: Buffer, position: number): number {
  let after = position
  for (const at of batchStarts(records)) {
    after = Math.max(after, int64(records, at) + records.readInt32BE(at + 23) + 1)
  }
  return after
}

/** Starts of the complete batches; the last one of an answer may be cut off. */
function* batchStarts(records: Buffer): Generator<number> {
  let at = 0
  while (at + BATCH_HEADER_BYTES <= records.length) {
    const next = at + BATCH_PREFIX_BYTES + records.readInt32BE(at + 8)
    if (next > records.length) return
    yield at
    at = next
  }
}

/**
 * Hands every committed record at or above `from` to `onRecord`, in order. Values are views of the
 * whole answer: copy what is kept. @throws PipelineError INVALID_RESPONSE for an unknown codec
 */
export function decodeRecords(
  source: { readonly topic: string; readonly partition: number; readonly from: number },
  fetched: FetchedPartition,
  counts: DecodeCounts,
  onRecord: (record: KafkaRecord) => void,
): void {
  const { records, aborted } = fetched
  const active = new Set<number>()
  let next = 0
  for (const at of batchStarts(records)) {
    const attributes = records.readInt16BE(at + 21)
    const lastOffset = int64(records, at) + records.readInt32BE(at + 23)
    const producerId = int64(records, at + 43)
    const count = records.readInt32BE(at + 57)
    for (let t = aborted[next]; t !== undefined && t.firstOffset <= lastOffset;) {
      active.add(t.producerId)
      t = aborted[++next]
    }
    if (count === 0) {
      counts.emptyBatches++
    } else if ((attributes & CONTROL) !== 0) {
      counts.markers++
      if (isAbortMarker(records, at)) active.delete(producerId)
    } else if ((attributes & TRANSACTIONAL) !== 0 && active.has(producerId)) {
      counts.abortedRecords += count
    } else {
      counts.records += decodeBatch(source, records, at, onRecord)
    }
  }
}

/** The key of a marker is version int16, type int16; type 0 is abort. Markers are never packed. */
function isAbortMarker(bytes: Buffer, batchAt: number): boolean {
  const read = new VarintReader(bytes, batchAt + BATCH_HEADER_BYTES)
  read.varint() // length
  read.at += 1 // attributes
  read.varint() // time
  read.varint() // offset
  const keyLength = read.varint()
  return keyLength >= 4 && bytes.readInt16BE(read.at + 2) === 0
}

class VarintReader {
  readonly bytes: Buffer
  at: number

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes
    this.at = at
  }

  /** Zig-zag, at most 64 bits, of which the lower 53 are kept exactly. */
  varint(): number {
    let byte = this.bytes.readUInt8(this.at++)
    let value = byte & 0x7f
    for (let scale = 128; byte >= 0x80; scale *= 128) {
      byte = this.bytes.readUInt8(this.at++)
      value += (byte & 0x7f) * scale
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /** A length and that many bytes; null for length -1. */
  block(): Buffer | null {
    const length = this.varint()
    if (length < 0) return null
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }
}

function decodeBatch(
  source: { readonly topic: string; readonly partition: number; readonly from: number },
  batch: Buffer,
  at: number,
  onRecord: (record: KafkaRecord) => void,
): number {
  const { topic, partition, from } = source
  const attributes = batch.readInt16BE(at + 21)
  const baseOffset = int64(batch, at)
  const firstMs = int64(batch, at + 27)
  const appendedMs = (attributes & LOG_APPEND_TIME) === 0 ? null : int64(batch, at + 35)
  const count = batch.readInt32BE(at + 57)
  const end = at + BATCH_PREFIX_BYTES + batch.readInt32BE(at + 8)
  const read = unpacked(attributes & CODEC_MASK, batch, at + BATCH_HEADER_BYTES, end)
  let delivered = 0
  for (let i = 0; i < count; i++) {
    const length = read.varint()
    const next = read.at + length
    read.at += 1 // attributes: none are defined
    const timestampMs = appendedMs ?? firstMs + read.varint()
    if (appendedMs !== null) read.varint()
    const offset = baseOffset + read.varint()
    if (offset >= from) {
      const key = read.block()
      const value = read.block()
      const text = recordText(key, readHeaders(read))
      onRecord({ topic, partition, offset: BigInt(offset), timestampMs, value, ...text })
      delivered++
    }
    read.at = next
  }
  return delivered
}

const NO_HEADERS: readonly HeaderBytes[] = []
const NO_BYTES = Buffer.alloc(0)

function readHeaders(read: VarintReader): readonly HeaderBytes[] {
  const count = read.varint()
  if (count <= 0) return NO_HEADERS
  const headers: HeaderBytes[] = []
  for (let i = 0; i < count; i++) headers.push([read.block() ?? NO_BYTES, read.block()])
  return headers
}

function unpacked(codec: number, batch: Buffer, start: number, end: number): VarintReader {
  if (codec === 0) return new VarintReader(batch, start)
  const packed = batch.subarray(start, end)
  const bounds = { chunkSize: PIECE_BYTES, maxOutputLength: UNZIPPED_BYTES_MAX }
  if (codec === 1) return new VarintReader(zlib.gunzipSync(packed, bounds), 0)
  if (codec === 4) return new VarintReader(zlib.zstdDecompressSync(packed, bounds), 0)
  const text = `records are compressed with codec ${codec}; known are none, gzip and zstd`
  throw new PipelineError('INVALID_RESPONSE', 'PARSE', text)
}
