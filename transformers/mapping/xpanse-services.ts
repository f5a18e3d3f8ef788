// Where the fields of xpanse.services come from: the listing, and the details for CVEs.
import { type StreamMapping, REST, always, below, from, like } from './stream-mapping.ts'

const s = (paths: string): string => below('service', paths)
const EACH = 'details.details.inferredCvesObserved[]'
const o = (paths: string): string => below(EACH, paths)
const c = (paths: string): string => o(below('inferredCve', paths))
const m = (paths: string): string => c(below('inferredCveMatchMetadata', paths))
const NO_LIST =
  'without the list those known before stay, unless `externally_inferred_cves` is an empty list'
const SCORES = c('cvssScoreV3 cvssScoreV2')

export const xpanseServicesMapping: StreamMapping = {
  stream: 'xpanse.services',
  product: 'cortex-xpanse',
  call: 'POST /public_api/v1/assets/get_external_services',
  unit: 'a service (`service`) with its details (`details`, assets/get_external_service)',
  lifted: [],
  each: EACH,
  deciding: {},
  tables: {
    asset: {
      asset_uid: from(s('service_id')),
      entity_uid: like('asset_uid', 'the asset itself: addresses and names are no strong keys'),
      kind: always('EXTERNAL_SERVICE'),
      native_type: from(s('service_type')),
      name: from(s('service_name service_id'), 'the first there is'),
      hostnames: from(s('domain')),
      fqdns: from(s('domain')),
      public_dns_names: like('fqdns', 'all: they are seen from outside'),
      'cloud.provider': from(s('externally_detected_providers'), 'as recognised from outside'),
      'network_interfaces.ips': from(s('ip_address ipv6_address')),
      private_ips: from(s('ip_address ipv6_address')),
      public_ips: from(s('ip_address ipv6_address')),
      internet_exposed: from(s('is_active'), 'false only where Inactive'),
      'exposed_services.protocol': from(s('protocol')),
      'exposed_services.port': from(s('port')),
      'exposed_services.name': from(s('service_type')),
      'exposed_services.service_id': from(s('service_id')),
      'criticality.level': from(s('externally_inferred_vulnerability_score'), 'by the score'),
      'criticality.score': from(s('externally_inferred_vulnerability_score')),
      'criticality.raw': from(s('externally_inferred_vulnerability_score')),
      risk_factors: from(s('active_classifications')),
      business_units: from(s('business_units'), 'their names'),
      tags: from(s('tags')),
      correlation_keys: like('hostnames fqdns private_ips public_ips', 'see the rules'),
      status: from(s('is_active'), 'INACTIVE, else ACTIVE'),
      first_seen: from(s('first_observed')),
      last_seen: from(s('last_observed'), 'else fetch time'),
      finding_counts: from(s('externally_inferred_cves'), 'the total'),
      unmapped: REST,
    },
    finding: {
      finding_uid: like(
        'asset_uid vuln_id package.name locator.protocol locator.port',
        'of asset, weakness, package and port',
      ),
      asset_uid: like('asset:asset_uid', "the asset's"),
      asset: like(
        `asset:name asset:hostnames asset:private_ips asset:public_ips asset:cloud.provider`,
        'of the asset',
      ),
      kind: always('VULNERABILITY'),
      vuln_id: from(c('cveId'), 'upper-cased'),
      vuln_id_scheme: like('vuln_id', 'cve, ghsa, else vendor'),
      title: like('vuln_id package.name', 'built'),
      status: from(o('activityStatus'), `RESOLVED where Inactive, else OPEN; ${NO_LIST}`),
      resolution: like('status', 'VENDOR_CLOSED, NONE'),
      vendor_status: from(o('activityStatus')),
      severity: from(`${c('cveSeverityV3 cveSeverityV2')} ${SCORES}`, 'of version 3 first'),
      severity_id: like('severity', 'of the severity'),
      severity_raw: from(`${c('cveSeverityV3 cveSeverityV2')} ${c('cvssScoreV3')}`),
      cvss_score: from(SCORES, 'of version 3 first'),
      'cvss.version': from(SCORES, 'which 3 it is, nobody says: unknown'),
      'cvss.base_score': from(SCORES),
      'cvss.severity': from(`${c('cveSeverityV3 cveSeverityV2')} ${SCORES}`),
      'package.name': from(m('product')),
      'package.versions': from(m('version')),
      'package.cpe': from(m('vendor product version'), 'built'),
      'locator.protocol': from(s('protocol')),
      'locator.port': from(s('port')),
      'locator.service_id': from(s('service_id')),
      risk_factors: from(m('confidence inferredCveMatchType')),
      internet_exposed: like('asset:internet_exposed', 'of the asset'),
      first_seen: from(o('firstObserved lastObserved'), 'the first there is'),
      last_seen: from(o('lastObserved'), 'else fetch time'),
      unmapped: REST,
    },
  },
  nothing: { 'operating system details': 'a service tells of its software, not of the system' },
}
