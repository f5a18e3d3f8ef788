// Encodes a record of a produce request in one pass, byte for byte as kafkajs does in many.

type Bytes = Buffer | string | null | undefined
export type RecordInput = {
  readonly offsetDelta?: number
  readonly timestampDelta?: number
  readonly key?: Bytes
  readonly value?: Bytes
  /** Or pairs of name and value, where an object cannot say it. */
  readonly headers?: Readonly<Record<string, unknown>> | readonly Header[]
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

type Header = readonly [name: string | Buffer, value: Bytes]

/** Null where there is one that only the stock encoder knows. */
function headersOf({ headers = {} }: RecordInput): readonly Header[] | null {
  if (Array.isArray(headers)) return headers as readonly Header[]
  const pairs: Header[] = []
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string' && !Buffer.isBuffer(value)) return null
    pairs.push([name, value])
  }
  return pairs
}

/**
 * The stock encoder zeroes 512 bytes for every record and header and copies each value several
 * times, which is what most of the time of a produce request goes into. `stock` is asked for what
 * this one does not know: repeated headers in an object, times far apart.
 */
export function encodeRecordWith(stock: EncodeRecord): EncodeRecord {
  return (input) => {
    const { offsetDelta = 0, timestampDelta = 0, key, value } = input
    const headers = headersOf(input)
    const isKnown = headers !== null && isBytes(key) && isBytes(value)
    if (!isKnown || Math.abs(timestampDelta) > DELTA_MAX) return stock(input)
    const keyLength = lengthOf(key)
    const valueLength = lengthOf(value)
    let body = 1 + sizeOfVarint(timestampDelta) + sizeOfVarint(offsetDelta)
    body += sizeOfBlock(keyLength) + sizeOfBlock(valueLength) + sizeOfVarint(headers.length)
    for (const [name, header] of headers) {
      body += sizeOfBlock(lengthOf(name)) + sizeOfBlock(lengthOf(header))
    }
    const bytes = Buffer.allocUnsafe(sizeOfVarint(body) + body)
    let at = writeVarint(bytes, 0, body)
    bytes[at++] = 0 // attributes: none are defined
    at = writeVarint(bytes, at, timestampDelta)
    at = writeVarint(bytes, at, offsetDelta)
    at = writeBlock(bytes, at, key, keyLength)
    at = writeBlock(bytes, at, value, valueLength)
    at = writeVarint(bytes, at, headers.length)
    for (const [name, header] of headers) {
      at = writeBlock(bytes, at, name, lengthOf(name))
      at = writeBlock(bytes, at, header, lengthOf(header))
    }
    return { buf: bytes, buffer: bytes }
  }
}
