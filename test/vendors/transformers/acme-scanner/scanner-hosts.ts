// Acme Scanner hosts: machines as a network scan sees them, with their weaknesses.
import { z } from 'zod'
import type { AssetState } from '../../../../contracts/asset.ts'
import type { RawFacts } from '../../../../contracts/envelope.ts'
import type { FindingState } from '../../../../contracts/finding.ts'
import { assetUid } from '../../../../contracts/identity.ts'
import type { Transformer } from '../../../../contracts/ports.ts'
import { cvssOf } from '../../../../transformers/cvss.ts'
import { defineRecord, each } from '../../../../transformers/drift.ts'
import { findingUidOf } from '../../../../transformers/finding-uid.ts'
import {
  NEW_FINDING,
  assetRefOf,
  mergeFindings,
  weaknessOf,
} from '../../../../transformers/findings.ts'
import { correlationKeysOf, entityUidOf } from '../../../../transformers/identity-keys.ts'
import { addressesOf } from '../../../../transformers/ip.ts'
import { namesOf } from '../../../../transformers/names.ts'
import { osFamilyOf, osOf } from '../../../../transformers/os.ts'
import { severityOf } from '../../../../transformers/severity.ts'
import { timeOf } from '../../../../transformers/times.ts'
import { fieldNames, unmappedOf } from '../../../../transformers/unmapped.ts'
import {
  anything,
  maybeText,
  objects,
  readRecord,
  requiredId,
  textList,
} from '../../../../transformers/vendor-json.ts'

const weaknessSchema = z.looseObject({
  id: requiredId.catch(''),
  grade: maybeText,
  score: anything,
  software: maybeText,
  version: textList,
})
type Weakness = z.output<typeof weaknessSchema>

/**
 * One element of `hosts` of `GET /v2/hosts` (made up):
 *
 *     { "hostId": "h-1", "name": "web-1.example.com", "addresses": ["10.0.0.7"],
 *       "system": "Debian 12", "scannedAt": "2026-01-14T08:00:00Z",
 *       "weaknesses": [{ "id": "CVE-2026-0001", "grade": "high", "score": 7.5,
 *                        "software": "openssl", "version": "3.0.1" }] }
 *
 * `weaknesses` is null until the host has been scanned.
 */
const hostSchema = z.looseObject({
  hostId: requiredId,
  name: maybeText,
  addresses: textList,
  system: maybeText,
  scannedAt: anything,
  weaknesses: z.union([z.null(), objects(weaknessSchema)]).default(null),
})
type Host = z.output<typeof hostSchema>

const KNOWN = fieldNames('hostId name addresses system scannedAt weaknesses')
const WEAKNESS_KNOWN = fieldNames('id grade score software version')
const driftOf = defineRecord({
  fields: {
    ...each('string', 'hostId name system scannedAt rack'),
    addresses: 'array',
    weaknesses: [
      { ...each('string', 'id grade software version'), ...each('number', 'score port') },
    ],
  },
  values: { 'weaknesses[].grade': ['low', 'medium', 'high', 'critical'] },
})

export const scannerHosts: Transformer = {
  vendor: 'acme-scanner',
  product: 'acme-scanner',
  stream: 'scanner.hosts',
  rank: 0,
  transform(raw) {
    const { record: host, drift } = readRecord(raw, { schema: hostSchema, driftOf })
    const asset = assetOf(host, raw.facts)
    const findings = (host.weaknesses ?? [])
      .filter(({ id }) => id !== '')
      .map((weakness) => findingOf(weakness, asset))
    // Not scanned yet: what an earlier scan showed is still the last word.
    const findingsKnown = host.weaknesses !== null
    return { assets: [asset], findings: mergeFindings(findings), findingsKnown, drift }
  },
}

function assetOf(host: Host, facts: RawFacts): AssetState {
  const asset_uid = assetUid({ ...facts, nativeId: host.hostId })
  const names = namesOf([host.name])
  const addresses = addressesOf(host.addresses)
  const scannedAt = timeOf(host.scannedAt, 'milliseconds', facts.fetchedAtMs)
  // Nothing that a network sees is unique by construction: the asset is an entity of its own.
  const correlation_keys = correlationKeysOf({
    ...names,
    provider: null,
    accountId: null,
    instanceIds: [],
    resourceId: null,
    imageDigest: null,
    agentId: null,
    macs: [],
    publicIps: addresses.public,
    privateIps: addresses.private,
  })
  return {
    ...names,
    asset_uid,
    entity_uid: entityUidOf(correlation_keys, asset_uid),
    kind: 'HOST',
    native_type: 'host',
    name: host.name ?? host.hostId,
    cloud: null,
    network_interfaces: [],
    private_ips: addresses.private,
    public_ips: addresses.public,
    os: osOf({
      family: osFamilyOf([host.system]),
      name: host.system,
      version: null,
      architecture: null,
    }),
    image: null,
    agent: null,
    internet_exposed: null,
    exposed_services: [],
    criticality: null,
    risk_factors: [],
    business_units: [],
    owners: [],
    tags: {},
    correlation_keys,
    status: 'ACTIVE',
    first_seen: null,
    last_seen: scannedAt ?? facts.fetchedAtMs,
    gone_at: null,
    reopen_count: 0,
    vendor_created_at: null,
    finding_counts: null,
    unmapped: unmappedOf(host, KNOWN),
  }
}

function findingOf(given: Weakness, asset: AssetState): FindingState {
  const { asset_uid, last_seen } = asset
  const weakness = weaknessOf(given.id)
  const scores = cvssOf([{ score: given.score, vector: null }])
  const kind = 'VULNERABILITY'
  const affected = packageOf(given)
  const identity = { asset_uid, kind, ...weakness, package: affected, locator: null } as const
  return {
    ...NEW_FINDING,
    ...weakness,
    ...scores,
    ...severityOf(given.grade, scores.cvss_score),
    finding_uid: findingUidOf(identity),
    asset_uid,
    asset: assetRefOf(asset),
    kind,
    aliases: [],
    cwes: [],
    title: `${weakness.vuln_id}${affected === null ? '' : ` in ${affected.name}`}`,
    description: null,
    vendor_status: null,
    epss: null,
    known_exploited: null,
    exploit: null,
    package: affected,
    fix: null,
    locator: null,
    risk_factors: [],
    references: [],
    internet_exposed: null,
    risk_score: null,
    published_at: null,
    first_seen: last_seen,
    last_seen,
    due_at: null,
    unmapped: unmappedOf(given, WEAKNESS_KNOWN),
  }
}

function packageOf({ software, version }: Weakness): FindingState['package'] {
  if (software === null) return null
  return {
    name: software,
    versions: version,
    type: null,
    purl: null,
    cpe: null,
    paths: [],
    source_package: null,
    in_use: null,
    license: null,
  }
}
