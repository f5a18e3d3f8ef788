// The list of mappings: one for every stream that transformers read.
import { cloudAssetsMapping } from './cloud-assets.ts'
import { cloudFindingsMapping } from './cloud-findings.ts'
import { cloudIssuesMapping } from './cloud-issues.ts'
import { cloudVulnerabilitiesMapping } from './cloud-vulnerabilities.ts'
import { computeCloudVmsMapping } from './compute-cloud-vms.ts'
import { computeContainersMapping } from './compute-containers.ts'
import { computeHostsMapping } from './compute-hosts.ts'
import { computeImagesMapping, computeRegistryMapping } from './compute-images.ts'
import { computeServerlessMapping } from './compute-serverless.ts'
import { computeVmsMapping } from './compute-vms.ts'
import { cspmConfigMapping } from './cspm-config.ts'
import { cspmInventoryMapping } from './cspm-inventory.ts'
import { cspmVulnerabilitiesMapping } from './cspm-vulnerabilities.ts'
import type { StreamMapping } from './stream-mapping.ts'
import { xdrEndpointsMapping } from './xdr-endpoints.ts'
import { xdrFindingsMapping } from './xdr-findings.ts'
import { xdrIncidentsMapping } from './xdr-incidents.ts'
import { xpanseAssetsMapping } from './xpanse-assets.ts'
import { xpanseServicesMapping } from './xpanse-services.ts'

/** In the order in which docs/mapping.md shows them. */
export const MAPPINGS: readonly StreamMapping[] = [
  computeHostsMapping,
  computeImagesMapping,
  computeRegistryMapping,
  computeVmsMapping,
  computeServerlessMapping,
  computeContainersMapping,
  computeCloudVmsMapping,
  cspmConfigMapping,
  cspmInventoryMapping,
  cspmVulnerabilitiesMapping,
  xdrEndpointsMapping,
  xdrFindingsMapping,
  xdrIncidentsMapping,
  xpanseAssetsMapping,
  xpanseServicesMapping,
  cloudAssetsMapping,
  cloudFindingsMapping,
  cloudIssuesMapping,
  cloudVulnerabilitiesMapping,
]

/** What the replaced integrations promise, and the fields that hold it. */
export const PROPERTIES: Readonly<Record<string, readonly string[]>> = {
  'cloud provider': ['asset cloud.provider'],
  'resource type': ['asset native_type', 'asset kind', 'asset cloud.resource_type'],
  'network interfaces': [
    'asset network_interfaces.name',
    'asset network_interfaces.mac',
    'asset network_interfaces.ips',
    'asset network_interfaces.subnet',
  ],
  'IP address': ['asset private_ips', 'asset public_ips'],
  'public DNS name': ['asset public_dns_names'],
  'operating system details': [
    'asset os.family',
    'asset os.name',
    'asset os.version',
    'asset os.architecture',
  ],
  'internet facing': ['asset internet_exposed', 'finding internet_exposed'],
  'Palo Alto criticality data': [
    'asset criticality.level',
    'asset criticality.score',
    'asset criticality.raw',
    'asset finding_counts',
    'asset risk_factors',
  ],
  'CVE findings': ['finding vuln_id'],
}
