// Details of single assets beside their row of the inventory: one request each, within a budget.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import type { PullContext } from '../../contracts/ports.ts'
import { FailedItems, detailsOf } from '../../runtime/http-details.ts'
import type { PageElement, PageEnd } from '../../runtime/http-elements.ts'
import type { JsonElement } from '../../runtime/json-elements.ts'
import type { PrismaCloudClient } from './client.ts'
import { itemOf } from './cspm-config-page.ts'

export const ASSET_PATH = '/uai/v1/asset'

/** The body that asks for the details of one asset. */
export const assetQuery = (assetId: string) => ({ assetId, type: 'asset' })

const answer = z.looseObject({
  data: z.looseObject({ asset: z.looseObject({ id: z.string() }).nullish() }).nullish(),
})

export class Enrichment {
  readonly #client: PrismaCloudClient
  readonly #context: PullContext
  readonly #failed: FailedItems
  /** Assets for which details may still be asked in this run. */
  budgetLeft: number

  constructor(client: PrismaCloudClient, budget: number, context: PullContext) {
    this.#client = client
    this.#context = context
    this.#failed = new FailedItems(context)
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
    const { signal } = this.#context
    try {
      const options = { body: assetQuery(assetId), signal }
      const bytes = await detailsOf(this.#client.cspm, ASSET_PATH, options)
      this.#failed.passed()
      return hasAsset(bytes) ? bytes : null
    } catch (error) {
      const isOurs = !(error instanceof PipelineError) || error.failure === 'AUTHORIZATION_FAILURE'
      if (isOurs || signal.aborted) throw error
      return error.failure === 'ACCESS_FORBIDDEN' ? this.#giveUp(error) : this.#leaveOut(error)
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
    if (error.details.http?.status !== 404) this.#failed.add(error)
    if (this.#failed.areTooMany) this.budgetLeft = 0
    return null
  }
}

/** What is not there, or may not be read, comes with status 200 and `errors`. */
const hasAsset = (bytes: Buffer): boolean =>
  Boolean(answer.safeParse(JSON.parse(bytes.toString('utf8'))).data?.data?.asset)
