// Encodes a record of a produce request in one pass, byte for byte as kafkajs does in many.

type Bytes = Buffer | string | null | undefined
export type RecordInput = {
  readonly offsetDelta?: number
  readonly timestampDelta?: number
  readonly key?: Bytes
  readonly value?: Bytes
  readonly headers?: Readonly<Record<string, unknown>>
}
/** What kafkajs takes for one of its encoders here. */
export type EncodedRecord = { readonly buf: Buffer; readonly buffer: Buffer }
export type EncodeRecord = (input: RecordInput) => EncodedRecord

/** Beyond 32 bits of zig-zag the stock encoder is asked: it has 64. */
const DELTA_MAX = 2 ** 30

const zigZag = (value: number): number => ((value << 1) ^ (value >> 31)) >>> 0

function sizeOfVarint(value: number): number {
  const bits = 32 - Math.clz32(zigZag(value) | 1)
  return Math.ceil(bits / 7)
}

function writeVarint(bytes: Buffer, at: number, value: number): number {
  let rest = zigZag(value)
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

const lengthOf = (value: Bytes): number =>
  value === null || value === undefined
    ? -1
    : typeof value === 'string'
      ? Buffer.byteLength(value)
      : value.length

const sizeOfBlock = (length: number): number => sizeOfVarint(length) + Math.max(length, 0)

function writeBlock(bytes: Buffer, start: number, value: Bytes, length: number): number {
  const at = writeVarint(bytes, start, length)
  if (value === null || value === undefined) return at
  if (typeof value === 'string') bytes.write(value, at, length)
  else value.copy(bytes, at)
  return at + length
}

const isBytes = (value: unknown): value is Bytes =>
  value === null || value === undefined || typeof value === 'string' || Buffer.isBuffer(value)

/**
 * The stock encoder zeroes 512 bytes for every record and header and copies each value several
 * times, which is what most of the time of a produce request goes into. `stock` is asked for what
 * this one does not know: repeated headers, times far apart.
 */
export function encodeRecordWith(stock: EncodeRecord): EncodeRecord {
  return (input) => {
    const { offsetDelta = 0, timestampDelta = 0, key, value, headers = {} } = input
    if (Math.abs(timestampDelta) > DELTA_MAX || !isBytes(key) || !isBytes(value)) {
      return stock(input)
    }
    const names = Object.keys(headers)
    const keyLength = lengthOf(key)
    const valueLength = lengthOf(value)
    let body = 1 + sizeOfVarint(timestampDelta) + sizeOfVarint(offsetDelta)
    body += sizeOfBlock(keyLength) + sizeOfBlock(valueLength) + sizeOfVarint(names.length)
    for (const name of names) {
      const header = headers[name]
      if (typeof header !== 'string' && !Buffer.isBuffer(header)) return stock(input)
      body += sizeOfBlock(Buffer.byteLength(name)) + sizeOfBlock(lengthOf(header))
    }
    const bytes = Buffer.allocUnsafe(sizeOfVarint(body) + body)
    let at = writeVarint(bytes, 0, body)
    bytes[at++] = 0 // attributes: none are defined
    at = writeVarint(bytes, at, timestampDelta)
    at = writeVarint(bytes, at, offsetDelta)
    at = writeBlock(bytes, at, key, keyLength)
    at = writeBlock(bytes, at, value, valueLength)
    at = writeVarint(bytes, at, names.length)
    for (const name of names) {
      const header = headers[name]
      if (!isBytes(header)) return stock(input)
      at = writeBlock(bytes, at, name, Buffer.byteLength(name))
      at = writeBlock(bytes, at, header, lengthOf(header))
    }
    return { buf: bytes, buffer: bytes }
  }
}
