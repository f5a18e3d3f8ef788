// The made-up vendor of docs/adding-a-vendor.md keeps the rules that every listed vendor keeps.
import { describe, expect, it } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { ENTITIES, fieldsOf, pathsOf } from '../../transformers/mapping/stream-mapping.ts'
import { connectScanner, fixtureHosts, runScanner, scannerWorld } from '../support/acme-scanner.ts'
import { type FieldName, saidIn } from '../support/mapping-fields.ts'
import { observedBy } from '../support/observed.ts'
import { type SourceSubject, describePages, describeSource } from '../support/source-rules.ts'
import { describeTransformer } from '../support/transformer-rules.ts'
import { acmeScannerConnector } from '../vendors/producers/acme-scanner/connector.ts'
import { scannerHosts } from '../vendors/transformers/acme-scanner/scanner-hosts.ts'
import { scannerHostsMapping } from '../vendors/transformers/mapping/scanner-hosts.ts'

const subject: SourceSubject = {
  stream: 'scanner.hosts',
  facts: {
    vendor: 'acme-scanner',
    entry: 'scanner.hosts',
    rows: 'scanner.hosts',
    emptied: 'scanner.hosts',
    later: 1,
  },
  world: scannerWorld,
  failures: {},
  hasCheckpoint: true,
  oneListing: {},
  recordsIn: (text) => [text],
}

describeSource(subject)
describePages(subject)
describeTransformer({
  transformer: scannerHosts,
  units: async () => (await (await scannerWorld()).open().pull()).units,
})

const observedHost = (host: unknown) =>
  observedBy(scannerHosts, 'acme', {
    unit: 'h-1',
    assetNativeId: 'h-1',
    body: Buffer.from(JSON.stringify(host)),
    sizeBytes: 1,
    contentType: 'application/json',
    columns: null,
  })

describe('the transformer of scanner.hosts', () => {
  it('keeps what was known of a host that is not scanned yet', () => {
    const [scanned, clean, fresh] = fixtureHosts().map(observedHost)
    expect([scanned, clean, fresh].map((said) => said?.findingsKnown)).toEqual([true, true, false])
    expect(scanned?.findings.map(({ vuln_id }) => vuln_id).toSorted()).toEqual([
      'CVE-2026-0001',
      'CVE-2026-0002',
    ])
    expect([clean, fresh].map((said) => said?.findings)).toEqual([[], []])
  })

  it('keeps fields without a home, and tells of those that nobody knows', () => {
    const [host] = fixtureHosts()
    const { assets, drift } = observedHost({ ...host, shelf: 'top' })
    expect(assets[0]?.unmapped).toEqual({ rack: '"B4"', shelf: '"top"' })
    expect(drift).toEqual([{ kind: 'new-field', path: 'shelf', detail: 'string' }])
  })

  it('fills exactly the fields of its mapping', () => {
    const told = fixtureHosts().flatMap((host) => [...saidIn(observedHost(host)).keys()])
    const { tables } = scannerHostsMapping
    const mapped = ENTITIES.flatMap((entity) =>
      Object.keys(tables[entity] ?? {}).map((field): FieldName => `${entity} ${field}`),
    )
    expect([...new Set(told)].toSorted()).toEqual(mapped.toSorted())
    expect(fieldsOf('asset')).toEqual(expect.arrayContaining(Object.keys(tables.asset ?? {})))
    expect(pathsOf(scannerHostsMapping, 'asset', 'fqdns')).toEqual(['name'])
  })
})

describe('the connection test of the made-up vendor', () => {
  it('reads one host, or says in the words of the tables what is wrong', async () => {
    const scanner = await runScanner(fixtureHosts)
    const good = await acmeScannerConnector.check(connectScanner(scanner).client)
    expect(good).toEqual([{ step: 'read scanner.hosts', error: null }])
    const wrong = connectScanner({ ...scanner, token: 'a-token-that-was-taken-back' })
    const [answer] = await acmeScannerConnector.check(wrong.client)
    expect(answer?.error).toBeInstanceOf(PipelineError)
    expect(answer?.error?.failure).toBe('AUTHORIZATION_FAILURE')
    expect(answer?.error?.message).not.toContain('taken-back')
  })
})
