// One page of a listing with search_from and search_to: its elements, and the total it declares.
import type { PullContext } from '../../contracts/ports.ts'
import { type PageElement, missingList, pageElements } from '../../runtime/http-elements.ts'
import { countOf, memberAt } from '../../runtime/json-members.ts'
import type { OffsetPageEnd } from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'

export type WindowRequest = {
  readonly path: string
  /** The whole `request_data`. */
  readonly data: Readonly<Record<string, unknown>>
  /** Path of the list in the answer. */
  readonly at: readonly string[]
  /** Path of the total in the answer. */
  readonly totalAt: readonly string[]
}

/** The vendor counts no further, and does not say that there are more. */
export const TOTAL_SATURATED = 9_999

/** `beside`: the answer with its list emptied. */
export type WindowPageEnd = OffsetPageEnd & { readonly beside: unknown }

export async function* windowPage(
  client: CortexClient,
  request: WindowRequest,
  context: Pick<PullContext, 'signal' | 'nowMs'>,
): AsyncGenerator<PageElement, WindowPageEnd> {
  const end = yield* pageElements(client.http, {
    method: 'POST',
    path: request.path,
    options: { body: { request_data: request.data }, signal: context.signal },
    at: request.at,
    nowMs: context.nowMs,
    verify: ({ beside }) => {
      // A list that is null is an empty one; a list that is not there is another answer.
      if (!beside.found && memberAt(beside.value, request.at) !== null)
        throw missingList(request.at)
    },
  })
  const beside = end.beside.value
  return { ...declaredOf(memberAt(beside, request.totalAt)), count: end.count, beside }
}

/** The first element of the list at `path`; undefined where there is none. */
export function firstAt(value: unknown, path: readonly string[]): unknown {
  const list = memberAt(value, path)
  return Array.isArray(list) ? (list as readonly unknown[])[0] : undefined
}

/** What a total tells: the whole number, or, where the vendor stops counting, the least. */
export function declaredOf(given: unknown): { total: number | null; atLeast: number } {
  const total = countOf(given)
  return total === TOTAL_SATURATED ? { total: null, atLeast: total } : { total, atLeast: 0 }
}
