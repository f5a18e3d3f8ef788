// Records of Compute's other listings: images, VM images, functions, containers, discovered VMs.
import type { Machine } from '../estate.ts'
import type { Value } from '../rows.ts'
import type { CloudFunction, Container, Image, VmImage } from '../workloads.ts'
import { type ScanView, iso, scanRecord } from './scan-record.ts'

/** What the console writes where no onboarded account owns the machine. */
const NOT_ONBOARDED = 'Non-onboarded cloud accounts'

/** An image as GET /images shows it, with the containers' machines. */
export function deployedImageRecord(
  image: Image,
  containers: readonly Container[],
  view: ScanView,
): Value {
  const { registry, repository: repo, tag } = image
  const scannedAt = iso(image.lastSeenMs)
  const machines = [...new Set(containers.map((c) => c.machine))]
  const namespacesOf = (machine: Machine) =>
    containers.filter((c) => c.machine === machine).flatMap((c) => c.namespace ?? [])
  const clusters = [...new Set(containers.flatMap((c) => c.cluster ?? []))]
  return {
    ...imageRecord(image, view),
    type: 'image',
    clusters,
    cloudMetadata: { accountID: NOT_ONBOARDED },
    instances: machines.map((machine) => ({
      image: `${repo}:${tag}`,
      host: machine.hostname,
      modified: scannedAt,
      tag,
      repo,
      registry,
    })),
    hosts: Object.fromEntries(
      machines.map((machine) => [
        machine.hostname,
        {
          modified: scannedAt,
          accountID: machine.cloud?.accountId ?? NOT_ONBOARDED,
          ...(machine.cloud === null
            ? {}
            : { cluster: 'main', namespaces: [...new Set(namespacesOf(machine))] }),
        },
      ]),
    ),
  }
}

/** An image as GET /registry shows it. */
export const registryImageRecord = (image: Image, view: ScanView): Value => ({
  ...imageRecord(image, view),
  type: 'registry',
  registryType: 'docker',
  pushTime: iso(image.createdMs),
})

function imageRecord(image: Image, view: ScanView): Value {
  const { imageId, digest, registry, repository: repo, tag } = image
  const path = registry === '' ? repo : `${registry}/${repo}`
  return {
    _id: imageId,
    ...scanRecord(image, view),
    id: imageId,
    scanTime: iso(image.lastSeenMs),
    firstScanTime: iso(image.firstSeenMs),
    creationTime: iso(image.createdMs),
    repoTag: { registry, repo, tag },
    tags: [{ registry, repo, tag }],
    repoDigests: digest === null ? [] : [`${path}@${digest}`],
  }
}

/** A machine image as GET /vms shows it. */
export const vmImageRecord = (image: VmImage, view: ScanView): Value => ({
  _id: image.id,
  type: 'vm',
  ...scanRecord(image, view),
  scanTime: iso(image.lastSeenMs),
  firstScanTime: iso(image.firstSeenMs),
  cloudMetadata: {
    provider: 'aws',
    region: image.region,
    accountID: image.accountId,
    name: image.name,
    image: image.amiId,
  },
})

/** A function as GET /serverless shows it. */
export const functionRecord = (fn: CloudFunction, view: ScanView): Value => ({
  ...scanRecord(fn, view),
  _id: fn.id,
  type: 'serverlessScan',
  osDistro: '',
  osDistroVersion: '',
  osDistroRelease: '',
  distro: '',
  labels: [],
  scanTime: iso(fn.lastSeenMs),
  firstScanTime: iso(fn.firstSeenMs),
  lastModified: iso(fn.firstSeenMs),
  name: fn.name,
  provider: fn.provider,
  region: fn.region,
  accountID: fn.accountId,
  runtime: fn.runtime,
  version: fn.version,
  handler: 'main.handler',
  memory: 128,
  timeout: 30,
  status: 'Active',
  defended: false,
  functionLayers: null,
  functionTags: [{ key: 'team', value: 'platform' }],
})

/** A container as GET /containers shows it. */
export function containerRecord(container: Container): Value {
  const { id, name, machine, image, privateIp, cluster, namespace, port } = container
  const path = image.registry === '' ? image.repository : `${image.registry}/${image.repository}`
  const imageName = `${path}:${image.tag}`
  const networks = [{ name: 'bridge', ipAddress: privateIp, macAddress: '02:42:ac:11:00:02' }]
  return {
    _id: id,
    hostname: machine.hostname,
    scanTime: iso(image.lastSeenMs),
    info: {
      name,
      profileID: `${image.imageId}_${name}_`,
      infra: false,
      id,
      imageID: image.imageId,
      image: imageName,
      imageName,
      app: name,
      ...(cluster === null ? {} : { cluster, namespace, clusterType: 'EKS' }),
      networkSettings: {
        ipAddress: privateIp,
        macAddress: '02:42:ac:11:00:02',
        networks,
        ports: port === null ? [] : [{ hostPort: port, hostIP: '0.0.0.0', containerPort: '8080' }],
      },
      complianceIssues: null,
      allCompliance: {},
      complianceIssuesCount: 0,
      complianceRiskScore: 0,
      processes: [{ name: '/app/server' }],
      network: {
        ports:
          port === null
            ? []
            : [{ host: port, container: 8080, hostIP: '0.0.0.0', listening: true, nat: true }],
      },
      labels: ['maintainer:platform'],
      installedProducts: {},
      cloudMetadata: placeOf(machine),
      startTime: iso(container.startedMs),
    },
    collections: ['All'],
    firewallProtection: { enabled: false, supported: false, outOfBandMode: '' },
    csa: false,
  }
}

const placeOf = ({ cloud }: Machine): Value =>
  cloud === null
    ? { accountID: NOT_ONBOARDED }
    : {
        provider: cloud.provider,
        region: cloud.region,
        accountID: cloud.accountId,
        resourceID: cloud.instanceId,
      }

/** A machine as GET /cloud/discovery/vms shows it; only for machines in a cloud. */
export function discoveredVmRecord(machine: Machine): Value {
  const { cloud, system, hostname } = machine
  const isAws = cloud?.provider === 'aws'
  const dashed = machine.privateIp.replaceAll('.', '-')
  const inCloud = isAws ? `ip-${dashed}.${cloud.region}.compute.internal` : ''
  return {
    _id: cloud?.instanceId ?? '',
    hostname,
    fqdn: inCloud,
    name: hostname,
    provider: cloud?.provider ?? '',
    accountID: cloud?.accountId ?? '',
    region: cloud?.region ?? '',
    ...(isAws
      ? {
          arn: `arn:aws:ec2:${cloud.region}:${cloud.accountId}:instance/${cloud.instanceId}`,
          awsVPCID: cloud.networkId,
          awsSubnetID: `subnet-0${cloud.networkId.slice('vpc-0'.length)}`,
        }
      : {}),
    imageID: cloud?.imageId ?? '',
    imageName: '',
    os: system.family === 'WINDOWS' ? 'windows' : 'linux',
    osInfo: {
      distro: system.id,
      distroRelease: system.release,
      version: system.version,
      fullName: system.name,
    },
    architecture: 'x86_64',
    hasDefender: machine.inCompute,
    createdAt: iso(machine.firstSeenMs),
    timestamp: iso(machine.lastSeenMs),
    tags: Object.entries(machine.tags).map(([key, value]) => ({ key, value, sourceType: 'cloud' })),
    cluster: '',
    collections: ['All'],
  }
}
