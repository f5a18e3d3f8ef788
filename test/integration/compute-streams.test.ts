// All streams of Compute through the whole product: the store holds the truth, images only once.
import { describe, expect, it } from 'vitest'
import { assetUid, uid } from '../../contracts/identity.ts'
import { PRISMA_CLOUD_STREAMS } from '../../producers/prisma-cloud/config.ts'
import type { TrueAsset, TrueFinding } from '../../simulator/truth.ts'
import { startProduct } from '../support/product.ts'

const others = PRISMA_CLOUD_STREAMS.filter((stream) => !stream.startsWith('compute.'))
const streams = Object.fromEntries(others.map((stream) => [stream, { enabled: false }]))
const isCompute = (told: { readonly product: string }) => told.product === 'prisma-compute'

const uidOf = (tenant: string, nativeId: string) =>
  assetUid({ vendor: 'prisma-cloud', product: 'prisma-compute', tenant, nativeId })
const assetLine = (asset: TrueAsset) => {
  const asset_uid = uidOf(asset.tenant, asset.nativeId)
  const { type, value } = asset.entity
  const entity_uid = uid('ent_', type === null ? ['asset_uid', asset_uid] : [type, value])
  return [asset_uid, entity_uid, asset.name, asset.stream].join('|')
}
const findingLine = (finding: TrueFinding) =>
  [
    uidOf(finding.tenant, finding.assetNativeId),
    finding.vulnId,
    finding.packageName,
    finding.versions.join(','),
    finding.severityId,
  ].join('|')

describe('the streams of Compute', () => {
  it('fill the store with the truth, an image of two listings once', async () => {
    const product = await startProduct({
      simulator: { machines: 40 },
      connections: ['prisma'],
      connection: { streams },
    })
    const first = await product.once()
    expect(first.stderr).toBe('')
    const verdicts = first.summary?.runs.map((run) => `${run.stream} ${run.verdict}`)
    expect(verdicts?.toSorted()).toEqual(
      PRISMA_CLOUD_STREAMS.filter((stream) => !others.includes(stream))
        .map((stream) => `${stream} COMPLETE`)
        .toSorted(),
    )

    const truth = product.simulator.truth()
    const assets = await product.query<{ line: string }>(
      `select concat_ws('|', asset_uid, entity_uid, name,
                state->'meta'->'source'->>'stream') as line
       from exposure.asset`,
    )
    expect(assets.map((row) => row.line).toSorted()).toEqual(
      truth.assets.filter(isCompute).map(assetLine).toSorted(),
    )
    const findings = await product.query<{ line: string }>(
      `select concat_ws('|', asset_uid, vuln_id, state->'package'->>'name',
                array_to_string(array(select jsonb_array_elements_text(state->'package'->'versions')
                                      order by 1), ','),
                severity_id) as line
       from exposure.finding`,
    )
    expect(findings.map((row) => row.line).toSorted()).toEqual(
      truth.findings.filter(isCompute).map(findingLine).toSorted(),
    )

    // Nothing has changed since, so nothing is said.
    const second = await product.once()
    const events = Object.values(second.summary?.streams ?? {}).map((stream) => stream.events)
    expect(events).toEqual(events.map(() => 0))
  })
})
