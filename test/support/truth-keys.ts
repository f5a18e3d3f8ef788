// How an asset and a finding are compared with the truth: the same words for both sides.
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import { assetUid, uid } from '../../contracts/identity.ts'
import type { TrueAsset, TrueFinding } from '../../simulator/truth.ts'

/** The vendor of a product. */
export const vendorOf = (product: string) =>
  product.startsWith('prisma-') ? 'prisma-cloud' : 'cortex'
/** The asset_uid that the truth's asset must get. */
export const uidOf = (product: string, tenant: string, nativeId: string) =>
  assetUid({ vendor: vendorOf(product), product, tenant, nativeId })

/** What an event of the asset must say. */
export const expectedAsset = (asset: TrueAsset) => {
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
export type ComparedAsset = ReturnType<typeof expectedAsset>

/** What an event of the finding must say, on one line. */
export const expectedFinding = (finding: TrueFinding): string =>
  [
    uidOf(finding.product, finding.tenant, finding.assetNativeId),
    finding.vulnId,
    finding.packageType ?? '',
    finding.packageName ?? '',
    finding.versions.toSorted().join(','),
    finding.severityId,
    finding.fixVersions.toSorted().join(','),
    finding.cvss,
  ].join('|')

/** As `expectedAsset`, of an event. */
export const comparedAsset = (event: Asset): ComparedAsset => ({
  asset_uid: event.asset_uid,
  entity_uid: event.entity_uid,
  name: event.name,
  provider: event.cloud?.provider ?? null,
  region: event.cloud?.region ?? null,
  private_ips: event.private_ips.toSorted(),
  public_ips: event.public_ips.toSorted(),
})

/** As `expectedFinding`, of an event. */
export const comparedFinding = (event: Finding): string =>
  [
    event.asset_uid,
    event.vuln_id,
    event.package?.type ?? '',
    event.package?.name ?? '',
    (event.package?.versions ?? []).toSorted().join(','),
    event.severity_id,
    (event.fix?.versions ?? []).toSorted().join(','),
    event.cvss_score,
  ].join('|')
