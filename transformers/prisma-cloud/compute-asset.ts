// What the assets of all Compute streams share: ids, placement, and what a scan result says.
import type { z } from 'zod'
import type { AssetState, Criticality } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import { assetUid } from '../../contracts/identity.ts'
import type { Observation, RawUnit } from '../../contracts/ports.ts'
import { cloudOf, providerOf } from '../cloud.ts'
import { severityCountsOf, worstOf } from '../counts.ts'
import type { DriftOf } from '../drift.ts'
import { type Identity, correlationKeysOf, entityUidOf } from '../identity-keys.ts'
import { labelPairs, textMapOf } from '../maps.ts'
import { osFamilyOf, osOf } from '../os.ts'
import { timeOf } from '../times.ts'
import { fieldNames } from '../unmapped.ts'
import { readRecord } from '../vendor-json.ts'
import { findingsOf, isReachable } from './compute-findings.ts'
import { type ComputeScan, riskFactorsOf } from './compute-scan.ts'

/** What the console writes where no onboarded account owns the machine. */
const NOT_ONBOARDED = 'Non-onboarded cloud accounts'

/**
 * Fields of a scan result that are mapped, too big to carry along, or moved by every scan although
 * nothing changed.
 */
export const KNOWN_OF_SCANS = fieldNames(`
  _id id type hostname scanTime firstScanTime creationTime distro osDistro osDistroVersion
  osDistroRelease isARM64 agentless csa scanVersion hostDevices cloudMetadata labels
  externalLabels collections riskFactors vulnerabilitiesCount vulnerabilityRiskScore
  vulnerabilities vulnerabilityDistribution packages applications binaries startupBinaries files
  history layers compressedLayerTimes image instances hosts Secrets foundSecrets
  complianceIssues allCompliance complianceDistribution complianceIssuesCount
  complianceRiskScore scanID scanBuildDate scanDuration secretScanMetrics malwareAnalyzedTime
  pullDuration wildFireUsage pushTime
`)

/** How the records of a stream of scan results are read. */
export type ScanReader<S extends z.ZodType<ComputeScan>> = {
  readonly schema: S
  readonly driftOf: DriftOf
  readonly assetOf: (scan: z.output<S>, facts: RawFacts) => AssetState
}

/** A scan result as its asset and findings. @throws PipelineError as readRecord does */
export function observeScan<S extends z.ZodType<ComputeScan>>(
  raw: RawUnit,
  { schema, driftOf, assetOf }: ScanReader<S>,
): Observation {
  const { record, drift } = readRecord(raw, { schema, driftOf })
  const asset = assetOf(record, raw.facts)
  return {
    assets: [asset],
    findings: findingsOf(record, asset, raw.facts.fetchedAtMs),
    findingsKnown: tellsFindings(record),
    drift,
  }
}

/**
 * Absent or null is not "all fixed", and neither is an empty list beside a count. A scan that
 * failed shows what it found, but what is missing from it may only not have been reached.
 */
function tellsFindings(scan: ComputeScan): boolean {
  const { vulnerabilities, vulnerabilitiesCount, err } = scan
  if (!Array.isArray(vulnerabilities) || err !== null) return false
  return vulnerabilities.length > 0 || (vulnerabilitiesCount ?? 0) === 0
}

type Computed = 'asset_uid' | 'entity_uid' | 'correlation_keys'
type Needed = 'kind' | 'native_type' | 'name' | 'last_seen'
type Said = Pick<AssetState, Needed> & Partial<Omit<AssetState, Computed>>

/** An asset with its ids; what is neither in `identity` nor in `said` the record does not tell. */
export function computeAsset(
  facts: RawFacts,
  nativeId: string,
  identity: Partial<Identity>,
  said: Said,
): AssetState {
  const asset_uid = assetUid({ ...facts, nativeId })
  const correlation_keys = correlationKeysOf({ ...NOBODY, ...identity })
  return {
    ...nothingSaid(),
    ...said,
    asset_uid,
    entity_uid: entityUidOf(correlation_keys, asset_uid),
    correlation_keys,
  }
}

const NOBODY: Identity = {
  provider: null,
  accountId: null,
  instanceIds: [],
  resourceId: null,
  imageDigest: null,
  agentId: null,
  hostnames: [],
  fqdns: [],
  macs: [],
  publicIps: [],
  privateIps: [],
}

const nothingSaid = (): Omit<AssetState, Computed | Needed> => ({
  hostnames: [],
  fqdns: [],
  public_dns_names: [],
  cloud: null,
  network_interfaces: [],
  private_ips: [],
  public_ips: [],
  os: null,
  image: null,
  agent: null,
  internet_exposed: null,
  exposed_services: [],
  criticality: null,
  risk_factors: [],
  business_units: [],
  owners: [],
  tags: {},
  status: 'ACTIVE',
  first_seen: null,
  gone_at: null,
  reopen_count: 0,
  vendor_created_at: null,
  finding_counts: null,
  unmapped: {},
})

/** The account, null where none was onboarded. */
export const accountOf = (accountId: string | null): string | null =>
  accountId === NOT_ONBOARDED ? null : accountId

/** Provider, account and region: where a thing stands that is no machine itself. */
export const placeOf = (metadata: ComputeScan['cloudMetadata']): AssetState['cloud'] =>
  cloudOf({
    provider: providerOf(metadata.provider),
    account_id: accountOf(metadata.accountID),
    region: metadata.region,
  })

/** What a scan result says of any kind of thing. */
export function scanFacts(scan: ComputeScan, nowMs: number) {
  const riskFactors = riskFactorsOf(scan.riskFactors)
  return {
    os: operatingSystemOf(scan),
    internet_exposed: isReachable(riskFactors),
    criticality: criticalityOf(scan),
    risk_factors: riskFactors,
    business_units: scan.collections,
    tags: tagsOf(scan),
    first_seen: timeOf(scan.firstScanTime, 'milliseconds', nowMs),
    last_seen: timeOf(scan.scanTime, 'milliseconds', nowMs) ?? nowMs,
    vendor_created_at: timeOf(scan.creationTime, 'milliseconds', nowMs),
    finding_counts: severityCountsOf(scan.vulnerabilityDistribution, scan.vulnerabilitiesCount),
  } satisfies Partial<AssetState>
}

function operatingSystemOf(scan: ComputeScan): AssetState['os'] {
  const { distro, osDistro, osDistroVersion, osDistroRelease } = scan
  const family = osFamilyOf([osDistro, distro])
  const isWindows = family === 'WINDOWS'
  // Windows consoles write the product into the release and the build into the name.
  const build = /\[version ([\d.]+)\]/i.exec(distro ?? '')?.[1] ?? null
  return osOf({
    family,
    name: (isWindows ? osDistroRelease : null) ?? distro ?? osDistro,
    version: osDistroVersion ?? (isWindows ? build : null),
    architecture: scan.isARM64 === true ? 'arm64' : null,
  })
}

/** The score mixes counts and severities, so the level is the worst severity that is open. */
function criticalityOf(scan: ComputeScan): Criticality | null {
  const score = scan.vulnerabilityRiskScore
  if (score === null) return null
  const counts = severityCountsOf(scan.vulnerabilityDistribution, null)
  return { level: counts === null ? 'UNKNOWN' : worstOf(counts), score, raw: String(score) }
}

type Label = ComputeScan['externalLabels'][number]

/** Labels with a key; their values may be empty. */
export const pairsOf = (labels: readonly Label[]): (readonly [string, string])[] =>
  labels.flatMap(({ key, value }) => (key === null ? [] : [[key, value ?? ''] as const]))

function tagsOf(scan: ComputeScan): Record<string, string> {
  const pairs = pairsOf([...scan.cloudMetadata.labels, ...scan.externalLabels])
  return textMapOf([...labelPairs(scan.labels), ...pairs])
}
