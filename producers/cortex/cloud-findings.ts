// Stream cloud.findings: one row per asset, package and CVE, by XQL over the best dataset there is.
import { PipelineError } from '../../contracts/errors.ts'
import { reportKeyEnd } from './key-end.ts'
import {
  FINDINGS,
  UVM_FINDINGS,
  chooseDataset,
  presentDatasets,
  probeDatasets,
} from './xql-datasets.ts'
import { type XqlCheckpoint, type XqlSource, pullXql, xqlCheckpoint } from './xql-listing.ts'

/** Both name assets by the inventory's ids. */
const WANTED = ['findings', 'uvm_findings'] as const
const MISSING = 'the tenant has no dataset of weaknesses of its cloud assets'

/** A run in slices can go on in the middle; one that is a single query begins anew. */
export const cloudFindings: XqlSource = {
  vendor: 'cortex',
  product: 'cortex-cloud',
  stream: 'cloud.findings',
  kind: 'SNAPSHOT',
  entities: 'findings',
  checkpoint: xqlCheckpoint,
  async available(client, context) {
    const present = await presentDatasets(client, context)
    await reportKeyEnd(client, context)
    if (WANTED.some((name) => present.includes(name))) return null
    return new PipelineError('NOT_LICENSED', 'FETCH', MISSING)
  },
  probe: async (client, ask) => {
    await ask(null, async () => {
      if (await probeDatasets(client, WANTED)) return
      throw new PipelineError('NOT_LICENSED', 'FETCH', MISSING)
    })
  },
  async *pull(client, from, context) {
    if (from !== null)
      return yield* pullXql(client, resumed(from, client.config.findingsSliceRows), from, context)
    const chosen = await chooseDataset(client, WANTED, context)
    if (chosen === null) throw new PipelineError('NOT_LICENSED', 'FETCH', MISSING)
    const { dataset, fields, rows } = chosen
    const { findingsSliceRows } = client.config
    const sliceRows = rows > findingsSliceRows ? findingsSliceRows : null
    return yield* pullXql(client, { dataset, fields, sliceRows }, null, context)
  },
}

/** The listing that was interrupted, whatever would be chosen today. */
const resumed = ({ dataset, fields }: XqlCheckpoint, sliceRows: number) => ({
  dataset: dataset === UVM_FINDINGS.name ? UVM_FINDINGS : FINDINGS,
  fields,
  sliceRows,
})
