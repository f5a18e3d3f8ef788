// The words of vendors one by one: times, severities, scores, addresses, names, packages, maps.
import { describe, expect, it } from 'vitest'
import { providerOf } from '../../transformers/cloud.ts'
import { severityCountsOf } from '../../transformers/counts.ts'
import { cvssOf } from '../../transformers/cvss.ts'
import { weaknessOf } from '../../transformers/findings.ts'
import {
  type Identity,
  correlationKeysOf,
  entityUidOf,
  macsOf,
} from '../../transformers/identity-keys.ts'
import { addressesOf } from '../../transformers/ip.ts'
import { MAP_KEYS_MAX, labelPairs, textMapOf } from '../../transformers/maps.ts'
import { namesOf } from '../../transformers/names.ts'
import { osFamilyOf } from '../../transformers/os.ts'
import { packageTypeOf, purlOf } from '../../transformers/packages.ts'
import { severityOf } from '../../transformers/severity.ts'
import { cutText, flagOf, numberOf, textOf, textsOf } from '../../transformers/text.ts'
import { dueAfterDays, timeOf } from '../../transformers/times.ts'
import {
  UNMAPPED_BYTES_MAX,
  UNMAPPED_KEYS_MAX,
  fieldNames,
  unmappedOf,
} from '../../transformers/unmapped.ts'

const NOW_MS = Date.UTC(2026, 0, 15)

describe('times', () => {
  it.each([
    [1660162500, 'seconds', 1660162500000],
    ['1660162500', 'seconds', 1660162500000],
    [1748399709000, 'milliseconds', 1748399709000],
    ['2022-08-10T20:15:00Z', 'seconds', 1660162500000],
    ['2022-08-10T20:15Z', 'milliseconds', 1660162500000],
    ['2022-08-10T22:15:00+02:00', 'milliseconds', 1660162500000],
    ['2022-08-10T20:15:00.123456789Z', 'milliseconds', 1660162500123],
    ['2022-08-10 20:15:00', 'milliseconds', 1660162500000],
    ['2022-08-10', 'milliseconds', Date.UTC(2022, 7, 10)],
  ] as const)('reads %j in %s', (value, unit, expected) => {
    expect(timeOf(value, unit, NOW_MS)).toBe(expected)
  })

  it.each([
    0,
    -1,
    null,
    '',
    'N/A',
    '[N/A]',
    '0001-01-01T00:00:00Z',
    '0000-01-01T00:00:00Z',
    '9999-12-31T23:59:59Z',
    '1989-12-31T23:59:59Z',
    '2022-02-31x',
    'soon',
    1e300,
    2 ** 63,
    true,
    {},
  ])('takes %j for no time', (value) => {
    expect(timeOf(value, 'milliseconds', NOW_MS)).toBeNull()
    expect(timeOf(value, 'seconds', NOW_MS)).toBeNull()
  })

  it('takes a day ahead of the fetch for a clock that is off, and more for no time', () => {
    const day = 86_400_000
    expect(timeOf(NOW_MS + day, 'milliseconds', NOW_MS)).toBe(NOW_MS + day)
    expect(timeOf(NOW_MS + day + 1, 'milliseconds', NOW_MS)).toBeNull()
  })

  it('keeps the end of a grace period when the next scan counts one day less', () => {
    const scan = Date.UTC(2026, 0, 10, 7, 12)
    const next = scan + 86_400_000 + 3_600_000
    expect(dueAfterDays(scan, 5)).toBe(Date.UTC(2026, 0, 15))
    expect(dueAfterDays(next, 4)).toBe(dueAfterDays(scan, 5))
    expect(dueAfterDays(scan, null)).toBeNull()
  })
})

describe('severity', () => {
  it.each([
    ['critical', null, 'CRITICAL', 5],
    ['SEV_050_CRITICAL', null, 'CRITICAL', 5],
    ['SEV_070_CRITICAL', null, 'CRITICAL', 5],
    [' Important ', null, 'HIGH', 4],
    ['SEV_040_HIGH', null, 'HIGH', 4],
    ['moderate', null, 'MEDIUM', 3],
    ['SEV_050_MEDIUM', null, 'MEDIUM', 3],
    ['negligible', 9.8, 'LOW', 2],
    ['not yet assigned', null, 'LOW', 2],
    ['SEV_020_LOW', null, 'LOW', 2],
    ['SEV_030_INFO', null, 'INFORMATIONAL', 1],
    ['SEV_010_INFORMATIONAL', null, 'INFORMATIONAL', 1],
    ['', 3.9, 'LOW', 2],
    [null, 4, 'MEDIUM', 3],
    ['N/A', 7, 'HIGH', 4],
    ['SEV_090_UNKNOWN', 9, 'CRITICAL', 5],
    ['whatever', 6.9, 'MEDIUM', 3],
    ['whatever', null, 'UNKNOWN', 0],
  ] as const)('reads %j with score %j as %s', (raw, score, severity, severity_id) => {
    expect(severityOf(raw, score)).toEqual({
      severity,
      severity_id,
      severity_raw: raw === null || raw === 'N/A' ? '' : raw.trim(),
    })
  })
})

describe('CVSS', () => {
  it('takes the version from the vector and prefers the newest', () => {
    const { cvss, cvss_score } = cvssOf([
      { score: '5.2', vector: 'AV:N/AC:L/Au:N/C:N/I:N/A:P' },
      { score: 9.1, vector: 'CVSS:3.1/AV:N/AC:L' },
      { score: 8.7, vector: 'CVSS:4.0/AV:N/AC:L' },
    ])
    expect(cvss.map((entry) => [entry.version, entry.base_score])).toEqual([
      ['4.0', 8.7],
      ['3.1', 9.1],
      ['2.0', 5.2],
    ])
    expect(cvss_score).toBe(8.7)
  })

  it.each([
    [0, null],
    [11, 'CVSS:3.1/AV:N'],
    [-1, null],
    [null, 'CVSS:3.1/AV:N'],
    ['high', null],
  ])('takes the score %j with vector %j for not scored', (score, vector) => {
    expect(cvssOf([{ score, vector }])).toEqual({ cvss: [], cvss_score: null })
  })

  it('keeps a real score of 0 and a score without a vector', () => {
    expect(cvssOf([{ score: 0, vector: 'CVSS:3.1/AV:L' }]).cvss_score).toBe(0)
    expect(cvssOf([{ score: 6.2, vector: '' }]).cvss[0]?.version).toBe('unknown')
  })
})

describe('text', () => {
  it('strips NUL and lone surrogates and keeps real characters', () => {
    expect(textOf('a\0b\ud800c\udc00😀é')).toBe('abc😀é')
  })

  it('never cuts inside a character', () => {
    expect(cutText('ab😀', 3)).toBe('ab')
  })

  it('refuses numbers that have lost digits', () => {
    expect(textOf(9_007_199_254_740_993)).toBeNull()
    expect(textOf(42)).toBe('42')
  })

  it('unwraps lists of one and sorts lists of many', () => {
    expect(textOf(['one'])).toBe('one')
    expect(textOf(['one', 'two'])).toBeNull()
    expect(textsOf(['b', 'a', 'b', null, 5, 'N/A'])).toEqual(['5', 'a', 'b'])
    expect(textsOf('alone')).toEqual(['alone'])
    expect(textsOf(null)).toEqual([])
  })

  it('reads numbers and flags in every spelling', () => {
    expect(['8.8E-4', '5.2', 7, ['3'], '', 'x', Number.NaN].map(numberOf)).toEqual([
      0.00088,
      5.2,
      7,
      3,
      null,
      null,
      null,
    ])
    expect(['Y', 'n', true, 'TRUE', 0, '', null, 'maybe'].map(flagOf)).toEqual([
      true,
      false,
      true,
      true,
      false,
      null,
      null,
      null,
    ])
  })
})

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

describe('maps', () => {
  it('prefixes the prototype, joins several values and sorts', () => {
    const map = textMapOf([
      ['b', '2'],
      ['__proto__', 'x'],
      ['a', '2'],
      ['a', '1'],
      ['', 'y'],
    ])
    expect(Object.entries(map)).toEqual([
      ['_', 'y'],
      ['___proto__', 'x'],
      ['a', '1, 2'],
      ['b', '2'],
    ])
    expect(Object.getPrototypeOf(map)).toBe(Object.prototype)
  })

  it('keeps at most MAP_KEYS_MAX keys', () => {
    const pairs = Array.from({ length: MAP_KEYS_MAX + 9 }, (_, i) => [`k${i}`, ''] as const)
    expect(Object.keys(textMapOf(pairs))).toHaveLength(MAP_KEYS_MAX)
  })

  it('splits labels at the first colon', () => {
    expect(labelPairs(['a:b:c', 'alone'])).toEqual([
      ['a', 'b:c'],
      ['alone', ''],
    ])
  })
})

describe('what has no home', () => {
  it('is JSON with sorted keys, without what is known or empty', () => {
    const record = { z: { b: 1, a: ['y', 'x'] }, known: 1, none: null, zero: 0, list: [], t: 'a\0' }
    expect(unmappedOf(record, fieldNames('known'))).toEqual({
      t: '"a"',
      z: '{"a":["x","y"],"b":1}',
      zero: '0',
    })
  })

  it('names what is too long, too deep or too much instead of keeping it', () => {
    let deep: unknown = 1
    for (let i = 0; i < 100_000; i += 1) deep = [deep]
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`m${i + 10}`, i]))
    const record = { deep, long: 'x'.repeat(UNMAPPED_BYTES_MAX), ...many }
    const kept = unmappedOf(record, new Set())
    expect(Object.keys(kept)).toHaveLength(UNMAPPED_KEYS_MAX)
    expect(kept['deep']).toBeUndefined()
    expect(JSON.parse(kept['_omitted'] ?? '')).toEqual(expect.arrayContaining(['deep', 'long']))
  })
})
