// Stream xpanse.services: services seen from the internet, with the details that name their CVEs.
import { PipelineError } from '../../contracts/errors.ts'
import type { PullContext, Unit } from '../../contracts/ports.ts'
import { UNIT_BYTES_MAX } from '../../contracts/topics.ts'
import type { ProbedSource } from '../../runtime/connector.ts'
import { FailedItems, isOfOneItem } from '../../runtime/http-details.ts'
import { missingList, pageElements } from '../../runtime/http-elements.ts'
import { cutObject } from '../../runtime/json-elements.ts'
import { memberAt } from '../../runtime/json-members.ts'
import { type ItemIds, isObject } from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { type Probe, XPANSE_LICENCES, availability, tryProbe } from './licence.ts'
import {
  type CompletedUnit,
  type TokenCheckpoint,
  pullByToken,
  tokenCheckpoint,
} from './token-listing.ts'
import { firstAt } from './window-page.ts'

const LIST_PATH = '/public_api/v1/assets/get_external_services/'
const DETAILS_PATH = '/public_api/v1/assets/get_external_service/'
const SERVICES_AT = ['reply', 'external_services'] as const
const DETAILS_AT = ['reply', 'details'] as const
/** Ids in one request for details, as the vendor allows. */
const DETAILS_IDS_MAX = 20
const EVERYTHING = { filters: [] } as const

const xpanseServicesProbe: Probe = {
  path: LIST_PATH,
  data: { ...EVERYTHING, search_from: 0, search_to: 1 },
}

/** A unit is `{"service":…,"details":…}`, both as received; `details` null if there are none. */
export const xpanseServices: ProbedSource<CortexClient, TokenCheckpoint> = {
  vendor: 'cortex',
  product: 'cortex-xpanse',
  stream: 'xpanse.services',
  kind: 'SNAPSHOT',
  entities: 'both',
  checkpoint: tokenCheckpoint,
  available: availability('xpanse.services', XPANSE_LICENCES, xpanseServicesProbe),
  probe: async (client, ask) => {
    const tried = (probe: Probe) => tryProbe(client, 'xpanse.services', XPANSE_LICENCES, probe)
    const listed = await ask(null, () => tried(xpanseServicesProbe))
    const id = memberAt(firstAt(listed, SERVICES_AT), ['service_id'])
    if (typeof id !== 'string') return
    await ask('details', () => tried({ path: DETAILS_PATH, data: { service_id_list: [id] } }))
  },
  async *pull(client, from, context) {
    const details = new Details(client, context)
    const listing = {
      path: LIST_PATH,
      at: SERVICES_AT,
      request: EVERYTHING,
      identify,
      complete: (units: readonly Unit[]) => details.addedTo(units),
    }
    return yield* pullByToken(client, listing, from, context)
  },
}

function identify(item: Readonly<Record<string, unknown>>): ItemIds | string {
  const id = item['service_id']
  if (typeof id !== 'string' || id === '') return 'service_id: must be a text that is not empty'
  return { unit: id, assetNativeId: id }
}

/** Bytes of the details; null: above the bound, `sizeBytes` says how far. */
type Piece = { readonly bytes: Buffer | null; readonly sizeBytes: number }

class Details {
  readonly #client: CortexClient
  readonly #context: PullContext
  readonly #failed: FailedItems
  /** False once the vendor has refused the details of every service that it was asked for. */
  #isAsking = true

  constructor(client: CortexClient, context: PullContext) {
    this.#client = client
    this.#context = context
    this.#failed = new FailedItems(context)
  }

  async *addedTo(units: readonly Unit[]): AsyncGenerator<CompletedUnit> {
    for (let from = 0; from < units.length; from += DETAILS_IDS_MAX) {
      const batch = units.slice(from, from + DETAILS_IDS_MAX)
      const details = await this.#of(batch.map((unit) => unit.unit))
      for (const unit of batch) {
        const piece = details.get(unit.unit) ?? null
        yield { unit: joined(unit, piece), isWhole: piece !== null }
      }
    }
  }

  async #of(ids: readonly string[]): Promise<ReadonlyMap<string, Piece>> {
    if (!this.#isAsking) return new Map()
    const refusals: PipelineError[] = []
    const details = await this.#inParts(ids, refusals)
    const [refusal] = refusals
    if (refusal !== undefined && details.size === 0) {
      this.#isAsking = false
      this.#context.report(refusal)
    }
    return details
  }

  /** A single id that is refused, or fails for good, must not cost the others their details. */
  async #inParts(ids: readonly string[], refusals: PipelineError[]): Promise<Map<string, Piece>> {
    if (this.#failed.areTooMany) return new Map()
    try {
      const details = await this.#fetch(ids)
      this.#failed.passed()
      return details
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error
      const parts = this.#partsAfter(error, ids, refusals)
      const details = new Map<string, Piece>()
      for (const part of parts) {
        for (const [id, piece] of await this.#inParts(part, refusals)) details.set(id, piece)
      }
      return details
    }
  }

  /** In what parts to ask again; none where that leads nowhere. @throws what no part can mend */
  #partsAfter(
    error: PipelineError,
    ids: readonly string[],
    refusals: PipelineError[],
  ): readonly (readonly string[])[] {
    if (isRefusal(error)) {
      refusals.push(error)
      const isGeneral = error.failure === 'NOT_FOUND' || error.details.http?.status === 402
      if (ids.length === 1 || isGeneral) return []
      const middle = Math.ceil(ids.length / 2)
      return [ids.slice(0, middle), ids.slice(middle)]
    }
    if (!isOfOneItem(error)) throw error
    // One by one at once: each half with the bad one would cost all tries and their waits.
    if (ids.length > 1) return ids.map((id) => [id])
    this.#failed.add(error)
    return []
  }

  async #fetch(ids: readonly string[]): Promise<Map<string, Piece>> {
    const { signal, nowMs } = this.#context
    const elements = pageElements(this.#client.http, {
      method: 'POST',
      path: DETAILS_PATH,
      options: { body: { request_data: { service_id_list: ids } }, signal },
      at: DETAILS_AT,
      nowMs,
      verify: ({ beside }) => {
        if (!beside.found && memberAt(beside.value, DETAILS_AT) !== null) {
          throw missingList(DETAILS_AT)
        }
      },
    })
    const details = new Map<string, Piece>()
    for await (const { element } of elements) {
      const { bytes, sizeBytes, head, value } = element
      const item = bytes === null ? cutObject(head) : value
      const id = isObject(item) ? item['service_id'] : undefined
      // A page fetched again overwrites what its first fetch gave.
      if (typeof id === 'string') details.set(id, { bytes, sizeBytes })
    }
    return details
  }
}

/** The vendor answers, and the answer is no: asking again gives the same. */
const isRefusal = ({ failure }: PipelineError): boolean =>
  failure === 'BAD_REQUEST' || failure === 'NOT_LICENSED' || failure === 'NOT_FOUND'

const OPEN = Buffer.from('{"service":')
const BETWEEN = Buffer.from(',"details":')
const CLOSE = Buffer.from('}')
const NONE: Piece = { bytes: Buffer.from('null'), sizeBytes: 4 }

function joined(unit: Unit, piece: Piece | null): Unit {
  const details = piece ?? NONE
  const frame = OPEN.length + BETWEEN.length + CLOSE.length
  const sizeBytes = unit.sizeBytes + details.sizeBytes + frame
  if (unit.body === null || details.bytes === null || sizeBytes > UNIT_BYTES_MAX) {
    return { ...unit, body: null, sizeBytes }
  }
  const body = Buffer.concat([OPEN, unit.body, BETWEEN, details.bytes, CLOSE])
  return { ...unit, body, sizeBytes }
}
