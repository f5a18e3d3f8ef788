// Finds the elements of one JSON array in a stream of bytes and hands out their very bytes.
import { UNIT_BYTES_MAX } from '../contracts/topics.ts'
import { PipelineError } from '../contracts/errors.ts'

/** One element of an array, or one line of NDJSON. */
export type JsonElement = {
  /** Exactly as received; null when it exceeds the bound. */
  readonly bytes: Buffer | null
  readonly sizeBytes: number
  /** The first HEAD_BYTES_MAX bytes of an element above the bound, else empty. */
  readonly head: Buffer
  /** The parsed element; undefined when it exceeds the bound. */
  readonly value: unknown
}

/** What stood around the array. */
export type JsonBeside = {
  /** False when the document has no array at the path (null, another type, missing). */
  readonly found: boolean
  /** The whole document with the array emptied. */
  readonly value: unknown
}

/** Of an element above the bound this much is kept, so that its id can still be known. */
export const HEAD_BYTES_MAX = 64 * 1024
/** Everything outside the array together; more of it means this is not such a listing. */
const BESIDE_BYTES_MAX = 1024 * 1024
const OUTSIDE_DEPTH_MAX = 64

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const COMMA = 0x2c
const COLON = 0x3a

const isSpace = (byte: number): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/** The payload is never quoted: it may hold what a log must not. */
export const invalidJson = (what: string): PipelineError =>
  new PipelineError('INVALID_RESPONSE', 'PARSE', `the answer is not the JSON expected: ${what}`)

/** Collects one element's bytes up to the bound; above it only its size and its head. */
export class ElementBuffer {
  readonly #bytesMax: number
  #pieces: Buffer[] = []
  #sizeBytes = 0
  #head: Buffer = Buffer.alloc(0)
  #tooLarge = false

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  append(piece: Buffer): void {
    this.#sizeBytes += piece.length
    if (this.#tooLarge) return
    this.#pieces.push(piece)
    if (this.#sizeBytes <= this.#bytesMax) return
    this.#head = Buffer.concat(this.#pieces, Math.min(this.#sizeBytes, HEAD_BYTES_MAX))
    this.#tooLarge = true
    this.#pieces = []
  }

  /** The element, and a fresh start. @throws PipelineError INVALID_RESPONSE when it is no JSON */
  take(): JsonElement {
    const { sizeBytes } = this
    const [head, tooLarge, pieces] = [this.#head, this.#tooLarge, this.#pieces]
    this.#pieces = []
    this.#sizeBytes = 0
    this.#head = Buffer.alloc(0)
    this.#tooLarge = false
    if (tooLarge) return { bytes: null, sizeBytes, head, value: undefined }
    const bytes = Buffer.concat(pieces, sizeBytes)
    return { bytes, sizeBytes, head, value: parsed(bytes, 'an element') }
  }
}

function parsed(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw invalidJson(`${what} of ${bytes.length} bytes cannot be parsed`)
  }
}

type Frame = { readonly isObject: boolean; key: string | null; expectsKey: boolean }
/** Where the scanner stands: around the array, or at which place in it. */
type Place = 'outside' | 'first' | 'next' | 'after' | 'container' | 'string' | 'scalar'

/**
 * Push-style scanner: `push` returns the elements that became complete, `end` what stood beside
 * them. Memory: one element up to `bytesMax`, and what is outside the array up to 1 MiB.
 */
export class ElementScanner {
  readonly #path: readonly string[]
  readonly #element: ElementBuffer
  readonly #outside: Buffer[] = []
  #outsideBytes = 0
  readonly #frames: Frame[] = []
  #place: Place = 'outside'
  #found = false
  #depth = 0
  #inString = false
  #escaped = false
  #keyBytes: number[] | null = null

  constructor(path: readonly string[], bytesMax: number = UNIT_BYTES_MAX) {
    this.#path = path
    this.#element = new ElementBuffer(bytesMax)
  }

  /** @throws PipelineError INVALID_RESPONSE */
  push(chunk: Buffer): JsonElement[] {
    const complete: JsonElement[] = []
    let at = 0
    while (at < chunk.length) {
      if (this.#place === 'outside') at = this.#scanOutside(chunk, at)
      else if (this.#place === 'first' || this.#place === 'next' || this.#place === 'after') {
        at = this.#scanGap(chunk, at)
      } else at = this.#scanElement(chunk, at, complete)
    }
    return complete
  }

  /** @throws PipelineError INVALID_RESPONSE when the document was cut or is no JSON */
  end(): JsonBeside {
    if (this.#place !== 'outside') throw invalidJson('it ends inside the list')
    if (this.#outsideBytes === 0) throw invalidJson('it is empty')
    return { found: this.#found, value: parsed(Buffer.concat(this.#outside), 'the frame') }
  }

  #keep(piece: Buffer): void {
    this.#outsideBytes += piece.length
    if (this.#outsideBytes > BESIDE_BYTES_MAX) throw invalidJson('too much beside the list')
    // Copied: a view would keep the whole network chunk alive until the end.
    if (piece.length > 0) this.#outside.push(Buffer.from(piece))
  }

  #scanOutside(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0
      if (this.#inString) this.#stringByte(byte)
      else if (byte === OPEN_ARRAY && this.#isAtPath()) {
        if (this.#found) throw invalidJson('the list is there twice')
        this.#found = true
        this.#place = 'first'
        this.#frames.push({ isObject: false, key: null, expectsKey: false })
        this.#keep(chunk.subarray(from, at + 1))
        return at + 1
      } else this.#structureByte(byte)
    }
    this.#keep(chunk.subarray(from))
    return chunk.length
  }

  #isAtPath(): boolean {
    return (
      this.#frames.length === this.#path.length &&
      this.#frames.every((f, i) => f.isObject && !f.expectsKey && f.key === this.#path[i])
    )
  }

  #stringByte(byte: number): void {
    this.#keyBytes?.push(byte)
    if (this.#escaped) this.#escaped = false
    else if (byte === BACKSLASH) this.#escaped = true
    else if (byte === QUOTE) {
      this.#inString = false
      const frame = this.#frames.at(-1)
      if (this.#keyBytes && frame) {
        frame.key = String(parsed(Buffer.from([QUOTE, ...this.#keyBytes]), 'a key'))
        this.#keyBytes = null
      }
    }
  }

  #structureByte(byte: number): void {
    const frame = this.#frames.at(-1)
    if (byte === QUOTE) {
      this.#inString = true
      this.#keyBytes = frame?.expectsKey === true ? [] : null
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      if (this.#frames.length >= OUTSIDE_DEPTH_MAX) throw invalidJson('nested too deeply')
      const isObject = byte === OPEN_OBJECT
      this.#frames.push({ isObject, key: null, expectsKey: isObject })
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      if (!this.#frames.pop()) throw invalidJson('a bracket too many')
    } else if (byte === COLON && frame) frame.expectsKey = false
    else if (byte === COMMA && frame) frame.expectsKey = frame.isObject
  }

  #scanGap(chunk: Buffer, at: number): number {
    const byte = chunk[at] ?? 0
    if (isSpace(byte)) return at + 1
    if (byte === CLOSE_ARRAY && this.#place !== 'next') {
      this.#place = 'outside'
      // Left in the chunk: it closes the emptied list in what is kept beside the elements.
      return at
    }
    if (this.#place === 'after') {
      if (byte !== COMMA) throw invalidJson('no comma between two elements')
      this.#place = 'next'
      return at + 1
    }
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.#place = 'container'
    else if (byte === QUOTE) this.#place = 'string'
    else if (byte === COMMA || byte === CLOSE_ARRAY) throw invalidJson('an element is missing')
    else this.#place = 'scalar'
    this.#depth = 0
    return at
  }

  #scanElement(chunk: Buffer, from: number, complete: JsonElement[]): number {
    const end = this.#place === 'scalar' ? scalarEnd(chunk, from) : this.#containerEnd(chunk, from)
    if (end === -1) {
      this.#element.append(chunk.subarray(from))
      return chunk.length
    }
    this.#element.append(chunk.subarray(from, end))
    complete.push(this.#element.take())
    this.#place = 'after'
    return end
  }

  /** Index after the element, or -1 when it goes on in the next chunk. The hot loop. */
  #containerEnd(chunk: Buffer, from: number): number {
    const isString = this.#place === 'string'
    let [depth, inString, escaped] = [this.#depth, this.#inString, this.#escaped]
    let end = -1
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at]
      if (inString) {
        if (escaped) escaped = false
        else if (byte === BACKSLASH) escaped = true
        else if (byte === QUOTE) {
          inString = false
          if (isString) end = at + 1
        }
      } else if (byte === QUOTE) inString = true
      else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth += 1
      else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        depth -= 1
        if (depth === 0) end = at + 1
      }
      if (end !== -1) break
    }
    this.#depth = depth
    this.#inString = inString
    this.#escaped = escaped
    return end
  }
}

function scalarEnd(chunk: Buffer, from: number): number {
  for (let at = from; at < chunk.length; at += 1) {
    const byte = chunk[at] ?? 0
    if (byte === COMMA || byte === CLOSE_ARRAY || isSpace(byte)) return at
  }
  return -1
}

/**
 * The elements of the array at `path` (`[]`: the document itself is the array).
 * @throws PipelineError INVALID_RESPONSE when the document is cut, followed by more, or no JSON
 */
export async function* jsonElements(
  body: AsyncIterable<Buffer>,
  path: readonly string[],
  bytesMax: number = UNIT_BYTES_MAX,
): AsyncGenerator<JsonElement, JsonBeside> {
  const scanner = new ElementScanner(path, bytesMax)
  for await (const chunk of body) yield* scanner.push(chunk)
  return scanner.end()
}

/**
 * The members of an object whose text was cut: those that are complete in `head`. Empty when it
 * is no object. For the ids of elements above the bound.
 */
export function cutObject(head: Buffer): Readonly<Record<string, unknown>> {
  let [depth, inString, escaped, lastComma] = [0, false, false, -1]
  for (let at = 0; at < head.length; at += 1) {
    const byte = head[at]
    if (inString) {
      if (escaped) escaped = false
      else if (byte === BACKSLASH) escaped = true
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth += 1
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth -= 1
    else if (byte === COMMA && depth === 1) lastComma = at
  }
  if (head[0] !== OPEN_OBJECT || lastComma === -1) return {}
  try {
    const whole = `${head.subarray(0, lastComma).toString('utf8')}}`
    return JSON.parse(whole) as Record<string, unknown>
  } catch {
    return {}
  }
}
