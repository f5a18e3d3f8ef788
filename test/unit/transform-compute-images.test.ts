// Images and functions of Compute: recorded answers read by eye, and every rule of their mapping.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { assetUid, uid } from '../../contracts/identity.ts'
import { imageReferenceOf } from '../../transformers/image-reference.ts'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { FETCHED_MS, TENANT, observe, observeBytes } from '../support/transform.ts'

type Json = Record<string, unknown>
const FOLDER = 'prisma-cloud/compute/'
const sample = (name: string): Json => {
  const [record] = samplesPresent ? (sampleJson(FOLDER + name) as Json[]) : [{}]
  if (!record) throw new Error(`no record in ${name}`)
  return record
}
const uidOf = (nativeId: string) =>
  assetUid({ vendor: 'prisma-cloud', product: 'prisma-compute', tenant: TENANT, nativeId })
const assetOf = (stream: string, record: Json) => {
  const [asset] = observe(stream, record).assets
  if (!asset) throw new Error('no asset')
  return asset
}
const keysOf = (stream: string, record: Json) =>
  assetOf(stream, record)
    .correlation_keys.filter((key) => key.strong)
    .map(({ type, value }) => `${type}=${value}`)

describe.skipIf(!samplesPresent)('the recorded image of a Defender', () => {
  const record = sample('images.recorded-23.01.735.0.json')
  const ID = 'sha256:3c7d71964b4f9f55bad1763d8821163b93e64012d67882e374f20c1fb5ef2142'

  it('is an image with its id, name, system and counts', () => {
    const asset = assetOf('compute.images', record)
    expect(asset).toMatchObject({
      asset_uid: uidOf(`image|${ID}`),
      entity_uid: uid('ent_', ['image_id', ID]),
      kind: 'CONTAINER_IMAGE',
      native_type: 'image',
      name: 'twistlock/private:defender_23_01_735',
      image: {
        digest: null,
        image_id: ID,
        registry: null,
        repository: 'twistlock/private',
        tags: ['defender_23_01_735'],
      },
      hostnames: [],
      cloud: null,
      agent: null,
      os: {
        family: 'LINUX',
        name: 'Red Hat Enterprise Linux release 8.7 (Ootpa)',
        version: '8.7',
      },
      criticality: { level: 'MEDIUM', score: 200 },
      finding_counts: { critical: 0, high: 0, medium: 2, low: 0, total: 2 },
      business_units: ['All', 'Prisma Cloud resources'],
      first_seen: Date.UTC(2023, 0, 3, 14, 53, 4, 85),
      last_seen: Date.UTC(2023, 0, 3, 14, 53, 4, 85),
      vendor_created_at: Date.UTC(2023, 0, 2, 23, 39, 3, 782),
    })
    expect(asset.tags['version']).toBe('8.7')
    // The machines on which it runs come and go.
    expect(JSON.stringify(asset.unmapped)).not.toContain('servo-vmware71')
  })

  it('has two weaknesses, one without a CVE of its own', () => {
    const { findings, findingsKnown, drift } = observe('compute.images', record)
    expect([findingsKnown, drift]).toEqual([true, []])
    expect(findings.map((f) => f.vuln_id).toSorted()).toEqual([
      'CVE-2022-41717',
      'PRISMA-2022-0270',
    ])
    expect(findings.find((f) => f.vuln_id === 'PRISMA-2022-0270')).toMatchObject({
      vuln_id_scheme: 'vendor',
      severity: 'MEDIUM',
      cvss_score: 5.4,
      package: { name: 'github.com/golang-jwt/jwt/v4', versions: ['v4.4.2'], type: 'go' },
      fix: { available: true, versions: ['v4.4.3'], fixed_at: 1_667_865_600_000 },
      first_seen: FETCHED_MS,
      asset: { kind: 'CONTAINER_IMAGE', image_digest: null },
    })
    expect(findings.find((f) => f.vuln_id === 'CVE-2022-41717')).toMatchObject({
      package: { name: 'go', type: 'app', paths: ['/usr/local/bin/defender'] },
      fix: { versions: ['1.18.9', '1.19.4'] },
    })
  })

  it('is the same asset where the registry shows it', () => {
    const inRegistry = assetOf('compute.registry', { ...record, type: 'registry', hosts: {} })
    expect(inRegistry.asset_uid).toBe(uidOf(`image|${ID}`))
    expect(inRegistry.native_type).toBe('registry')
  })
})

describe.skipIf(!samplesPresent)('the image that a Defender scanned from inside', () => {
  const record = sample('images.debian9-appembedded.json')

  it('is known by its own name, and by the id of its image', () => {
    const ID = 'sha256:dae203fe11646a86937bf04db0079adef295f426da68a92b40e3b181f337daa7'
    expect(assetOf('compute.images', record)).toMatchObject({
      asset_uid: uidOf('image|testname1'),
      name: 'vulnerables/web-dvwa',
      image: { digest: null, image_id: ID, tags: ['latest'] },
      cloud: { provider: 'aws', account_id: 'testid1', region: 'us-east-1', instance_id: null },
      os: { family: 'LINUX', version: '9.5' },
      criticality: { level: 'CRITICAL', score: 69_594_380 },
      finding_counts: { critical: 68, high: 158, medium: 142, low: 184, total: 552 },
    })
    expect(keysOf('compute.images', record)).toEqual([`image_id=${ID}`])
  })

  it('shows the three weaknesses that are in the record', () => {
    const { findings } = observe('compute.images', record)
    expect(findings.map((f) => `${f.vuln_id} ${f.severity} ${f.package?.type}`).toSorted()).toEqual(
      ['CVE-2016-9841 CRITICAL deb', 'CVE-2016-9842 HIGH deb', 'CVE-2016-9843 CRITICAL deb'],
    )
  })
})

describe('the identity of an image', () => {
  const A = `sha256:${'a'.repeat(64)}`
  const B = `sha256:${'b'.repeat(64)}`
  const C = `sha256:${'c'.repeat(64)}`
  const image = { _id: A, id: A, repoTag: { registry: 'r.example', repo: 'team/shop', tag: '1' } }

  it('is its digest before its id', () => {
    const record = { ...image, repoDigests: [`r.example/team/shop@${B}`] }
    expect(keysOf('compute.images', record)).toEqual([`image_digest=${B}`, `image_id=${A}`])
    expect(keysOf('compute.images', image)).toEqual([`image_id=${A}`])
  })

  it('is the digest of the name shown, however the list is ordered', () => {
    const list = [`another.example/x@${B}`, `r.example/team/shop@${C}`]
    for (const repoDigests of [list, list.toReversed()]) {
      expect(keysOf('compute.registry', { ...image, repoDigests })[0]).toBe(`image_digest=${C}`)
    }
    const repoTag = { ...image.repoTag, digest: B }
    expect(keysOf('compute.registry', { ...image, repoTag, repoDigests: list })[0]).toBe(
      `image_digest=${B}`,
    )
  })

  it('is nothing shared where it has neither', () => {
    expect(keysOf('compute.images', { _id: 'repo:tag' })).toEqual([])
    expect(assetOf('compute.images', { _id: 'repo:tag' }).name).toBe('repo:tag')
  })

  it('is never that of the machine on which it was scanned', () => {
    const cloudMetadata = { provider: 'aws', resourceID: 'i-0123456789abcdef0', accountID: '1' }
    expect(keysOf('compute.images', { ...image, cloudMetadata })).toEqual([`image_id=${A}`])
  })

  it('has clusters and namespaces as tags, from both places', () => {
    const record = {
      ...image,
      clusters: ['main'],
      hosts: {
        n1: { cluster: 'main', namespaces: ['b', 'a'] },
        n2: { cluster: 'edge', namespaces: ['a'] },
        n3: null,
      },
    }
    expect(assetOf('compute.images', record).tags).toEqual({
      cluster: 'edge, main',
      namespace: 'a, b',
    })
  })
})

describe('a function', () => {
  const ARN = 'arn:aws:lambda:eu-west-1:123456789012:function:resize'
  const record = {
    _id: `${ARN}:7`,
    type: 'serverlessScan',
    name: 'resize',
    provider: 'aws',
    region: 'eu-west-1',
    accountID: '123456789012',
    runtime: 'python3.12',
    version: '7',
    envvars: ['TOKEN=canary-secret'],
    functionTags: [{ key: 'team', value: 'web' }],
    vulnerabilities: [
      {
        cve: 'CVE-2026-0002',
        severity: 'high',
        packageName: 'requests',
        packageVersion: '2.27.0',
        packageType: 'python',
        functionLayer: `${ARN.replace(':function:', ':layer:')}:3`,
        status: 'fixed in 2.28.0',
      },
    ],
  }

  it('is one entity in all its versions, and an asset in each', () => {
    const asset = assetOf('compute.serverless', record)
    expect(asset).toMatchObject({
      asset_uid: uidOf(`function|${ARN}:7`),
      entity_uid: uid('ent_', ['cloud_resource_id', ARN]),
      kind: 'SERVERLESS_FUNCTION',
      name: 'resize',
      os: null,
      cloud: {
        provider: 'aws',
        account_id: '123456789012',
        region: 'eu-west-1',
        resource_id: ARN,
      },
      tags: { team: 'web' },
      unmapped: { runtime: '"python3.12"', version: '"7"' },
    })
    expect(keysOf('compute.serverless', { ...record, _id: ARN })).toEqual([
      `cloud_resource_id=${ARN}`,
    ])
  })

  it('tells its variables to nobody', () => {
    expect(JSON.stringify(observe('compute.serverless', record))).not.toContain('canary')
  })

  it('has weaknesses with the layer in which they are', () => {
    const [finding] = observe('compute.serverless', record).findings
    expect(finding).toMatchObject({
      vuln_id: 'CVE-2026-0002',
      package: { type: 'pypi', name: 'requests' },
      locator: { layer: 'arn:aws:lambda:eu-west-1:123456789012:layer:resize:3', path: null },
      asset: { kind: 'SERVERLESS_FUNCTION', cloud_resource_id: ARN },
    })
  })

  it('of Azure is known by its path in lower case, of others by nothing shared', () => {
    const id = '/subscriptions/S-1/resourceGroups/RG/providers/Microsoft.Web/sites/Fn'
    expect(keysOf('compute.serverless', { _id: id, provider: 'azure' })).toEqual([
      `cloud_resource_id=${id.toLowerCase()}`,
    ])
    expect(keysOf('compute.serverless', { _id: 'fn-1', provider: 'gcp' })).toEqual([])
  })
})

describe('an image of machines', () => {
  it('is a resource of the account, and no machine', () => {
    const record = {
      _id: '2226875301309860442',
      type: 'vm',
      hostname: '',
      scanTime: '2026-01-01T18:08:15.299Z',
      osDistro: 'redhat',
      osDistroVersion: '7',
      distro: 'CentOS Linux release 7.9.2009 (Core)',
      cloudMetadata: {
        provider: 'aws',
        region: 'eu-west-1',
        accountID: '123456789012',
        name: 'golden-7',
        image: 'ami-0123456789abcdef0',
      },
      vulnerabilities: [],
      vulnerabilitiesCount: 0,
    }
    const observation = observe('compute.vms', record)
    expect(observation.findingsKnown).toBe(true)
    expect(observation.assets[0]).toMatchObject({
      asset_uid: uidOf('vm|2226875301309860442'),
      kind: 'CLOUD_RESOURCE',
      native_type: 'vm',
      name: 'golden-7',
      cloud: {
        provider: 'aws',
        image_id: 'ami-0123456789abcdef0',
        instance_id: null,
        resource_type: 'vm-image',
      },
      os: { family: 'LINUX', version: '7' },
      last_seen: Date.UTC(2026, 0, 1, 18, 8, 15, 299),
    })
    expect(keysOf('compute.vms', record)).toEqual([])
  })
})

describe('the name of an image', () => {
  it.each([
    ['registry.example:5000/team/shop:1.4', 'registry.example:5000', 'team/shop', '1.4'],
    ['team/shop', null, 'team/shop', null],
    ['localhost/shop:x', 'localhost', 'shop', 'x'],
    [`r.example/shop@sha256:${'a'.repeat(64)}`, 'r.example', 'shop', null],
    [`sha256:${'a'.repeat(64)}`, null, null, null],
    [null, null, null, null],
  ])('%s has its parts', (text, registry, repository, tag) => {
    expect(imageReferenceOf(text)).toEqual({ registry, repository, tag })
  })
})

describe('a record without an id', () => {
  it.each([
    'compute.images',
    'compute.registry',
    'compute.vms',
    'compute.serverless',
    'compute.containers',
    'compute.cloud-vms',
  ])('is refused in %s', (stream) => {
    const refused = () => observeBytes(stream, Buffer.from('{"type":"x","name":"y"}'))
    expect(refused).toThrow(PipelineError)
  })

  it.each(['compute.images', 'compute.registry', 'compute.vms', 'compute.serverless'])(
    'and one of %s without its list of weaknesses leaves the known ones as they are',
    (stream) => {
      expect(observe(stream, { _id: 'x', vulnerabilities: null }).findingsKnown).toBe(false)
      expect(observe(stream, { _id: 'x', vulnerabilities: [] }).findingsKnown).toBe(true)
    },
  )
})
