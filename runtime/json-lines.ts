// Splits NDJSON into its lines and hands out their very bytes, with the bounds of json-elements.
import { UNIT_BYTES_MAX } from '../contracts/topics.ts'
import { ElementBuffer, type JsonElement } from './json-elements.ts'

const NEWLINE = 0x0a
const isSpace = (byte: number | undefined): boolean =>
  byte === 0x20 || byte === NEWLINE || byte === 0x0d || byte === 0x09

/** Push-style: `push` and `end` return the lines that became complete. Blank lines are dropped. */
export class LineScanner {
  readonly #line: ElementBuffer
  /** Spaces met after the line's text: part of the line only if more text follows. */
  #spaces: Buffer[] = []

  constructor(bytesMax: number = UNIT_BYTES_MAX) {
    this.#line = new ElementBuffer(bytesMax)
  }

  /** @throws PipelineError INVALID_RESPONSE when a line is no JSON */
  push(chunk: Buffer): JsonElement[] {
    const complete: JsonElement[] = []
    let from = 0
    while (from < chunk.length) {
      const newline = chunk.indexOf(NEWLINE, from)
      this.#append(chunk.subarray(from, newline === -1 ? chunk.length : newline))
      if (newline === -1) break
      complete.push(...this.end())
      from = newline + 1
    }
    return complete
  }

  /** The last line may lack its newline. @throws PipelineError INVALID_RESPONSE when it was cut */
  end(): JsonElement[] {
    this.#spaces = []
    return this.#line.sizeBytes === 0 ? [] : [this.#line.take()]
  }

  #append(piece: Buffer): void {
    let start = 0
    let end = piece.length
    if (this.#line.sizeBytes === 0) while (start < end && isSpace(piece[start])) start += 1
    while (end > start && isSpace(piece[end - 1])) end -= 1
    if (end > start) {
      for (const space of this.#spaces) this.#line.append(space)
      this.#spaces = []
      this.#line.append(piece.subarray(start, end))
    }
    if (this.#line.sizeBytes > 0 && end < piece.length) this.#spaces.push(piece.subarray(end))
  }
}

/** The lines of an NDJSON body. @throws PipelineError INVALID_RESPONSE when a line is no JSON */
export async function* jsonLines(
  body: AsyncIterable<Buffer>,
  bytesMax: number = UNIT_BYTES_MAX,
): AsyncGenerator<JsonElement, void> {
  const scanner = new LineScanner(bytesMax)
  for await (const chunk of body) yield* scanner.push(chunk)
  yield* scanner.end()
}
