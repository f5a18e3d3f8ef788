// One download of vulnerabilities: a query, and the rows that come for it as zipped CSV.
import { createHash } from 'node:crypto'
import { PipelineError } from '../../contracts/errors.ts'
import type { PullContext, RejectedItem, Unit } from '../../contracts/ports.ts'
import { asHttpError } from '../../runtime/http-errors.ts'
import { Tries } from '../../runtime/http-retry.ts'
import { peelGzip } from '../../runtime/http-transport.ts'
import type { PrismaCloudClient } from './client.ts'
import { type Csv, type CsvRow, readCsv } from './cspm-csv.ts'

export const DOWNLOAD_PATH = '/uve/api/v1/vulnerabilities/search/download'
/** The payload is zipped, and so may be its transport. */
const GZIP_LAYERS_MAX = 2
const WAIT_FIRST_MS = 2_000
const WAIT_GROWTH = 1.5
const WAIT_MS_MAX = 15_000
const WAIT_TOTAL_MS_MAX = 600_000
const ID_CHARACTERS_MAX = 1_024

export type Download = {
  /** By id, in a fixed order; rows that are the same are one. */
  readonly units: ReadonlyMap<string, Unit>
  readonly rejected: readonly RejectedItem[]
  /** Rows that came, header row aside: what the vendor's bound is compared with. */
  readonly count: number
  readonly fetchedAtMs: number
}

/** A body that nobody has begun to read does not end by `return` alone: its turn would be lost. */
export async function closeUnread(body: AsyncGenerator<Buffer, void>): Promise<void> {
  await body.next()
  await body.return(undefined)
}

/** @throws PipelineError after the last try */
export async function downloadRows(
  client: PrismaCloudClient,
  query: string,
  context: PullContext,
): Promise<Download> {
  const { signal } = context
  const options = { body: { query }, accept: 'application/octet-stream, */*', signal }
  const tries = new Tries()
  let waitMs = WAIT_FIRST_MS
  for (let waitedMs = 0; waitedMs <= WAIT_TOTAL_MS_MAX;) {
    const answer = await client.cspm.stream('POST', DOWNLOAD_PATH, options)
    try {
      if (answer.status !== 202) {
        const fetchedAtMs = context.nowMs()
        return unitsOf(await readCsv(peelGzip(answer.body, GZIP_LAYERS_MAX)), fetchedAtMs)
      }
    } catch (thrown) {
      const facts = { method: 'POST', url: DOWNLOAD_PATH, stage: 'FETCH' } as const
      await client.cspm.recover(asHttpError(thrown, facts), tries, options)
      continue
    }
    // Accepted, and not ready yet.
    await closeUnread(answer.body)
    await client.sleep(waitMs, signal)
    waitedMs += waitMs
    waitMs = Math.min(waitMs * WAIT_GROWTH, WAIT_MS_MAX)
  }
  const minutes = WAIT_TOTAL_MS_MAX / 60_000
  const message = `the download was not ready after ${minutes} minutes`
  throw new PipelineError('TEMPORARY_FAILURE', 'FETCH', message)
}

/** @throws PipelineError INVALID_RESPONSE when the header row lacks the columns of an id */
function unitsOf(csv: Csv, fetchedAtMs: number): Download {
  const { columns, names, rows } = csv
  const at = (name: string) => names.indexOf(name)
  const ids = [at('ASSET_ID'), at('CVE_ID'), at('PACKAGE_NAME')] as const
  if (names.length > 0 && ids.includes(-1)) {
    const message = 'the download has no column ASSET_ID, CVE_ID or PACKAGE_NAME'
    throw new PipelineError('INVALID_RESPONSE', 'PARSE', message)
  }
  const rejected: RejectedItem[] = []
  const groups = new Map<string, { readonly asset: string; readonly texts: Set<string> }>()
  for (const row of rows) {
    const found = idOf(row, ids, names.length)
    if ('violation' in found) {
      rejected.push({ body: Buffer.from(row.text), violations: [found.violation] })
      continue
    }
    const group = groups.get(found.id) ?? { asset: found.asset, texts: new Set<string>() }
    groups.set(found.id, group)
    group.texts.add(row.text)
  }
  const units = [...groups].flatMap(([id, { asset, texts }]) =>
    // Several rows of one package differ in what is no part of the id: numbered in a fixed order.
    [...texts].toSorted().map((text, n): [string, Unit] => {
      const unit = n === 0 ? id : `${id}|${n + 1}`
      const body = Buffer.from(text)
      const facts = { body, sizeBytes: body.length, contentType: 'text/csv', columns }
      return [unit, { unit, assetNativeId: asset, ...facts }]
    }),
  )
  return { units: new Map(units), rejected, count: rows.length, fetchedAtMs }
}

type RowId = { readonly id: string; readonly asset: string } | { readonly violation: string }

function idOf(
  { fields }: CsvRow,
  [assetAt, cveAt, packageAt]: readonly [number, number, number],
  fieldsMax: number,
): RowId {
  if (fields.length !== fieldsMax) {
    return { violation: `(root): has ${fields.length} fields instead of ${fieldsMax}` }
  }
  const asset = textAt(fields, assetAt)
  const cve = textAt(fields, cveAt)
  if (asset === '') return { violation: 'ASSET_ID: must not be empty' }
  if (cve === '') return { violation: 'CVE_ID: must not be empty' }
  const id = `${asset}|${cve}|${textAt(fields, packageAt)}`
  if (id.length <= ID_CHARACTERS_MAX) return { id, asset }
  // Package names of this length are paths; what counts is that the id stays the same.
  return { id: `${asset}|${cve}|sha256:${createHash('sha256').update(id).digest('hex')}`, asset }
}

function textAt(fields: readonly string[], at: number): string {
  const text = (fields[at] ?? '').trim()
  return text.toUpperCase() === 'N/A' ? '' : text
}
