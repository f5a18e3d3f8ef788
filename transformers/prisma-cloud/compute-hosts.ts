// Prisma Cloud Compute hosts: one record gives the asset and, where it tells them, its findings.
import type { AssetState, NetworkInterface } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { cloudOf, providerOf, resourceIdOf } from '../cloud.ts'
import { addressesOf } from '../ip.ts'
import { namesOf } from '../names.ts'
import { timeOf } from '../times.ts'
import { unmappedOf } from '../unmapped.ts'
import { KNOWN_OF_SCANS, accountOf, computeAsset, observeScan, scanFacts } from './compute-asset.ts'
import { scanResultDrift } from './compute-drift.ts'
import { type ComputeScan, scanSchema } from './compute-scan.ts'

export const computeHosts: Transformer = {
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  stream: 'compute.hosts',
  rank: 0,
  transform: (raw) =>
    observeScan(raw, { schema: scanSchema, driftOf: scanResultDrift, assetOf: hostOf }),
}

function hostOf(host: ComputeScan, facts: RawFacts): AssetState {
  const nowMs = facts.fetchedAtMs
  const nativeType = host.type ?? 'host'
  const { cloud, identity } = cloudPartsOf(host)
  const addresses = addressesOf(host.hostDevices.flatMap((device) => device.ip ?? []))
  const { private: privateIps, public: publicIps } = addresses
  const names = namesOf([host.hostname ?? host._id])
  return computeAsset(
    facts,
    `${nativeType}|${host._id}`,
    { ...identity, ...names, privateIps, publicIps },
    {
      ...names,
      ...scanFacts(host, nowMs),
      kind: cloud === null ? 'HOST' : 'VIRTUAL_MACHINE',
      native_type: nativeType,
      name: host.hostname ?? host._id,
      cloud,
      network_interfaces: interfacesOf(host),
      private_ips: privateIps,
      public_ips: publicIps,
      agent: agentOf(host, timeOf(host.scanTime, 'milliseconds', nowMs)),
      unmapped: unmappedOf(
        {
          ...host,
          'cloudMetadata.name': host.cloudMetadata.name,
          'cloudMetadata.type': host.cloudMetadata.type,
        },
        KNOWN_OF_SCANS,
      ),
    },
  )
}

/** Azure's unique id is `vmID`; its `resourceID` is only the machine's name. */
function cloudPartsOf(host: ComputeScan) {
  const { vmID, resourceID, resourceURL, region, vmImageID, image } = host.cloudMetadata
  const provider = providerOf(host.cloudMetadata.provider)
  const accountId = accountOf(host.cloudMetadata.accountID)
  const resourceId = resourceIdOf(resourceURL)
  const cloud = cloudOf({
    provider,
    account_id: accountId,
    region,
    resource_id: resourceId,
    instance_id: vmID ?? resourceID,
    image_id: vmImageID ?? image,
  })
  return { cloud, identity: { provider, accountId, instanceIds: [vmID, resourceID], resourceId } }
}

function interfacesOf(host: ComputeScan): NetworkInterface[] {
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

/** A host that was not scanned without an agent was scanned by its Defender. */
function agentOf(host: ComputeScan, lastSeen: number | null): AssetState['agent'] {
  if (host.agentless !== false || host.csa === true) return null
  return {
    type: 'prisma-defender',
    id: null,
    version: host.scanVersion,
    status: null,
    last_seen: lastSeen,
  }
}
