// Details of single items, a call each: what fails for one of them must not end all the others.
import { type Failure, PipelineError } from '../contracts/errors.ts'
import type { PullContext } from '../contracts/ports.ts'
import { Tries } from './http-retry.ts'
import type { CallOptions, HttpClient } from './http.ts'

/** Of one answer. */
const DETAILS_BYTES_MAX = 4 * 1024 * 1024
/** Items in a row that fail after all tries: then it is not the items. */
const FAILED_IN_A_ROW_MAX = 3

/**
 * The very bytes of one answer by POST, which is JSON.
 * @throws PipelineError after the last try; PAYLOAD_TOO_LARGE above DETAILS_BYTES_MAX
 */
export async function detailsOf(
  http: HttpClient,
  path: string,
  options: CallOptions,
): Promise<Buffer> {
  const tries = new Tries()
  for (;;) {
    try {
      const { body } = await http.stream('POST', path, options)
      return await wholeJson(body, path)
    } catch (error) {
      await http.recover(error, tries, options)
    }
  }
}

async function wholeJson(body: AsyncIterable<Buffer>, path: string): Promise<Buffer> {
  const pieces: Buffer[] = []
  let sizeBytes = 0
  for await (const piece of body) {
    pieces.push(piece)
    sizeBytes += piece.length
    if (sizeBytes > DETAILS_BYTES_MAX) throw tooLarge(path)
  }
  const whole = Buffer.concat(pieces, sizeBytes)
  try {
    JSON.parse(whole.toString('utf8'))
  } catch {
    // The parser's own message quotes the payload.
    throw new PipelineError('INVALID_RESPONSE', 'PARSE', `an answer of ${path} is no JSON`)
  }
  return whole
}

/** Not asked for again: it would be as large. */
const tooLarge = (path: string): PipelineError =>
  new PipelineError(
    'PAYLOAD_TOO_LARGE',
    'FETCH',
    `an answer of ${path} exceeds ${DETAILS_BYTES_MAX / 1024 / 1024} MiB`,
    { remediation: 'Nothing to do: the item is given without these details.' },
  )

/** Beside TEMPORARY_FAILURE, which is one of the call itself where no answer came. */
const OF_ONE_ITEM: ReadonlySet<Failure> = new Set<Failure>([
  'INVALID_RESPONSE',
  'PAYLOAD_TOO_LARGE',
  'BAD_REQUEST',
  'NOT_FOUND',
])

/** The vendor answers, and this answer is of no use: another item may get a better one. */
export function isOfOneItem(error: unknown): error is PipelineError {
  if (!(error instanceof PipelineError)) return false
  if (error.failure !== 'TEMPORARY_FAILURE') return OF_ONE_ITEM.has(error.failure)
  return (error.details.http?.status ?? null) !== null
}

/** Items that failed for good: told once in a run, and only so many in a row are tried. */
export class FailedItems {
  readonly #report: PullContext['report']
  #hasTold = false
  #inARow = 0

  constructor({ report }: Pick<PullContext, 'report'>) {
    this.#report = report
  }

  /** True: no further one should be asked for in this run. */
  get areTooMany(): boolean {
    return this.#inARow >= FAILED_IN_A_ROW_MAX
  }

  add(error: PipelineError): void {
    if (!this.#hasTold) this.#report(error)
    this.#hasTold = true
    // A refusal costs one request, a failure that may pass all tries and their waits.
    if (error.retriable) this.#inARow += 1
  }

  /** One that did not fail. */
  passed(): void {
    this.#inARow = 0
  }
}
