// Stream cloud.findings: one row per asset, package and CVE, by one XQL query over all of them.
import { z } from 'zod'
import type {
  Chunk,
  PullContext,
  PullEnd,
  RejectedItem,
  Source,
  Unit,
} from '../../contracts/ports.ts'
import { ChunkBuilder } from '../../runtime/chunks.ts'
import type { PageElement } from '../../runtime/http-elements.ts'
import { cutObject } from '../../runtime/json-elements.ts'
import { isObject } from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { RESULTS_PATH, RESULT_ROWS_MAX, type XqlEnd, xqlRows } from './xql.ts'

const FIELDS = [
  'id',
  'asset_id',
  'asset_name',
  'asset_type',
  'name',
  'description_template',
  'first_observed',
  'last_observed',
  'normalized_fields',
].map((name) => `xdm.finding.${name}`)
const QUERY = [
  'dataset = findings',
  'filter xdm.finding.category = "VULNERABILITY" and xdm.finding.is_active = true',
  `fields ${FIELDS.join(', ')}`,
].join(' | ')

/** There is no place to go on from: a stream id may not outlive its connection. */
export const cloudFindings: Source<CortexClient, null> = {
  vendor: 'cortex',
  product: 'cortex-cloud',
  stream: 'cloud.findings',
  kind: 'SNAPSHOT',
  entities: 'findings',
  checkpoint: z.null(),
  pull: (client, _from, context) => new FindingsRun(context).chunks(client),
}

type Row =
  | { readonly unit: Unit; readonly rejected: null }
  | { readonly unit: null; readonly rejected: RejectedItem }

class FindingsRun {
  readonly #context: PullContext
  readonly #builder = new ChunkBuilder()
  /** Of all rows so far, at most RESULT_ROWS_MAX: a stream read again must not give them twice. */
  readonly #ids = new Set<string>()
  #rejectedMax = 0
  #rejectedOfAttempt = 0
  #tooLarge = 0

  constructor(context: PullContext) {
    this.#context = context
  }

  async *chunks(client: CortexClient): AsyncGenerator<Chunk<null>, PullEnd> {
    const xql = { query: QUERY, windowMs: client.config.findingsWindow }
    const rows = xqlRows(client, xql, this.#context)
    let fetchedAtMs = this.#context.nowMs()
    let attempt = 1
    try {
      for (;;) {
        const next = await rows.next()
        if (next.done === true) {
          if (!this.#builder.isEmpty) yield this.#chunk(fetchedAtMs)
          return this.#end(next.value)
        }
        if (next.value.attempt !== attempt) this.#rejectedOfAttempt = 0
        ;({ attempt, fetchedAtMs } = next.value)
        const row = this.#newRow(next.value)
        if (row === null) continue
        const bytes = (row.unit?.body ?? row.rejected?.body)?.length ?? 0
        if (!this.#builder.hasRoomFor(bytes)) yield this.#chunk(fetchedAtMs)
        if (row.unit !== null) this.#builder.add(row.unit)
        else this.#builder.reject(row.rejected)
      }
    } finally {
      await rows.return({ declared: null, whole: false, endpoint: RESULTS_PATH })
    }
  }

  #chunk(fetchedAtMs: number): Chunk<null> {
    return this.#builder.take({ endpoint: RESULTS_PATH, fetchedAtMs, page: 1, checkpoint: null })
  }

  /** The row, unless an earlier attempt gave it already. */
  #newRow({ element }: PageElement): Row | null {
    const { bytes, sizeBytes, head, value } = element
    const row = bytes === null ? cutObject(head) : value
    const id = isObject(row) ? row['xdm.finding.id'] : undefined
    const asset = isObject(row) ? row['xdm.finding.asset_id'] : undefined
    const violations = [...missing('xdm.finding.id', id), ...missing('xdm.finding.asset_id', asset)]
    if (violations.length > 0 || typeof id !== 'string' || typeof asset !== 'string') {
      this.#rejectedOfAttempt += 1
      if (this.#rejectedOfAttempt <= this.#rejectedMax) return null
      this.#rejectedMax = this.#rejectedOfAttempt
      return { unit: null, rejected: { body: bytes ?? head, violations } }
    }
    if (this.#ids.has(id)) return null
    this.#ids.add(id)
    if (bytes === null) this.#tooLarge += 1
    const contentType = 'application/json'
    const unit = {
      unit: id,
      assetNativeId: asset,
      body: bytes,
      sizeBytes,
      contentType,
      columns: null,
    }
    return { unit, rejected: null }
  }

  #end({ declared, whole }: XqlEnd): PullEnd {
    const rows = Math.max(declared ?? 0, this.#ids.size + this.#rejectedMax)
    const reasons: string[] = []
    if (rows >= RESULT_ROWS_MAX) reasons.push(`the result is cut at ${RESULT_ROWS_MAX} rows`)
    if (!whole) reasons.push('the vendor says PARTIAL_SUCCESS')
    if (this.#tooLarge > 0) reasons.push(`${this.#tooLarge} units above the largest size`)
    if (reasons.length === 0) return { verdict: 'COMPLETE', declared, reason: null }
    return { verdict: 'PARTIAL', declared, reason: reasons.join('; ') }
  }
}

const missing = (name: string, value: unknown): string[] =>
  typeof value === 'string' && value !== '' ? [] : [`${name}: must be a text that is not empty`]
