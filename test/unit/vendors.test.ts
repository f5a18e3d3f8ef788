// The lists of vendors agree with one another, and what follows from them never changes its name.
import { describe, expect, it } from 'vitest'
import { TOPICS, VENDORS, VENDOR_ID, rawTopic, stateTopic } from '../../contracts/topics.ts'
import { CONNECTIONS, CONNECTORS, connectorOf } from '../../producers/sources.ts'
import { TRANSFORMERS } from '../../transformers/transformers.ts'

describe('the lists of vendors', () => {
  it('name the same vendors: topics, connectors, settings, transformers', () => {
    const vendors = VENDORS.toSorted()
    expect(Object.keys(CONNECTORS).toSorted()).toEqual(vendors)
    expect(CONNECTIONS.map(({ shape }) => shape.type.value).toSorted()).toEqual(vendors)
    expect([...new Set(TRANSFORMERS.map(({ vendor }) => vendor))].toSorted()).toEqual(vendors)
  })

  it('have each connector, with all of its sources, under its own name', () => {
    for (const [vendor, connector] of Object.entries(CONNECTORS)) {
      expect(vendor).toMatch(VENDOR_ID)
      expect([connector, ...connector.sources].map((one) => one.vendor)).toEqual(
        [connector, ...connector.sources].map(() => vendor),
      )
    }
  })

  it('refuse by name a vendor that is not among them', () => {
    expect(() => connectorOf('nobody')).toThrow(/nobody/)
  })
})

describe('the topics', () => {
  it('have the names under which records have been written', () => {
    const names = Object.fromEntries(Object.entries(TOPICS).map(([key, { name }]) => [key, name]))
    expect(names).toMatchObject({
      rawPrismaCloud: 'raw.prisma-cloud',
      rawCortex: 'raw.cortex',
      statePrismaCloud: 'exposure.state.prisma-cloud',
      stateCortex: 'exposure.state.cortex',
      assets: 'exposure.assets',
      findings: 'exposure.findings',
      vulnerabilities: 'exposure.vulnerabilities',
      connectorErrors: 'exposure.connector-errors',
      runs: 'exposure.runs',
      connections: 'exposure.connections',
      checkpoints: 'exposure.checkpoints',
      dlq: 'exposure.dlq',
      ocsf: 'exposure.ocsf',
    })
  })

  it('of a vendor are those of its name', () => {
    expect(TOPICS.rawPrismaCloud).toEqual(rawTopic('prisma-cloud'))
    expect(TOPICS.stateCortex).toEqual(stateTopic('cortex'))
  })
})
