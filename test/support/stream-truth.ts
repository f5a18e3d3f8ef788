// What a pull says through its transformer, held against the simulator's truth field by field.
import { expect } from 'vitest'
import type { AssetState } from '../../contracts/asset.ts'
import type { FindingState } from '../../contracts/finding.ts'
import { assetUid, uid } from '../../contracts/identity.ts'
import type { Observation, Unit } from '../../contracts/ports.ts'
import type { VulnerabilityState } from '../../contracts/vulnerability.ts'
import { factsOfStream } from '../../simulator/scenario-streams.ts'
import type { Simulator } from '../../simulator/simulator.ts'
import type { TrueAsset, TrueFinding, Truth } from '../../simulator/truth.ts'
import { observedUnit } from './observed.ts'
import { streamNamed } from './stream-estate.ts'
import { vendorOf } from './truth-keys.ts'

/** An asset in the terms of the truth. */
export type SaidAsset = {
  readonly asset_uid: string
  readonly entity_uid: string
  readonly name: string | null
  readonly provider: string | null
  readonly region: string | null
  readonly accountId: string | null
  readonly osFamily: string | null
  /** Sorted. */
  readonly privateIps: readonly string[]
  readonly publicIps: readonly string[]
}

/** A finding in the terms of the truth. */
export type Said = {
  readonly key: string
  readonly severityId: number
  readonly cvss: number | null
  readonly versions: readonly string[]
  readonly fixVersions: readonly string[]
}

const by =
  <T>(key: (item: T) => string) =>
  (a: T, b: T): number =>
    key(a) < key(b) ? -1 : Number(key(a) > key(b))
const byAsset = by((asset: SaidAsset) => asset.asset_uid)
const byKey = by((said: Said) => said.key)
const keyOf = (...parts: readonly (string | null)[]): string => JSON.stringify(parts)
const union = (lists: readonly (readonly string[])[]): string[] =>
  [...new Set(lists.flat())].toSorted()

/** What the stream's transformer says of each unit. */
export const observationsOf = (
  stream: string,
  tenant: string,
  units: readonly Unit[],
): Observation[] => units.map((unit) => observedUnit(stream, tenant, unit))

/** All findings of the units, one per row. */
export const findingsIn = (
  stream: string,
  tenant: string,
  units: readonly Unit[],
): FindingState[] => observationsOf(stream, tenant, units).flatMap(({ findings }) => [...findings])

/** The assets in the terms of the truth. */
export const assetsSaid = (assets: readonly AssetState[]): SaidAsset[] =>
  assets
    .map((asset) => ({
      asset_uid: asset.asset_uid,
      entity_uid: asset.entity_uid,
      name: asset.name,
      provider: asset.cloud?.provider ?? null,
      region: asset.cloud?.region ?? null,
      accountId: asset.cloud?.account_id ?? null,
      osFamily: asset.os?.family ?? null,
      privateIps: asset.private_ips.toSorted(),
      publicIps: asset.public_ips.toSorted(),
    }))
    .toSorted(byAsset)

type Told = { readonly stream: string; readonly alsoIn?: readonly string[] }
const isToldIn = ({ stream, alsoIn = [] }: Told, name: string): boolean =>
  stream === name || alsoIn.includes(name)
const uidOf = ({ product, tenant }: { product: string; tenant: string }, nativeId: string) =>
  assetUid({ vendor: vendorOf(product), product, tenant, nativeId })

/** The truth's assets of one stream and tenant, those shown elsewhere first included. */
export const assetTruthFor = (
  assets: readonly TrueAsset[],
  stream: string,
  tenant: string,
): SaidAsset[] =>
  assets
    .filter((asset) => asset.tenant === tenant && isToldIn(asset, stream))
    .map((asset) => {
      const asset_uid = uidOf(asset, asset.nativeId)
      const { type, value } = asset.entity
      return {
        asset_uid,
        entity_uid: uid('ent_', type === null ? ['asset_uid', asset_uid] : [type, value]),
        name: asset.name,
        provider: asset.provider,
        region: asset.region,
        accountId: asset.accountId,
        osFamily: asset.osFamily,
        privateIps: asset.privateIps.toSorted(),
        publicIps: asset.publicIps.toSorted(),
      }
    })
    .toSorted(byAsset)

/** The open ones in the terms of the truth; rows of one finding together. */
export function saidOf(findings: readonly FindingState[]): Said[] {
  const open = findings.filter((finding) => finding.status === 'OPEN')
  const groups = [...Map.groupBy(open, (finding) => finding.finding_uid).values()]
  const said = groups.flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { asset_uid, vuln_id, package: affected, cvss_score } = first
    return [
      {
        key: keyOf(asset_uid, vuln_id, affected?.type ?? '', affected?.name ?? ''),
        severityId: Math.max(...group.map((finding) => finding.severity_id)),
        cvss: cvss_score,
        versions: union(group.map((finding) => finding.package?.versions ?? [])),
        fixVersions: union(group.map((finding) => finding.fix?.versions ?? [])),
      },
    ]
  })
  return said.toSorted(byKey)
}

/** The truth's findings of one stream and tenant, those shown elsewhere first included. */
export const truthFor = (
  findings: readonly TrueFinding[],
  stream: string,
  tenant: string,
): Said[] =>
  findings
    .filter((finding) => finding.tenant === tenant && isToldIn(finding, stream))
    .map((finding) => ({
      key: keyOf(
        uidOf(finding, finding.assetNativeId),
        finding.vulnId,
        finding.packageType ?? '',
        finding.packageName,
      ),
      severityId: finding.severityId,
      cvss: finding.cvss,
      versions: finding.versions,
      fixVersions: finding.fixVersions.toSorted(),
    }))
    .toSorted(byKey)

/** Entries of the dictionary in the terms of the truth. */
export const entriesSaid = (entries: readonly VulnerabilityState[]) =>
  entries
    .map((entry) => ({
      vulnId: entry.vuln_id,
      severityId: entry.severity_id,
      cvss: entry.cvss_score,
      epss: entry.epss?.score,
      isExploited: entry.exploit?.maturity === 'IN_THE_WILD',
    }))
    .toSorted(by(({ vulnId }) => vulnId))

/** The truth's entries, where the stream is that of the dictionary. */
export const entryTruthFor = ({ vulnerabilities }: Truth, stream: string) =>
  vulnerabilities
    .filter((entry) => entry.stream === stream)
    .map(({ product: _product, stream: _stream, ...facts }) => facts)
    .toSorted(by(({ vulnId }) => vulnId))

/** The tenant whose records a test's connection of that stream reads. */
export const tenantOf = ({ prisma, cortex }: Simulator, stream: string): string =>
  factsOfStream(streamNamed(stream)).vendor === 'prisma-cloud' ? prisma.prismaId : cortex[0].tenant

/** The units of a whole pull say exactly what is true now: nothing is missing, nothing more. */
export function expectTruth(simulator: Simulator, stream: string, units: readonly Unit[]): void {
  const truth = simulator.truth()
  const tenant = tenantOf(simulator, stream)
  const observations = observationsOf(stream, tenant, units)
  const assets = observations.flatMap((observation) => observation.assets)
  const findings = observations.flatMap((observation) => observation.findings)
  const entries = observations.flatMap(({ vulnerabilities }) => vulnerabilities ?? [])
  const expected = {
    assets: assetTruthFor(truth.assets, stream, tenant),
    findings: truthFor(truth.findings, stream, tenant),
    entries: entryTruthFor(truth, stream),
  }
  const { length } = [...expected.assets, ...expected.findings, ...expected.entries]
  // A stream of which nothing is true would agree with one that tells nothing.
  expect(length).toBeGreaterThan(10)
  expect(assetsSaid(assets)).toEqual(expected.assets)
  expect(saidOf(findings)).toEqual(expected.findings)
  expect(entriesSaid(entries)).toEqual(expected.entries)
}
