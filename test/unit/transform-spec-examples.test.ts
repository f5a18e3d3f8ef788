// The specification's examples of our records, and the recorded download: each field as it stands.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { assetUid } from '../../contracts/identity.ts'
import { KEEP, pull, vendor } from '../support/cspm-downloads.ts'
import { sampleJson, samplePath, samplesPresent } from '../support/samples.ts'
import { FETCHED_MS, TENANT, expectValid, observe, transformerOf } from '../support/transform.ts'

type Json = Record<string, unknown>

const uidOf = (product: string, nativeId: string): string =>
  assetUid({ vendor: 'cortex', product, tenant: TENANT, nativeId })

/** The list in the reply of an example, which stands bare or in a `value`. */
function examplesOf(call: string, list: string, example = 'Example 1'): Json[] {
  type Answer = { reply: Record<string, Json[]> }
  type Examples = Record<string, Answer & { value?: Answer }>
  const calls = sampleJson('cortex/spec-examples.json') as Record<
    string,
    { response_examples: Examples }
  >
  const found = calls[`POST /public_api/v1/${call}`]?.response_examples[example]
  return (found?.value ?? found)?.reply[list] ?? []
}

const services = (example: string): Json[] =>
  examplesOf('assets/get_external_services', 'external_services', example)

/** A listed service, which comes without details: one asset, and no finding. */
function listed(service: Json | undefined) {
  const observation = observe('xpanse.services', { service, details: null })
  const { assets, findings, findingsKnown, drift } = observation
  expect([assets.length, findings]).toEqual([1, []])
  return { asset: assets[0], findingsKnown, drift }
}

describe.runIf(samplesPresent)('the specification of Cortex', () => {
  it('has an endpoint whose words contradict each other, and whose ids are placeholders', () => {
    const endpoints = examplesOf('endpoints/get_endpoint', 'endpoints')
    expect(endpoints).toHaveLength(1)
    const { assets, findings, drift } = observe('xdr.endpoints', endpoints[0])
    expect([findings, drift]).toEqual([[], []])
    expect(assets).toHaveLength(1)
    expect(assets[0]).toMatchObject({
      asset_uid: uidOf('cortex-xdr', '<endpoint ID>'),
      kind: 'HOST',
      native_type: '<endpoint type>',
      name: '<endpoint name>',
      // No name of a host, and no addresses.
      hostnames: [],
      fqdns: [],
      private_ips: [],
      public_ips: [],
      network_interfaces: [{ name: null, mac: '42:00:00:00:00:00', ips: [], subnet: null }],
      cloud: null,
      // The type of the agent counts, not the text beside it.
      os: { family: 'WINDOWS', name: 'Debian 10.11', version: '8.0.xxx' },
      agent: {
        type: 'cortex-xdr',
        id: '<endpoint ID>',
        version: '<version>',
        status: 'CONNECTED',
        last_seen: 1606218769163,
      },
      status: 'ACTIVE',
      internet_exposed: null,
      owners: ['XDR'],
      business_units: [],
      tags: { '<tag name>': '' },
      first_seen: 1606218761377,
      last_seen: 1606218769163,
      vendor_created_at: 1606218762089,
      // The card's address is one that software gives to many.
      correlation_keys: [{ type: 'agent_id', value: 'cortex:<endpoint ID>', strong: true }],
    })
  })

  it('has a service that names types in place of values', () => {
    const [service, ...rest] = services('Example 1')
    expect(rest).toEqual([])
    const { asset, drift, findingsKnown } = listed(service)
    // One weakness without a name.
    expect(findingsKnown).toBe(false)
    expect(asset).toMatchObject({
      asset_uid: uidOf('cortex-xpanse', 'string'),
      kind: 'EXTERNAL_SERVICE',
      native_type: 'string',
      name: 'string',
      hostnames: ['string'],
      fqdns: [],
      public_dns_names: [],
      public_ips: [],
      private_ips: [],
      cloud: null,
      exposed_services: [{ protocol: 'string', port: 0, name: 'string', service_id: 'string' }],
      business_units: ['string'],
      risk_factors: ['string'],
      // The text `null`.
      criticality: null,
      // A time of 0 is none.
      first_seen: null,
      last_seen: FETCHED_MS,
    })
    expect(drift).toEqual([{ kind: 'new-value', path: 'service.is_active', detail: 'string' }])
  })

  it('has a service with business units as lists of objects', () => {
    const [service, , ...rest] = services('Example 2')
    expect(rest).toEqual([])
    const { asset, drift, findingsKnown } = listed(service)
    // Its list of weaknesses is there, and empty.
    expect([findingsKnown, drift]).toEqual([true, []])
    expect(asset).toMatchObject({
      asset_uid: uidOf('cortex-xpanse', '<service_id>'),
      native_type: 'AServer',
      name: 'Server',
      hostnames: [],
      public_ips: [],
      cloud: null,
      status: 'ACTIVE',
      internet_exposed: true,
      exposed_services: [
        { protocol: 'tcp', port: 8009, name: 'AServer', service_id: '<service_id>' },
      ],
      business_units: ['Business Unit 1'],
      risk_factors: ['AServer'],
      criticality: null,
      finding_counts: { total: 0 },
      first_seen: 1647152340000,
      last_seen: 1649499420000,
      correlation_keys: [],
    })
  })

  it('has a service that is gone, with its address as one text', () => {
    const { asset, drift, findingsKnown } = listed(services('Example 2')[1])
    expect([findingsKnown, drift]).toEqual([true, []])
    expect(asset).toMatchObject({
      native_type: 'HttpServer',
      name: 'HTTP Server',
      hostnames: ['email.test.org'],
      fqdns: ['email.test.org'],
      public_dns_names: ['email.test.org'],
      public_ips: [],
      cloud: null,
      status: 'INACTIVE',
      internet_exposed: false,
      exposed_services: [
        { protocol: 'tcp', port: 80, name: 'HttpServer', service_id: '<service_id>' },
      ],
      business_units: ['Test - Import-Export'],
      risk_factors: [],
      criticality: null,
      first_seen: 1647087420000,
      last_seen: 1647087420000,
    })
    expect(asset?.correlation_keys).toContainEqual({
      type: 'fqdn',
      value: 'email.test.org',
      strong: false,
    })
  })

  it('has the details of a service without weaknesses, which says that there are none', () => {
    const [details, ...rest] = examplesOf('assets/get_external_service', 'details')
    expect(rest).toEqual([])
    const { details: _, ...service } = details ?? {}
    const observation = observe('xpanse.services', { service, details })
    expect(observation).toMatchObject({ findings: [], findingsKnown: true, drift: [] })
    expect(observation.assets).toHaveLength(1)
    expect(observation.assets[0]).toMatchObject({
      asset_uid: uidOf('cortex-xpanse', '<service_id>'),
      native_type: 'HttpServer',
      name: 'HTTP Server',
      public_ips: [],
      cloud: null,
      status: 'ACTIVE',
      internet_exposed: true,
      exposed_services: [
        { protocol: 'tcp', port: 9443, name: 'HttpServer', service_id: '<service_id>' },
      ],
      business_units: ['Test'],
      risk_factors: [
        'HttpServer',
        'InsecureSignatureCertificate',
        'LongExpirationCertificate',
        'ServerSoftware',
        'ShortKeyCertificate',
      ],
      criticality: null,
      finding_counts: { total: 0 },
      first_seen: 1646698500000,
      last_seen: 1649500560000,
    })
  })

  it('has two domains, the second with times of its own', () => {
    const rows = examplesOf('assets/get_assets_internet_exposure', 'assets_internet_exposure')
    expect(rows).toHaveLength(2)
    const { assets, drift } = observe('xpanse.assets', rows[1])
    expect(drift).toEqual([])
    expect(assets[0]).toMatchObject({
      kind: 'DOMAIN',
      name: 'test.acme.com',
      fqdns: ['test.acme.com'],
      business_units: ['Test'],
      internet_exposed: false,
      first_seen: 1641981118397,
      last_seen: 1649587797490,
    })
  })
})

describe.runIf(samplesPresent)('the recorded download, zipped as it came', () => {
  it('goes through the source and the transformer row by row', async () => {
    const zipped = readFileSync(samplePath('prisma-cloud/cspm/uve_download.csv.gz'))
    const nothing = { data: { items: [], totalRows: 0 } }
    const { client } = await vendor(
      (query) => (query.includes("'Host'") ? zipped : ''),
      KEEP,
      () => nothing,
    )
    const { units, rejected, end } = await pull(client)
    expect([rejected, end]).toEqual([[], { verdict: 'COMPLETE', declared: null, reason: null }])
    expect(units.map(({ unit, assetNativeId }) => [unit, assetNativeId])).toEqual([
      ['bb298aa950d0000d5b000a6b0c3a2f|CVE-2025-38438|linux', 'bb298aa950d0000d5b000a6b0c3a2f'],
      [
        'a8b8bab6-0aec-4a6e-a4fb-c000002d00ee|CVE-2023-49082|aiohttp',
        'a8b8bab6-0aec-4a6e-a4fb-c000002d00ee',
      ],
    ])
    const transformer = transformerOf('cspm.vulnerabilities')
    const { vendor: name, product, stream } = transformer
    const found = units.flatMap(({ body, ...unit }) => {
      const facts = {
        connection: 'prod',
        vendor: name,
        product,
        tenant: TENANT,
        stream,
        runId: 'r',
        fetchedAtMs: FETCHED_MS,
        endpoint: '/x',
        page: 1,
        tooLargeBytes: null,
        ...unit,
      }
      const observation = transformer.transform({ facts, body: body ?? Buffer.from('') })
      expectValid(observation)
      expect(observation.drift).toEqual([])
      return observation.findings
    })
    expect(found).toHaveLength(2)
    expect(found[0]).toMatchObject({
      vuln_id: 'CVE-2025-38438',
      severity: 'MEDIUM',
      cvss_score: 5.5,
      epss: { score: 0.00017 },
      package: { name: 'linux', versions: ['5.15.0-161.171'], in_use: false },
      fix: { available: false, versions: [] },
      internet_exposed: true,
      first_seen: Date.UTC(2025, 9, 31),
      published_at: Date.UTC(2025, 6, 25),
    })
    expect(found[1]).toMatchObject({
      vuln_id: 'CVE-2023-49082',
      severity: 'MEDIUM',
      cvss_score: 5.3,
      epss: { score: 0.00977 },
      package: { name: 'aiohttp', versions: ['3.5.3'], in_use: false },
      fix: { available: true, versions: ['3.9.0'] },
      internet_exposed: false,
      first_seen: Date.UTC(2025, 9, 17),
      published_at: Date.UTC(2023, 10, 29),
    })
  })
})
