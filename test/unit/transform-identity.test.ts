// What names a machine or a package: addresses, names, providers' ids, and the keys made of them.
import { describe, expect, it } from 'vitest'
import { providerOf } from '../../transformers/cloud.ts'
import { severityCountsOf } from '../../transformers/counts.ts'
import { weaknessOf } from '../../transformers/findings.ts'
import {
  type Identity,
  correlationKeysOf,
  entityUidOf,
  macsOf,
} from '../../transformers/identity-keys.ts'
import { addressesOf } from '../../transformers/ip.ts'
import { namesOf } from '../../transformers/names.ts'
import { osFamilyOf } from '../../transformers/os.ts'
import { packageTypeOf, purlOf } from '../../transformers/packages.ts'

describe('addresses', () => {
  it('writes every address in one form and splits private from public', () => {
    const given = ['10.0.0.7', '10.0.0.7/24', '2001:DB8:0:0::1', '::ffff:172.16.0.1', '3.3.3.3']
    expect(addressesOf([...given, 'FD00::1', '100.64.0.9', '[2001:db8::1]'])).toEqual({
      all: ['10.0.0.7', '100.64.0.9', '172.16.0.1', '2001:db8::1', '3.3.3.3', 'fd00::1'],
      private: ['10.0.0.7', '100.64.0.9', '172.16.0.1', 'fd00::1'],
      public: ['2001:db8::1', '3.3.3.3'],
    })
  })

  it.each([
    '127.0.0.1',
    '169.254.10.1',
    '0.0.0.0',
    '224.0.0.1',
    '::1',
    '::',
    'fe80::1%eth0',
    '::ffff:127.0.0.1',
    '010.0.0.1',
    '1.2.3',
    'web-1',
    '',
  ])('drops %j', (text) => {
    expect(addressesOf([text]).all).toEqual([])
  })
})

describe('names', () => {
  it('lower-cases, and tells complete names from hostnames', () => {
    expect(namesOf(['Web-1', 'DB.Example.COM.', 'ip-3.3.3.3', "Bob's Mac", '10.0.0.1'])).toEqual({
      hostnames: ['db.example.com', 'ip-3.3.3.3', 'web-1'],
      fqdns: ['db.example.com'],
      public_dns_names: [],
    })
  })

  it('knows the public names that clouds give', () => {
    const name = 'ec2-203-0-113-9.eu-west-3.compute.amazonaws.com'
    expect(namesOf([name, 'ip-10-0-1-5.eu-west-3.compute.internal']).public_dns_names).toEqual([
      name,
    ])
  })
})

const NOBODY: Identity = {
  provider: null,
  accountId: null,
  instanceIds: [],
  resourceId: null,
  imageDigest: null,
  agentId: null,
  hostnames: [],
  fqdns: [],
  macs: [],
  publicIps: [],
  privateIps: [],
}

describe('identity', () => {
  it.each([
    ['aws', '1', 'i-0d5e8c751a2249637', 'aws:i-0d5e8c751a2249637'],
    ['aws', '1', 'I-0D5E8C75', 'aws:i-0d5e8c75'],
    ['aws', '1', 'arn:aws:ec2:eu-west-3:1:instance/i-0d5e8c75', 'aws:i-0d5e8c75'],
    [
      'azure',
      's',
      '2F1C7A4E-0B1D-4E7A-9C55-0A1B2C3D4E5F',
      'azure:2f1c7a4e-0b1d-4e7a-9c55-0a1b2c3d4e5f',
    ],
    [
      'azure',
      's',
      '2f1c7a4e-0b1d-4e7a-9c55-0a1b2c3d4e5f-/subscriptions/s/vm/x',
      'azure:2f1c7a4e-0b1d-4e7a-9c55-0a1b2c3d4e5f',
    ],
    ['gcp', 'My-Project', '4325346532453245', 'gcp:my-project:4325346532453245'],
  ])('takes the id that %s (%s) writes as %s', (provider, accountId, id, value) => {
    const keys = correlationKeysOf({ ...NOBODY, provider, accountId, instanceIds: [null, id] })
    expect(keys).toEqual([{ type: 'cloud_instance_id', value, strong: true }])
  })

  it.each([
    ['aws', '1', 'testid1'],
    ['azure', 's', 'web-vm'],
    ['gcp', null, '4325346532453245'],
    [null, 'Other', '172.16.33.51'],
    ['other', '1', 'i-0d5e8c75'],
  ])('gives %s (%s) no strong key for %s', (provider, accountId, id) => {
    expect(correlationKeysOf({ ...NOBODY, provider, accountId, instanceIds: [id] })).toEqual([])
  })

  it('puts strong keys first, in their order, and never takes weak ones for the entity', () => {
    const keys = correlationKeysOf({
      provider: 'aws',
      accountId: '1',
      instanceIds: ['i-0d5e8c75'],
      resourceId: 'arn:aws:ec2:eu-west-3:1:instance/i-0d5e8c75',
      imageDigest: `sha256:${'0'.repeat(64)}`,
      agentId: '1111',
      hostnames: ['web-1.example.com', 'localhost', 'ip-10-0-1-5'],
      fqdns: ['web-1.example.com', 'ip-10-0-1-5.eu-west-3.compute.internal'],
      macs: ['00:50:56:00:00:07', '42:00:00:00:00:00'],
      publicIps: ['3.3.3.3'],
      privateIps: ['10.0.0.7'],
    })
    expect(keys.map((key) => [key.type, key.value])).toEqual([
      ['cloud_instance_id', 'aws:i-0d5e8c75'],
      ['image_digest', `sha256:${'0'.repeat(64)}`],
      ['cloud_resource_id', 'arn:aws:ec2:eu-west-3:1:instance/i-0d5e8c75'],
      ['agent_id', 'cortex:1111'],
      ['fqdn', 'web-1.example.com'],
      ['hostname', 'web-1'],
      ['mac', '00:50:56:00:00:07'],
      ['public_ip', '3.3.3.3'],
      ['private_ip', '10.0.0.7'],
    ])
    const weak = keys.filter((key) => !key.strong)
    expect(entityUidOf(weak, 'ast_a')).not.toBe(entityUidOf(weak, 'ast_b'))
    expect(entityUidOf(keys, 'ast_a')).toBe(entityUidOf(keys, 'ast_b'))
  })

  it('gives the entity of a known instance its known id', () => {
    const keys = [{ type: 'cloud_instance_id', value: 'aws:i-0d5e8c751a2249637', strong: true }]
    // sha256 over ["cloud_instance_id","aws:i-0d5e8c751a2249637"], computed elsewhere.
    expect(entityUidOf(keys, 'ast_x')).toBe('ent_5rbzyjkpa5n4qo46x53n6ei554')
  })

  it('writes MAC addresses in one form and drops those that name no card', () => {
    const given = ['00-50-56-AA-00-07', '0050.56aa.0007', '00:00:00:00:00:00', 'FF:FF:FF:FF:FF:FF']
    expect(macsOf([...given, 'no mac', '00:50:56'])).toEqual(['00:50:56:aa:00:07'])
  })

  it('upper-cases ids of weaknesses and names their scheme', () => {
    expect(weaknessOf('cve-2021-41617')).toEqual({
      vuln_id: 'CVE-2021-41617',
      vuln_id_scheme: 'cve',
    })
    expect(weaknessOf('GHSA-jfh8-c2jp-5v3q').vuln_id_scheme).toBe('ghsa')
    expect(weaknessOf('PRISMA-2022-0270').vuln_id_scheme).toBe('vendor')
  })
})

describe('clouds and systems', () => {
  it.each([
    ['AWS', 'aws'],
    ['Azure', 'azure'],
    ['GCP', 'gcp'],
    ['Google', 'gcp'],
    ['ALIBABA_CLOUD', 'alibaba'],
    ['oci', 'oci'],
    ['others', 'other'],
    ['AKAMAI', 'other'],
    ['ON_PREM', null],
    [null, null],
  ])('reads the provider %j as %j', (text, provider) => {
    expect(providerOf(text)).toBe(provider)
  })

  it.each([
    ['AGENT_OS_WINDOWS', 'WINDOWS'],
    ['AGENT_OS_LINUX', 'LINUX'],
    ['AGENT_OS_MAC', 'MACOS'],
    ['AGENT_OS_MACOS', 'MACOS'],
    ['AGENT_OS_ANDROID', 'ANDROID'],
    ['AGENT_OS_IOS', 'IOS'],
    ['Red Hat Enterprise Linux release 8.7 (Ootpa)', 'LINUX'],
    ['Microsoft Windows [Version 10.0.17763.1757]', 'WINDOWS'],
    ['Darwin', 'MACOS'],
    ['manjaro', 'LINUX'],
    ['AIX', 'OTHER'],
    [null, 'UNKNOWN'],
  ])('reads the system %j as %s', (text, family) => {
    expect(osFamilyOf([text])).toBe(family)
  })

  it('adds up counts where the vendor gives no total', () => {
    expect(severityCountsOf({ critical: 1, high: '4', medium: -2, low: 2 }, null)).toEqual({
      critical: 1,
      high: 4,
      medium: 0,
      low: 2,
      total: 7,
    })
    expect(severityCountsOf(null, 17)?.total).toBe(17)
    expect(severityCountsOf(null, null)).toBeNull()
  })
})

describe('packages', () => {
  it.each([
    ['package', 'Debian GNU/Linux 12', 'deb'],
    ['package', 'Ubuntu 24.04.1 LTS', 'deb'],
    ['package', 'Red Hat Enterprise Linux release 8.7', 'rpm'],
    ['package', 'amzn Amazon Linux 2', 'rpm'],
    ['package', 'SUSE Linux Enterprise Server 15', 'rpm'],
    ['os', 'alpine', 'apk'],
    ['package', 'Manjaro Linux', 'os'],
    ['jar', null, 'maven'],
    ['python', null, 'pypi'],
    ['nodejs', null, 'npm'],
    ['gem', null, 'gem'],
    ['golang', null, 'go'],
    ['nuget', null, 'nuget'],
    ['binary', null, 'binary'],
    ['windows', null, 'os'],
    ['app', null, 'app'],
    ['unknown', 'Ubuntu', null],
    [null, 'Ubuntu', null],
  ])('reads the word %j on %j as %j', (word, distro, type) => {
    expect(packageTypeOf(word, distro)).toBe(type)
  })

  it.each([
    [
      'pkg:deb/ubuntu/openssh-server@1:8.2p1-4ubuntu0.2?arch=amd64',
      { type: 'deb', name: 'openssh-server', bare: 'pkg:deb/ubuntu/openssh-server' },
    ],
    [
      'pkg:npm/%40angular/core@12.3.1',
      { type: 'npm', name: '@angular/core', bare: 'pkg:npm/%40angular/core' },
    ],
    ['pkg:npm/@a/b', { type: 'npm', name: '@a/b', bare: 'pkg:npm/@a/b' }],
    [
      'pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1#x',
      {
        type: 'maven',
        name: 'org.apache.logging.log4j:log4j-core',
        bare: 'pkg:maven/org.apache.logging.log4j/log4j-core',
      },
    ],
    ['openssl', null],
    ['pkg:', null],
    [null, null],
  ])('reads the package URL %j', (text, purl) => {
    expect(purlOf(text)).toEqual(purl)
  })
})
