// As much of Kafka's protocol as the attacks need: frames, headers, and the primitives in them.

/** The numbers of the requests that attacks speak of. */
export const API = {
  produce: 0,
  fetch: 1,
  metadata: 3,
  offsetFetch: 9,
  findCoordinator: 10,
  heartbeat: 12,
  initProducerId: 22,
  addPartitionsToTxn: 24,
  addOffsetsToTxn: 25,
  endTxn: 26,
  txnOffsetCommit: 28,
  electLeaders: 43,
  alterPartitionReassignments: 45,
} as const

/** Errors that a rule may let a broker answer with. */
export const ERROR = { notLeader: 6, coordinatorLoading: 14, concurrentTransactions: 51 } as const

const FRAME_BYTES_MAX = 64 * 1024 * 1024

/** Cuts a stream of bytes into frames, whose length is theirs alone. @throws Error when too long */
export class FrameSplitter {
  private rest: Buffer = Buffer.alloc(0)

  push(bytes: Buffer): Buffer[] {
    let rest: Buffer = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes])
    const frames: Buffer[] = []
    while (rest.length >= 4) {
      const length = rest.readInt32BE(0)
      if (length < 0 || length > FRAME_BYTES_MAX) throw new Error(`a frame of ${length} bytes`)
      if (rest.length < 4 + length) break
      frames.push(rest.subarray(4, 4 + length))
      rest = rest.subarray(4 + length)
    }
    this.rest = rest
    return frames
  }
}

/** A frame as it goes over the wire. */
export function framed(...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([new WireWriter().int32(body.length).bytes(), body])
}

/** Reads primitives one after the other; strings with a length of two bytes. */
export class WireReader {
  readonly buffer: Buffer
  at = 0

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  int16(): number {
    this.at += 2
    return this.buffer.readInt16BE(this.at - 2)
  }

  int32(): number {
    this.at += 4
    return this.buffer.readInt32BE(this.at - 4)
  }

  string(): string | null {
    const length = this.int16()
    if (length < 0) return null
    this.at += length
    return this.buffer.toString('utf8', this.at - length, this.at)
  }

  /** What is left. */
  rest(): Buffer {
    return this.buffer.subarray(this.at)
  }
}

/** Writes primitives; the compact forms are those of the newer, flexible requests. */
export class WireWriter {
  private readonly parts: Buffer[] = []

  int8(value: number): this {
    return this.add(1, (bytes) => bytes.writeInt8(value))
  }

  int16(value: number): this {
    return this.add(2, (bytes) => bytes.writeInt16BE(value))
  }

  int32(value: number): this {
    return this.add(4, (bytes) => bytes.writeInt32BE(value))
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1)
    const bytes = Buffer.from(value)
    this.int16(bytes.length).parts.push(bytes)
    return this
  }

  /** Length + 1 in one byte: for the short ones only. */
  compactString(value: string): this {
    const bytes = Buffer.from(value)
    this.compactLength(bytes.length).parts.push(bytes)
    return this
  }

  compactLength(length: number): this {
    const value = length + 1
    // Two groups of seven bits are enough for names and for the partitions of one topic.
    return value < 0x80 ? this.byte(value) : this.byte((value & 0x7f) | 0x80).byte(value >> 7)
  }

  /** No tagged fields. */
  noTags(): this {
    return this.byte(0)
  }

  bytes(): Buffer {
    return Buffer.concat(this.parts)
  }

  private byte(value: number): this {
    return this.add(1, (bytes) => bytes.writeUInt8(value))
  }

  private add(length: number, write: (bytes: Buffer) => void): this {
    const bytes = Buffer.alloc(length)
    write(bytes)
    this.parts.push(bytes)
    return this
  }
}
