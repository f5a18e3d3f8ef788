// Virtual machines that Prisma Cloud Compute's discovery finds, whether a Defender is there or not.
import { z } from 'zod'
import type { AssetState, NetworkInterface } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { cloudOf, providerOf, resourceIdOf, resourceKeyOf } from '../cloud.ts'
import { textMapOf } from '../maps.ts'
import { namesOf } from '../names.ts'
import { osFamilyOf, osOf } from '../os.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import {
  anything,
  maybeFlag,
  maybeText,
  objectOrEmpty,
  objects,
  readRecord,
  requiredId,
  textList,
} from '../vendor-json.ts'
import { accountOf, computeAsset, pairsOf } from './compute-asset.ts'
import { discoveredVmDrift } from './compute-drift.ts'
import { labelSchema } from './compute-scan.ts'

/**
 * One element of the array that `GET /api/v<version>/cloud/discovery/vms` returns (values made up):
 *
 *     { "_id": "i-0abc…", "hostname": "ip-10-0-0-7", "name": "web-1",
 *       "fqdn": "ip-10-0-0-7.eu-west-1.compute.internal", "provider": "aws",
 *       "accountID": "<12 digits>", "region": "eu-west-1", "arn": "arn:aws:ec2:…",
 *       "awsVPCID": "vpc-…", "awsSubnetID": "subnet-…", "imageID": "ami-…", "imageName": "",
 *       "os": "linux", "osInfo": { "distro": "ubuntu", "version": "24.04", "fullName": "…" },
 *       "architecture": "x86_64", "hasDefender": false, "createdAt": "2026-01-01T00:00:00Z",
 *       "timestamp": "2026-01-03T14:53:04Z", "tags": [{ "key": "env", "value": "prod" }] }
 *
 * @see https://pan.dev/prisma-cloud/api/cwpp/get-cloud-discovery-vms/ (types.DiscoveredVM)
 */
const discoveredSchema = z.looseObject({
  _id: requiredId,
  hostname: maybeText,
  fqdn: maybeText,
  name: maybeText,
  provider: maybeText,
  accountID: maybeText,
  region: maybeText,
  arn: maybeText,
  awsVPCID: maybeText,
  awsSubnetID: maybeText,
  imageID: maybeText,
  os: maybeText,
  osInfo: objectOrEmpty(
    z.looseObject({ distro: maybeText, version: maybeText, fullName: maybeText }),
  ),
  architecture: maybeText,
  hasDefender: maybeFlag,
  createdAt: anything,
  timestamp: anything,
  tags: objects(labelSchema),
  collections: textList,
})
type DiscoveredVm = z.output<typeof discoveredSchema>

/** Mapped below. `hasDefender` is also kept as it is, for those who look for machines without. */
const KNOWN = fieldNames(`
  _id hostname fqdn name provider accountID region arn awsVPCID awsSubnetID imageID os osInfo
  architecture createdAt timestamp tags collections
`)

export const computeCloudVms: Transformer = {
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  stream: 'compute.cloud-vms',
  rank: 0,
  transform(raw) {
    const reader = { schema: discoveredSchema, driftOf: discoveredVmDrift }
    const { record, drift } = readRecord(raw, reader)
    return { assets: [machineOf(record, raw.facts)], findings: [], findingsKnown: true, drift }
  },
}

/** Not the asset of the same machine's host scan; both share its entity by the instance id. */
function machineOf(vm: DiscoveredVm, facts: RawFacts): AssetState {
  const nowMs = facts.fetchedAtMs
  const names = namesOf([vm.hostname, vm.fqdn])
  const provider = providerOf(vm.provider)
  const accountId = accountOf(vm.accountID)
  const ids = [vm.arn, vm._id].map(resourceIdOf)
  const resourceId = ids.find((id) => resourceKeyOf(id) !== null) ?? null
  return computeAsset(
    facts,
    `cloud-vm|${vm._id}`,
    { ...names, provider, accountId, instanceIds: [vm._id], resourceId },
    {
      ...names,
      kind: 'VIRTUAL_MACHINE',
      native_type: 'cloud-vm',
      name: vm.name ?? vm.hostname ?? vm.fqdn ?? vm._id,
      cloud: cloudOf({
        provider,
        account_id: accountId,
        region: vm.region,
        resource_id: resourceId,
        instance_id: vm._id,
        vpc_id: vm.awsVPCID,
        image_id: vm.imageID,
      }),
      network_interfaces: interfacesOf(vm),
      os: operatingSystemOf(vm),
      agent: agentOf(vm),
      business_units: vm.collections,
      tags: textMapOf(pairsOf(vm.tags)),
      last_seen: timeOf(vm.timestamp, 'milliseconds', nowMs) ?? nowMs,
      vendor_created_at: timeOf(vm.createdAt, 'milliseconds', nowMs),
      unmapped: unmappedOf(vm, KNOWN),
    },
  )
}

/** The subnet is known, the addresses are not. */
const interfacesOf = ({ awsSubnetID }: DiscoveredVm): NetworkInterface[] =>
  awsSubnetID === null ? [] : [{ name: null, mac: null, ips: [], subnet: awsSubnetID }]

function operatingSystemOf({ os, osInfo, architecture }: DiscoveredVm): AssetState['os'] {
  return osOf({
    family: osFamilyOf([os, osInfo.distro, osInfo.fullName]),
    name: osInfo.fullName ?? osInfo.distro ?? os,
    version: osInfo.version,
    architecture,
  })
}

const agentOf = ({ hasDefender }: DiscoveredVm): AssetState['agent'] =>
  hasDefender === true
    ? { type: 'prisma-defender', id: null, version: null, status: null, last_seen: null }
    : null
