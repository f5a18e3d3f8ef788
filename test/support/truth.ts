// Compares what the product knows with the simulator's truth: in PostgreSQL and on the topics.
import { expect } from 'vitest'
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { Truth } from '../../simulator/truth.ts'
import type { Product } from './product.ts'
import {
  type ComparedAsset,
  comparedAsset,
  comparedFinding,
  expectedAsset,
  expectedFinding,
} from './truth-keys.ts'

export const byUid = (a: { asset_uid: string }, b: { asset_uid: string }): number =>
  a.asset_uid < b.asset_uid ? -1 : 1

/** The rows of both tables equal the truth, and every finding has its asset. */
export async function expectStoreIsTruth(product: Product, truth: Truth): Promise<void> {
  const assets = await product.query<ComparedAsset>(
    `select asset_uid, entity_uid, name, state->'cloud'->>'provider' as provider,
            state->'cloud'->>'region' as region,
            array(select jsonb_array_elements_text(state->'private_ips') order by 1) as private_ips,
            array(select jsonb_array_elements_text(state->'public_ips') order by 1) as public_ips
     from exposure.asset`,
  )
  expect(assets.toSorted(byUid)).toEqual(truth.assets.map(expectedAsset).toSorted(byUid))

  const findings = await product.query<{ key: string }>(
    `select concat_ws('|', asset_uid, vuln_id, coalesce(state->'package'->>'type', ''),
              coalesce(state->'package'->>'name', ''),
              array_to_string(array(select jsonb_array_elements_text(
                state->'package'->'versions') order by 1), ','),
              severity_id,
              array_to_string(array(select jsonb_array_elements_text(
                state->'fix'->'versions') order by 1), ','),
              coalesce(cvss_score::text, '')) as key
     from exposure.finding`,
  )
  expect(findings.map((row) => row.key).toSorted()).toEqual(
    truth.findings.map(expectedFinding).toSorted(),
  )

  // Code and images of CSPM's vulnerabilities are in none of its listings of assets.
  const orphans = await product.query(
    `select finding_uid from exposure.finding f left join exposure.asset a using (asset_uid)
     where (a.asset_uid is null or a.entity_uid is distinct from f.entity_uid)
       and f.product <> 'prisma-cspm'`,
  )
  expect(orphans).toEqual([])
}

export type FinalState = {
  readonly assets: readonly Asset[]
  readonly findings: readonly Finding[]
}

/**
 * The last event of every key says what is true. Assets that have left the estate are passed over
 * with their findings: absence closes nothing yet.
 */
export function expectStateIsTruth(state: FinalState, truth: Truth): void {
  const wanted = truth.assets.map(expectedAsset)
  const known = new Set(wanted.map((asset) => asset.asset_uid))
  const assets = state.assets.filter((asset) => known.has(asset.asset_uid))
  expect(assets.map(comparedAsset).toSorted(byUid)).toEqual(wanted.toSorted(byUid))
  const open = state.findings.filter((f) => known.has(f.asset_uid) && f.status !== 'RESOLVED')
  expect(open.map(comparedFinding).toSorted()).toEqual(
    truth.findings.map(expectedFinding).toSorted(),
  )
}
