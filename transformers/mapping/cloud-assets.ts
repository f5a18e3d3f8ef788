// Where the fields of cloud.assets come from: names of live tenants and of the specification.
import { type StreamMapping, REST, always, below, from, like } from './stream-mapping.ts'

const a = (paths: string): string => below('xdm.asset', paths)
const h = (paths: string): string => below('xdm.host', paths)
const TYPES = a('type.category type.id type.name type.class')
const IPS = `${h('ipv4_addresses ipv6_addresses')} ${a('strong_id')}`
const ISSUES = `${a('related_issues.issues_breakdown')} issues_breakdown`

export const cloudAssetsMapping: StreamMapping = {
  stream: 'cloud.assets',
  product: 'cortex-cloud',
  call: 'POST /public_api/v1/assets',
  unit: 'a row of the inventory',
  lifted: ['xdm.asset.normalized_fields'],
  each: null,
  deciding: {},
  tables: {
    asset: {
      asset_uid: from(a('id')),
      entity_uid: like('correlation_keys asset_uid', 'first strong key, else the asset itself'),
      kind: from(
        `${TYPES} ${a('provider')}`,
        'by the words; else CLOUD_RESOURCE with a provider, UNKNOWN without',
      ),
      native_type: from(a('type.id type.name'), 'the first there is'),
      name: from(a('name strong_id id'), 'the first there is'),
      hostnames: from(`${a('name external_fqdn')} ${h('fqdn')}`),
      fqdns: like('hostnames', 'those with a domain'),
      public_dns_names: like('fqdns', "under a cloud's public suffix"),
      'cloud.provider': from(a('provider'), 'ON_PREM is no cloud'),
      'cloud.account_id': from(a('realm')),
      'cloud.region': from(a('cloud.region')),
      'cloud.resource_id': from(a('external_provider_id')),
      'cloud.instance_id': like(
        'kind cloud.provider',
        "of machines, in the provider's form; the first there is",
        a('strong_id external_provider_id'),
      ),
      'cloud.resource_type': from(a('type.name')),
      'cloud.vpc_id': from('xdm.cloud.vpc_id'),
      'network_interfaces.mac': from(h('mac_addresses')),
      'network_interfaces.ips': from(IPS, 'a strong id only where it is an address'),
      private_ips: from(IPS),
      public_ips: from(IPS),
      'os.family': from(h('os_family os_distribution'), 'the first there is'),
      'os.name': from(h('os_distribution os_family'), 'the first there is'),
      'os.version': from(h('os_release')),
      'image.digest': like('kind', 'of container images', a('strong_id')),
      internet_exposed: from('xdm.network.internet_exposed'),
      'criticality.level': from(ISSUES, 'worst severity with an open issue'),
      'criticality.raw': from(ISSUES, 'the same as a word'),
      business_units: from(a('group_ids')),
      tags: from(a('tags')),
      correlation_keys: like(
        `cloud.provider cloud.account_id cloud.instance_id cloud.resource_id image.digest hostnames
         fqdns network_interfaces.mac private_ips public_ips`,
        'see the rules',
      ),
      status: always('ACTIVE'),
      first_seen: from(a('first_observed')),
      last_seen: from(a('last_observed'), 'else fetch time'),
      finding_counts: from(ISSUES, 'of issues'),
      unmapped: REST,
    },
  },
  nothing: { 'CVE findings': 'see cloud.findings' },
}
