// CSPM's configuration search: a machine, or another resource, as its cloud describes it.
import type { AssetState, NetworkInterface } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import { assetUid } from '../../contracts/identity.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { cloudOf, resourceIdOf } from '../cloud.ts'
import { correlationKeysOf, entityUidOf } from '../identity-keys.ts'
import { addressesOf } from '../ip.ts'
import { textMapOf } from '../maps.ts'
import { namesOf } from '../names.ts'
import { isObject, textOf, textsOf } from '../text.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import { readRecord } from '../vendor-json.ts'
import { type ConfigUnit, configUnitDrift, configUnitOf, configUnitSchema } from './cspm-item.ts'
import { type MachineFacts, machineOf } from './cspm-machines.ts'
import { cloudProviderOf, fullNameOf, gradeOf, kindOfType } from './cspm-words.ts'

/** Mapped below, too big to carry along, or moved by every snapshot although nothing changed. */
const KNOWN = fieldNames(`
  rrn stateId assetId id name url accountId accountName accountGroupName cloudType regionId
  regionName service resourceType insertTs createdTs deleted vpcId tags riskGrade data dynamicData
  hasNetwork hasExternalFinding hasExternalIntegration hasExtFindingRiskFactors allowDrillDown
  resourceConfigJsonAvailable
`)

export const cspmConfig: Transformer = {
  vendor: 'prisma-cloud',
  product: 'prisma-cspm',
  stream: 'cspm.config',
  rank: 0,
  transform(raw) {
    const { record, drift } = readRecord(raw, {
      schema: configUnitSchema,
      driftOf: configUnitDrift,
      prepare: configUnitOf,
    })
    return { assets: [assetOf(record, raw.facts)], findings: [], findingsKnown: true, drift }
  },
}

function assetOf(unit: ConfigUnit, facts: RawFacts): AssetState {
  const nowMs = facts.fetchedAtMs
  const { item } = unit
  const provider = cloudProviderOf(item.cloudType)
  const machine = machineOf(unit, provider)
  const asset_uid = assetUid({ ...facts, nativeId: item.assetId })
  const name = item.name ?? machine?.instanceId ?? item.id ?? item.assetId
  const names = namesIn(machine, item.name)
  const interfaces = (machine?.interfaces ?? []).toSorted(byName)
  const addresses = addressesOf([...(machine?.ips ?? []), ...interfaces.flatMap((n) => n.ips)])
  const cloud = placementOf(unit, provider, machine)
  const correlation_keys = correlationKeysOf({
    provider,
    accountId: item.accountId,
    instanceIds: [machine?.instanceId ?? null],
    resourceId: cloud?.resource_id ?? null,
    imageDigest: null,
    agentId: null,
    hostnames: names.hostnames,
    fqdns: names.fqdns,
    macs: interfaces.flatMap((nic) => nic.mac ?? []),
    publicIps: addresses.public,
    privateIps: addresses.private,
  })
  return {
    ...names,
    asset_uid,
    entity_uid: entityUidOf(correlation_keys, asset_uid),
    kind: machine === null ? kindOfType(item.resourceType) : 'VIRTUAL_MACHINE',
    native_type: item.resourceType ?? '',
    name,
    cloud,
    network_interfaces: interfaces,
    private_ips: addresses.private,
    public_ips: addresses.public,
    os: machine?.os ?? null,
    image: null,
    agent: null,
    internet_exposed: null,
    exposed_services: [],
    criticality: gradeOf(item.riskGrade),
    risk_factors: [],
    business_units: textsOf(item.accountGroupName),
    owners: [],
    tags: tagsOf(item.tags, machine),
    correlation_keys,
    status: 'ACTIVE',
    first_seen: null,
    last_seen: nowMs,
    gone_at: null,
    reopen_count: 0,
    vendor_created_at: timeOf(item.createdTs, 'milliseconds', nowMs),
    finding_counts: null,
    unmapped: unmappedOf(item, KNOWN),
  }
}

const byName = (a: NetworkInterface, b: NetworkInterface): number =>
  (a.name ?? '') < (b.name ?? '') ? -1 : 1

/** Only a machine's name is a name of a host. */
function namesIn(machine: MachineFacts | null, name: string | null) {
  if (machine === null) return namesOf([])
  const { names, publicNames } = machine
  const { fqdns } = namesOf(publicNames)
  return { ...namesOf([name, ...names, ...publicNames]), public_dns_names: fqdns }
}

function placementOf(
  { item }: ConfigUnit,
  provider: string | null,
  machine: MachineFacts | null,
): AssetState['cloud'] {
  return cloudOf({
    provider,
    account_id: item.accountId,
    account_name: item.accountName,
    region: item.regionId,
    zone: machine?.zone ?? null,
    resource_id: resourceIdOf(machine?.resourceId ?? fullNameOf(item.id, item.rrn)),
    instance_id: machine?.instanceId ?? null,
    service: item.service,
    resource_type: item.resourceType,
    vpc_id: item.vpcId ?? machine?.vpcId ?? null,
    image_id: machine?.imageId ?? null,
  })
}

function tagsOf(tags: unknown, machine: MachineFacts | null): Record<string, string> {
  const own = isObject(tags)
    ? Object.entries(tags).map(([key, value]) => [key, textOf(value) ?? ''] as const)
    : []
  return textMapOf([...own, ...(machine?.labels ?? [])])
}
