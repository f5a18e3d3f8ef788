// Details of single assets beside their row of the inventory: one request each, within a budget.
import { z } from 'zod'
import { type Failure, PipelineError } from '../../contracts/errors.ts'
import type { PullContext } from '../../contracts/ports.ts'
import type { PageElement, PageEnd } from '../../runtime/http-elements.ts'
import { Tries } from '../../runtime/http-retry.ts'
import type { JsonElement } from '../../runtime/json-elements.ts'
import type { PrismaCloudClient } from './client.ts'
import { itemOf } from './cspm-config-page.ts'

export const ASSET_PATH = '/uai/v1/asset'
/** Of one answer; it may hold the whole configuration of the resource. */
const DETAILS_BYTES_MAX = 4 * 1024 * 1024

/** The body that asks for the details of one asset. */
export const assetQuery = (assetId: string) => ({ assetId, type: 'asset' })

/** What is not there, or may not be read, comes with status 200 and `errors`. */
const answer = z.looseObject({
  data: z.looseObject({ asset: z.looseObject({ id: z.string() }).nullish() }).nullish(),
})

export class Enrichment {
  readonly #client: PrismaCloudClient
  readonly #context: PullContext
  #hasTold = false
  /** Assets for which details may still be asked in this run. */
  budgetLeft: number

  constructor(client: PrismaCloudClient, budget: number, context: PullContext) {
    this.#client = client
    this.#context = context
    this.budgetLeft = budget
  }

  /**
   * The elements of a page, each as `{"item":…,"uai":…}` of the very bytes where there are details.
   * As long as there is a budget a page is read whole first: a request must not wait in its middle.
   */
  async *enriched(
    elements: AsyncGenerator<PageElement, PageEnd>,
    isWanted: (element: JsonElement) => boolean,
  ): AsyncGenerator<PageElement, PageEnd> {
    if (this.budgetLeft === 0) return yield* elements
    let page: PageElement[] = []
    for (;;) {
      const next = await elements.next()
      if (next.done === true) {
        for (const one of page) yield { ...one, element: await this.#withDetails(one, isWanted) }
        return next.value
      }
      // The page was fetched again, as a whole.
      if (next.value.attempt !== page[0]?.attempt) page = []
      page.push(next.value)
    }
  }

  async #withDetails(
    { element }: PageElement,
    isWanted: (element: JsonElement) => boolean,
  ): Promise<JsonElement> {
    if (this.budgetLeft === 0 || element.bytes === null || !isWanted(element)) return element
    this.budgetLeft -= 1
    const details = await this.#details(String(itemOf(element)['unifiedAssetId']))
    if (details === null) return element
    const bytes = Buffer.concat([
      Buffer.from('{"item":'),
      element.bytes,
      Buffer.from(',"uai":'),
      details,
      Buffer.from('}'),
    ])
    return { ...element, bytes, sizeBytes: bytes.length, value: { item: element.value } }
  }

  /** The answer's own bytes; null where there are no details, or they may not be read. */
  async #details(assetId: string): Promise<Buffer | null> {
    const { cspm } = this.#client
    const { signal } = this.#context
    const options = { body: assetQuery(assetId), signal }
    const tries = new Tries()
    for (;;) {
      try {
        const { body } = await cspm.stream('POST', ASSET_PATH, options)
        return detailsOf(await whole(body))
      } catch (error) {
        if (error instanceof PipelineError) {
          if (error.failure === 'ACCESS_FORBIDDEN') return this.#giveUp(error)
          if (REFUSALS.has(error.failure)) return this.#leaveOut(error)
        }
        await cspm.recover(error, tries, options)
      }
    }
  }

  /** The role does not allow it: asking for the others would only cost requests. */
  #giveUp(error: PipelineError): null {
    this.budgetLeft = 0
    this.#context.report(error)
    return null
  }

  /** The others may have details. What is no plain 404 is told once, as it may meet them all. */
  #leaveOut(error: PipelineError): null {
    const isGone = error.details.http?.status === 404
    if (!isGone && !this.#hasTold) this.#context.report(error)
    this.#hasTold ||= !isGone
    return null
  }
}

/** Answers that concern the one asset. */
const REFUSALS: ReadonlySet<Failure> = new Set<Failure>(['NOT_FOUND', 'BAD_REQUEST'])

async function whole(body: AsyncIterable<Buffer>): Promise<Buffer | null> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of body) {
    pieces.push(piece)
    length += piece.length
    if (length > DETAILS_BYTES_MAX) return null
  }
  return Buffer.concat(pieces)
}

/** @throws PipelineError INVALID_RESPONSE when it is no JSON: it is asked for again */
function detailsOf(bytes: Buffer | null): Buffer | null {
  if (bytes === null) return null
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new PipelineError('INVALID_RESPONSE', 'PARSE', `the answer of ${ASSET_PATH} is no JSON`)
  }
  return answer.safeParse(value).data?.data?.asset ? bytes : null
}
