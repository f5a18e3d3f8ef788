// All streams of CSPM through the whole product: the store holds the truth, step after step.
import { describe, expect, it } from 'vitest'
import { assetUid, uid } from '../../contracts/identity.ts'
import { PRISMA_CLOUD_STREAMS } from '../../producers/prisma-cloud/config.ts'
import type { TrueAsset, TrueFinding } from '../../simulator/truth.ts'
import { startProduct } from '../support/product.ts'

const others = PRISMA_CLOUD_STREAMS.filter((stream) => !stream.startsWith('cspm.'))
const streams = Object.fromEntries(others.map((stream) => [stream, { enabled: false }]))
const isCspm = (told: { readonly product: string }) => told.product === 'prisma-cspm'

const uidOf = (tenant: string, nativeId: string) =>
  assetUid({ vendor: 'prisma-cloud', product: 'prisma-cspm', tenant, nativeId })
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

describe('the streams of CSPM', () => {
  it('fill the store with the truth, add nothing again, and follow what changes', async () => {
    const product = await startProduct({
      simulator: { machines: 40 },
      connections: ['prisma'],
      connection: { streams },
    })
    // No stream of Compute is read: so CSPM tells of everything.
    const expectTruth = async () => {
      const truth = product.simulator.truth('keep')
      const findings = await product.query<{ line: string }>(
        `select concat_ws('|', asset_uid, vuln_id, state->'package'->>'name',
                  array_to_string(array(
                    select jsonb_array_elements_text(state->'package'->'versions') order by 1
                  ), ','),
                  severity_id) as line
         from exposure.finding where status in ('OPEN', 'REOPENED')`,
      )
      const expected = truth.findings.filter(isCspm).map(findingLine).toSorted()
      // What is gone as a whole is not closed yet, so that it may still be there.
      const gone = findings.map((row) => row.line).filter((line) => !expected.includes(line))
      expect(findings.map((row) => row.line)).toEqual(expect.arrayContaining(expected))
      return gone.length
    }
    const first = await product.once()
    expect(first.stderr).toBe('')
    const verdicts = first.summary?.runs.map((run) => `${run.stream} ${run.verdict}`)
    expect(verdicts?.toSorted()).toEqual([
      'cspm.config COMPLETE',
      'cspm.inventory COMPLETE',
      'cspm.vulnerabilities COMPLETE',
    ])
    const assets = await product.query<{ line: string }>(
      `select concat_ws('|', asset_uid, entity_uid, name,
                state->'meta'->'source'->>'stream') as line
       from exposure.asset`,
    )
    expect(assets.map((row) => row.line).toSorted()).toEqual(
      product.simulator.truth().assets.filter(isCspm).map(assetLine).toSorted(),
    )
    expect(await expectTruth()).toBe(0)

    const second = await product.once()
    const events = Object.values(second.summary?.streams ?? {}).map((stream) => stream.events)
    expect(events).toEqual([0, 0, 0])

    product.simulator.evolve(2)
    const third = await product.once()
    expect(third.code).toBe(0)
    await expectTruth()
  })
})
