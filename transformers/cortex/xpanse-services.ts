// Xpanse external services: each is an asset, its CVEs are inferred from what it says of itself.
import { z } from 'zod'
import type { AssetState } from '../../contracts/asset.ts'
import type { RawFacts } from '../../contracts/envelope.ts'
import type { AffectedPackage, Cvss, FindingState, Locator } from '../../contracts/finding.ts'
import { assetUid } from '../../contracts/identity.ts'
import type { Transformer } from '../../contracts/ports.ts'
import { cloudOf } from '../cloud.ts'
import { severityCountsOf } from '../counts.ts'
import { defineRecord, each } from '../drift.ts'
import { findingUidOf } from '../finding-uid.ts'
import { NEW_FINDING, assetRefOf, mergeFindings, weaknessOf } from '../findings.ts'
import { withoutFloatNoise } from '../floats.ts'
import { correlationKeysOf, entityUidOf } from '../identity-keys.ts'
import { addressesOf } from '../ip.ts'
import { labelPairs, textMapOf } from '../maps.ts'
import { namesOf } from '../names.ts'
import { severityOf } from '../severity.ts'
import { isObject, sortedTexts } from '../text.ts'
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
import { interfacesOf } from './fields.ts'
import {
  addressTexts,
  businessUnitsOf,
  cloudProviderOf,
  countedOf,
  criticalityOf,
  saysNone,
  withoutNullWords,
} from './xpanse-fields.ts'

/**
 * One element of `inferredCvesObserved` (values made up); `confidence` High | Medium | Low:
 *
 *     { "inferredCve": { "cveId": "CVE-…", "cvssScoreV2": 6.8, "cveSeverityV2": "MEDIUM",
 *         "cvssScoreV3": 7.8, "cveSeverityV3": "HIGH", "inferredCveMatchMetadata":
 *         { "inferredCveMatchType": "ExactVersionMatch", "vendor": "openbsd",
 *           "product": "openssh", "version": "7.6", "confidence": "High" } },
 *       "activityStatus": "Active", "firstObserved": 1662774169000, "lastObserved": 1662967589000 }
 */
const observedSchema = z.looseObject({
  inferredCve: objectOrEmpty(
    z.looseObject({
      cveId: maybeText,
      cvssScoreV2: maybeNumber,
      cveSeverityV2: maybeText,
      cvssScoreV3: maybeNumber,
      cveSeverityV3: maybeText,
      inferredCveMatchMetadata: objectOrEmpty(
        z.looseObject({
          inferredCveMatchType: maybeText,
          vendor: maybeText,
          product: maybeText,
          version: maybeText,
          confidence: maybeText,
        }),
      ),
    }),
  ),
  activityStatus: maybeText,
  firstObserved: anything,
  lastObserved: anything,
})
type Observed = z.output<typeof observedSchema>

/**
 * `{"service":…,"details":…}`: an element of `reply.external_services` of get_external_services and
 * the element of `reply.details` of get_external_service for it, or null (values made up):
 *
 *     { "service": { "service_id": "9423…", "service_name": "SSH Server at 203.0.113.7:22",
 *         "service_type": "SshServer", "ip_address": ["203.0.113.7"], "domain": [], "port": 22,
 *         "protocol": "TCP", "is_active": "Active", "externally_inferred_cves": ["CVE-…"],
 *         "externally_inferred_vulnerability_score": 7.8, "business_units": ["Shop"],
 *         "externally_detected_providers": ["Amazon Web Services"], "active_classifications": [],
 *         "first_observed": 1662774120000, "last_observed": 1662967560000, … },
 *       "details": { "service_id": "9423…", …, "details": { "inferredCvesObserved": […] } } }
 */
const serviceSchema = z.looseObject({
  service: z.looseObject({
    service_id: requiredId,
    service_name: maybeText,
    service_type: maybeText,
    ip_address: anything,
    ipv6_address: anything,
    domain: textList,
    externally_detected_providers: textList,
    is_active: maybeText,
    first_observed: anything,
    last_observed: anything,
    port: maybeNumber,
    protocol: maybeText,
    active_classifications: textList,
    business_units: anything,
    tags: textList,
    externally_inferred_vulnerability_score: anything,
    externally_inferred_cves: anything,
  }),
  details: objectOrEmpty(
    z.looseObject({
      externally_inferred_cves: anything,
      details: objectOrEmpty(z.looseObject({ inferredCvesObserved: anything })),
    }),
  ),
})
type Service = z.output<typeof serviceSchema>['service']

const observedList = objects(observedSchema)

/** Mapped below. */
const KNOWN = fieldNames(`
  service_id service_name service_type ip_address ipv6_address domain is_active first_observed
  last_observed port protocol active_classifications business_units tags
  externally_inferred_vulnerability_score externally_inferred_cves
`)
const KNOWN_OBSERVED = fieldNames('inferredCve activityStatus firstObserved lastObserved')

const ACTIVITY = ['Active', 'Inactive']
const SEVERITIES = ['CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'NONE']
const serviceForm = {
  ...each('string', 'service_id service_name service_type is_active protocol discovery_type'),
  ...each('string', 'cloud_management_status'),
  ...each('string|array', 'ip_address ipv6_address'),
  ...each(
    'array',
    `domain externally_detected_providers active_classifications inactive_classifications
     business_units externally_inferred_cves tls_versions inferred_cves_observed tags
     vulnerability_test_results`,
  ),
  ...each('number', 'first_observed last_observed port'),
  externally_inferred_vulnerability_score: 'number|string',
} as const
const OBSERVED = 'details.details.inferredCvesObserved[]'

const driftOf = defineRecord({
  fields: {
    service: serviceForm,
    details: {
      ...serviceForm,
      details: {
        ...each('string', 'serviceKey serviceKeyType enrichedObservationSource'),
        ...each(
          'array',
          'businessUnits providerDetails certificates domains ips classifications tlsVersions',
        ),
        ip_ranges: 'object',
        inferredCvesObserved: [
          {
            inferredCve: {
              ...each('string', 'cveId cveSeverityV2 cveSeverityV3'),
              ...each('number', 'cvssScoreV2 cvssScoreV3'),
              inferredCveMatchMetadata: each(
                'string',
                'inferredCveMatchType product confidence vendor version',
              ),
            },
            activityStatus: 'string',
            ...each('number', 'firstObserved lastObserved'),
          },
        ],
      },
    },
  },
  values: {
    'service.is_active': ACTIVITY,
    [`${OBSERVED}.activityStatus`]: ACTIVITY,
    [`${OBSERVED}.inferredCve.cveSeverityV3`]: SEVERITIES,
    [`${OBSERVED}.inferredCve.cveSeverityV2`]: SEVERITIES,
  },
})

/** Both parts as they come, without the text `null` where null is meant. */
const prepare = (unit: unknown): unknown =>
  isObject(unit)
    ? {
        ...unit,
        service: withoutNullWords(unit['service']),
        details: withoutNullWords(unit['details']),
      }
    : unit

export const xpanseServices: Transformer = {
  vendor: 'cortex',
  product: 'cortex-xpanse',
  stream: 'xpanse.services',
  rank: 0,
  transform(raw) {
    const reader = { schema: serviceSchema, driftOf, prepare }
    const { record, drift } = readRecord(raw, reader)
    const { service, details } = record
    const asset = assetOf(service, raw.facts)
    const given = details.details.inferredCvesObserved
    const observed = observedList.parse(given)
    return {
      assets: [asset],
      findings: oneEach(observed.flatMap((one) => findingOf(one, service, asset, raw.facts))),
      // Without this list nobody says which CVEs there are, and those known before stay; unless the
      // service lists their names, and there are none.
      findingsKnown: Array.isArray(given) || saysNone([service, details]),
      drift,
    }
  },
}

const isInactive = (status: string | null): boolean => status?.toLowerCase() === 'inactive'

function assetOf(row: Service, facts: RawFacts): AssetState {
  const nowMs = facts.fetchedAtMs
  const asset_uid = assetUid({ ...facts, nativeId: row.service_id })
  const names = namesOf(row.domain)
  const provider = cloudProviderOf(null, row.externally_detected_providers)
  const addresses = addressesOf([
    ...addressTexts(row.ip_address),
    ...addressTexts(row.ipv6_address),
  ])
  const correlation_keys = correlationKeysOf({
    ...names,
    provider,
    accountId: null,
    instanceIds: [],
    resourceId: null,
    imageDigest: null,
    agentId: null,
    macs: [],
    publicIps: addresses.public,
    privateIps: addresses.private,
  })
  const { protocol, port, service_id } = locatorOf(row)
  return {
    ...names,
    // They are seen from outside under these names.
    public_dns_names: names.fqdns,
    asset_uid,
    entity_uid: entityUidOf(correlation_keys, asset_uid),
    kind: 'EXTERNAL_SERVICE',
    native_type: row.service_type ?? '',
    name: row.service_name ?? row.service_id,
    cloud: cloudOf({ provider }),
    network_interfaces: interfacesOf([], addresses.all),
    private_ips: addresses.private,
    public_ips: addresses.public,
    os: null,
    image: null,
    agent: null,
    internet_exposed: !isInactive(row.is_active),
    exposed_services: [{ protocol, port, name: row.service_type, service_id }],
    criticality: criticalityOf(row.externally_inferred_vulnerability_score),
    risk_factors: row.active_classifications,
    business_units: businessUnitsOf(row.business_units),
    owners: [],
    tags: textMapOf(labelPairs(row.tags)),
    correlation_keys,
    status: isInactive(row.is_active) ? 'INACTIVE' : 'ACTIVE',
    first_seen: timeOf(row.first_observed, 'milliseconds', nowMs),
    last_seen: timeOf(row.last_observed, 'milliseconds', nowMs) ?? nowMs,
    gone_at: null,
    reopen_count: 0,
    vendor_created_at: null,
    finding_counts: severityCountsOf(null, countedOf(row.externally_inferred_cves)),
    unmapped: unmappedOf(row, KNOWN),
  }
}

const PORT_MAX = 65_535

function locatorOf({ protocol, port, service_id }: Service): Locator {
  const isPort = port !== null && Number.isInteger(port) && port >= 0 && port <= PORT_MAX
  return {
    protocol: protocol?.toLowerCase() ?? null,
    port: isPort ? port : null,
    service_id,
    path: null,
    layer: null,
  }
}

/** One that names no weakness is none. */
function findingOf(
  observed: Observed,
  service: Service,
  asset: AssetState,
  facts: RawFacts,
): FindingState[] {
  const { inferredCve: cve } = observed
  if (cve.cveId === null) return []
  const { fetchedAtMs: nowMs } = facts
  const { asset_uid } = asset
  const kind = 'VULNERABILITY'
  const weakness = weaknessOf(cve.cveId)
  const affected = packageOf(cve.inferredCveMatchMetadata)
  const locator = locatorOf(service)
  const scores = scoresOf(cve)
  const first = timeOf(observed.firstObserved, 'milliseconds', nowMs)
  const last = timeOf(observed.lastObserved, 'milliseconds', nowMs)
  const finding: FindingState = {
    ...NEW_FINDING,
    ...weakness,
    ...scores,
    ...severityOf(wordOf(cve, scores.cvss), scores.cvss_score),
    ...(isInactive(observed.activityStatus) ? CLOSED : {}),
    finding_uid: findingUidOf({ asset_uid, kind, ...weakness, package: affected, locator }),
    asset_uid,
    asset: assetRefOf(asset),
    kind,
    aliases: [],
    cwes: [],
    title: `${weakness.vuln_id}${affected === null ? '' : ` in ${affected.name}`}`,
    description: null,
    vendor_status: observed.activityStatus,
    epss: null,
    known_exploited: null,
    exploit: null,
    package: affected,
    fix: null,
    locator,
    risk_factors: riskFactorsOf(cve.inferredCveMatchMetadata),
    references: [],
    internet_exposed: asset.internet_exposed,
    risk_score: null,
    published_at: null,
    first_seen: first ?? last ?? nowMs,
    last_seen: last ?? nowMs,
    due_at: null,
    unmapped: unmappedOf(observed, KNOWN_OBSERVED),
  }
  return [finding]
}

const CLOSED = { status: 'RESOLVED', resolution: 'VENDOR_CLOSED' } as const

/** Version 3 is preferred; which 3 it is, nobody says. A score of 0 is none. */
function scoresOf(cve: Observed['inferredCve']): Pick<FindingState, 'cvss' | 'cvss_score'> {
  const given: [string, number | null, string | null][] = [
    ['unknown', cve.cvssScoreV3, cve.cveSeverityV3],
    ['2.0', cve.cvssScoreV2, cve.cveSeverityV2],
  ]
  const cvss = given.flatMap(([version, score, severity]): Cvss[] => {
    if (score === null || score <= 0 || score > 10) return []
    const base_score = withoutFloatNoise(score)
    return [{ version, vector: null, base_score, severity, source: null }]
  })
  return { cvss, cvss_score: cvss[0]?.base_score ?? null }
}

/** The word that belongs to the score: version 2 has other bands. */
const wordOf = (cve: Observed['inferredCve'], cvss: readonly Cvss[]): string | null =>
  cve.cveSeverityV3 ?? (cvss[0]?.version === 'unknown' ? null : cve.cveSeverityV2)

type Match = Observed['inferredCve']['inferredCveMatchMetadata']

function packageOf({ vendor, product, version }: Match): AffectedPackage | null {
  if (product === null) return null
  return {
    name: product,
    versions: version === null ? [] : [version],
    type: null,
    purl: null,
    cpe: cpeOf([vendor, product, version]),
    paths: [],
    source_package: null,
    in_use: null,
    license: null,
  }
}

/** CPE 2.3 of what nobody says to be application, system or device: its part stays open. */
const cpeOf = (parts: readonly (string | null)[]): string =>
  ['cpe:2.3:*', ...parts.map(cpePart), '*:*:*:*:*:*:*'].join(':')

const cpePart = (text: string | null): string =>
  text === null
    ? '*'
    : text
        .toLowerCase()
        .replace(/\s+/g, '_')
        .replace(/[^a-z0-9._-]/g, (sign) => `\\${sign}`)

const riskFactorsOf = ({ confidence, inferredCveMatchType }: Match): string[] =>
  sortedTexts([
    ...(confidence === null ? [] : [`Confidence: ${confidence}`]),
    ...(inferredCveMatchType === null ? [] : [`Match: ${inferredCveMatchType}`]),
  ])

/** One that is still there wins over the same one that was seen to go. */
function oneEach(findings: readonly FindingState[]): FindingState[] {
  const open = new Set(findings.filter((f) => f.status === 'OPEN').map((f) => f.finding_uid))
  return mergeFindings(findings.filter((f) => f.status === 'OPEN' || !open.has(f.finding_uid)))
}
