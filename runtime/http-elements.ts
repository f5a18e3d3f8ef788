// A listing's page as elements in their own bytes, fetched again as a whole when it breaks.
import { PipelineError } from '../contracts/errors.ts'
import { asHttpError } from './http-errors.ts'
import type { CallOptions, HttpClient } from './http.ts'
import { Tries } from './http-retry.ts'
import type { HttpHeaders } from './http-transport.ts'
import { type JsonBeside, type JsonElement, jsonElements } from './json-elements.ts'
import { jsonLines } from './json-lines.ts'

export type PageElement = {
  readonly element: JsonElement
  /** Which fetch of the page it is from, from 1: a later one gives all elements once more. */
  readonly attempt: number
  /** When the answer began to arrive. */
  readonly fetchedAtMs: number
}

export type PageEnd = {
  readonly headers: HttpHeaders
  readonly beside: JsonBeside
  /** Elements of the last fetch. */
  readonly count: number
  readonly attempt: number
  readonly fetchedAtMs: number
}

export type PageRequest = {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly options: CallOptions
  /** Path of the array in the answer; `lines` for NDJSON. */
  readonly at: readonly string[] | 'lines'
  /** Another form of the body, e.g. without a layer of gzip. */
  readonly decode?: (body: AsyncGenerator<Buffer, void>) => AsyncIterable<Buffer>
  /** @throws PipelineError when the page is not what it should be: it is fetched again */
  readonly verify?: (end: PageEnd) => void
  /** Fetches at most; default: as the policy says. 1 where the caller has a better way to go on. */
  readonly fetchesMax?: number
  readonly nowMs: () => number
}

/**
 * Elements of one page as they arrive. When the body breaks, is cut or fails `verify`, the page is
 * fetched again and all its elements come once more under the next attempt: whoever reads them
 * drops those that it has taken already.
 * @throws PipelineError after the last try
 */
export async function* pageElements(
  http: HttpClient,
  request: PageRequest,
): AsyncGenerator<PageElement, PageEnd> {
  const tries = new Tries()
  for (let attempt = 1; ; attempt += 1) {
    // A refusal has been tried often enough below this level.
    const answer = await http.stream(request.method, request.path, request.options)
    const fetchedAtMs = request.nowMs()
    try {
      const body = request.decode ? request.decode(answer.body) : answer.body
      const scanner = elementsOf(body, request.at)
      let count = 0
      for (;;) {
        const next = await scanner.next()
        if (next.done === true) {
          const end = { headers: answer.headers, beside: next.value, count, attempt, fetchedAtMs }
          request.verify?.(end)
          return end
        }
        count += 1
        yield { element: next.value, attempt, fetchedAtMs }
      }
    } catch (thrown) {
      // A further layer of decoding has errors of its own.
      const { method, path: url } = request
      const error = asHttpError(thrown, { method, url, stage: 'FETCH' })
      if (attempt >= (request.fetchesMax ?? Infinity)) throw error
      await http.recover(error, tries, request.options)
    } finally {
      await answer.body.return(undefined)
    }
  }
}

const NO_FRAME: JsonBeside = { found: true, value: null }

async function* elementsOf(
  body: AsyncIterable<Buffer>,
  at: readonly string[] | 'lines',
): AsyncGenerator<JsonElement, JsonBeside> {
  if (at !== 'lines') return yield* jsonElements(body, at)
  yield* jsonLines(body)
  return NO_FRAME
}

/** For `verify`: an answer without its list, and not just an empty one. */
export const missingList = (at: readonly string[]): PipelineError =>
  new PipelineError('INVALID_RESPONSE', 'PARSE', `the answer has no list at ${at.join('.')}`)
