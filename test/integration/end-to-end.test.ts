// The whole path through the command line: what the stores hold equals the simulator's truth.
import { describe, expect, it } from 'vitest'
import { assetUid, uid } from '../../contracts/identity.ts'
import type { Run } from '../../contracts/run.ts'
import type { TrueAsset, TrueFinding } from '../../simulator/truth.ts'
import { startProduct } from '../support/product.ts'

const vendorOf = (product: string) => (product.startsWith('prisma-') ? 'prisma-cloud' : 'cortex')
const uidOf = (product: string, tenant: string, nativeId: string) =>
  assetUid({ vendor: vendorOf(product), product, tenant, nativeId })

const expectedAsset = (asset: TrueAsset) => {
  const asset_uid = uidOf(asset.product, asset.tenant, asset.nativeId)
  const { type, value } = asset.entity
  const identity = type === null ? ['asset_uid', asset_uid] : [type, value]
  return {
    asset_uid,
    entity_uid: uid('ent_', identity),
    name: asset.name,
    provider: asset.provider,
    region: asset.region,
    private_ips: asset.privateIps.toSorted(),
    public_ips: asset.publicIps.toSorted(),
  }
}

const findingKey = (finding: TrueFinding) =>
  [
    uidOf(finding.product, finding.tenant, finding.assetNativeId),
    finding.vulnId,
    finding.packageType,
    finding.packageName,
    finding.versions.join(','),
    finding.severityId,
    finding.fixVersions.toSorted().join(','),
    finding.cvss,
  ].join('|')

type FindingRow = { key: string; asset_uid: string; entity_uid: string | null }

describe('exposure start --once', () => {
  it('fills the store with exactly the truth, and a second run adds nothing', async () => {
    const product = await startProduct({ simulator: { machines: 60, rateLimits: true } })
    const first = await product.once()
    expect(first.stderr).toBe('')
    // One that another stream tells better is skipped.
    const runs = (first.summary?.runs ?? []).filter((run) => run.verdict !== 'SKIPPED')
    expect(first.code).toBe(0)
    expect(runs.filter((run) => run.verdict !== 'COMPLETE')).toEqual([])
    expect(runs.length).toBeGreaterThan(15)
    const truth = product.simulator.truth()

    const assets = await product.query(
      `select asset_uid, entity_uid, name, state->'cloud'->>'provider' as provider,
              state->'cloud'->>'region' as region,
              array(select jsonb_array_elements_text(state->'private_ips') order by 1) as private_ips,
              array(select jsonb_array_elements_text(state->'public_ips') order by 1) as public_ips
       from exposure.asset order by asset_uid`,
    )
    const byUid = (a: { asset_uid: string }, b: { asset_uid: string }) =>
      a.asset_uid < b.asset_uid ? -1 : 1
    expect(assets.toSorted((a, b) => byUid(a as never, b as never))).toEqual(
      truth.assets.map(expectedAsset).toSorted(byUid),
    )

    const findings = await product.query<FindingRow>(
      `select concat_ws('|', asset_uid, vuln_id, coalesce(state->'package'->>'type', ''),
                state->'package'->>'name',
                array_to_string(array(select jsonb_array_elements_text(state->'package'->'versions') order by 1), ','),
                severity_id,
                array_to_string(array(select jsonb_array_elements_text(state->'fix'->'versions') order by 1), ','),
                coalesce(cvss_score::text, '')) as key,
              asset_uid, entity_uid
       from exposure.finding`,
    )
    expect(findings.map((row) => row.key).toSorted()).toEqual(
      truth.findings.map(findingKey).toSorted(),
    )

    // Code and images of CSPM's vulnerabilities are in none of its listings of assets.
    const orphans = await product.query(
      `select finding_uid from exposure.finding f left join exposure.asset a using (asset_uid)
       where (a.asset_uid is null or a.entity_uid is distinct from f.entity_uid)
         and f.state->'meta'->'source'->>'product' <> 'prisma-cspm'`,
    )
    expect(orphans).toEqual([])

    const sharedBy = (table: string) =>
      product.query<{ entity_uid: string }>(
        `select entity_uid from exposure.${table} group by 1 having count(distinct vendor) = 2 order by 1`,
      )
    const entities = Map.groupBy(
      truth.assets.map((a) => [expectedAsset(a).entity_uid, a] as const),
      ([e]) => e,
    )
    const shared = [...entities]
      .filter(([, group]) => new Set(group.map(([, a]) => vendorOf(a.product))).size === 2)
      .map(([entity]) => entity)
    expect(shared.length).toBeGreaterThan(0)
    expect((await sharedBy('asset')).map((row) => row.entity_uid)).toEqual(shared.toSorted())
    expect((await sharedBy('finding')).length).toBeGreaterThan(0)

    const second = await product.once()
    expect(second.code).toBe(0)
    const events = Object.values(second.summary?.streams ?? {}).map((stream) => stream.events)
    expect(events).toEqual(events.map(() => 0))
    expect(second.summary?.rows).toEqual({ ...first.summary?.rows, runs: 2 * runs.length })
  })

  it('leaves a ledger: started, fetched, and one tally per partition that adds up', async () => {
    const product = await startProduct({ connections: ['prisma'] })
    const ended = await product.once()
    expect(ended.code).toBe(0)
    const all = await product.events<Run>('runs')
    const runs = all.filter((run) => run.stream === 'compute.hosts')
    const phases = runs.map((run) => run.phase).toSorted()
    expect(phases).toEqual(['FETCHED', 'STARTED', ...Array.from({ length: 6 }, () => 'TALLY')])
    const fetched = runs.find((run) => run.phase === 'FETCHED')
    const seen = runs.reduce((sum, run) => sum + (run.tally?.units_seen ?? 0), 0)
    expect(fetched).toMatchObject({ verdict: 'COMPLETE', declared: seen, published: seen })
    expect(seen).toBe(
      product.simulator.truth().assets.filter((a) => a.stream === 'compute.hosts').length,
    )
  })
})
