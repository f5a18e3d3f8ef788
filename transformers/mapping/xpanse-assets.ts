// Where the fields of xpanse.assets come from, in the published names and in those of live tenants.
import { type StreamMapping, REST, always, from, like } from './stream-mapping.ts'

const TYPE = 'asset_type type'
const ADDRESSES = 'ips ip_address ipv6s recent_ips last_sampled_ip'
const SCORE = 'asm_va_score externally_inferred_vulnerability_score'

export const xpanseAssetsMapping: StreamMapping = {
  stream: 'xpanse.assets',
  product: 'cortex-xpanse',
  call: 'POST /public_api/v1/assets/get_assets_internet_exposure',
  unit: 'a machine, domain or certificate as seen from the internet',
  lifted: [],
  each: null,
  deciding: {},
  tables: {
    asset: {
      asset_uid: from('asm_ids asset_id', 'the first there is'),
      entity_uid: like('correlation_keys asset_uid', 'first strong key, else the asset itself'),
      kind: from(`${TYPE} cloud_provider`),
      native_type: from(TYPE, 'the first there is'),
      name: like('network_interfaces.ips', 'the first there is', 'name domain asm_ids asset_id'),
      hostnames: from(`name domain ${TYPE}`, 'not of certificates'),
      fqdns: like('hostnames', 'those with a domain'),
      public_dns_names: like('fqdns', "of domains all, else under a cloud's suffix"),
      'cloud.provider': from(
        'cloud_provider externally_detected_providers',
        'onboarded, else recognised',
      ),
      'cloud.account_id': from('provider_account'),
      'cloud.region': from('region'),
      'cloud.resource_id': from('cloud_id', "in the provider's form"),
      'cloud.instance_id': like(
        'cloud.provider cloud.account_id',
        "in the provider's form",
        'cloud_id',
      ),
      'cloud.resource_type': from('cloud_resource_type'),
      'network_interfaces.mac': from('mac_addresses'),
      'network_interfaces.ips': from(ADDRESSES, 'the last two only where there are no others'),
      private_ips: from(ADDRESSES),
      public_ips: from(ADDRESSES),
      'os.family': from('operation_system'),
      'os.name': from('operation_system'),
      'agent.type': from('agent_id', 'cortex-xdr where there is one'),
      'agent.id': from('agent_id'),
      internet_exposed: from(
        'active_services has_active_externally_services has_active_external_services',
        'what answers is exposed',
      ),
      'criticality.level': from(SCORE, 'by the score of its worst inferred CVE'),
      'criticality.score': from(SCORE, 'the first there is'),
      'criticality.raw': from(SCORE, 'the first there is'),
      risk_factors: from('certificate_classifications'),
      business_units: from('business_units business_units_list', 'their names'),
      tags: from('tags'),
      correlation_keys: like(
        `cloud.provider cloud.account_id cloud.instance_id cloud.resource_id agent.id hostnames
         fqdns network_interfaces.mac private_ips public_ips`,
        'see the rules',
      ),
      status: always('ACTIVE'),
      first_seen: from('first_observed'),
      last_seen: from('last_observed', 'else fetch time'),
      finding_counts: from('externally_inferred_cves', 'the total'),
      unmapped: REST,
    },
  },
  nothing: { 'CVE findings': 'names of inferred CVEs are counted; see xpanse.services' },
}
