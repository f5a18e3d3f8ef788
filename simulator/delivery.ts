// Sends an answer: whole or in chunks, gzipped when accepted, broken where a fault says so.
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { createGzip, gzip, gzipSync } from 'node:zlib'
import type { SetFault } from './faults.ts'

export type Answer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Blocks are sent chunked. */
  readonly body: Buffer | Iterable<Buffer>
}

const GZIP_BYTES_MIN = 256
const gzipAsync = promisify(gzip)

/** An answer whose body is JSON text. */
export const json = (
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): Answer => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: Buffer.from(JSON.stringify(value)),
})
/** A plain text answer; empty text gives an empty body. */
export const text = (
  status: number,
  body: string,
  headers: Record<string, string> = {},
): Answer => ({
  status,
  headers: { 'content-type': 'text/plain', ...headers },
  body: Buffer.from(body),
})
/** A page as a proxy or gateway shows it. */
export const html = (status: number, title: string): Answer => ({
  status,
  headers: { 'content-type': 'text/html' },
  body: Buffer.from(
    `<html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>\n`,
  ),
})

/** Sends `answer` and resolves when it is out, or when the client has gone. */
export async function deliver(
  response: ServerResponse,
  answer: Answer,
  fault: SetFault | null,
  acceptEncoding: string,
): Promise<void> {
  const zipped = /\bgzip\b/.test(acceptEncoding)
  if (Buffer.isBuffer(answer.body)) {
    await sendWhole(response, answer, answer.body, fault, zipped)
    return
  }
  if (fault?.kind === 'reset' || fault?.kind === 'truncate') {
    await sendBroken(response, answer, answer.body, fault, zipped)
    return
  }
  const encoding = zipped ? { 'content-encoding': 'gzip' } : {}
  response.writeHead(answer.status, { ...answer.headers, ...encoding })
  const source = Readable.from(slowed(answer.body, fault, response))
  const sent = zipped
    ? pipeline(source, createGzip({ level: 1 }), response)
    : pipeline(source, response)
  await sent.catch(onlyWhenLeft)
}

async function sendWhole(
  response: ServerResponse,
  answer: Answer,
  whole: Buffer,
  fault: SetFault | null,
  accepted: boolean,
): Promise<void> {
  const cut = fault?.kind === 'truncate' && fault.form === 'json'
  const plain = cut ? half(whole) : whole
  const zipped = accepted && plain.length >= GZIP_BYTES_MIN
  const sent = zipped ? await gzipAsync(plain, { level: 1 }) : plain
  const cutGzip = fault?.kind === 'truncate' && fault.form === 'gzip'
  const body = cutGzip ? half(sent) : sent
  response.writeHead(answer.status, {
    ...answer.headers,
    ...(zipped ? { 'content-encoding': 'gzip' } : {}),
    'content-length': String(body.length),
  })
  if (fault?.kind === 'reset') return breakOff(response, half(body), 'reset')
  if (fault?.kind === 'truncate' && fault.form === 'length') {
    return breakOff(response, half(body), 'close')
  }
  if (fault?.kind === 'slow-body') {
    const source = Readable.from(slowed([body], fault, response))
    return pipeline(source, response).catch(onlyWhenLeft)
  }
  return new Promise((resolve) => {
    response.once('close', resolve)
    response.end(body)
  })
}

/** Half of the first block, and no more. */
async function sendBroken(
  response: ServerResponse,
  answer: Answer,
  blocks: Iterable<Buffer>,
  fault: SetFault & { kind: 'reset' | 'truncate' },
  zipped: boolean,
): Promise<void> {
  const [whole = Buffer.alloc(0)] = blocks
  const cutGzip = fault.kind === 'truncate' && fault.form === 'gzip' && zipped
  const first = cutGzip ? gzipSync(whole) : whole
  const encoding = cutGzip ? { 'content-encoding': 'gzip' } : {}
  response.writeHead(answer.status, { ...answer.headers, ...encoding })
  if (fault.kind === 'reset') return breakOff(response, half(first), 'reset')
  if (fault.form === 'length') return breakOff(response, half(first), 'close')
  return new Promise((resolve) => {
    response.once('close', resolve)
    response.end(half(first))
  })
}

/** The blocks, for `slow-body` each in pieces with pauses before them. */
async function* slowed(
  blocks: Iterable<Buffer>,
  fault: SetFault | null,
  response: ServerResponse,
): AsyncGenerator<Buffer> {
  if (fault?.kind !== 'slow-body') {
    yield* blocks
    return
  }
  for (const block of blocks) {
    const bytes = Math.max(1, Math.ceil(block.length / fault.pieces))
    for (let from = 0; from < block.length && !response.destroyed; from += bytes) {
      await wait(fault.delayMs, undefined, { ref: false })
      yield block.subarray(from, from + bytes)
    }
  }
}

function breakOff(response: ServerResponse, part: Buffer, how: 'reset' | 'close'): Promise<void> {
  return new Promise((resolve) => {
    response.once('close', resolve)
    response.write(part, () => {
      // A reset may overtake bytes still in flight: hence only once they are handed over.
      if (how === 'reset') response.socket?.resetAndDestroy()
      else response.socket?.end()
    })
  })
}

const half = (body: Buffer): Buffer => body.subarray(0, Math.floor(body.length / 2))

/** A client that leaves in the middle is no fault of ours. */
function onlyWhenLeft(error: NodeJS.ErrnoException): void {
  const left = ['ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'EPIPE', 'ERR_STREAM_DESTROYED']
  if (!left.includes(error.code ?? '')) throw error
}
