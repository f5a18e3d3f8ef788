// What a connector must end up knowing of the workloads that Prisma Cloud Compute shows.
import type { Estate, Machine } from './estate.ts'
import { cloudEntity, factsOf } from './truth-facts.ts'
import type { StreamName, TrueAsset, TrueFinding } from './truth.ts'
import {
  type CloudFunction,
  type Container,
  type Image,
  type Scanned,
  type VmImage,
  workloadsOf,
} from './workloads.ts'

type Told = { readonly assets: readonly TrueAsset[]; readonly findings: readonly TrueFinding[] }
type Listed = Pick<TrueAsset, 'stream' | 'nativeId'> & { readonly alsoIn?: readonly StreamName[] }

const NOWHERE = { provider: null, region: null, accountId: null } as const
const NO_ADDRESSES = { privateIps: [], publicIps: [] } as const
const NO_ENTITY = { type: null, value: null } as const

/** Assets and open findings; `tenant` is Prisma Cloud's. */
export function workloadTruth(estate: Estate, tenant: string): Told {
  const { images, vmImages, functions, containers } = workloadsOf(estate)
  const common = { product: 'prisma-compute', tenant } as const
  const discovered = estate.machines.filter((m) => m.cloud !== null)
  const assets = [
    ...images.filter(isListed).map((image) => ({ ...imageListing(image), ...imageAsset(image) })),
    ...vmImages.map((image) => ({ ...vmImageListing(image), ...vmImageAsset(image) })),
    ...functions.map((fn) => ({ ...functionListing(fn), ...functionAsset(fn) })),
    ...containers.map(containerAsset),
    ...discovered.map(discoveredAsset),
  ]
  const findings = [
    ...images.filter(isListed).flatMap((image) => weaknessesOf(imageListing(image), image)),
    ...vmImages.flatMap((image) => weaknessesOf(vmImageListing(image), image)),
    ...functions.flatMap((fn) => weaknessesOf(functionListing(fn), fn)),
  ]
  return {
    assets: assets.map((asset) => ({ ...common, ...asset })),
    findings: findings.map((finding) => ({ ...common, ...finding })),
  }
}

function weaknessesOf({ nativeId, ...listed }: Listed, scanned: Scanned) {
  return scanned.exposures
    .filter((e) => e.open)
    .map((e) => ({ ...listed, assetNativeId: nativeId, ...factsOf(scanned, e) }))
}

const isListed = (image: Image): boolean => image.isDeployed || image.isInRegistry

/** An image that runs and lies in a registry is one asset: the running one gives its content. */
function imageListing({ imageId, isDeployed, isInRegistry }: Image): Listed {
  const nativeId = `image|${imageId}`
  if (!isDeployed) return { stream: 'compute.registry', nativeId }
  const alsoIn = isInRegistry ? { alsoIn: ['compute.registry'] as const } : {}
  return { stream: 'compute.images', nativeId, ...alsoIn }
}

function imageAsset(image: Image) {
  const { digest, imageId, registry, repository, tag } = image
  const path = registry === '' ? repository : `${registry}/${repository}`
  return {
    name: `${path}:${tag}`,
    entity:
      digest === null
        ? ({ type: 'image_id', value: imageId } as const)
        : ({ type: 'image_digest', value: digest } as const),
    ...NOWHERE,
    osFamily: image.system.family,
    ...NO_ADDRESSES,
  }
}

const vmImageListing = ({ id }: VmImage): Listed => ({
  stream: 'compute.vms',
  nativeId: `vm|${id}`,
})

const vmImageAsset = ({ name, accountId, region, system }: VmImage) => ({
  name,
  entity: NO_ENTITY,
  provider: 'aws',
  region,
  accountId,
  osFamily: system.family,
  ...NO_ADDRESSES,
})

const functionListing = ({ id }: CloudFunction): Listed => ({
  stream: 'compute.serverless',
  nativeId: `function|${id}`,
})

const functionAsset = ({ name, provider, region, accountId, resourceId }: CloudFunction) => ({
  name,
  entity:
    resourceId === null ? NO_ENTITY : ({ type: 'cloud_resource_id', value: resourceId } as const),
  provider,
  region,
  accountId,
  osFamily: null,
  ...NO_ADDRESSES,
})

const containerAsset = ({ id, name, machine, privateIp }: Container) => ({
  stream: 'compute.containers' as const,
  nativeId: `container|${id}`,
  name,
  entity: NO_ENTITY,
  ...placeOf(machine),
  osFamily: null,
  privateIps: [privateIp],
  publicIps: [],
})

const discoveredAsset = (machine: Machine) => ({
  stream: 'compute.cloud-vms' as const,
  nativeId: `cloud-vm|${machine.cloud?.instanceId ?? ''}`,
  name: machine.hostname,
  entity: cloudEntity(machine),
  ...placeOf(machine),
  osFamily: machine.system.family,
  ...NO_ADDRESSES,
})

const placeOf = ({ cloud }: Machine) =>
  cloud === null
    ? NOWHERE
    : { provider: cloud.provider, region: cloud.region, accountId: cloud.accountId }
