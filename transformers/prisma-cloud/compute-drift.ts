// What is known of the records of Prisma Cloud Compute. Hosts, images and VM images have one shape,
// and functions the same with fields of their own.
import { type Fields, defineRecord, each } from '../drift.ts'

const label: Fields = each('string', 'key value sourceType sourceName timestamp')

const vulnerability: Fields = {
  ...each(
    'string',
    `cause cve description discovered exploit fixLink functionLayer link packageName packageType
     packageVersion path rpmModule severity status text title type vecStr`,
  ),
  ...each('number', 'cvss fixDate gracePeriodDays layerTime published'),
  ...each('boolean', 'block cri custom twistlock'),
  ...each('array', 'applicableRules binaryPkgs templates vulnTagInfos vulnerabilityDataSources'),
  id: 'number|string',
  exploits: [each('string', 'source kind link')],
  riskFactors: 'object|array',
  ...each('object', 'secret wildfireMalware'),
}

const software: Fields = {
  ...each(
    'string',
    'author functionLayer jarIdentifier license md5 name originPackageName path purl rpmModule version',
  ),
  ...each('number', 'cveCount knownVulnerabilities layerTime'),
  ...each('boolean', 'defaultGem goPkg installedFromPackage osPackage securityRepoPkg service'),
  ...each('array', 'binaryIdx binaryPkgs files symbols'),
}

const cloudMetadata: Fields = {
  ...each(
    'string',
    `accountID awsExecutionEnv image name ociTenantID provider region resourceID resourceURL type
     vmID vmImageID`,
  ),
  ...each('object', 'azure gcp'),
  labels: [label],
}

const scanFields: Fields = {
  ...each(
    'string',
    `_id additionalDistroReleaseData aisUUID baseImage clusterType creationTime csaDisplayHostname
     distro ecsClusterName err firstScanTime hostname id k8sClusterAddr malwareAnalyzedTime osDistro
     osDistroRelease osDistroVersion pushTime registryNamespace registryType scanBuildDate scanTime
     scanVersion topLayer trustStatus type underlyingDistro underlyingDistroRelease`,
  ),
  ...each(
    'number',
    `caasSpecReferencesTotal complianceIssuesCount complianceRiskScore errCode pullDuration
     scanDuration scanID vulnerabilitiesCount vulnerabilityRiskScore`,
  ),
  ...each(
    'boolean',
    `agentless appEmbedded compressed csa csaWindows hostRuntimeEnabled isARM64
     missingDistroVulnCoverage packageCorrelationDone packageManager redHatNonRPMImage stopped
     twistlockImage`,
  ),
  ...each(
    'array',
    `Secrets binaries caasSpecReferencesLaunchTypes caasSpecReferencesServiceTypes clusters
     collections complianceIssues files foundSecrets history instances labels layers namespaces
     registryTags repoDigests rhelRepos rhelReposRelativeURLs startupBinaries tags`,
  ),
  ...each(
    'object',
    `allCompliance complianceDistribution firewallProtection hosts image installedProducts repoTag
     riskFactors secretScanMetrics trustResult vulnerabilityDistribution wildFireUsage`,
  ),
  compressedLayerTimes: 'object|array',
  applications: [software],
  packages: [{ pkgsType: 'string', pkgs: [software] }],
  vulnerabilities: [vulnerability],
  externalLabels: [label],
  hostDevices: [each('string', 'name ip')],
  cloudMetadata,
}

/** `common.CloudProvider`, and one that is missing there. */
const PROVIDERS = ['aws', 'azure', 'gcp', 'alibaba', 'oci', 'ibm', 'others']

const scanValues = {
  type: ['host', 'agentlessHost', 'vm', 'image', 'ciImage', 'registry', 'container'],
  'cloudMetadata.provider': PROVIDERS,
  // Normalised, and the words of distributions where it is not.
  'vulnerabilities[].severity': [
    'critical',
    'high',
    'medium',
    'low',
    'important',
    'moderate',
    'negligible',
    'unimportant',
    'unassigned',
    'not yet assigned',
  ],
  'vulnerabilities[].exploits[].kind': ['poc', 'in-the-wild'],
}

/**
 * `shared.ImageScanResult`.
 * @see https://pan.dev/prisma-cloud/api/cwpp/get-hosts/ (read 2026-11)
 */
export const scanResultDrift = defineRecord({ fields: scanFields, values: scanValues })

/**
 * `serverless.FunctionInfo`.
 * @see https://pan.dev/prisma-cloud/api/cwpp/get-serverless/ (read 2026-11)
 */
export const functionDrift = defineRecord({
  fields: {
    ...scanFields,
    ...each(
      'string',
      `accountID applicationName architecture cloudControllerAddress defenderLayerARN description
       environment handler hash lastModified name platform provider region resourceGroupName role
       runtime scannerVersion status version`,
    ),
    ...each('number', 'invocations memory timeout'),
    defended: 'boolean',
    envvars: 'array',
    functionLayers: [each('string', 'id name version')],
    functionTags: [label],
  },
  values: { ...scanValues, type: [...scanValues.type, 'serverlessScan', 'ciServerless', 'tas'] },
})

const port: Fields = {
  ...each('number', 'container host hostPort'),
  ...each('boolean', 'listening nat'),
  containerPort: 'string|number',
  hostIP: 'string',
}

/**
 * `shared.ContainerScanResult`.
 * @see https://pan.dev/prisma-cloud/api/cwpp/get-containers/ (read 2026-11)
 */
export const containerDrift = defineRecord({
  fields: {
    ...each('string', '_id hostname scanTime'),
    ...each('boolean', 'agentless ais csa runtimeEnabled'),
    agentlessScanID: 'number',
    collections: 'array',
    firewallProtection: 'object',
    info: {
      ...each(
        'string',
        `app cluster clusterType id image imageID imageName name namespace profileID startTime`,
      ),
      ...each('number', 'complianceIssuesCount complianceRiskScore sizeBytes'),
      ...each('array', 'complianceIssues labels processes'),
      ...each('object', 'allCompliance complianceDistribution installedProducts'),
      infra: 'boolean',
      cloudMetadata,
      externalLabels: [label],
      network: { ports: [port] },
      networkSettings: {
        ...each('string', 'ipAddress macAddress'),
        networks: [each('string', 'ipAddress macAddress name')],
        ports: [port],
      },
    },
  },
  values: { 'info.cloudMetadata.provider': PROVIDERS },
})

/**
 * `types.DiscoveredVM`.
 * @see https://pan.dev/prisma-cloud/api/cwpp/get-cloud-discovery-vms/ (read 2026-11)
 */
export const discoveredVmDrift = defineRecord({
  fields: {
    ...each(
      'string',
      `_id accountID architecture arn awsSubnetID awsVPCID cluster createdAt fqdn hostname imageID
       imageName name os provider region timestamp`,
    ),
    hasDefender: 'boolean',
    collections: 'array',
    osInfo: each(
      'string',
      'distro distroRelease fullName underlyingDistro underlyingDistroRelease version',
    ),
    tags: [label],
  },
  values: { provider: PROVIDERS },
})
