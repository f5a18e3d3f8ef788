// Prisma Cloud Compute hosts: one record gives the asset and, where it tells them, its findings.
import type { AssetState, Criticality, NetworkInterface } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { assetUid } from '../../contracts/identity.ts'
import { cloudOf, providerOf, resourceIdOf } from '../cloud.ts'
import { severityCountsOf, worstOf } from '../counts.ts'
import { correlationKeysOf, entityUidOf } from '../identity-keys.ts'
import { addressesOf } from '../ip.ts'
import { labelPairs, textMapOf } from '../maps.ts'
import { namesOf } from '../names.ts'
import { osFamilyOf, osOf } from '../os.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import { readRecord } from '../vendor-json.ts'
import { scanResultDrift } from './compute-drift.ts'
import { findingsOf, isReachable } from './compute-findings.ts'
import { type ComputeHost, hostSchema, riskFactorsOf } from './compute-host.ts'

/** What the console writes where no onboarded account owns the machine. */
const NOT_ONBOARDED = 'Non-onboarded cloud accounts'

/** Mapped below, too big to carry along, or moved by every scan although nothing changed. */
const KNOWN = fieldNames(`
  _id id type hostname scanTime firstScanTime creationTime distro osDistro osDistroVersion
  osDistroRelease isARM64 agentless csa scanVersion hostDevices cloudMetadata labels
  externalLabels collections riskFactors vulnerabilitiesCount vulnerabilityRiskScore
  vulnerabilities vulnerabilityDistribution packages applications binaries startupBinaries files
  history layers compressedLayerTimes image instances hosts Secrets foundSecrets
  complianceIssues allCompliance complianceDistribution complianceIssuesCount
  complianceRiskScore scanID scanBuildDate scanDuration secretScanMetrics malwareAnalyzedTime
  pullDuration wildFireUsage pushTime
`)

export const computeHosts: Transformer = {
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  stream: 'compute.hosts',
  rank: 0,
  transform(raw) {
    const { record: host, drift } = readRecord(raw, {
      schema: hostSchema,
      driftOf: scanResultDrift,
    })
    const asset = assetOf(host, raw.facts)
    return {
      assets: [asset],
      findings: findingsOf(host, asset, raw.facts.fetchedAtMs),
      findingsKnown: tellsFindings(host),
      drift,
    }
  },
}

/**
 * Absent or null is not "all fixed", and neither is an empty list beside a count. A scan that
 * failed shows what it found, but what is missing from it may only not have been reached.
 */
function tellsFindings(host: ComputeHost): boolean {
  const { vulnerabilities, vulnerabilitiesCount, err } = host
  if (!Array.isArray(vulnerabilities) || err !== null) return false
  return vulnerabilities.length > 0 || (vulnerabilitiesCount ?? 0) === 0
}

function assetOf(host: ComputeHost, facts: RawFacts): AssetState {
  const nowMs = facts.fetchedAtMs
  const nativeType = host.type ?? 'host'
  const asset_uid = assetUid({ ...facts, nativeId: `${nativeType}|${host._id}` })
  const { placement, keyParts } = cloudPartsOf(host)
  const addresses = addressesOf(host.hostDevices.flatMap((device) => device.ip ?? []))
  const names = namesOf([host.hostname ?? host._id])
  const correlation_keys = correlationKeysOf({
    ...keyParts,
    ...names,
    imageDigest: null,
    agentId: null,
    macs: [],
    publicIps: addresses.public,
    privateIps: addresses.private,
  })
  const riskFactors = riskFactorsOf(host.riskFactors)
  const lastSeen = timeOf(host.scanTime, 'milliseconds', nowMs)
  return {
    ...names,
    asset_uid,
    entity_uid: entityUidOf(correlation_keys, asset_uid),
    kind: placement === null ? 'HOST' : 'VIRTUAL_MACHINE',
    native_type: nativeType,
    name: host.hostname ?? host._id,
    cloud: placement,
    network_interfaces: interfacesOf(host),
    private_ips: addresses.private,
    public_ips: addresses.public,
    os: operatingSystemOf(host),
    image: null,
    agent: agentOf(host, lastSeen),
    internet_exposed: isReachable(riskFactors),
    exposed_services: [],
    criticality: criticalityOf(host),
    risk_factors: riskFactors,
    business_units: host.collections,
    owners: [],
    tags: tagsOf(host),
    correlation_keys,
    status: 'ACTIVE',
    first_seen: timeOf(host.firstScanTime, 'milliseconds', nowMs),
    last_seen: lastSeen ?? nowMs,
    gone_at: null,
    reopen_count: 0,
    vendor_created_at: timeOf(host.creationTime, 'milliseconds', nowMs),
    finding_counts: severityCountsOf(host.vulnerabilityDistribution, host.vulnerabilitiesCount),
    unmapped: unmappedOf(
      {
        ...host,
        'cloudMetadata.name': host.cloudMetadata.name,
        'cloudMetadata.type': host.cloudMetadata.type,
      },
      KNOWN,
    ),
  }
}

/** Azure's unique id is `vmID`; its `resourceID` is only the machine's name. */
function cloudPartsOf(host: ComputeHost) {
  const { accountID, vmID, resourceID, resourceURL, region, vmImageID, image } = host.cloudMetadata
  const provider = providerOf(host.cloudMetadata.provider)
  const accountId = accountID === NOT_ONBOARDED ? null : accountID
  const resourceId = resourceIdOf(resourceURL)
  const placement = cloudOf({
    provider,
    account_id: accountId,
    region,
    resource_id: resourceId,
    instance_id: vmID ?? resourceID,
    image_id: vmImageID ?? image,
  })
  return {
    placement,
    keyParts: { provider, accountId, instanceIds: [vmID, resourceID], resourceId },
  }
}

function interfacesOf(host: ComputeHost): NetworkInterface[] {
  const byName = Map.groupBy(host.hostDevices, (device) => device.name)
  return [...byName]
    .map(([name, devices]) => ({
      name,
      mac: null,
      ips: addressesOf(devices.flatMap((device) => device.ip ?? [])).all,
      subnet: null,
    }))
    .filter((device) => device.ips.length > 0)
    .toSorted((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1))
}

function operatingSystemOf(host: ComputeHost): AssetState['os'] {
  const { distro, osDistro, osDistroVersion, osDistroRelease } = host
  const family = osFamilyOf([osDistro, distro])
  const isWindows = family === 'WINDOWS'
  // Windows consoles write the product into the release and the build into the name.
  const build = /\[version ([\d.]+)\]/i.exec(distro ?? '')?.[1] ?? null
  return osOf({
    family,
    name: (isWindows ? osDistroRelease : null) ?? distro ?? osDistro,
    version: osDistroVersion ?? (isWindows ? build : null),
    architecture: host.isARM64 === true ? 'arm64' : null,
  })
}

/** A host that was not scanned without an agent was scanned by its Defender. */
function agentOf(host: ComputeHost, lastSeen: number | null): AssetState['agent'] {
  if (host.agentless !== false || host.csa === true) return null
  return {
    type: 'prisma-defender',
    id: null,
    version: host.scanVersion,
    status: null,
    last_seen: lastSeen,
  }
}

/** The score mixes counts and severities, so the level is the worst severity that is open. */
function criticalityOf(host: ComputeHost): Criticality | null {
  const score = host.vulnerabilityRiskScore
  if (score === null) return null
  const counts = severityCountsOf(host.vulnerabilityDistribution, null)
  return { level: counts === null ? 'UNKNOWN' : worstOf(counts), score, raw: String(score) }
}

function tagsOf(host: ComputeHost): Record<string, string> {
  const pairs = [...host.cloudMetadata.labels, ...host.externalLabels].flatMap(({ key, value }) =>
    key === null ? [] : [[key, value ?? ''] as const],
  )
  return textMapOf([...labelPairs(host.labels), ...pairs])
}
