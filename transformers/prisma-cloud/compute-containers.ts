// Prisma Cloud Compute containers: assets only, as their weaknesses are those of their image.
import { z } from 'zod'
import type { AssetState, NetworkInterface } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { macsOf } from '../identity-keys.ts'
import { addressesOf } from '../ip.ts'
import { labelPairs, textMapOf } from '../maps.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import {
  anything,
  maybeNumber,
  maybeText,
  objectOrEmpty,
  objects,
  readRecord,
  requiredId,
  textList,
} from '../vendor-json.ts'
import { computeAsset, pairsOf, placeOf } from './compute-asset.ts'
import { containerDrift } from './compute-drift.ts'
import { cloudMetadataSchema, labelSchema } from './compute-scan.ts'
import { digestIn, imageReferenceOf, isSha256 } from '../image-reference.ts'

const networkSchema = z.looseObject({
  name: maybeText,
  ipAddress: maybeText,
  macAddress: maybeText,
})

/**
 * One element of the array that `GET /api/v<version>/containers` returns (values made up):
 *
 *     { "_id": "f79f…", "hostname": "node-1", "scanTime": "2026-01-03T14:53:04.085Z",
 *       "collections": ["All"], "info": { "name": "shop-1", "app": "shop", "cluster": "main",
 *         "namespace": "payments", "imageID": "sha256:5d05…",
 *         "image": "registry.example/team/shop:1.4", "imageName": "team/shop:1.4",
 *         "networkSettings": { "ipAddress": "172.17.0.2", "networks": [{ "name": "bridge", … }],
 *           "ports": [{ "containerPort": "8080", "hostPort": 80, "hostIP": "0.0.0.0" }] },
 *         "network": { "ports": [{ "container": 8080, "host": 80, "hostIP": "::" }] },
 *         "labels": ["maintainer:web"], "cloudMetadata": { … as of hosts }, "startTime": "…" } }
 *
 * `hostname` is the machine's. `host` is 0 for a port that is not published.
 * @see https://pan.dev/prisma-cloud/api/cwpp/get-containers/ (shared.ContainerScanResult)
 */
const containerSchema = z.looseObject({
  _id: requiredId,
  scanTime: anything,
  collections: textList,
  info: objectOrEmpty(
    z.looseObject({
      name: maybeText,
      image: maybeText,
      imageName: maybeText,
      imageID: maybeText,
      cluster: maybeText,
      namespace: maybeText,
      labels: textList,
      externalLabels: objects(labelSchema),
      cloudMetadata: cloudMetadataSchema,
      networkSettings: objectOrEmpty(
        z.looseObject({
          ipAddress: maybeText,
          macAddress: maybeText,
          networks: objects(networkSchema),
          ports: objects(z.looseObject({ hostPort: maybeNumber, hostIP: maybeText })),
        }),
      ),
      network: objectOrEmpty(
        z.looseObject({ ports: objects(z.looseObject({ host: maybeNumber, hostIP: maybeText })) }),
      ),
      startTime: anything,
    }),
  ),
})
type Container = z.output<typeof containerSchema>
type Info = Container['info']

/** Mapped below, or too big; command lines of processes may hold secrets. */
const KNOWN = fieldNames(`
  _id id scanTime collections info agentlessScanID name image imageName imageID cluster namespace
  labels externalLabels cloudMetadata networkSettings network startTime processes sizeBytes
  profileID complianceIssues allCompliance complianceIssuesCount complianceRiskScore
  complianceDistribution
`)

export const computeContainers: Transformer = {
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  stream: 'compute.containers',
  rank: 0,
  transform(raw) {
    const { record, drift } = readRecord(raw, { schema: containerSchema, driftOf: containerDrift })
    return { assets: [containerOf(record, raw.facts)], findings: [], findingsKnown: true, drift }
  },
}

/** Without keys of its own: the addresses of bridges are the same on every machine. */
function containerOf(container: Container, facts: RawFacts): AssetState {
  const { info, _id } = container
  const nowMs = facts.fetchedAtMs
  const interfaces = interfacesOf(info)
  const addresses = addressesOf(interfaces.flatMap((device) => device.ips))
  return computeAsset(
    facts,
    `container|${_id}`,
    {},
    {
      kind: 'CONTAINER',
      native_type: 'container',
      name: info.name ?? _id,
      cloud: placeOf(info.cloudMetadata),
      network_interfaces: interfaces,
      private_ips: addresses.private,
      public_ips: addresses.public,
      image: imageOf(info),
      exposed_services: publishedPorts(info),
      business_units: container.collections,
      tags: tagsOf(info),
      last_seen: timeOf(container.scanTime, 'milliseconds', nowMs) ?? nowMs,
      vendor_created_at: timeOf(info.startTime, 'milliseconds', nowMs),
      unmapped: unmappedOf({ ...info, ...container }, KNOWN),
    },
  )
}

function interfacesOf({ networkSettings: { networks, ...own } }: Info): NetworkInterface[] {
  const given = networks.length > 0 ? networks : [{ ...own, name: null }]
  return given
    .map(({ name, ipAddress, macAddress }) => ({
      name,
      mac: macsOf(macAddress === null ? [] : [macAddress])[0] ?? null,
      ips: addressesOf(ipAddress === null ? [] : [ipAddress]).all,
      subnet: null,
    }))
    .filter((device) => device.ips.length > 0)
    .toSorted((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1))
}

function imageOf({ image, imageName, imageID }: Info): AssetState['image'] {
  const { registry, repository, tag } = imageReferenceOf(image ?? imageName)
  const digest = digestIn([image, imageName].find((name) => name?.includes('@')) ?? null)
  const image_id = isSha256(imageID) ? imageID.toLowerCase() : null
  if (repository === null && digest === null && image_id === null) return null
  return { digest, image_id, registry, repository, tags: tag === null ? [] : [tag] }
}

const LOOPBACK = /^(127\.|::1$)/

/** Ports that the machine passes on to the container, by number; the protocol is not told. */
function publishedPorts({ network, networkSettings }: Info): AssetState['exposed_services'] {
  const given = [
    ...network.ports.map(({ host, hostIP }) => ({ port: host, hostIP })),
    ...networkSettings.ports.map(({ hostPort, hostIP }) => ({ port: hostPort, hostIP })),
  ]
  const ports = given.flatMap(({ port, hostIP }) =>
    port !== null && port > 0 && port < 65_536 && !LOOPBACK.test(hostIP ?? '') ? [port] : [],
  )
  return [...new Set(ports)]
    .toSorted((a, b) => a - b)
    .map((port) => ({ protocol: null, port, name: null, service_id: null }))
}

function tagsOf(info: Info): Record<string, string> {
  const { cluster, namespace } = info
  return textMapOf([
    ...labelPairs(info.labels),
    ...pairsOf(info.externalLabels),
    ...(cluster === null ? [] : [['cluster', cluster] as const]),
    ...(namespace === null ? [] : [['namespace', namespace] as const]),
  ])
}
