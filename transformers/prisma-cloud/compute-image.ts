// A container image as Compute shows it, running or in a registry: one asset in both listings.
import { z } from 'zod'
import type { AssetState } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import { textMapOf } from '../maps.ts'
import { isObject, sortedTexts, textOf, textsOf } from '../text.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import { anything, maybeText, objectOrEmpty, objects, textList } from '../vendor-json.ts'
import { KNOWN_OF_SCANS, computeAsset, placeOf, scanFacts } from './compute-asset.ts'
import { digestIn, isSha256, referenceText } from '../image-reference.ts'
import { scanSchema } from './compute-scan.ts'

const imageTag = z.looseObject({
  registry: maybeText,
  repo: maybeText,
  tag: maybeText,
  digest: maybeText,
})

/**
 * A scan result with what only images have (values made up):
 *
 *     { "_id": "sha256:5d05…", "id": "sha256:5d05…", "type": "image",
 *       "repoTag": { "registry": "registry.example", "repo": "team/shop", "tag": "1.4" },
 *       "tags": [{ "registry": "registry.example", "repo": "team/shop", "tag": "1.4" }],
 *       "repoDigests": ["registry.example/team/shop@sha256:77aa…"],
 *       "clusters": ["main"], "namespaces": ["payments"],
 *       "hosts": { "node-1": { "modified": "2026-…", "cluster": "main",
 *         "namespaces": ["payments"] } } }
 *
 * `_id` is the image's id, or a name where a Defender inside the image has scanned it.
 * @see https://pan.dev/prisma-cloud/api/cwpp/get-images/ (shared.ImageScanResult)
 */
export const imageSchema = scanSchema.extend({
  id: maybeText,
  repoTag: objectOrEmpty(imageTag),
  tags: objects(imageTag),
  repoDigests: textList,
  clusters: textList,
  namespaces: textList,
  hosts: anything,
})
export type ComputeImage = z.output<typeof imageSchema>

/** `installedProducts` is of whatever machine scanned it last. */
const KNOWN = KNOWN_OF_SCANS.union(
  fieldNames('repoTag tags repoDigests clusters namespaces installedProducts'),
)

/** The asset; which machines run it is not in it, as that changes with every deployment. */
export function imageAssetOf(image: ComputeImage, facts: RawFacts): AssetState {
  const { registry, repo: repository, tag } = image.repoTag
  const imageId = [image.id, image._id].find(isSha256)?.toLowerCase() ?? null
  const digest = digestOf(image)
  const scanned = scanFacts(image, facts.fetchedAtMs)
  return computeAsset(
    facts,
    `image|${image._id}`,
    { imageDigest: digest, imageId },
    {
      ...scanned,
      kind: 'CONTAINER_IMAGE',
      native_type: image.type ?? 'image',
      name: referenceText({ registry, repository, tag }) ?? image._id,
      cloud: placeOf(image.cloudMetadata),
      image: {
        digest,
        image_id: imageId,
        registry,
        repository,
        tags: sortedTexts([tag, ...image.tags.map((t) => t.tag)].filter((t) => t !== null)),
      },
      tags: { ...scanned.tags, ...deploymentTags(image) },
      unmapped: unmappedOf(image, KNOWN),
    },
  )
}

/** There is one per tag: that of the name we show counts, else the first in sorted order. */
function digestOf({ repoTag, repoDigests }: ComputeImage): string | null {
  const path = [repoTag.registry, repoTag.repo].filter((part) => part !== null).join('/')
  const own = repoDigests.filter((text) => text.startsWith(`${path}@`))
  const digests = [repoTag.digest, ...own, ...repoDigests].map(digestIn)
  return digests.find((digest) => digest !== null) ?? null
}

function deploymentTags(image: ComputeImage): Record<string, string> {
  const hosts = isObject(image.hosts) ? Object.values(image.hosts).filter(isObject) : []
  const clusters = [...image.clusters, ...hosts.map((host) => textOf(host['cluster']))]
  const namespaces = [...image.namespaces, ...hosts.flatMap((host) => textsOf(host['namespaces']))]
  const pairs = (key: string, values: readonly (string | null)[]) =>
    values.filter((value) => value !== null).map((value) => [key, value] as const)
  return textMapOf([...pairs('cluster', clusters), ...pairs('namespace', namespaces)])
}
