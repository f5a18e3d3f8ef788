// Stream xdr.findings: Host Insights of older tenants, an endpoint with its CVEs and what the
// dictionary says of each. Endpoints are assets of XDR, so their findings are XDR's as well.
import { PipelineError } from '../../contracts/errors.ts'
import type { PullContext } from '../../contracts/ports.ts'
import { isObject } from '../../runtime/offset-listing.ts'
import type { CortexClient } from './client.ts'
import { VA_ENDPOINTS, chooseDataset, presentDatasets, probeDatasets } from './xql-datasets.ts'
import { type XqlSource, pullXql, xqlCheckpoint } from './xql-listing.ts'
import { xqlRows } from './xql.ts'

/** Without affected_hosts: on a large estate these lists outweigh all the rest. */
const CVE_FIELDS =
  'name, severity, severity_score, exploitability_score, impact_score, type, os_type, ' +
  'affected_products, publication_date, modification_date, description, is_excluded'
const CVES_QUERY = `dataset = va_cves | fields ${CVE_FIELDS} | sort asc name`
/** All entries of the dictionary together, held in memory while endpoints are read. */
const DICTIONARY_BYTES_MAX = 128 * 1024 * 1024

/**
 * One unit per endpoint, `{"endpoint":<row>,"cves":[<row>, …]}`: the rows' own bytes side by side.
 * A CVE that the dictionary does not have is named by the endpoint's row alone.
 */
export const xdrFindings: XqlSource = {
  vendor: 'cortex',
  product: 'cortex-xdr',
  stream: 'xdr.findings',
  kind: 'SNAPSHOT',
  entities: 'findings',
  checkpoint: xqlCheckpoint,
  fallback: true,
  async available(client, context) {
    const present = await presentDatasets(client, context)
    if (!present.includes('va_endpoints')) return missing()
    // Where the newer datasets are filled, this one still answers, but tells a third of the truth.
    const better = await chooseDataset(client, ['findings', 'uvm_findings'], context)
    if (better === null || better.rows === 0) return null
    const message = `cloud.findings reads the same from dataset ${better.dataset.name}`
    return new PipelineError('NOT_LICENSED', 'FETCH', message, { remediation: NOTHING_TO_DO })
  },
  // Also where it may not be needed: whether a newer dataset holds rows would cost a query more.
  probe: async (client, ask) => {
    await ask(null, async () => {
      if (!(await probeDatasets(client, ['va_endpoints']))) throw missing()
    })
  },
  async *pull(client, from, context) {
    const dictionary = await readDictionary(client, context)
    const listing = {
      dataset: VA_ENDPOINTS,
      fields: [],
      sliceRows: client.config.findingsSliceRows,
      bodyOf: (row: Readonly<Record<string, unknown>>, bytes: Buffer) =>
        withCves(bytes, row['cves'], dictionary.rows),
    }
    const end = yield* pullXql(client, listing, from, context)
    if (dictionary.lacking === null) return end
    return { ...end, verdict: 'PARTIAL', reason: end.reason ?? dictionary.lacking }
  },
}

const missing = (): PipelineError =>
  new PipelineError('NOT_LICENSED', 'FETCH', 'the tenant has no dataset va_endpoints')

const NOTHING_TO_DO = 'Nothing to do: another stream reads the same in a better form.'

type Dictionary = {
  readonly rows: ReadonlyMap<string, Buffer>
  /** Why it is not whole; null when it is. */
  readonly lacking: string | null
}

/** The CVEs by name. Tenants without the dictionary still list CVEs by name. */
async function readDictionary(client: CortexClient, context: PullContext): Promise<Dictionary> {
  const rows = new Map<string, Buffer>()
  const xql = { query: CVES_QUERY, windowMs: client.config.findingsWindow }
  let bytesLeft = DICTIONARY_BYTES_MAX
  try {
    for await (const { element } of xqlRows(client, xql, context)) {
      const { bytes, value } = element
      const name = isObject(value) ? value['name'] : undefined
      if (bytes === null || typeof name !== 'string' || rows.has(name)) continue
      bytesLeft -= bytes.length
      if (bytesLeft < 0)
        return { rows, lacking: `the dictionary exceeds ${DICTIONARY_BYTES_MAX} bytes` }
      rows.set(name, bytes)
    }
  } catch (error) {
    if (!(error instanceof PipelineError) || error.failure !== 'NOT_LICENSED') throw error
  }
  return { rows, lacking: null }
}

const BEFORE = Buffer.from('{"endpoint":')
const BETWEEN = Buffer.from(',"cves":[')
const COMMA = Buffer.from(',')
const AFTER = Buffer.from(']}')

function withCves(endpoint: Buffer, cves: unknown, rows: ReadonlyMap<string, Buffer>): Buffer {
  const names = new Set(Array.isArray(cves) ? cves : [cves])
  const known = [...names].flatMap((name) => rows.get(String(name)) ?? [])
  const parts = known.flatMap((row, i) => (i === 0 ? [row] : [COMMA, row]))
  return Buffer.concat([BEFORE, endpoint, BETWEEN, ...parts, AFTER])
}
