// The scan result of Prisma Cloud Compute, of a host, an image or a function, read leniently: only
// what names the thing is required.
import { z } from 'zod'
import { isObject, textsOf } from '../text.ts'
import {
  anything,
  maybeFlag,
  maybeNumber,
  maybeText,
  objectOrEmpty,
  objects,
  requiredId,
  textList,
} from '../vendor-json.ts'

const exploitList = objects(z.looseObject({ source: maybeText, kind: maybeText, link: maybeText }))

const vulnerabilitySchema = z
  .looseObject({
    cve: maybeText,
    title: maybeText,
    description: anything,
    type: maybeText,
    severity: anything,
    cvss: anything,
    vecStr: anything,
    status: maybeText,
    packageName: maybeText,
    packageVersion: maybeText,
    packageType: maybeText,
    binaryPkgs: textList,
    path: maybeText,
    functionLayer: maybeText,
    published: anything,
    fixDate: anything,
    fixLink: maybeText,
    discovered: anything,
    gracePeriodDays: maybeNumber,
    link: maybeText,
    riskFactors: anything,
    exploit: anything,
    // Null where it is not a list: the console then says nothing about exploits.
    exploits: anything.transform((v) => (Array.isArray(v) ? exploitList.parse(v) : null)),
  })
  // Without either nobody can say what was found, and the finding would have no id.
  .refine((v) => v.cve !== null || v.title !== null, 'has neither cve nor title')

const packageSchema = z.looseObject({
  name: maybeText,
  version: maybeText,
  path: maybeText,
  purl: maybeText,
  license: maybeText,
})

/** A label of a cloud or a cluster. */
export const labelSchema = z.looseObject({ key: maybeText, value: maybeText })

/** Where a machine stands; of an image, where it was scanned. */
export const cloudMetadataSchema = objectOrEmpty(
  z.looseObject({
    provider: maybeText,
    accountID: maybeText,
    region: maybeText,
    resourceID: maybeText,
    resourceURL: maybeText,
    vmID: maybeText,
    vmImageID: maybeText,
    image: maybeText,
    type: maybeText,
    name: maybeText,
    labels: objects(labelSchema),
  }),
)

/**
 * One element of the array that `GET /api/v<version>/hosts` returns (what we read; values made up):
 *
 *     { "_id": "web-1", "type": "host", "hostname": "web-1",
 *       "scanTime": "2026-01-03T14:53:04.006Z", "firstScanTime": "0001-01-01T00:00:00Z",
 *       "creationTime": "0001-01-01T00:00:00Z",
 *       "distro": "Ubuntu 24.04.1 LTS", "osDistro": "ubuntu", "osDistroVersion": "24.04",
 *       "osDistroRelease": "noble", "isARM64": false, "agentless": false,
 *       "scanVersion": "34.04.145",
 *       "hostDevices": [{ "name": "ens5", "ip": "10.0.0.7" }],
 *       "cloudMetadata": { "provider": "aws", "resourceID": "i-…", "accountID": "<12 digits>",
 *         "region": "eu-west-1", "image": "ami-…", "type": "t3.micro", "vmID": "<Azure only>",
 *         "labels": [{ "key": "env", "value": "prod" }] },
 *       "collections": ["All"], "labels": ["osDistro:ubuntu"], "riskFactors": { "Has fix": {} },
 *       "vulnerabilitiesCount": 1, "vulnerabilityRiskScore": 10000,
 *       "vulnerabilityDistribution": { "critical": 0, "high": 1, …, "total": 1 },
 *       "packages": [{ "pkgsType": "package", "pkgs": [{ "name": "openssl", … }] }],
 *       "applications": [{ "name": "nginx", "version": "1.24", "path": "/usr/sbin/nginx" }],
 *       "vulnerabilities": [{ "cve": "CVE-2026-0001", "severity": "high", "cvss": 7.5,
 *         "vecStr": "CVSS:3.1/…", "status": "fixed in 3.0.2, 1.1.1w", "packageName": "openssl",
 *         "packageVersion": "3.0.1", "published": 1660162500, "fixDate": 0,
 *         "discovered": "2026-01-01T00:00:00Z", "riskFactors": {}, "exploit": "",
 *         "exploits": [] }] }
 *
 * `vulnerabilities` may be null or absent, `riskFactors` null, `cloudMetadata` empty; times of
 * year 1 are nulls; `published` and `fixDate` are seconds, 0 for none.
 * @see https://pan.dev/prisma-cloud/api/cwpp/get-hosts/ (shared.ImageScanResult)
 */
export const scanSchema = z.looseObject({
  _id: requiredId,
  type: maybeText,
  hostname: maybeText,
  scanTime: anything,
  firstScanTime: anything,
  creationTime: anything,
  distro: maybeText,
  osDistro: maybeText,
  osDistroVersion: maybeText,
  osDistroRelease: maybeText,
  isARM64: maybeFlag,
  agentless: maybeFlag,
  csa: maybeFlag,
  scanVersion: maybeText,
  err: maybeText,
  hostDevices: objects(z.looseObject({ name: maybeText, ip: maybeText })),
  cloudMetadata: cloudMetadataSchema,
  labels: textList,
  externalLabels: objects(labelSchema),
  collections: textList,
  riskFactors: anything,
  vulnerabilitiesCount: maybeNumber,
  vulnerabilityRiskScore: maybeNumber,
  vulnerabilityDistribution: anything,
  packages: objects(z.looseObject({ pkgsType: maybeText, pkgs: objects(packageSchema) })),
  applications: objects(packageSchema),
  vulnerabilities: z.array(vulnerabilitySchema).nullish(),
})

export type ComputeScan = z.output<typeof scanSchema>
export type ComputeVulnerability = z.output<typeof vulnerabilitySchema>

/** Names of the risk factors of a host or vulnerability: `{"Has fix": {}}`, null, or a list. */
export const riskFactorsOf = (value: unknown): string[] =>
  textsOf(isObject(value) ? Object.keys(value) : value)
